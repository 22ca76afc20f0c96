package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// full is a webhook with something in every field.
func (f *fixture) full() *triggers.Webhook {
	f.Helper()
	w := f.webhook("Réunion \"quoted\"", "/", "/items/*/share", "/users/{ann,bob}/signIn", "com.qlik.v1.app.created")
	w.Description, w.URL, w.Enabled = "what it is for", "https://receiver.example.com/hook?a=1&b=%20", false
	w.DisabledReason, w.DisabledReasonCode, w.DisabledAt = "five failures", "FAILURES", f.clock.Now().Add(-time.Hour)
	w.Probe, w.EnabledReason, w.EnabledAt = true, "a probe was answered 200 OK", f.clock.Now().Add(-2*time.Hour)
	w.Level, w.OwnerID = triggers.UserLevel, "owner"
	require.NoError(f, w.SetFilter(`id eq "x"`))
	w.Headers = []triggers.Header{{Name: "X-Env", Value: triggers.NewSecret("prod")}, {Name: "X-Empty"}}
	w.EncryptedHeaders = []triggers.Header{{Name: "Authorization", Value: triggers.NewSecret("Bearer abc")}, {Name: "X-None"}}
	w.Secret = triggers.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	w.OldSecrets = []triggers.OldSecret{{Secret: triggers.NewSecret("the one before"), Until: f.clock.Now().Add(time.Hour)}}
	w.PlainSecretHeader, w.Format = true, triggers.FormatHybrid
	w.Retry = triggers.Retry{Profile: triggers.RetryList, Waits: []time.Duration{0, 5 * time.Second, 1500 * time.Millisecond}}
	w.Deactivation = &triggers.DeactivationPolicy{NumberOfFailures: 5, DaysInPast: 2}
	w.Ordered, w.TimeoutSeconds, w.RateLimit = true, 12, 60
	w.ContentType, w.PrettyPayload, w.CRCCheck = triggers.ContentTypeForm, true, true
	w.Schedule = &triggers.Schedule{
		Name: "every half minute", State: triggers.ScheduleEnabled, StartAt: f.clock.Now().Add(time.Hour), Frequency: "second", Interval: 30,
	}
	w.CheckCertificateRevocation, w.EnableCloudEventDelivery, w.Origin = true, true, "management-console"
	w.CreatedBy, w.UpdatedBy = "ann", "bob"
	w.UpdatedAt = f.clock.Now().Add(time.Second)
	return w
}

func (f *fixture) find(w *triggers.Webhook) *triggers.Webhook {
	f.Helper()
	found, err := f.store.Webhook(f.Context(), w.Tenant, w.ID)
	require.NoError(f, err)
	return found
}

func testWebhookWhole(f *fixture) {
	plain, full := f.create(f.webhook("plain", "/items")), f.create(f.full())
	for range 2 {
		require.Equal(f, plain, f.find(plain))
		require.Equal(f, full, f.find(full))
		var each []*triggers.Webhook
		require.NoError(f, f.store.EachWebhook(f.Context(), func(w *triggers.Webhook) error { each = append(each, w); return nil }))
		require.Equal(f, []*triggers.Webhook{plain, full}, each)
		f.store = f.reopen()
	}
	stop := errors.New("stop")
	require.ErrorIs(f, f.store.EachWebhook(f.Context(), func(*triggers.Webhook) error { return stop }), stop)
}

func testWebhookUpdate(f *fixture) {
	w := f.create(f.webhook("plain", "/items"))
	full := f.full()
	full.ID = w.ID
	require.NoError(f, f.store.UpdateWebhook(f.Context(), full, delivery.WebhookLimits{}))
	require.Equal(f, w.Key, full.Key)
	require.Equal(f, full, f.find(w))
	back := f.webhook("plain again", "/items")
	back.ID = w.ID
	require.NoError(f, f.store.UpdateWebhook(f.Context(), back, delivery.WebhookLimits{}))
	require.Equal(f, back, f.find(w), "what is left out is gone")
}

func testWebhookRevision(f *fixture) {
	w := f.create(f.webhook("plain", "/items"))
	for _, test := range []struct {
		name   string
		change func(*triggers.Webhook)
		new    bool
	}{
		{"nothing", func(*triggers.Webhook) {}, false},
		{"switched off", func(w *triggers.Webhook) { w.Enabled = false }, false},
		{"secret", func(w *triggers.Webhook) { w.Secret = triggers.NewSecret("another") }, false},
		{"retry", func(w *triggers.Webhook) { w.Retry.Profile = triggers.RetryOnce }, false},
		{"description", func(w *triggers.Webhook) { w.Description = "other" }, false},
		{"name", func(w *triggers.Webhook) { w.Name = "renamed" }, true},
		{"triggers", func(w *triggers.Webhook) { w.Triggers = f.parse("/users") }, true},
		{"url", func(w *triggers.Webhook) { w.URL += "/2" }, true},
		{"header", func(w *triggers.Webhook) {
			w.Headers = []triggers.Header{{Name: "X-Env", Value: triggers.NewSecret("prod")}}
		}, true},
		{"header's value", func(w *triggers.Webhook) {
			w.Headers = []triggers.Header{{Name: "X-Env", Value: triggers.NewSecret("test")}}
		}, true},
		{"encrypted header", func(w *triggers.Webhook) {
			w.EncryptedHeaders = []triggers.Header{{Name: "Authorization", Value: triggers.NewSecret("a")}}
		}, true},
		{"encrypted header's value", func(w *triggers.Webhook) {
			w.EncryptedHeaders = []triggers.Header{{Name: "Authorization", Value: triggers.NewSecret("b")}}
		}, false},
		{"format", func(w *triggers.Webhook) { w.Format = triggers.FormatPortal }, true},
		{"content type", func(w *triggers.Webhook) { w.ContentType = triggers.ContentTypeForm }, true},
		{"pretty payload", func(w *triggers.Webhook) { w.PrettyPayload = true }, true},
		{"schedule", func(w *triggers.Webhook) {
			w.Schedule = &triggers.Schedule{State: triggers.ScheduleDisabled, Frequency: "day", Interval: 1}
		}, false},
		{"challenge", func(w *triggers.Webhook) { w.CRCCheck = true }, false},
		{"probe", func(w *triggers.Webhook) { w.Probe = true }, false},
	} {
		before := w.Revision
		test.change(w)
		require.NoError(f, f.store.UpdateWebhook(f.Context(), w, delivery.WebhookLimits{}), test.name)
		if test.new {
			require.Greater(f, w.Revision, before, test.name)
		} else {
			require.Equal(f, before, w.Revision, test.name)
		}
		require.Equal(f, w, f.find(w), test.name)
	}
}

func testReviseWebhooks(f *fixture) {
	first, second := f.create(f.full()), f.create(f.webhook("second", "/items"))
	revise := func(legacyCloud bool) [2]int64 {
		f.Helper()
		require.NoError(f, f.store.ReviseWebhooks(f.Context(), legacyCloud))
		return [2]int64{f.find(first).Revision, f.find(second).Revision}
	}
	before := [2]int64{first.Revision, second.Revision}
	require.Equal(f, before, revise(false), "nothing has changed")
	legacy := revise(true)
	require.Greater(f, legacy[0], before[1])
	require.Greater(f, legacy[1], before[1])
	require.Equal(f, legacy, revise(true))
	require.NoError(f, f.store.UpdateWebhook(f.Context(), second, delivery.WebhookLimits{}))
	require.Equal(f, legacy[1], second.Revision, "a save that changes nothing keeps the setting")
	third := f.create(f.webhook("third", "/items"))
	f.store = f.reopen()
	require.Equal(f, legacy, revise(true), "it is the same after a restart")
	require.Equal(f, third.Revision, f.find(third).Revision)
	hybrid := revise(false)
	require.NotEqual(f, legacy, hybrid)
	first.Revision = hybrid[0]
	require.Equal(f, first, f.find(first), "nothing else changes")
}

func testWebhookLimit(f *fixture) {
	for n := range 3 {
		require.NoError(f, f.store.CreateWebhook(f.Context(), f.webhook(fmt.Sprint(n), "/items"), delivery.WebhookLimits{Tenant: 3}))
	}
	fourth := f.webhook("one too many", "/items")
	require.ErrorIs(f, f.store.CreateWebhook(f.Context(), fourth, delivery.WebhookLimits{Tenant: 3}), triggers.ErrLimit)
	_, err := f.store.Webhook(f.Context(), f.tenant, fourth.ID)
	require.ErrorIs(f, err, triggers.ErrNotFound)
	fourth.Tenant = f.newTenant("other")
	require.NoError(f, f.store.CreateWebhook(f.Context(), fourth, delivery.WebhookLimits{Tenant: 3}), "others count for themselves")
}

func testOwnerLimit(f *fixture) {
	limits := delivery.WebhookLimits{Tenant: 20, Owner: 2}
	of := func(owner string) *triggers.Webhook {
		w := f.webhook("of "+owner, "/items")
		if owner != "" {
			w.Level, w.OwnerID = triggers.UserLevel, owner
		}
		return w
	}
	first := of("ann")
	require.NoError(f, f.store.CreateWebhook(f.Context(), first, limits))
	// Of all that are made at once only as many get through as may.
	var group sync.WaitGroup
	var stored atomic.Int32
	for range 6 {
		w := of("ann")
		group.Go(func() {
			switch err := f.store.CreateWebhook(f.Context(), w, limits); {
			case err == nil:
				stored.Add(1)
			case !errors.Is(err, triggers.ErrOwnerLimit):
				f.Errorf("past the limit: %v", err)
			}
		})
	}
	group.Wait()
	require.EqualValues(f, 1, stored.Load())
	list, err := f.store.Webhooks(f.Context(), delivery.WebhookQuery{Tenant: f.tenant, OwnerID: "ann", Limit: 10})
	require.NoError(f, err)
	require.Len(f, list, 2)

	foreign := of("ann")
	foreign.Tenant = f.newTenant("other")
	require.NoError(f, f.store.CreateWebhook(f.Context(), foreign, limits), "another tenant's ann is another")
	bobs, tenants := of("bob"), of("")
	require.NoError(f, f.store.CreateWebhook(f.Context(), bobs, limits))
	require.NoError(f, f.store.CreateWebhook(f.Context(), tenants, limits), "those of tenant level count for nobody")

	// Neither another owner nor another level is a way around it.
	for _, w := range []*triggers.Webhook{bobs, tenants} {
		moved := *w
		moved.Level, moved.OwnerID = triggers.UserLevel, "ann"
		require.ErrorIs(f, f.store.UpdateWebhook(f.Context(), &moved, limits), triggers.ErrOwnerLimit)
		require.Equal(f, w, f.find(w), "nothing has changed")
	}
	first.Name = "renamed"
	require.NoError(f, f.store.UpdateWebhook(f.Context(), first, delivery.WebhookLimits{Owner: 1}), "what he has he may change, though the limit was lowered")
	first.Level, first.OwnerID = triggers.TenantLevel, ""
	require.NoError(f, f.store.UpdateWebhook(f.Context(), first, limits))
	bobs.OwnerID = "ann"
	require.NoError(f, f.store.UpdateWebhook(f.Context(), bobs, limits), "there is room now")
	require.ErrorIs(f, f.store.CreateWebhook(f.Context(), of("ann"), limits), triggers.ErrOwnerLimit)
}

func testWebhookNotFound(f *fixture) {
	w := f.create(f.webhook("mine", "/items"))
	foreign := *w
	foreign.Tenant = f.newTenant("other")
	_, err := f.store.Webhook(f.Context(), foreign.Tenant, w.ID)
	require.ErrorIs(f, err, triggers.ErrNotFound)
	require.ErrorIs(f, f.store.UpdateWebhook(f.Context(), &foreign, delivery.WebhookLimits{}), triggers.ErrNotFound)
	require.ErrorIs(f, f.store.DeleteWebhook(f.Context(), foreign.Tenant, w.ID), triggers.ErrNotFound)
	homeless := f.webhook("homeless", "/items")
	homeless.Tenant = 4711
	require.ErrorIs(f, f.store.CreateWebhook(f.Context(), homeless, delivery.WebhookLimits{}), triggers.ErrNotFound)
	require.Equal(f, w, f.find(w))
	require.NoError(f, f.store.DeleteWebhook(f.Context(), f.tenant, w.ID))
	require.ErrorIs(f, f.store.UpdateWebhook(f.Context(), w, delivery.WebhookLimits{}), triggers.ErrNotFound)
}

func testWebhookKeys(f *fixture) {
	w := f.create(f.webhook("first", "/items"))
	require.NoError(f, f.store.DeleteWebhook(f.Context(), f.tenant, w.ID))
	f.store = f.reopen()
	require.Greater(f, f.create(f.webhook("second", "/items")).Key, w.Key)
}

func testListFilters(f *fixture) {
	alpha, beta, gamma := f.webhook("Alpha ÄRGER", "/items", "/users"), f.webhook("beta%", "/items/*/share"), f.webhook("GAMMA_", "/items")
	beta.Enabled, beta.URL, beta.Origin = false, "https://Other.example.com/", "automations"
	gamma.Level, gamma.OwnerID, gamma.CreatedBy, gamma.UpdatedBy = triggers.UserLevel, "ann", "bob", "eve"
	for _, w := range []*triggers.Webhook{alpha, beta, gamma} {
		f.create(w)
	}
	f.clock.Advance(time.Minute)
	delta := f.webhook("fallen", "/groups")
	delta.Enabled, delta.DisabledReason, delta.DisabledReasonCode, delta.DisabledAt = false, "410 Gone", "GONE", f.clock.Now()
	f.create(delta)
	foreign := f.webhook("Alpha too", "/items")
	foreign.Tenant = f.newTenant("other")
	f.create(foreign)
	yes, no := true, false
	for _, test := range []struct {
		name  string
		query delivery.WebhookQuery
		want  []*triggers.Webhook
	}{
		{"all", delivery.WebhookQuery{}, []*triggers.Webhook{alpha, beta, gamma, delta}},
		{"name", delivery.WebhookQuery{Name: "aLpH"}, []*triggers.Webhook{alpha}},
		{"name beyond ASCII", delivery.WebhookQuery{Name: "ärg"}, []*triggers.Webhook{alpha}},
		{"name is no pattern", delivery.WebhookQuery{Name: "%"}, []*triggers.Webhook{beta}},
		{"name has no wildcard", delivery.WebhookQuery{Name: "_"}, []*triggers.Webhook{gamma}},
		{"url", delivery.WebhookQuery{URL: "other.EXAMPLE"}, []*triggers.Webhook{beta}},
		{"enabled", delivery.WebhookQuery{Enabled: &yes}, []*triggers.Webhook{alpha, gamma}},
		{"disabled", delivery.WebhookQuery{Enabled: &no}, []*triggers.Webhook{beta, delta}},
		{"one trigger", delivery.WebhookQuery{Triggers: []string{"/items"}}, []*triggers.Webhook{alpha, gamma}},
		{"all triggers", delivery.WebhookQuery{Triggers: []string{"/users", "/items"}}, []*triggers.Webhook{alpha}},
		{"no such trigger", delivery.WebhookQuery{Triggers: []string{"/items", "/groups"}}, nil},
		{"part of a trigger", delivery.WebhookQuery{TriggerPart: "USERS"}, []*triggers.Webhook{alpha}},
		{"a part of a trigger is no pattern", delivery.WebhookQuery{TriggerPart: "/item*"}, nil},
		{"origins", delivery.WebhookQuery{Origins: []string{"automations", "management-console"}}, []*triggers.Webhook{beta}},
		{"level", delivery.WebhookQuery{Level: triggers.UserLevel}, []*triggers.Webhook{gamma}},
		{"owner", delivery.WebhookQuery{OwnerID: "ann"}, []*triggers.Webhook{gamma}},
		{"created by", delivery.WebhookQuery{CreatedBy: "bob"}, []*triggers.Webhook{gamma}},
		{"updated by", delivery.WebhookQuery{UpdatedBy: "eve"}, []*triggers.Webhook{gamma}},
		{"whole name", delivery.WebhookQuery{WholeName: "alpha ärger"}, []*triggers.Webhook{alpha}},
		{"a part is not the whole name", delivery.WebhookQuery{WholeName: "alpha"}, nil},
		{"whole url", delivery.WebhookQuery{WholeURL: "HTTPS://other.example.com/"}, []*triggers.Webhook{beta}},
		{"a part is not the whole url", delivery.WebhookQuery{WholeURL: "https://other.example.com"}, nil},
		{"part of the owner", delivery.WebhookQuery{OwnerPart: "N"}, []*triggers.Webhook{gamma}},
		{"a part of the owner is no pattern", delivery.WebhookQuery{OwnerPart: "_"}, nil},
		{"switched off", delivery.WebhookQuery{SwitchedOff: &yes}, []*triggers.Webhook{delta}},
		{"off by hand", delivery.WebhookQuery{SwitchedOff: &no, Enabled: &no}, []*triggers.Webhook{beta}},
		{"created from", delivery.WebhookQuery{Created: delivery.Span{From: delta.CreatedAt}}, []*triggers.Webhook{delta}},
		{"created from a bit later", delivery.WebhookQuery{Created: delivery.Span{From: delta.CreatedAt.Add(time.Nanosecond)}}, nil},
		{"created before", delivery.WebhookQuery{Created: delivery.Span{To: delta.CreatedAt}}, []*triggers.Webhook{alpha, beta, gamma}},
		{"several", delivery.WebhookQuery{Name: "a", Enabled: &yes, Level: triggers.TenantLevel}, []*triggers.Webhook{alpha}},
	} {
		test.query.Tenant, test.query.Limit = f.tenant, 10
		list, err := f.store.Webhooks(f.Context(), test.query)
		require.NoError(f, err, test.name)
		require.Equal(f, test.want, list, test.name)
		var want []uint32
		for _, w := range test.want {
			want = append(want, w.Key)
		}
		keys, err := f.store.WebhookKeys(f.Context(), test.query)
		require.NoError(f, err, test.name)
		require.ElementsMatch(f, want, keys, test.name)
	}
	some, err := f.store.WebhookKeys(f.Context(), delivery.WebhookQuery{Tenant: f.tenant, Limit: 2})
	require.NoError(f, err)
	require.Len(f, some, 2)
}

func testListPages(f *fixture) {
	for _, name := range []string{"delta", "Bravo", "alpha", "Charlie", "bravo", "ECHO", "écho"} {
		w := f.webhook(name, []string{"/items", "/groups"}[len(name)%2], "/users/"+name)
		w.URL = "https://" + name + ".example.com/"
		w.UpdatedAt = f.clock.Now().Add(time.Duration(len(name)) * time.Minute)
		w.Enabled = len(name) == 5
		if w.Enabled {
			w.Level, w.OwnerID = triggers.UserLevel, name[:1]
		}
		f.create(w)
		f.clock.Advance(time.Duration(f.made%2) * time.Second)
	}
	for _, sort := range []delivery.WebhookSort{
		"", delivery.SortCreatedAt, delivery.SortUpdatedAt, delivery.SortName, delivery.SortURL, delivery.SortTrigger, delivery.SortLevel, delivery.SortOwner, delivery.SortEnabled,
	} {
		whole := delivery.WebhookQuery{Tenant: f.tenant, Sort: sort, Limit: 100}
		ascending, err := f.store.Webhooks(f.Context(), whole)
		require.NoError(f, err)
		require.Len(f, ascending, 7)
		require.True(f, slices.IsSortedFunc(ascending, func(a, b *triggers.Webhook) int { return compare(whole, a, b) }), sort)
		whole.Descending = true
		descending, err := f.store.Webhooks(f.Context(), whole)
		require.NoError(f, err)
		slices.Reverse(descending)
		require.Equal(f, ascending, descending, sort)
		for _, down := range []bool{false, true} {
			page := delivery.WebhookQuery{Tenant: f.tenant, Sort: sort, Descending: down, Limit: 2}
			var list []*triggers.Webhook
			for {
				next, err := f.store.Webhooks(f.Context(), page)
				require.NoError(f, err)
				if len(next) == 0 {
					break
				}
				list = append(list, next...)
				place := page.PlaceOf(next[len(next)-1])
				page.After = &place
			}
			if down {
				slices.Reverse(list)
			}
			require.Equal(f, ascending, list, "%s, descending: %t", sort, down)
		}
	}
	_, err := f.store.Webhooks(f.Context(), delivery.WebhookQuery{Tenant: f.tenant, Sort: "secret; DROP TABLE webhook", Limit: 1})
	require.Error(f, err)
}

// compare orders by place.
func compare(q delivery.WebhookQuery, a, b *triggers.Webhook) int {
	p, r := q.PlaceOf(a), q.PlaceOf(b)
	switch {
	case p.Text < r.Text, p.Text == r.Text && p.At.Before(r.At), p.Text == r.Text && p.At.Equal(r.At) && p.Key < r.Key:
		return -1
	}
	return 1
}

func testTenant(f *fixture) {
	tenants, err := f.store.Tenants(f.Context())
	require.NoError(f, err)
	require.Equal(f, "test", tenants[len(tenants)-1].Name)
	tenant := triggers.Tenant{
		Name: "second", PortalID: "portal 2", PortalURL: "https://2.example.com/", ServerURL: "https://s.example.com/", CreatedAt: f.clock.Now(),
	}
	require.NoError(f, f.store.SaveTenant(f.Context(), &tenant))
	tenant.Name, tenant.ServerURL = "renamed", ""
	tenant.SingularSource, tenant.Settings = true, triggers.PortalSettings{TimeoutSeconds: 60, PauseSeconds: 1, MetricMinutes: 7}
	tenant.ServiceSettings = triggers.ServiceSettings{
		Attempts: 1, TimeoutSeconds: 2, PauseSeconds: 3, DeactivationPolicy: triggers.DeactivationPolicy{NumberOfFailures: 4, DaysInPast: 5},
	}
	require.NoError(f, f.store.SaveTenant(f.Context(), &tenant))
	f.store = f.reopen()
	tenants, err = f.store.Tenants(f.Context())
	require.NoError(f, err)
	require.Equal(f, tenant, tenants[len(tenants)-1])

	var field *triggers.FieldError
	err = f.store.SaveTenant(f.Context(), &triggers.Tenant{Name: "test", PortalID: "portal 3"})
	require.ErrorAs(f, err, &field)
	require.Equal(f, "name", field.Field)
	tenant.PortalID = "id of test"
	err = f.store.SaveTenant(f.Context(), &tenant)
	require.ErrorAs(f, err, &field)
	require.Equal(f, "portalId", field.Field)
	require.ErrorIs(f, f.store.SaveTenant(f.Context(), &triggers.Tenant{Key: 4711, Name: "nobody"}), triggers.ErrNotFound)
}

func testTenantURL(f *fixture) {
	first, second := f.create(f.webhook("first", "/items")), f.create(f.full())
	foreign := f.webhook("foreign", "/items")
	foreign.Tenant = f.newTenant("other")
	f.create(foreign)
	tenants, err := f.store.Tenants(f.Context())
	require.NoError(f, err)
	i := slices.IndexFunc(tenants, func(t triggers.Tenant) bool { return t.Key == f.tenant })
	moved := tenants[i]
	moved.PortalURL = "https://moved.example.com/"
	require.NoError(f, f.store.SaveTenant(f.Context(), &moved))
	for _, w := range []*triggers.Webhook{first, second} {
		fresh := f.find(w)
		require.Greater(f, fresh.Revision, w.Revision)
		w.Revision = fresh.Revision
		require.Equal(f, w, fresh)
	}
	require.Equal(f, foreign, f.find(foreign))
	f.accept(first, 0)
	require.Equal(f, "https://moved.example.com/", f.claimOne().Revision.PortalURL)

	// What attempts go by is in no revision; how payloads name things is.
	moved.Settings = triggers.PortalSettings{Attempts: 5, PauseSeconds: 9, MetricMinutes: 1}
	moved.ServiceSettings = triggers.DefaultServiceSettings
	require.NoError(f, f.store.SaveTenant(f.Context(), &moved))
	require.Equal(f, first, f.find(first))
	moved.SingularSource = true
	require.NoError(f, f.store.SaveTenant(f.Context(), &moved))
	require.Greater(f, f.find(first).Revision, first.Revision)
	f.accept(f.find(first), 0)
	require.True(f, f.claimOne().Revision.SingularSource)
}

func testAPIKeys(f *fixture) {
	first := triggers.APIKey{
		ID: "key-1", Hash: [32]byte{1}, Tenant: f.tenant, Name: "backend", Role: triggers.RoleEmitter, Operator: true, UserID: "u1",
		UserName: "ann", Expires: f.clock.Now().Add(time.Hour), Created: f.clock.Now(),
	}
	second := triggers.APIKey{
		ID: "key-2", Hash: [32]byte{2}, Tenant: f.tenant, Role: triggers.RoleViewer, Created: f.clock.Now().Add(time.Second),
	}
	require.NoError(f, f.store.AddAPIKey(f.Context(), first))
	require.NoError(f, f.store.AddAPIKey(f.Context(), second))
	require.Error(f, f.store.AddAPIKey(f.Context(), first))
	require.ErrorIs(f, f.store.RevokeAPIKey(f.Context(), f.newTenant("other"), first.ID), triggers.ErrNotFound)
	require.NoError(f, f.store.RevokeAPIKey(f.Context(), f.tenant, second.ID))
	require.NoError(f, f.store.RevokeAPIKey(f.Context(), f.tenant, second.ID), "revoked is revoked")
	second.Revoked = true
	first.LastUsed = f.clock.Now().Add(time.Minute)
	require.NoError(f, f.store.NoteKeyUse(f.Context(), map[string]time.Time{first.ID: first.LastUsed}))
	require.NoError(f, f.store.NoteKeyUse(f.Context(), map[string]time.Time{first.ID: f.clock.Now()}), "the later use counts")
	f.store = f.reopen()
	keys, err := f.store.APIKeys(f.Context())
	require.NoError(f, err)
	require.Equal(f, []triggers.APIKey{first, second}, keys)
}
