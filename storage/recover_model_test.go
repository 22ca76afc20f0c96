package storage_test

import (
	"fmt"
	"maps"
	"slices"
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

// Whatever is accepted, settled, resent, recovered, paused, restarted and late, in any order: there are just the deliveries that a
// look at every event says there should be.
func TestRecoveriesDoAsALookAtEveryEvent(t *testing.T) {
	t.Parallel()
	storagetest.OnEach(t, testRecoveries)
}

func testRecoveries(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	again := func() storage.Config { return place(t) }
	if config := again(); config.URL != "" {
		if testing.Short() {
			t.Skip("each history opens a database several times")
		}
		again = emptied(t, config)
	}
	rapid.Check(t, func(rt *rapid.T) {
		m := newRecovering(t, rt, again())
		defer m.close()
		rt.Repeat(map[string]func(*rapid.T){
			"":        m.compare,
			"accept":  m.accept,
			"settle":  m.settle,
			"resend":  func(rt *rapid.T) { m.resend(rt) },
			"begin":   m.begin,
			"step":    m.step,
			"pause":   m.pause,
			"restart": m.restart,
		})
	})
}

// recovering is a database, and what should be in it of one webhook.
type recovering struct {
	*testing.T
	clock  *deliverytest.Clock
	config storage.Config
	store  eachStore
	hook   *triggers.Webhook
	other  *triggers.Webhook // in the way
	events []*acceptedEvent
	claims []delivery.Claimed
	open   *delivery.Recovery // nil: none
	made   int
}

type acceptedEvent struct {
	id     triggers.ID
	wanted bool // the webhook would get it now
	states map[triggers.ID]delivery.State
}

// newest is the event's last delivery to the webhook.
func (e *acceptedEvent) newest() triggers.ID {
	newest := triggers.ID(0)
	for id := range e.states {
		newest = max(newest, id)
	}
	return newest
}

// taken is the whole rule of what a recovery takes.
func (e *acceptedEvent) taken(asked *delivery.RecoveryRequest) bool {
	for _, state := range e.states {
		if state == delivery.Succeeded || state == delivery.Waiting {
			return false
		}
	}
	if len(e.states) == 0 {
		return asked.Missed && e.wanted
	}
	return slices.Contains(asked.States, e.states[e.newest()])
}

func newRecovering(t *testing.T, rt *rapid.T, config storage.Config) *recovering {
	t.Helper()
	m := &recovering{T: t, clock: deliverytest.NewClock()}
	m.config = config
	m.config.Now = m.clock.Now
	m.store = openAt(t, m.config)
	tenant := triggers.Tenant{Name: "t", PortalID: "p", PortalURL: "https://p.example.com/"}
	require.NoError(rt, m.store.SaveTenant(t.Context(), &tenant))
	all, err := triggers.Default().ParseTrigger("/items")
	require.NoError(rt, err)
	for i, into := range []**triggers.Webhook{&m.hook, &m.other} {
		*into = &triggers.Webhook{
			Tenant: tenant.Key, ID: triggers.WebhookID{byte(i + 1)}, Name: "w", URL: "https://r.example.com/", Enabled: true,
			Format: triggers.FormatPortal, Triggers: []triggers.Trigger{all},
		}
		require.NoError(rt, m.store.CreateWebhook(t.Context(), *into, delivery.WebhookLimits{}))
	}
	return m
}

func (m *recovering) close() { require.NoError(m, m.store.Close()) }

func (m *recovering) accept(rt *rapid.T) {
	for range rapid.IntRange(1, 4).Draw(rt, "events") {
		m.made++
		uri, err := triggers.Default().ParseURI(fmt.Sprintf("/items/%032x/share", m.made))
		require.NoError(rt, err)
		e := &acceptedEvent{wanted: rapid.Bool().Draw(rt, "wanted"), states: make(map[triggers.ID]delivery.State)}
		a := delivery.Acceptance{
			Tenant: m.hook.Tenant, AcceptedAt: m.clock.Now(), Event: &triggers.Event{URI: uri}, Body: fmt.Appendf(nil, `{"n":%d}`, m.made),
		}
		if rapid.Bool().Draw(rt, "other") {
			a.Planned = append(a.Planned, delivery.Planned{Webhook: m.other.Key, Revision: m.other.Revision, State: delivery.Skipped})
		}
		state := rapid.SampledFrom([]delivery.State{"", delivery.Waiting, delivery.Waiting, delivery.Skipped}).Draw(rt, "planned")
		if state != "" {
			a.Planned = append(a.Planned, delivery.Planned{Webhook: m.hook.Key, Revision: m.hook.Revision, State: state})
		}
		receipts, err := m.store.Enqueue(m.Context(), []delivery.Acceptance{a})
		require.NoError(rt, err)
		e.id = receipts[0].ID
		if state != "" {
			e.states[e.id+triggers.ID(len(a.Planned))] = state
		}
		m.events = append(m.events, e)
	}
	m.clock.Advance(rapid.SampledFrom([]time.Duration{0, time.Second, 5 * time.Hour}).Draw(rt, "passes"))
}

func (m *recovering) settle(rt *rapid.T) {
	claimed, _, err := m.store.Claim(m.Context(), m.clock.Now(), rapid.IntRange(0, 4).Draw(rt, "claim"), func(uint32) int { return 10 })
	require.NoError(rt, err)
	m.claims = append(m.claims, claimed...)
	for range min(len(m.claims), rapid.IntRange(0, 5).Draw(rt, "settled")) {
		c := m.claims[0]
		m.claims = m.claims[1:]
		state := rapid.SampledFrom([]delivery.State{delivery.Succeeded, delivery.Exhausted, delivery.Exhausted}).Draw(rt, "state")
		stale, err := m.store.Settle(m.Context(), []delivery.Settlement{{
			Delivery: c.ID, Tenant: c.Tenant, Webhook: c.Webhook, Fence: c.Fence, State: state,
			Attempt: &delivery.Attempt{StartedAt: m.clock.Now(), StatusCode: 500},
		}})
		require.NoError(rt, err)
		require.Zero(rt, stale)
		m.event(c.Events[0].ID).states[c.ID] = state
	}
}

func (m *recovering) event(id triggers.ID) *acceptedEvent {
	return m.events[slices.IndexFunc(m.events, func(e *acceptedEvent) bool { return e.id == id })]
}

func (m *recovering) resend(rt *rapid.T) {
	if len(m.events) == 0 {
		return
	}
	e := rapid.SampledFrom(m.events).Draw(rt, "event")
	if len(e.states) == 0 {
		return
	}
	c, err := m.store.Resend(m.Context(), m.hook.Tenant, rapid.SampledFrom(slices.Sorted(maps.Keys(e.states))).Draw(rt, "delivery"), m.clock.Now())
	require.NoError(rt, err)
	e.states[c.ID] = delivery.Waiting
	m.claims = append(m.claims, c)
}

func (m *recovering) begin(rt *rapid.T) {
	r := &delivery.Recovery{State: delivery.RecoveryRunning, RecoveryRequest: delivery.RecoveryRequest{
		Tenant: m.hook.Tenant, Webhook: m.hook.Key, Missed: rapid.Bool().Draw(rt, "missed"), RatePerMinute: 1,
		States: rapid.SampledFrom([][]delivery.State{
			{delivery.Exhausted}, {delivery.Skipped}, {delivery.Exhausted, delivery.Skipped},
		}).Draw(rt, "states"),
	}}
	r.Counts.Complete = true
	err := m.store.StartRecovery(m.Context(), r)
	if m.open != nil {
		require.ErrorIs(rt, err, delivery.ErrRecoveryOpen)
		return
	}
	require.NoError(rt, err)
	m.open = r
}

func (m *recovering) step(rt *rapid.T) {
	if m.open == nil {
		return
	}
	before := *m.open
	most := rapid.IntRange(1, 4).Draw(rt, "most")
	var want []delivery.Recoverable
	position, done := before.Until-1, true
	for _, e := range m.events {
		if e.id <= before.Position || e.id >= before.Until || !e.taken(&before.RecoveryRequest) {
			continue
		}
		if len(want) < most {
			want = append(want, delivery.Recoverable{Event: e.id, Delivery: e.newest(), State: e.states[e.newest()]})
		}
		if len(want) == most {
			position, done = e.id, false
			break
		}
	}
	found, err := m.store.FindRecoverable(m.Context(), delivery.RecoverySearch{
		Recovery: &before, After: before.Position, Most: most, Webhook: m.hook,
		Wants: func(past *delivery.PastEvent) (uint8, bool) { return 0, m.event(past.ID).wanted },
	})
	require.NoError(rt, err)
	require.Equal(rt, want, found.Found)
	require.Equal(rt, done, found.Done)
	if rapid.IntRange(0, 3).Draw(rt, "meanwhile") == 0 {
		m.resend(rt)
	}
	step := delivery.RecoveryStep{ID: before.ID, From: before.Position, Found: found, Revision: m.hook.Revision, Now: m.clock.Now()}
	moved, err := m.store.AdvanceRecovery(m.Context(), step)
	require.NoError(rt, err)
	if before.State == delivery.RecoveryPaused {
		require.Equal(rt, &before, moved)
		return
	}
	require.Equal(rt, position, moved.Position)
	made := 0
	for _, one := range want {
		e := m.event(one.Event)
		if e.newest() != one.Delivery {
			continue // sent again meanwhile
		}
		made++
		e.states[m.unknown(rt, e)] = delivery.Waiting
	}
	require.Equal(rt, made, moved.Made-before.Made)
	require.Equal(rt, len(want)-made, moved.Passed-before.Passed)
	again, err := m.store.AdvanceRecovery(m.Context(), step)
	require.NoError(rt, err)
	if before.Position != moved.Position || done {
		require.Equal(rt, moved, again, "late")
	}
	m.open = moved
	if done {
		require.Equal(rt, delivery.RecoveryDone, moved.State)
		m.open = nil
	}
}

// unknown is the delivery of an event that the model does not have yet.
func (m *recovering) unknown(rt *rapid.T, e *acceptedEvent) triggers.ID {
	for _, record := range m.stored(rt) {
		if _, known := e.states[record.ID]; record.EventID == e.id && !known {
			return record.ID
		}
	}
	rt.Fatalf("event %d has no new delivery", e.id)
	return 0
}

func (m *recovering) stored(rt *rapid.T) []delivery.Record {
	page, err := m.store.Deliveries(m.Context(), delivery.HistoryQuery{Tenant: m.hook.Tenant, Webhook: m.hook.Key, Limit: 10_000})
	require.NoError(rt, err)
	return page.Deliveries
}

func (m *recovering) pause(rt *rapid.T) {
	if m.open == nil {
		return
	}
	to := rapid.SampledFrom([]delivery.RecoveryState{delivery.RecoveryPaused, delivery.RecoveryRunning, delivery.RecoveryCancelled}).Draw(rt, "to")
	changed, err := m.store.ControlRecovery(m.Context(), delivery.RecoveryControl{
		Tenant: m.hook.Tenant, Webhook: m.hook.Key, ID: m.open.ID, To: to, Now: m.clock.Now(),
	})
	require.NoError(rt, err)
	require.Equal(rt, to, changed.State)
	if m.open = changed; changed.Ended() {
		m.open = nil
	}
}

// restart frees what was leased.
func (m *recovering) restart(rt *rapid.T) {
	require.NoError(rt, m.store.Close())
	m.store = openAt(m.T, m.config)
	m.claims = nil
}

func (m *recovering) compare(rt *rapid.T) {
	want, got := make(map[triggers.ID]delivery.State), make(map[triggers.ID]delivery.State)
	opened := 0
	for _, e := range m.events {
		for id, state := range e.states {
			want[id] = state
			if state == delivery.Waiting {
				opened++
			}
		}
	}
	for _, record := range m.stored(rt) {
		if got[record.ID] = record.State; record.State == delivery.Sending {
			got[record.ID] = delivery.Waiting
		}
	}
	require.Equal(rt, want, got)
	require.Equal(rt, opened, m.store.Open())
}
