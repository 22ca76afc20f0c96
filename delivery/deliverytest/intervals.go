package deliverytest

import (
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

func (f *fixture) closeIntervals(want int) {
	f.Helper()
	made, err := f.store.CloseIntervals(f.Context(), f.clock.Now())
	require.NoError(f, err)
	require.Equal(f, want, made)
}

func testInterval(f *fixture) {
	h := f.webhook()
	end := f.clock.Now().Add(time.Minute)
	var ids []triggers.ID
	var bodies [][]byte
	for range 3 {
		event := f.event(h.until(end))
		ids = append(ids, f.enqueue(event)[0].ID)
		bodies = append(bodies, event.Body)
		f.clock.Advance(time.Second)
	}
	require.Zero(f, f.store.Open())
	require.Empty(f, f.claim())
	f.closeIntervals(0)
	waits := f.stored(ids[1]).Matches[0].Delivery
	require.Equal(f, delivery.Waiting, waits.State)
	require.Equal(f, end, waits.DueAt)
	require.Zero(f, waits.ID)

	f.clock.Advance(time.Minute)
	f.closeIntervals(1)
	f.closeIntervals(0)
	require.Equal(f, 1, f.store.Open())
	c := f.claimOne()
	require.Equal(f, end, c.BuiltAt)
	require.Equal(f, h.Revision, c.Revision.Number)
	require.Len(f, c.Events, 3)
	for i := range ids {
		require.Equal(f, ids[i], c.Events[i].ID)
		require.Equal(f, bodies[i], c.Events[i].Body)
		require.Equal(f, c.ID, f.stored(ids[i]).Matches[0].Delivery.ID)
	}
	f.settle(f.succeeded(c))
	record := f.record(c.ID)
	require.Equal(f, ids[0], record.EventID)
	require.Len(f, record.Events, 3)
	require.Equal(f, delivery.Succeeded, f.stored(ids[2]).Matches[0].Delivery.State)
}

func testIntervals(f *fixture) {
	first, second := f.webhook(), f.webhook()
	now := f.clock.Now()
	early, late := now.Add(time.Minute), now.Add(2*time.Minute)
	f.enqueue(f.event(first.until(early), second.until(early)), f.event(first.until(late), second.until(early)), f.event(first.until(late)))
	f.clock.Advance(time.Minute)
	f.closeIntervals(2)
	counts := make(map[uint32]int)
	for _, c := range f.claim() {
		counts[c.Webhook] = len(c.Events)
	}
	require.Equal(f, map[uint32]int{first.Key: 1, second.Key: 2}, counts)
	f.clock.Advance(time.Minute)
	f.closeIntervals(1)
	require.Len(f, f.claimOne().Events, 2)
}

func testIntervalRestart(f *fixture) {
	h := f.webhook()
	end := f.clock.Now().Add(time.Minute)
	f.enqueue(f.event(h.until(end)), f.event(h.until(end)))
	f.restart()
	f.clock.Advance(26 * time.Hour) // the events are of yesterday then
	f.closeIntervals(1)
	f.restart()
	f.closeIntervals(0)
	c := f.claimOne()
	require.Len(f, c.Events, 2)
	f.restart()
	require.Equal(f, c.Events, f.claimOne().Events)
}

func testIntervalResend(f *fixture) {
	h := f.webhook()
	f.enqueue(f.event(h.until(f.clock.Now())), f.event(h.until(f.clock.Now())))
	f.closeIntervals(1)
	c := f.claimOne()
	f.settle(f.succeeded(c))
	again, err := f.store.Resend(f.Context(), f.tenant, c.ID, f.clock.Now())
	require.NoError(f, err)
	require.Equal(f, c.Events, again.Events)
	require.Equal(f, c.BuiltAt, again.BuiltAt)
	f.settle(f.exhausted(again))
	require.Equal(f, c.ID, f.stored(c.Events[0].ID).Matches[0].Delivery.ID, "the match is shown with what the interval made")
}
