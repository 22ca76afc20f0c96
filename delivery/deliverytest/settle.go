package deliverytest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

func testSettle(f *fixture) {
	h := f.webhook()
	f.enqueue(f.event(h.waiting()))
	f.clock.Advance(time.Second)
	c := f.claimOne()
	settlement := f.succeeded(c)
	f.clock.Advance(time.Second)
	f.settle(settlement)
	f.settleStale(settlement)
	require.Zero(f, f.store.Open())
	require.Empty(f, f.claim())

	record := f.record(c.ID)
	require.Equal(f, delivery.Succeeded, record.State)
	require.Equal(f, "200 OK", record.Reason)
	require.Equal(f, 1, record.Tries)
	require.Equal(f, 200, record.StatusCode)
	require.Equal(f, settlement.Attempt.StartedAt, record.StartedAt)
	require.Equal(f, f.clock.Now(), record.EndedAt)
	require.Zero(f, record.DueAt)
	require.Equal(f, []delivery.Attempt{*settlement.Attempt}, record.Attempts)
	require.Equal(f, delivery.Succeeded, f.stored(record.EventID).Matches[0].Delivery.State)
	require.Equal(f, 1, f.stored(record.EventID).Matches[0].Delivery.Tries)
}

func testFence(f *fixture) {
	h := f.webhook()
	f.enqueue(f.event(h.waiting()))
	c := f.claimOne()
	wrong := c
	wrong.Fence++
	f.settleStale(f.succeeded(wrong))
	f.settle(f.retried(c, f.clock.Now()))
	f.settleStale(f.succeeded(c))
	again := f.claimOne()
	require.Greater(f, again.Fence, c.Fence)
	f.settleStale(f.succeeded(c))
	unknown := c
	unknown.ID += 1000
	stale, err := f.store.Settle(f.Context(), []delivery.Settlement{f.succeeded(unknown), f.exhausted(again), f.succeeded(again)})
	require.NoError(f, err)
	require.Equal(f, 2, stale, "the first of two settlements counts")
	require.Equal(f, delivery.Exhausted, f.record(c.ID).State)
}

func testRetry(f *fixture) {
	h := f.webhook()
	receipt := f.enqueue(f.event(h.leased()))[0]
	c := f.leasedBy(h, receipt)
	var want []delivery.Attempt
	for n := 1; n <= 4; n++ {
		due := f.clock.Now().Add(time.Minute)
		s := f.retried(c, due)
		want = append(want, *s.Attempt)
		f.settle(s)
		record := f.record(c.ID)
		require.Equal(f, delivery.Waiting, record.State)
		require.Equal(f, due, record.DueAt)
		require.Equal(f, "503 Service Unavailable", record.Reason)
		require.Equal(f, n, record.Tries)
		require.Equal(f, 503, record.StatusCode)
		require.Zero(f, record.EndedAt)
		require.Equal(f, want, record.Attempts)
		require.Equal(f, 1, f.store.Open())
		require.Empty(f, f.claim())
		f.clock.Advance(time.Minute)
		c = f.claimOne()
		require.Equal(f, n, c.Tries)
		require.Equal(f, due, c.DueAt)
	}
	s := f.succeeded(c)
	f.settle(s)
	record := f.record(c.ID)
	require.Equal(f, delivery.Succeeded, record.State)
	require.Equal(f, append(want, *s.Attempt), record.Attempts)
	require.Zero(f, f.store.Open())
}

func testGiveBack(f *fixture) {
	h := f.webhook()
	receipt := f.enqueue(f.event(h.leased()))[0]
	c := f.leasedBy(h, receipt)
	back := delivery.Settlement{
		Delivery: c.ID, Tenant: c.Tenant, Webhook: c.Webhook, Fence: c.Fence, State: delivery.Waiting, DueAt: f.clock.Now(), Reason: "stopped",
	}
	f.settle(back)
	record := f.record(c.ID)
	require.Equal(f, delivery.Waiting, record.State)
	require.Zero(f, record.Tries)
	require.Empty(f, record.Attempts)
	again := f.claimOne()
	require.Zero(f, again.Tries)
	f.settle(f.succeeded(again))
	require.Len(f, f.record(c.ID).Attempts, 1)
}

func testEnds(f *fixture) {
	h := f.webhook()
	for _, end := range []struct {
		state  delivery.State
		reason string
	}{{delivery.Succeeded, "200 OK"}, {delivery.Exhausted, "500 Internal Server Error"}, {delivery.Cancelled, "cancelled by hand"}} {
		f.enqueue(f.event(h.waiting()))
		c := f.claimOne()
		f.settle(delivery.Settlement{Delivery: c.ID, Tenant: c.Tenant, Webhook: c.Webhook, Fence: c.Fence, State: end.state, Reason: end.reason})
		record := f.record(c.ID)
		require.Equal(f, end.state, record.State)
		require.Equal(f, end.reason, record.Reason)
		require.Zero(f, record.Tries)
		require.Empty(f, record.Attempts)
		require.Zero(f, f.store.Open())
	}
}

func testResend(f *fixture) {
	h := f.webhook()
	f.enqueue(f.event(h.waiting()))
	c := f.claimOne()
	f.settle(f.exhausted(c))
	renamed := *h.Webhook
	renamed.Name = "renamed"
	require.NoError(f, f.store.UpdateWebhook(f.Context(), &renamed, delivery.WebhookLimits{}))
	now := f.clock.Advance(26 * time.Hour)
	again, err := f.store.Resend(f.Context(), f.tenant, c.ID, now)
	require.NoError(f, err)
	require.Greater(f, again.ID, c.ID)
	require.Equal(f, now, again.ID.Time().UTC())
	require.Equal(f, c.Revision, again.Revision, "the same bytes")
	require.Equal(f, c.BuiltAt, again.BuiltAt)
	require.Equal(f, c.Events, again.Events)
	require.Zero(f, again.Tries)
	require.Equal(f, 1, f.store.Open())
	require.Empty(f, f.claim(), "it is leased")
	f.settle(f.succeeded(again))
	record := f.record(again.ID)
	require.Equal(f, delivery.Succeeded, record.State)
	require.Equal(f, c.Events[0].ID, record.EventID)
	require.Equal(f, "/items/share", record.Trigger)
	require.Equal(f, delivery.Exhausted, f.record(c.ID).State, "the first is what it was")

	third, err := f.store.Resend(f.Context(), f.tenant, again.ID, now)
	require.NoError(f, err)
	require.Equal(f, c.Events, third.Events)
	f.restart()
	require.Equal(f, third.ID, f.claimOne().ID, "it is as durable as any")
}

func testResendOpen(f *fixture) {
	h := f.webhook()
	f.enqueue(f.event(h.waiting()))
	c := f.claimOne()
	f.settle(f.retried(c, f.clock.Now().Add(time.Hour)))
	again, err := f.store.Resend(f.Context(), f.tenant, c.ID, f.clock.Now())
	require.NoError(f, err)
	require.Equal(f, c.Events, again.Events)
	f.settle(f.succeeded(again))
	require.Equal(f, delivery.Waiting, f.record(c.ID).State)
	require.Equal(f, 1, f.store.Open())
}

func testResendNotFound(f *fixture) {
	h := f.webhook()
	receipt := f.enqueue(f.event(h.waiting()))[0]
	other := f.newTenant("other")
	_, err := f.store.Resend(f.Context(), other, receipt.ID+1, f.clock.Now())
	require.ErrorIs(f, err, triggers.ErrNotFound)
	_, err = f.store.Resend(f.Context(), f.tenant, receipt.ID+100, f.clock.Now())
	require.ErrorIs(f, err, triggers.ErrNotFound)
	require.NoError(f, f.store.DeleteWebhook(f.Context(), f.tenant, h.ID))
	_, err = f.store.Resend(f.Context(), f.tenant, receipt.ID+1, f.clock.Now())
	require.ErrorIs(f, err, triggers.ErrNotFound, "nobody is there to send it to")
	require.Zero(f, f.store.Open())
}

func testDeleted(f *fixture) {
	h, other := f.webhook(), f.webhook()
	receipts := f.enqueue(f.event(h.leased()), f.event(h.leased()), f.event(h.waiting()), f.event(h.until(f.clock.Now())), f.event(other.waiting()))
	require.NoError(f, f.store.DeleteWebhook(f.Context(), f.tenant, h.ID))
	require.ErrorIs(f, f.store.DeleteWebhook(f.Context(), f.tenant, h.ID), triggers.ErrNotFound)
	require.Equal(f, 3, f.store.Open())
	require.Equal(f, delivery.Cancelled, f.record(receipts[2].ID+1).State)
	require.NotEmpty(f, f.record(receipts[2].ID+1).Reason)
	f.settle(f.succeeded(f.leasedBy(h, receipts[0])), f.retried(f.leasedBy(h, receipts[1]), f.clock.Now()))
	require.Equal(f, delivery.Succeeded, f.record(receipts[0].ID+1).State, "what was being sent ends as it ends")
	record := f.record(receipts[1].ID + 1)
	require.Equal(f, delivery.Cancelled, record.State, "and is not tried again")
	require.Equal(f, 1, record.Tries)
	made, err := f.store.CloseIntervals(f.Context(), f.clock.Now())
	require.NoError(f, err)
	require.Zero(f, made)
	require.Equal(f, other.Key, f.claimOne().Webhook)
	require.Equal(f, h.Name, f.stored(receipts[0].ID).Matches[0].WebhookName, "its history stays")
}

func testDeletedMeanwhile(f *fixture) {
	h := f.webhook()
	require.NoError(f, f.store.DeleteWebhook(f.Context(), f.tenant, h.ID))
	receipt := f.enqueue(f.event(h.leased(), h.waiting(), h.skipped()))[0]
	require.Equal(f, 3, receipt.Matched)
	require.Zero(f, f.store.Open())
	require.Empty(f, f.claim())
	f.settleStale(f.succeeded(f.leasedBy(h, receipt)))
	require.Equal(f, delivery.Cancelled, f.record(receipt.ID+1).State)
	require.Equal(f, delivery.Cancelled, f.record(receipt.ID+2).State)
	require.Equal(f, delivery.Skipped, f.record(receipt.ID+3).State)
}

func testSettleTogether(f *fixture) {
	const settlers, each = 8, 20
	h := f.webhook()
	var batch []delivery.Acceptance
	for range settlers * each {
		batch = append(batch, f.event(h.waiting()))
	}
	f.enqueue(batch...)
	claimed := f.claim()
	require.Len(f, claimed, settlers*each)
	var stale atomic.Int64
	var group sync.WaitGroup
	for n := range settlers {
		group.Go(func() {
			for _, c := range claimed[n*each : (n+1)*each] {
				// Each settlement twice, in one call and in two.
				count, err := f.store.Settle(f.Context(), []delivery.Settlement{f.succeeded(c), f.succeeded(c)})
				if err != nil {
					f.Error(err)
				}
				stale.Add(int64(count))
				count, err = f.store.Settle(f.Context(), []delivery.Settlement{f.succeeded(c)})
				if err != nil {
					f.Error(err)
				}
				stale.Add(int64(count))
			}
		})
	}
	group.Wait()
	require.EqualValues(f, 2*settlers*each, stale.Load())
	require.Zero(f, f.store.Open())
}
