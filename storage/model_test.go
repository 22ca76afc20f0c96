package storage_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/delivery"
	"portalhook/delivery/deliverytest"
	"portalhook/storage"
	"portalhook/storage/storagetest"
	"portalhook/triggers"
)

// The database does whatever the queue in memory does: random histories of calls, restarts and days that pass, on both at once. Both
// draw ids by the same rule from the same clock, so that answers can be compared as they are.
func TestSQLiteDoesAsTheQueueInMemory(t *testing.T) {
	t.Parallel()
	testDoesAsTheQueueInMemory(t, func(now func() time.Time) func() modelled {
		config := storage.Config{Path: filepath.Join(t.TempDir(), "model.db"), Now: now}
		return func() modelled { return open(t, config) }
	})
}

// TestPostgresDoesAsTheQueueInMemory is the same of the other database.
func TestPostgresDoesAsTheQueueInMemory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("each history opens a database several times")
	}
	place := emptied(t, postgresConfig(t, nil))
	testDoesAsTheQueueInMemory(t, func(now func() time.Time) func() modelled {
		config := place()
		config.Now = now
		return func() modelled { return openPostgres(t, config) }
	})
}

// modelled is a store that is held to the queue in memory.
type modelled interface {
	storagetest.Store
	Close() error
}

// testDoesAsTheQueueInMemory tells a store and the queue in memory the same. Create makes a new store, and gives what opens it.
func testDoesAsTheQueueInMemory(t *testing.T, create func(now func() time.Time) (open func() modelled)) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(t, rt, create)
		defer m.close()
		rt.Repeat(m.actions())
	})
}

// model is a database and the queue in memory that is told the same.
type model struct {
	*testing.T
	rt      *rapid.T
	clock   *deliverytest.Clock
	open    func() modelled
	real    modelled
	plain   *deliverytest.Queue
	tenant  uint32
	hooks   []*triggers.Webhook
	made    int
	events  []triggers.ID
	sent    []triggers.ID // deliveries, whatever became of them
	claimed []delivery.Claimed
}

func newModel(t *testing.T, rt *rapid.T, create func(now func() time.Time) (open func() modelled)) *model {
	t.Helper()
	m := &model{T: t, rt: rt, clock: deliverytest.NewClock()}
	m.open = create(m.clock.Now)
	m.real = m.open()
	m.plain = deliverytest.NewQueue(m.clock.Now)
	tenants, err := m.plain.Tenants(t.Context())
	require.NoError(rt, err)
	tenant := tenants[0]
	tenant.Key = 0
	require.NoError(rt, m.real.SaveTenant(t.Context(), &tenant))
	require.Equal(rt, tenants[0].Key, tenant.Key)
	m.tenant = tenant.Key
	m.create(rt)
	m.create(rt)
	return m
}

// actions are what a store may be told, and what is compared after each.
func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"":         m.compare,
		"enqueue":  m.enqueue,
		"claim":    m.claim,
		"settle":   m.settle,
		"resend":   m.resend,
		"interval": m.closeIntervals,
		"create":   m.create,
		"update":   m.update,
		"delete":   m.remove,
		"clock":    m.advance,
		"set":      m.setClock,
		"restart":  m.restart,
	}
}

func (m *model) close() { require.NoError(m.rt, m.real.Close()) }

func (m *model) create(rt *rapid.T) {
	all, err := triggers.Default().ParseTrigger("/items")
	require.NoError(rt, err)
	m.made++
	w := &triggers.Webhook{
		Tenant: m.tenant, ID: triggers.WebhookID{byte(m.made >> 8), byte(m.made)}, Name: fmt.Sprint(m.made), URL: "https://r.example.com/",
		Format: triggers.FormatPortal, Triggers: []triggers.Trigger{all, all},
		Ordered: rapid.Bool().Draw(rt, "ordered"), Enabled: rapid.Bool().Draw(rt, "enabled"),
	}
	twin := *w
	require.NoError(rt, m.real.CreateWebhook(m.Context(), w, delivery.WebhookLimits{}))
	require.NoError(rt, m.plain.CreateWebhook(m.Context(), &twin, delivery.WebhookLimits{}))
	require.Equal(rt, &twin, w)
	m.hooks = append(m.hooks, w)
}

func (m *model) hook(rt *rapid.T) *triggers.Webhook {
	return m.hooks[rapid.IntRange(0, len(m.hooks)-1).Draw(rt, "webhook")]
}

func (m *model) update(rt *rapid.T) {
	changed := *m.hook(rt)
	m.made++
	changed.Name = fmt.Sprint(m.made)
	changed.Ordered, changed.Enabled = rapid.Bool().Draw(rt, "ordered"), rapid.Bool().Draw(rt, "enabled")
	twin := changed
	err := m.real.UpdateWebhook(m.Context(), &changed, delivery.WebhookLimits{})
	m.sameError(rt, m.plain.UpdateWebhook(m.Context(), &twin, delivery.WebhookLimits{}), err)
	require.Equal(rt, twin, changed)
	if err != nil {
		return
	}
	for i := range m.hooks {
		if m.hooks[i].Key == changed.Key {
			m.hooks[i] = &changed
		}
	}
}

// remove leaves the webhook among those that events are planned for: they may have been matched before.
func (m *model) remove(rt *rapid.T) {
	if rapid.IntRange(0, 3).Draw(rt, "really") > 0 {
		return
	}
	w := m.hook(rt)
	m.sameError(rt, m.plain.DeleteWebhook(m.Context(), m.tenant, w.ID), m.real.DeleteWebhook(m.Context(), m.tenant, w.ID))
}

func (m *model) enqueue(rt *rapid.T) {
	batch := make([]delivery.Acceptance, rapid.IntRange(1, 5).Draw(rt, "events"))
	for i := range batch {
		m.made++
		uri, err := triggers.Default().ParseURI(rapid.SampledFrom([]string{
			"/items/a1/share", "/items/A1/update", "/items/b2/share", "/groups/a1/update", "/users/bulkEnable", "com.qlik.v1.app.created",
			"/services/City/Water/FeatureServer/FeaturesCreated", "/services/city/WATER/FeatureServer/FeaturesDeleted", "/services/Water/FeatureServer/FeaturesCreated",
		}).Draw(rt, "uri"))
		require.NoError(rt, err)
		a := &batch[i]
		*a = delivery.Acceptance{
			Tenant: m.tenant, AcceptedAt: m.clock.Now(), Event: &triggers.Event{URI: uri}, Body: fmt.Appendf(nil, `{"n":%d}`, m.made),
		}
		if uri.Resource == triggers.CloudTypes {
			a.Body = fmt.Appendf(nil, `{"n":%d,"data":%s}`, m.made, rapid.SampledFrom([]string{`{"id":"x"}`, `{"id":"y"}`, `{"id":""}`, `[]`}).Draw(rt, "data"))
		}
		if rapid.Bool().Draw(rt, "named") {
			a.Event.EventID = rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(rt, "event id") + fmt.Sprint(m.made/50)
			a.Event.Source = rapid.SampledFrom([]string{"", "x"}).Draw(rt, "source")
			a.Digest[0] = byte(rapid.IntRange(0, 9).Draw(rt, "content") / 9)
		}
		for range rapid.IntRange(0, 3).Draw(rt, "planned") {
			w := m.hook(rt)
			p := delivery.Planned{Webhook: w.Key, Revision: w.Revision, Trigger: uint8(rapid.IntRange(0, 1).Draw(rt, "trigger")), State: delivery.Waiting}
			switch rapid.IntRange(0, 4).Draw(rt, "kind") {
			case 0:
				p.State = delivery.Skipped
			case 1:
				p.Interval = m.clock.Now().Truncate(time.Hour).Add(time.Hour)
			case 2:
				p.Lease = true
			}
			a.Planned = append(a.Planned, p)
		}
		if slicesHaveTwice(a.Planned) {
			a.Planned = a.Planned[:1]
		}
	}
	want, wantErr := m.plain.Enqueue(m.Context(), batch)
	got, err := m.real.Enqueue(m.Context(), batch)
	m.sameError(rt, wantErr, err)
	require.Equal(rt, want, got)
	for i := range got {
		if got[i].Duplicate {
			continue
		}
		m.events = append(m.events, got[i].ID)
		for k, p := range batch[i].Planned {
			id := got[i].ID + 1 + triggers.ID(k)
			m.sent = append(m.sent, id)
			if p.Lease {
				m.claimed = append(m.claimed, delivery.Claimed{ID: id, Tenant: m.tenant, Webhook: p.Webhook, Fence: 1})
			}
		}
	}
}

// slicesHaveTwice reports whether a webhook is planned for twice, which never happens to one event.
func slicesHaveTwice(planned []delivery.Planned) bool {
	seen := make(map[uint32]bool)
	for _, p := range planned {
		if seen[p.Webhook] {
			return true
		}
		seen[p.Webhook] = true
	}
	return false
}

// claim takes all that is due; whose turn it is first is not laid down.
func (m *model) claim(rt *rapid.T) {
	room := rapid.IntRange(0, 3).Draw(rt, "room")
	free := func(webhook uint32) int { return room + int(webhook%2) }
	want, wantNext, err := m.plain.Claim(m.Context(), m.clock.Now(), 1000, free)
	require.NoError(rt, err)
	got, next, err := m.real.Claim(m.Context(), m.clock.Now(), 1000, free)
	require.NoError(rt, err)
	require.ElementsMatch(rt, want, got)
	// Several nodes may look sooner than they need, for work that another has ended or that has gone, but never later; no date is never.
	later := !wantNext.IsZero() && (next.IsZero() || next.After(wantNext))
	if _, exact := m.real.(*storage.Store); exact || later {
		require.Equal(rt, wantNext, next)
	}
	m.claimed = append(m.claimed, got...)
}

func (m *model) settle(rt *rapid.T) {
	if len(m.claimed) == 0 {
		return
	}
	batch := make([]delivery.Settlement, rapid.IntRange(1, 6).Draw(rt, "settlements"))
	for i := range batch {
		// Any lease there ever was: most are stale.
		c := m.claimed[max(0, len(m.claimed)-1-rapid.IntRange(0, 12).Draw(rt, "lease"))]
		s := &batch[i]
		*s = delivery.Settlement{Delivery: c.ID, Tenant: c.Tenant, Webhook: c.Webhook, Fence: c.Fence, Reason: fmt.Sprint(i)}
		s.State = rapid.SampledFrom([]delivery.State{delivery.Succeeded, delivery.Exhausted, delivery.Cancelled, delivery.Waiting, delivery.Waiting}).
			Draw(rt, "state")
		if s.State == delivery.Waiting {
			s.DueAt = m.clock.Now().Add(time.Duration(rapid.IntRange(0, 7200).Draw(rt, "wait")) * time.Second)
		}
		if rapid.Bool().Draw(rt, "attempt") {
			s.Attempt = &delivery.Attempt{StartedAt: m.clock.Now(), Total: time.Millisecond, StatusCode: 200 + i, Outcome: delivery.Delivered}
			if s.State != delivery.Succeeded {
				s.Attempt.Outcome = rapid.SampledFrom([]delivery.Outcome{delivery.Rejected, delivery.Infrastructure}).Draw(rt, "outcome")
			}
		}
	}
	want, err := m.plain.Settle(m.Context(), batch)
	require.NoError(rt, err)
	got, err := m.real.Settle(m.Context(), batch)
	require.NoError(rt, err)
	require.Equal(rt, want, got)
}

func (m *model) resend(rt *rapid.T) {
	if len(m.sent) == 0 {
		return
	}
	id := rapid.SampledFrom(m.sent).Draw(rt, "delivery")
	want, wantErr := m.plain.Resend(m.Context(), m.tenant, id, m.clock.Now())
	got, err := m.real.Resend(m.Context(), m.tenant, id, m.clock.Now())
	m.sameError(rt, wantErr, err)
	require.Equal(rt, want, got)
	if err == nil {
		m.sent = append(m.sent, got.ID)
		m.claimed = append(m.claimed, got)
	}
}

func (m *model) closeIntervals(rt *rapid.T) {
	want, err := m.plain.CloseIntervals(m.Context(), m.clock.Now())
	require.NoError(rt, err)
	got, err := m.real.CloseIntervals(m.Context(), m.clock.Now())
	require.NoError(rt, err)
	require.Equal(rt, want, got)
}

func (m *model) advance(rt *rapid.T) {
	step := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Hour, 9 * time.Hour, -time.Hour}).Draw(rt, "step")
	m.clock.Advance(step)
}

// setClock sets the clock, and has what waits moved along.
func (m *model) setClock(rt *rapid.T) {
	step := rapid.SampledFrom([]time.Duration{time.Minute, 48 * time.Hour, -time.Hour}).Draw(rt, "step")
	m.clock.Advance(step)
	require.NoError(rt, m.plain.ShiftDue(m.Context(), step))
	require.NoError(rt, m.real.ShiftDue(m.Context(), step))
}

func (m *model) restart(rt *rapid.T) {
	require.NoError(rt, m.real.Close())
	m.real = m.open()
	m.plain.Restart()
}

// compare looks at what both know of everything.
func (m *model) compare(rt *rapid.T) {
	require.Equal(rt, m.plain.Open(), m.real.Open())
	wantHealth, err := m.plain.Health(m.Context())
	require.NoError(rt, err)
	health, err := m.real.Health(m.Context())
	require.NoError(rt, err)
	require.Equal(rt, wantHealth, health)
	for _, id := range m.events[max(0, len(m.events)-8):] {
		want, err := m.plain.Event(m.Context(), m.tenant, id)
		require.NoError(rt, err)
		got, err := m.real.Event(m.Context(), m.tenant, id)
		require.NoError(rt, err)
		for i := range want.Matches {
			if want.Matches[i].Delivery.ID == 0 { // it waits for the end of an interval, or did until its webhook was deleted
				want.Matches[i].Delivery, got.Matches[i].Delivery = delivery.Record{}, delivery.Record{}
			}
		}
		require.Equal(rt, want, got)
	}
	for _, id := range m.sent[max(0, len(m.sent)-8):] {
		want, wantErr := m.plain.Delivery(m.Context(), m.tenant, id)
		got, err := m.real.Delivery(m.Context(), m.tenant, id)
		m.sameError(rt, wantErr, err)
		require.Equal(rt, want, got)
	}
}

// sameError holds the kinds of two errors against each other; their words are their own.
func (m *model) sameError(rt *rapid.T, want, got error) {
	m.Helper()
	require.Equal(rt, want == nil, got == nil, "%v; %v", want, got)
	require.Equal(rt, errors.Is(want, triggers.ErrNotFound), errors.Is(got, triggers.ErrNotFound))
	var wantConflict, conflict *delivery.ConflictError
	require.Equal(rt, errors.As(want, &wantConflict), errors.As(got, &conflict))
	require.Equal(rt, wantConflict, conflict)
}
