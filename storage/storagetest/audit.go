package storagetest

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// audited gives a context that carries a change.
func (f *fixture) audited(action, object, id string) context.Context {
	return delivery.Audited(f.Context(), &delivery.Change{
		KeyID: "key-1", UserID: "ann", Action: action, Object: object, ObjectID: id,
		Before: []byte(`{"a":1}`), After: []byte(`{"a":2}`), TraceID: "trace",
	})
}

// changes are the rows that a query finds.
func (f *fixture) changes(q delivery.ChangeQuery) []delivery.Change {
	f.Helper()
	if q.Tenant == 0 {
		q.Tenant = f.tenant
	}
	if q.Limit == 0 {
		q.Limit = 1000
	}
	found, err := f.store.Changes(f.Context(), q)
	require.NoError(f, err)
	return found
}

func actionsOf(changes []delivery.Change) []string {
	var names []string
	for _, c := range changes {
		names = append(names, c.Action)
	}
	return names
}

func testAudit(f *fixture) {
	w := f.webhook("plain", "/items")
	require.NoError(f, f.store.CreateWebhook(f.audited("create", "webhook", "1"), w, delivery.WebhookLimits{Tenant: 1}))
	w.Name = "other"
	require.NoError(f, f.store.UpdateWebhook(f.audited("update", "webhook", "1"), w, delivery.WebhookLimits{}))
	key := triggers.APIKey{ID: "key-2", Hash: [32]byte{2}, Tenant: f.tenant, Role: triggers.RoleViewer, Created: f.clock.Now()}
	require.NoError(f, f.store.AddAPIKey(f.audited("add", "api-key", key.ID), key))
	require.NoError(f, f.store.RevokeAPIKey(f.audited("revoke", "api-key", key.ID), f.tenant, key.ID))
	require.NoError(f, f.store.DeleteWebhook(f.audited("delete", "webhook", "1"), f.tenant, w.ID))
	tenant := triggers.Tenant{Name: "harbour", PortalID: "HARBOUR", PortalURL: "https://harbour.example.com/", CreatedAt: f.clock.Now()}
	require.NoError(f, f.store.SaveTenant(f.audited("found", "tenant", "HARBOUR"), &tenant))

	// What fails leaves no row, and what carries no change neither.
	require.Error(f, f.store.UpdateWebhook(f.audited("update", "webhook", "1"), w, delivery.WebhookLimits{}))
	require.Error(f, f.store.DeleteWebhook(f.audited("delete", "webhook", "1"), f.tenant, w.ID))
	require.Error(f, f.store.AddAPIKey(f.audited("add", "api-key", key.ID), key))
	require.Error(f, f.store.RevokeAPIKey(f.audited("revoke", "api-key", "nobody"), f.tenant, "nobody"))
	f.create(f.webhook("unaudited", "/items"))
	require.Error(f, f.store.CreateWebhook(f.audited("create", "webhook", "2"), f.webhook("one too many", "/items"), delivery.WebhookLimits{Tenant: 1}))

	f.store = f.reopen()
	rows := f.changes(delivery.ChangeQuery{})
	require.Equal(f, []string{"delete", "revoke", "add", "update", "create"}, actionsOf(rows))
	require.Equal(f, delivery.Change{
		ID: rows[4].ID, Tenant: f.tenant, KeyID: "key-1", UserID: "ann", Action: "create", Object: "webhook", ObjectID: "1",
		Before: []byte(`{"a":1}`), After: []byte(`{"a":2}`), TraceID: "trace",
	}, rows[4])
	require.Equal(f, f.clock.Now().UnixMilli(), rows[4].ID.Time().UnixMilli())
	require.Equal(f, []string{"found"}, actionsOf(f.changes(delivery.ChangeQuery{Tenant: tenant.Key})))

	// What changes nothing that is stored has a row by itself.
	alone := delivery.Change{Tenant: tenant.Key, KeyID: "key-1", UserID: "ann", Action: "test", Object: "webhook", ObjectID: "1", After: []byte(`{}`), TraceID: "t"}
	require.NoError(f, f.store.AddChange(f.Context(), &alone))
	alone.ID = f.changes(delivery.ChangeQuery{Tenant: tenant.Key})[0].ID
	require.Equal(f, alone, f.changes(delivery.ChangeQuery{Tenant: tenant.Key})[0])
	require.Equal(f, []string{"test", "found"}, actionsOf(f.changes(delivery.ChangeQuery{Tenant: tenant.Key})))

	bare := delivery.Audited(f.Context(), &delivery.Change{Action: "bare"})
	tenant.ServerURL = "https://harbour.example.com/server/"
	require.NoError(f, f.store.SaveTenant(bare, &tenant))
	row := f.changes(delivery.ChangeQuery{Tenant: tenant.Key})[0]
	require.Nil(f, row.Before)
	require.Nil(f, row.After)
}

// testTold stores a change with what is to be told of it, or neither.
func testTold(f *fixture) {
	w := f.create(f.webhook("told", "/items"))
	notice := &delivery.Notice{
		Tenant: f.tenant, Webhook: w.ID, Operation: triggers.WebhooksDisable, Name: "disable-1", At: f.clock.Now(), Properties: []byte(`{"a":1}`),
	}
	require.NoError(f, f.store.UpdateWebhook(delivery.Announcing(f.audited("disable", "webhook", "2"), notice), w, delivery.WebhookLimits{}))
	refused := *notice
	refused.Name = "disable-2"
	gone := *w
	gone.ID[0]++
	require.Error(f, f.store.UpdateWebhook(delivery.Announcing(f.audited("disable", "webhook", "2"), &refused), &gone, delivery.WebhookLimits{}))
	require.Equal(f, []string{"disable"}, actionsOf(f.changes(delivery.ChangeQuery{})))
	f.store = f.reopen()
	waiting, err := f.store.Notices(f.Context(), 10)
	require.NoError(f, err)
	notice.ID = waiting[0].ID
	require.Equal(f, []delivery.Notice{*notice}, waiting)
}

func testAuditPages(f *fixture) {
	start := f.clock.Now()
	for i, object := range []string{"webhook", "api-key", "webhook", "tenant", "webhook"} {
		tenant := triggers.Tenant{Key: f.tenant, Name: "test", PortalID: "TEST", PortalURL: "https://test.example.com/", CreatedAt: start}
		require.NoError(f, f.store.SaveTenant(f.audited(string(rune('a'+i)), object, "1"), &tenant))
		f.clock.Advance(time.Second)
	}
	for name, c := range map[string]struct {
		query delivery.ChangeQuery
		want  []string
	}{
		"all":              {delivery.ChangeQuery{}, []string{"e", "d", "c", "b", "a"}},
		"oldest first":     {delivery.ChangeQuery{OldestFirst: true}, []string{"a", "b", "c", "d", "e"}},
		"an action":        {delivery.ChangeQuery{Action: "b"}, []string{"b"}},
		"a kind":           {delivery.ChangeQuery{Object: "webhook"}, []string{"e", "c", "a"}},
		"an object":        {delivery.ChangeQuery{Object: "webhook", ObjectID: "1"}, []string{"e", "c", "a"}},
		"another object":   {delivery.ChangeQuery{Object: "webhook", ObjectID: "2"}, nil},
		"from and to":      {delivery.ChangeQuery{From: start.Add(time.Second), To: start.Add(3 * time.Second)}, []string{"c", "b"}},
		"a part of one ms": {delivery.ChangeQuery{From: start.Add(time.Second + 1), To: start.Add(2*time.Second + 1)}, []string{"c"}},
		"another tenant":   {delivery.ChangeQuery{Tenant: f.tenant + 1}, nil},
	} {
		require.Equal(f, c.want, actionsOf(f.changes(c.query)), name)
		for _, limit := range []int{1, 2} {
			var seen []string
			q := c.query
			q.Limit = limit
			for {
				page := f.changes(q)
				if len(page) == 0 {
					break
				}
				seen = append(seen, actionsOf(page)...)
				q.After = page[len(page)-1].ID
			}
			require.Equal(f, c.want, seen, name)
		}
	}
}

func testAuditRetained(f *fixture) {
	tenant := triggers.Tenant{Key: f.tenant, Name: "test", PortalID: "TEST", PortalURL: "https://test.example.com/", CreatedAt: f.clock.Now()}
	const day = 24 * time.Hour
	require.NoError(f, f.store.SaveTenant(f.audited("old", "tenant", "1"), &tenant))
	f.clock.Advance(60 * day)
	require.NoError(f, f.store.SaveTenant(f.audited("new", "tenant", "1"), &tenant))
	f.clock.Advance(29 * day)
	require.NoError(f, f.store.Retain(f.Context(), f.clock.Now().Add(-day)))
	require.Equal(f, []string{"new", "old"}, actionsOf(f.changes(delivery.ChangeQuery{})))
	f.clock.Advance(2 * day)
	require.NoError(f, f.store.Retain(f.Context(), f.clock.Now().Add(-100*day)))
	require.Equal(f, []string{"new", "old"}, actionsOf(f.changes(delivery.ChangeQuery{})), "history is kept longer")
	require.NoError(f, f.store.Retain(f.Context(), f.clock.Now().Add(-day)))
	require.Equal(f, []string{"new"}, actionsOf(f.changes(delivery.ChangeQuery{})))
}
