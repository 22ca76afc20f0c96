package deliverytest

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// notice is one of the fixture's tenant.
func (f *fixture) notice(w *triggers.Webhook, op triggers.Operation, name string) *delivery.Notice {
	return &delivery.Notice{
		Tenant: w.Tenant, Webhook: w.ID, Operation: op, Name: name, At: f.clock.Now(), Properties: fmt.Appendf(nil, `{"name":%q}`, name),
	}
}

// notices are those that wait, without their numbers.
func (f *fixture) notices() []delivery.Notice {
	f.Helper()
	list, err := f.store.Notices(f.Context(), 1000)
	require.NoError(f, err)
	for i := range list {
		require.NotZero(f, list[i].ID)
		if i > 0 {
			require.Greater(f, list[i].ID, list[i-1].ID, "the oldest first")
		}
		list[i].ID = 0
	}
	return list
}

// told is the acceptance of the event that a notice becomes.
func (f *fixture) told(n delivery.Notice) delivery.Acceptance {
	f.Helper()
	uri, err := triggers.NewURI(triggers.Webhooks, n.Operation, "", n.Webhook.String())
	require.NoError(f, err)
	a := delivery.Acceptance{
		Tenant: n.Tenant, AcceptedAt: f.clock.Now(), Body: n.Properties,
		Event: &triggers.Event{URI: uri, EventID: n.Name, Source: "portalhook", HasWhen: true, When: n.At.UnixMilli()},
	}
	copy(a.Digest[:], n.Properties)
	return a
}

// exhaustedTelling ends a new delivery that ran out of attempts, and is to be told of under a name.
func (f *fixture) exhaustedTelling(h hook, name string, change func(*delivery.Settlement)) {
	f.Helper()
	s := f.exhausted(f.leasedBy(h, f.enqueue(f.event(h.leased()))[0]))
	s.Notice = f.notice(h.Webhook, triggers.WebhooksExhaust, name)
	if change != nil {
		change(&s)
	}
	f.settle(s)
}

func testNotices(f *fixture) {
	h := f.webhook()
	require.Empty(f, f.notices())
	f.exhaustedTelling(h, "e1", nil)
	off := *h.Webhook
	off.Enabled = false
	disabled := f.notice(h.Webhook, triggers.WebhooksDisable, "d1")
	require.NoError(f, f.store.UpdateWebhook(delivery.Announcing(f.Context(), disabled), &off, delivery.WebhookLimits{}))
	exhausted := *f.notice(h.Webhook, triggers.WebhooksExhaust, "e1")
	exhausted.Properties = []byte(`{"name":"e1","first":true,"failures":1,"percent":0}`)
	for range 2 {
		require.Equal(f, []delivery.Notice{exhausted, *disabled}, f.notices())
		f.restart()
	}
	first, err := f.store.Notices(f.Context(), 1)
	require.NoError(f, err)
	require.Len(f, first, 1)
	require.Equal(f, "e1", first[0].Name)

	f.enqueue(f.told(exhausted))
	for range 2 {
		require.Equal(f, []delivery.Notice{*disabled}, f.notices(), "it goes with its event")
		f.restart()
	}
	require.True(f, f.enqueue(f.told(exhausted))[0].Duplicate)
	list, err := f.store.Notices(f.Context(), 10)
	require.NoError(f, err)
	require.NoError(f, f.store.ForgetNotices(f.Context(), list[0].ID, list[0].ID+100))
	require.Empty(f, f.notices())
}

func testNoticesOfTheirNames(f *fixture) {
	h := f.webhook()
	foreign := f.webhookOf(f.newTenant("other"), "foreign")
	announce := func(w *triggers.Webhook) delivery.Notice {
		changed := *w
		n := f.notice(w, triggers.WebhooksEnable, "same")
		require.NoError(f, f.store.UpdateWebhook(delivery.Announcing(f.Context(), n), &changed, delivery.WebhookLimits{}))
		return *n
	}
	mine := announce(h.Webhook)
	announce(h.Webhook)
	theirs := announce(foreign.Webhook)
	require.Equal(f, []delivery.Notice{mine, theirs}, f.notices(), "one of a name in a tenant")
	f.enqueue(f.told(theirs))
	require.Equal(f, []delivery.Notice{mine}, f.notices())
	f.enqueue(f.named("same", "an item's"))
	require.Equal(f, []delivery.Notice{mine}, f.notices(), "an event of a backend's tells nothing of a webhook")

	// Told before, in a process that did not know it: the duplicate takes the notice with it.
	told := f.told(mine)
	f.enqueue(told)
	announce(h.Webhook)
	require.True(f, f.enqueue(told)[0].Duplicate)
	require.Empty(f, f.notices())

	// What did not take place is not told.
	gone := *h.Webhook
	gone.ID[0]++
	require.ErrorIs(f, f.store.UpdateWebhook(delivery.Announcing(f.Context(), &mine), &gone, delivery.WebhookLimits{}), triggers.ErrNotFound)
	stale := f.exhausted(f.leasedBy(h, f.enqueue(f.event(h.leased()))[0]))
	stale.Fence++
	stale.Notice = f.notice(h.Webhook, triggers.WebhooksExhaust, "stale")
	f.settleStale(stale)
	require.Empty(f, f.notices())

	// The end of a delivery of a deleted webhook is told, too.
	receipt := f.enqueue(f.event(h.leased()))[0]
	require.NoError(f, f.store.DeleteWebhook(f.Context(), f.tenant, h.ID))
	s := f.exhausted(f.leasedBy(h, receipt))
	s.Notice = f.notice(h.Webhook, triggers.WebhooksExhaust, "deleted")
	f.settle(s)
	require.Equal(f, []delivery.Notice{*s.Notice}, f.notices())
}

// testWarnings goes the way of a policy of ten: at each step one notice warns, over restarts, and anew when the webhook is switched on.
func testWarnings(f *fixture) {
	h := f.webhook()
	policy := &triggers.DeactivationPolicy{NumberOfFailures: 10, DaysInPast: 1}
	way := func() {
		f.Helper()
		for n := 1; n <= 9; n++ {
			name := fmt.Sprintf("%d at %s", n, f.clock.Now())
			f.exhaustedTelling(h, name, func(s *delivery.Settlement) { s.Policy = policy })
			warning := map[int]string{5: `,"warning":50`, 7: `,"warning":70`, 9: `,"warning":90`}[n]
			want := fmt.Sprintf(`{"name":%q,"first":%t,"failures":%d,"limit":10,"percent":%d%s}`, name, n == 1, n, 10*n, warning)
			list := f.notices()
			require.Equal(f, want, string(list[len(list)-1].Properties))
			f.restart()
			f.clock.Advance(time.Minute)
		}
		health := f.health()[h.Key]
		require.Equal(f, []int{90, 90}, []int{health.Warned, health.Told})
	}
	way()
	for _, on := range []bool{false, true} {
		changed := *h.Webhook
		changed.Enabled = on
		require.NoError(f, f.store.UpdateWebhook(f.Context(), &changed, delivery.WebhookLimits{}))
	}
	way()

	// A step that an attempt comes to is told of with the next delivery that runs out of attempts.
	slow := f.webhook()
	f.attempted(slow, f.failed)
	f.clock.Advance(3 * 24 * time.Hour)
	f.attempted(slow, f.failed)
	health := f.health()[slow.Key]
	require.Equal(f, []int{50, 0}, []int{health.Warned, health.Told})
	f.restart()
	for _, want := range []string{`{"name":"0","first":true,"failures":1,"percent":60,"warning":50}`, `{"name":"1","first":false,"failures":2,"percent":60}`} {
		f.exhaustedTelling(slow, want[9:10], nil)
		list := f.notices()
		require.Equal(f, want, string(list[len(list)-1].Properties))
	}
}

func testProbing(f *fixture) {
	h := f.webhook()
	now := f.clock.Now()
	note := func(p delivery.Probing) {
		f.Helper()
		require.NoError(f, f.store.NoteProbe(f.Context(), h.Key, p))
	}
	set := func(on bool) {
		f.Helper()
		changed := *h.Webhook
		changed.Enabled = on
		require.NoError(f, f.store.UpdateWebhook(f.Context(), &changed, delivery.WebhookLimits{}))
	}
	planned := delivery.Probing{NextAt: now.Add(5 * time.Minute)}
	note(planned)
	require.Empty(f, f.health(), "of one that is on there is nothing")
	set(false)
	note(planned)
	f.restart()
	require.Equal(f, map[uint32]delivery.Health{h.Key: {Probe: planned}}, f.health())
	probed := delivery.Probing{
		Tries: 3, At: now.Add(time.Hour), Outcome: delivery.Rejected, StatusCode: 503, Reason: "503 Service Unavailable", NextAt: now.Add(2 * time.Hour),
	}
	note(probed)
	at := f.attempted(h, f.exhausted) // of a delivery that was being sent
	want := map[uint32]delivery.Health{h.Key: {FailingSince: at, GaveUp: true, Exhausted: []time.Time{at}, Probe: probed}}
	for range 2 {
		require.Equal(f, want, f.health())
		f.restart()
	}
	set(true)
	require.Empty(f, f.health(), "switched on, it begins anew")
	set(false)
	note(probed)
	require.NoError(f, f.store.DeleteWebhook(f.Context(), f.tenant, h.ID))
	note(probed)
	f.restart()
	require.Empty(f, f.health())
}
