package deliverytest

import (
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

func testLeasedAtOnce(f *fixture) {
	h := f.webhook()
	receipt := f.enqueue(f.event(h.leased()))[0]
	require.Empty(f, f.claim())
	require.Equal(f, delivery.Sending, f.record(receipt.ID+1).State)
	require.Equal(f, 1, f.store.Open())
	f.settle(f.succeeded(f.leasedBy(h, receipt)))
	require.Equal(f, delivery.Succeeded, f.record(receipt.ID+1).State)
	require.Zero(f, f.store.Open())
}

func testClaim(f *fixture) {
	h := f.webhook()
	event := f.named("order-1", `{"id":"x"}`, h.waiting())
	event.Event.Source = "urn:portal"
	accepted := f.clock.Now()
	receipt := f.enqueue(event)[0]
	f.clock.Advance(time.Minute)
	c := f.claimOne()
	require.Equal(f, receipt.ID+1, c.ID)
	require.Equal(f, f.tenant, c.Tenant)
	require.Equal(f, h.Key, c.Webhook)
	require.Equal(f, h.Revision, c.Revision.Number)
	require.Equal(f, h.ID, c.Revision.WebhookID)
	require.Equal(f, []string{"/items", "/items/share"}, c.Revision.Triggers)
	require.Equal(f, accepted, c.BuiltAt)
	require.Equal(f, accepted, c.DueAt)
	require.Zero(f, c.Tries)
	require.NotZero(f, c.Fence)
	require.Len(f, c.Events, 1)
	require.Equal(f, receipt.ID, c.Events[0].ID)
	require.Equal(f, "order-1", c.Events[0].EventID)
	require.Equal(f, "urn:portal", c.Events[0].Source)
	require.Equal(f, event.Event.URI, c.Events[0].URI)
	require.Equal(f, event.Body, c.Events[0].Body)
	require.Empty(f, f.claim(), "it is leased")
	require.Equal(f, delivery.Sending, f.record(c.ID).State)
	require.Equal(f, 1, f.store.Open())
}

func testDueOrder(f *fixture) {
	h := f.webhook()
	f.enqueue(f.event(h.waiting()), f.event(h.waiting()), f.event(h.waiting()))
	claimed := f.claim()
	require.Len(f, claimed, 3)
	now := f.clock.Now()
	f.settle(
		f.retried(claimed[0], now.Add(3*time.Second)),
		f.retried(claimed[1], now.Add(2*time.Second)),
		f.retried(claimed[2], now.Add(3*time.Second)),
	)
	f.clock.Advance(2*time.Second - time.Millisecond)
	require.Empty(f, f.claim())
	f.clock.Advance(time.Millisecond)
	require.Equal(f, claimed[1].ID, f.claimOne().ID)
	f.clock.Advance(time.Hour)
	again := f.claim()
	require.Len(f, again, 2)
	require.Equal(f, []triggers.ID{claimed[0].ID, claimed[2].ID}, []triggers.ID{again[0].ID, again[1].ID})
}

func testClaimBounds(f *fixture) {
	first, second, none := f.webhook(), f.webhook(), f.webhook()
	for range 5 {
		f.enqueue(f.event(first.waiting(), second.waiting(), none.waiting()))
	}
	room := map[uint32]int{first.Key: 2, second.Key: 100}
	asked := make(map[uint32]int)
	free := func(webhook uint32) int { asked[webhook]++; return room[webhook] }
	claimed, _, err := f.store.Claim(f.Context(), f.clock.Now(), 100, free)
	require.NoError(f, err)
	got := make(map[uint32]int)
	for i := range claimed {
		got[claimed[i].Webhook]++
	}
	require.Equal(f, map[uint32]int{first.Key: 2, second.Key: 5}, got)
	require.Equal(f, map[uint32]int{first.Key: 1, second.Key: 1, none.Key: 1}, asked, "each webhook is asked once")
	claimed, _, err = f.store.Claim(f.Context(), f.clock.Now(), 1, func(uint32) int { return 100 })
	require.NoError(f, err)
	require.Len(f, claimed, 1)
	claimed, _, err = f.store.Claim(f.Context(), f.clock.Now(), 0, func(uint32) int { return 100 })
	require.NoError(f, err)
	require.Empty(f, claimed)
	require.Len(f, f.claim(), 15-8)
}

func testTurns(f *fixture) {
	hooks := []hook{f.webhook(), f.webhook(), f.webhook()}
	for range 4 {
		f.enqueue(f.event(hooks[0].waiting(), hooks[0].waiting(), hooks[1].waiting(), hooks[2].waiting()))
	}
	turns := make(map[uint32]int)
	for range 4 {
		seen := make(map[uint32]bool)
		for range hooks {
			claimed, _, err := f.store.Claim(f.Context(), f.clock.Now(), 1, func(uint32) int { return 1 })
			require.NoError(f, err)
			require.Len(f, claimed, 1)
			seen[claimed[0].Webhook] = true
			turns[claimed[0].Webhook]++
		}
		require.Len(f, seen, len(hooks), "each webhook once in a round")
	}
	for _, c := range f.claim() {
		require.Equal(f, hooks[0].Key, c.Webhook)
	}
}

func testNext(f *fixture) {
	first, second := f.webhook(), f.webhook()
	f.enqueue(f.event(first.waiting(), second.waiting()))
	next := func() time.Time {
		_, next, err := f.store.Claim(f.Context(), f.clock.Now(), 0, func(uint32) int { return 0 })
		require.NoError(f, err)
		return next
	}
	claimed := f.claim()
	require.Len(f, claimed, 2)
	require.Zero(f, next(), "nothing waits")
	due := f.clock.Now().Add(time.Hour)
	f.settle(f.retried(claimed[0], due.Add(time.Minute)), f.retried(claimed[1], due))
	require.Equal(f, due, next())
	f.restart()
	require.Equal(f, due, next())
	f.clock.Advance(time.Hour)
	require.Len(f, f.claim(), 1)
	require.Equal(f, due.Add(time.Minute), next())
}

func testRevisionIsKept(f *fixture) {
	h := f.webhook()
	f.enqueue(f.event(h.waiting()))
	renamed := *h.Webhook
	renamed.Name = "renamed"
	require.NoError(f, f.store.UpdateWebhook(f.Context(), &renamed, delivery.WebhookLimits{}))
	require.NotEqual(f, h.Revision, renamed.Revision)
	f.enqueue(f.event(hook{&renamed}.waiting()))
	claimed := f.claim()
	require.Len(f, claimed, 2)
	require.Equal(f, h.Name, claimed[0].Revision.WebhookName)
	require.Equal(f, "renamed", claimed[1].Revision.WebhookName)
	f.restart()
	claimed = f.claim()
	require.Len(f, claimed, 2)
	require.Equal(f, h.Revision, claimed[0].Revision.Number)
	require.Equal(f, h.Name, claimed[0].Revision.WebhookName)
}

func testRestart(f *fixture) {
	h := f.webhook()
	receipt := f.enqueue(f.event(h.leased()), f.event(h.waiting()))
	claimed := f.claimOne()
	atOnce := f.leasedBy(h, receipt[0])
	f.restart()
	require.Equal(f, 2, f.store.Open())
	again := f.claim()
	require.Len(f, again, 2, "every lease is free")
	f.settleStale(f.succeeded(atOnce), f.succeeded(claimed))
	for i := range again {
		f.settle(f.succeeded(again[i]))
	}
	require.Zero(f, f.store.Open())
}

func testRestartKeepsWaiting(f *fixture) {
	h := f.webhook()
	f.enqueue(f.event(h.waiting()))
	due := f.clock.Now().Add(time.Hour)
	c := f.claimOne()
	f.settle(f.retried(c, due))
	f.restart()
	require.Empty(f, f.claim())
	f.clock.Advance(time.Hour)
	again := f.claimOne()
	require.Equal(f, c.ID, again.ID)
	require.Equal(f, 1, again.Tries)
	require.Equal(f, due, again.DueAt)
	require.Equal(f, c.Events, again.Events)
	f.settle(f.succeeded(again))
	record := f.record(c.ID)
	require.Len(f, record.Attempts, 2)
	require.Equal(f, 503, record.Attempts[0].StatusCode)
}

func testClaimsDisjoint(f *fixture) {
	const claimers, events = 8, 200
	hooks := []hook{f.webhook(), f.webhook(), f.webhook()}
	var batch []delivery.Acceptance
	for n := range events {
		batch = append(batch, f.event(hooks[n%3].waiting()))
	}
	f.enqueue(batch...)
	var mu sync.Mutex
	seen := make(map[triggers.ID]int)
	var group sync.WaitGroup
	for range claimers {
		group.Go(func() {
			for {
				claimed, _, err := f.store.Claim(f.Context(), f.clock.Now(), 7, func(uint32) int { return 3 })
				if err != nil {
					f.Error(err)
				}
				if len(claimed) == 0 {
					return
				}
				mu.Lock()
				for i := range claimed {
					seen[claimed[i].ID]++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	require.Len(f, seen, events)
	for id, times := range seen {
		require.Equal(f, 1, times, id.Delivery())
	}
}
