package deliverytest

import (
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

func (f *fixture) health(webhooks ...uint32) map[uint32]delivery.Health {
	f.Helper()
	health, err := f.store.Health(f.Context(), webhooks...)
	require.NoError(f, err)
	return health
}

// attempted makes an attempt at a new delivery, ending it as end says, and gives the time at which that was.
func (f *fixture) attempted(h hook, end func(delivery.Claimed) delivery.Settlement) time.Time {
	f.Helper()
	s := end(f.leasedBy(h, f.enqueue(f.event(h.leased()))[0]))
	f.settle(s)
	return s.Attempt.StartedAt.Add(s.Attempt.Total).Truncate(time.Millisecond)
}

func (f *fixture) failed(c delivery.Claimed) delivery.Settlement {
	return f.retried(c, f.clock.Now().Add(24*time.Hour))
}

func testHealth(f *fixture) {
	h, other := f.webhook(), f.webhook()
	f.attempted(h, f.succeeded)
	require.Empty(f, f.health())
	f.clock.Advance(time.Second)
	began := f.attempted(h, f.failed)
	want := delivery.Health{FailingSince: began}
	require.Equal(f, map[uint32]delivery.Health{h.Key: want}, f.health())
	f.clock.Advance(time.Hour)
	f.attempted(h, f.failed)
	want.Exhausted, want.GaveUp = []time.Time{f.attempted(h, f.exhausted)}, true
	theirs := f.attempted(other, f.exhausted)
	f.restart()
	f.clock.Advance(time.Hour)
	want.Exhausted = append(want.Exhausted, f.attempted(h, f.exhausted))
	for range 2 {
		require.Equal(f, map[uint32]delivery.Health{
			h.Key: want, other.Key: {FailingSince: theirs, GaveUp: true, Exhausted: []time.Time{theirs}},
		}, f.health())
		require.Equal(f, map[uint32]delivery.Health{h.Key: want}, f.health(h.Key, h.Key+100))
		f.restart()
	}
	f.attempted(h, f.succeeded)
	want.FailingSince, want.GaveUp = time.Time{}, false
	for range 2 {
		require.Equal(f, map[uint32]delivery.Health{h.Key: want}, f.health(h.Key), "what ran out of attempts is remembered all the same")
		f.restart()
	}
}

func testHealthOfOurTrouble(f *fixture) {
	h := f.webhook()
	f.attempted(h, func(c delivery.Claimed) delivery.Settlement {
		s := f.exhausted(c)
		s.Attempt.Outcome = delivery.Infrastructure
		return s
	})
	f.enqueue(f.event(h.waiting()))
	back := f.exhausted(f.claimOne())
	back.Attempt = nil
	f.settle(back)
	require.Empty(f, f.health())
}

func testHealthOfResends(f *fixture) {
	h := f.webhook()
	f.attempted(h, f.succeeded)
	f.enqueue(f.event(h.waiting()))
	c := f.claimOne()
	f.settle(f.succeeded(c))
	again, err := f.store.Resend(f.Context(), f.tenant, c.ID, f.clock.Now())
	require.NoError(f, err)
	f.settle(f.exhausted(again))
	require.Len(f, f.health()[h.Key].Exhausted, 1, "a delivery sent again counts like any other")
}

func testHealthIsBounded(f *fixture) {
	h := f.webhook()
	var want []time.Time
	for range 40 {
		var batch []delivery.Settlement
		for range 3 {
			s := f.exhausted(f.leasedBy(h, f.enqueue(f.event(h.leased()))[0]))
			batch, want = append(batch, s), append(want, s.Attempt.StartedAt.Add(s.Attempt.Total).Truncate(time.Millisecond))
		}
		f.settle(batch...)
		f.clock.Advance(time.Minute)
	}
	f.restart()
	require.Equal(f, want[20:], f.health()[h.Key].Exhausted, "the last hundred")
	f.clock.Advance(30*24*time.Hour - 20*time.Minute)
	last := f.attempted(h, f.exhausted)
	left := f.health()[h.Key].Exhausted
	require.Equal(f, last, left[len(left)-1])
	require.Greater(f, left[0], last.Add(-30*24*time.Hour))
	require.Len(f, left, 1+57, "those of thirty days")
}

func testHealthBeginsAnew(f *fixture) {
	h, deleted := f.webhook(), f.webhook()
	f.attempted(h, f.exhausted)
	f.attempted(deleted, f.exhausted)
	update := func(change func(*triggers.Webhook)) {
		changed := *h.Webhook
		change(&changed)
		require.NoError(f, f.store.UpdateWebhook(f.Context(), &changed, delivery.WebhookLimits{}))
		*h.Webhook = changed
	}
	update(func(w *triggers.Webhook) { w.Name = "another" })
	update(func(w *triggers.Webhook) { w.Enabled = false })
	require.Len(f, f.health(), 2)
	update(func(w *triggers.Webhook) { w.Enabled = true })
	require.NoError(f, f.store.DeleteWebhook(f.Context(), f.tenant, deleted.ID))
	for range 2 {
		require.Empty(f, f.health())
		f.restart()
	}
	began := f.attempted(h, f.failed)
	require.Equal(f, map[uint32]delivery.Health{h.Key: {FailingSince: began}}, f.health())
}

func testHealthOfDeleted(f *fixture) {
	h := f.webhook()
	receipt := f.enqueue(f.event(h.leased()))[0]
	require.NoError(f, f.store.DeleteWebhook(f.Context(), f.tenant, h.ID))
	f.settle(f.exhausted(f.leasedBy(h, receipt)))
	require.Empty(f, f.health())
}
