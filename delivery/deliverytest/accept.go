package deliverytest

import (
	"fmt"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

func testAccept(f *fixture) {
	first, second := f.webhook(), f.webhook()
	f.clock.Advance(3 * time.Second)
	event := f.named("order-1", `{"id":"x"}`, first.waiting(), second.leased())
	event.Event.Source = "urn:portal"
	receipt := f.enqueue(event)[0]
	require.Equal(f, 2, receipt.Matched)
	require.False(f, receipt.Duplicate)
	require.Equal(f, 2, f.store.Open())

	stored := f.stored(receipt.ID)
	require.Equal(f, receipt.ID, stored.ID)
	require.Equal(f, f.tenant, stored.Tenant)
	require.Equal(f, "order-1", stored.EventID)
	require.Equal(f, "urn:portal", stored.Source)
	require.Equal(f, event.Event.URI.String(), stored.URI)
	require.Equal(f, "jdoe", stored.Username)
	require.Equal(f, time.UnixMilli(1543192196521).UTC(), stored.When)
	require.Equal(f, f.clock.Now(), stored.AcceptedAt)
	require.JSONEq(f, `{"id":"x"}`, string(stored.Body))
	require.Len(f, stored.Matches, 2)
	for i, h := range []hook{first, second} {
		match := stored.Matches[i]
		require.Equal(f, h.ID, match.WebhookID)
		require.Equal(f, h.Name, match.WebhookName)
		require.Equal(f, "/items/share", match.Trigger)
		require.Equal(f, receipt.ID+1+triggers.ID(i), match.Delivery.ID)
		require.Equal(f, receipt.ID, match.Delivery.EventID)
		require.Equal(f, event.Event.URI.String(), match.Delivery.URI)
	}
	require.Equal(f, delivery.Waiting, stored.Matches[0].Delivery.State)
	require.Equal(f, delivery.Sending, stored.Matches[1].Delivery.State)

	record := f.record(receipt.ID + 1)
	require.Equal(f, first.Key, record.Webhook)
	require.Equal(f, first.ID, record.WebhookID)
	require.Equal(f, first.Name, record.Revision.WebhookName)
	require.Equal(f, "https://test.example.com/", record.Revision.PortalURL)
	require.Equal(f, f.clock.Now(), record.CreatedAt)
	require.Equal(f, f.clock.Now(), record.BuiltAt)
	require.Empty(f, record.Attempts)
	require.Len(f, record.Events, 1)
	require.Equal(f, event.Body, record.Events[0].Body)
}

func testUnmatched(f *fixture) {
	event := f.event()
	event.Event.HasWhen = false
	receipt := f.enqueue(event)[0]
	require.Zero(f, receipt.Matched)
	require.Zero(f, f.store.Open())
	stored := f.stored(receipt.ID)
	require.Empty(f, stored.Matches)
	require.Equal(f, stored.AcceptedAt, stored.When, "an event without a date is of its acceptance")
	require.Empty(f, f.claim())
}

func testIDsRise(f *fixture) {
	h := f.webhook()
	before := triggers.ID(0)
	for round := range 3 {
		for _, receipt := range f.enqueue(f.event(h.waiting(), h.waiting()), f.event(), f.event(h.waiting())) {
			require.Greater(f, receipt.ID, before)
			require.Equal(f, f.clock.Now(), receipt.ID.Time().UTC())
			before = receipt.ID + triggers.ID(receipt.Matched)
		}
		f.clock.Advance(time.Duration(round) * time.Millisecond)
	}
}

func testIDsNeverFall(f *fixture) {
	h := f.webhook()
	last := func(r []delivery.Receipt) triggers.ID { return r[0].ID + triggers.ID(r[0].Matched) }
	before := last(f.enqueue(f.event(h.waiting(), h.waiting())))
	f.clock.Advance(-time.Hour)
	receipt := f.enqueue(f.event(h.waiting(), h.until(f.clock.Now().Add(time.Hour))))
	require.Greater(f, receipt[0].ID, before)
	before = last(receipt)
	f.restart()
	require.Greater(f, f.enqueue(f.event())[0].ID, before)
}

func testIDsOfOneDay(f *fixture) {
	h := f.webhook()
	midnight := f.clock.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)
	f.clock.Advance(midnight.Sub(f.clock.Now()) - time.Millisecond)
	require.Equal(f, f.clock.Now(), f.enqueue(f.event(h.leased()))[0].ID.Time().UTC())
	f.clock.Advance(time.Millisecond)
	receipt := f.enqueue(f.event(h.leased()))[0]
	require.Equal(f, midnight, receipt.ID.Time().UTC())
	require.Equal(f, delivery.Sending, f.stored(receipt.ID).Matches[0].Delivery.State)
}

func testDuplicate(f *fixture) {
	h := f.webhook()
	event := f.named("order-1", `{}`, h.waiting(), h.skipped())
	first := f.enqueue(event)[0]
	f.clock.Advance(time.Second)
	again := event
	again.Planned = nil // the webhook may have changed in between
	second := f.enqueue(again)[0]
	require.Equal(f, delivery.Receipt{ID: first.ID, Matched: 2, Duplicate: true}, second)
	require.Equal(f, 1, f.store.Open())
	require.Len(f, f.claim(), 1)
}

func testDuplicateInBatch(f *fixture) {
	h := f.webhook()
	event := f.named("order-1", `{}`, h.waiting())
	receipts := f.enqueue(event, f.event(h.waiting()), event)
	require.False(f, receipts[0].Duplicate)
	require.Equal(f, delivery.Receipt{ID: receipts[0].ID, Matched: 1, Duplicate: true}, receipts[2])
	require.Len(f, f.claim(), 2)
}

func testIdentity(f *fixture) {
	event := f.named("order-1", `{"n":1}`)
	f.enqueue(event)
	sourced := f.named("order-1", `{"n":2}`)
	sourced.Event.Source = "urn:other"
	foreign := f.named("order-1", `{"n":3}`)
	foreign.Tenant = f.newTenant("other")
	other := f.named("Order-1", `{"n":4}`)
	for _, receipt := range f.enqueue(sourced, foreign, other) {
		require.False(f, receipt.Duplicate)
	}
}

func testIdentityLasts(f *fixture) {
	event := f.named("order-1", `{}`)
	first := f.enqueue(event)[0]
	f.restart()
	f.clock.Advance(24*time.Hour - time.Second)
	require.Equal(f, delivery.Receipt{ID: first.ID, Duplicate: true}, f.enqueue(event)[0])
}

func testConflict(f *fixture) {
	h := f.webhook()
	f.enqueue(f.named("order-1", `{"n":1}`, h.waiting()))
	fresh := f.named("order-2", `{}`, h.waiting())
	_, err := f.store.Enqueue(f.Context(), []delivery.Acceptance{fresh, f.event(h.leased()), f.named("order-1", `{"n":2}`, h.waiting())})
	var conflict *delivery.ConflictError
	require.ErrorAs(f, err, &conflict)
	require.Equal(f, 2, conflict.Index)
	require.Equal(f, 1, f.store.Open(), "nothing of the batch is stored")
	require.Len(f, f.claim(), 1)
	require.False(f, f.enqueue(fresh)[0].Duplicate, "its identities are not known")
}

func testConflictInBatch(f *fixture) {
	h := f.webhook()
	batch := []delivery.Acceptance{f.named("order-1", `{"n":1}`, h.waiting()), f.named("order-1", `{"n":2}`, h.waiting())}
	_, err := f.store.Enqueue(f.Context(), batch)
	var conflict *delivery.ConflictError
	require.ErrorAs(f, err, &conflict)
	require.Equal(f, 1, conflict.Index)
	require.Zero(f, f.store.Open())
	require.False(f, f.enqueue(batch[1])[0].Duplicate)
}

func testSkipped(f *fixture) {
	h := f.webhook()
	receipt := f.enqueue(f.event(h.skipped()))[0]
	require.Zero(f, f.store.Open())
	require.Empty(f, f.claim())
	record := f.record(receipt.ID + 1)
	require.Equal(f, delivery.Skipped, record.State)
	require.Equal(f, f.clock.Now(), record.EndedAt)
	require.Zero(f, record.Tries)
	require.Equal(f, delivery.Skipped, f.stored(receipt.ID).Matches[0].Delivery.State)
}

func testTenants(f *fixture) {
	other := f.newTenant("other")
	h := f.webhook()
	receipt := f.enqueue(f.event(h.waiting()))[0]
	_, err := f.store.Event(f.Context(), other, receipt.ID)
	require.ErrorIs(f, err, triggers.ErrNotFound)
	_, err = f.store.Delivery(f.Context(), other, receipt.ID+1)
	require.ErrorIs(f, err, triggers.ErrNotFound)
	_, err = f.store.Event(f.Context(), f.tenant, receipt.ID+1)
	require.ErrorIs(f, err, triggers.ErrNotFound, "a delivery is no event")
	_, err = f.store.Delivery(f.Context(), f.tenant, receipt.ID)
	require.ErrorIs(f, err, triggers.ErrNotFound, "an event is no delivery")
}

func testNothing(f *fixture) {
	require.Empty(f, f.enqueue())
	f.settle()
	require.Empty(f, f.claim())
	made, err := f.store.CloseIntervals(f.Context(), f.clock.Now())
	require.NoError(f, err)
	require.Zero(f, made)
}

func testEnqueueTogether(f *fixture) {
	const callers, calls = 8, 25
	h := f.webhook()
	acceptances := make([][]delivery.Acceptance, callers)
	for c := range callers {
		for n := range calls {
			acceptances[c] = append(acceptances[c], f.named(fmt.Sprintf("%d-%d", c, n%20), fmt.Sprintf(`{"n":%d}`, n%20), h.waiting()))
		}
	}
	var mu sync.Mutex
	ids := make(map[triggers.ID]bool)
	var group sync.WaitGroup
	for c := range callers {
		group.Go(func() {
			for n := range calls {
				receipts, err := f.store.Enqueue(f.Context(), acceptances[c][n:n+1])
				if err != nil || receipts[0].Duplicate != (n >= 20) {
					f.Errorf("caller %d, call %d: %+v, %v", c, n, receipts, err)
					return
				}
				mu.Lock()
				ids[receipts[0].ID] = true
				mu.Unlock()
			}
		})
	}
	group.Wait()
	require.Len(f, ids, callers*20)
	require.Equal(f, callers*20, f.store.Open())
	require.Len(f, f.claim(), callers*20)
}
