package storagetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

func testRetain(f *fixture) {
	w := f.create(f.webhook("w", "/items"))
	noon := f.clock.Now()
	var ids []triggers.ID
	for range 4 {
		ids = append(ids, f.accept(w, 0))
		f.succeed(f.claimOne())
		f.clock.Advance(24 * time.Hour)
	}
	// The day of the date itself stays, whatever its hour.
	require.NoError(f, f.store.Retain(f.Context(), noon.Add(2*24*time.Hour+11*time.Hour)))
	for range 2 {
		for i, id := range ids {
			if i < 2 {
				f.requireGone(id)
				_, err := f.store.Delivery(f.Context(), f.tenant, id+1)
				require.ErrorIs(f, err, triggers.ErrNotFound)
				_, err = f.store.Resend(f.Context(), f.tenant, id+1, f.clock.Now())
				require.ErrorIs(f, err, triggers.ErrNotFound)
				continue
			}
			event, err := f.store.Event(f.Context(), f.tenant, id)
			require.NoError(f, err)
			require.Equal(f, delivery.Succeeded, event.Matches[0].Delivery.State)
		}
		list := f.list(delivery.HistoryQuery{Tenant: f.tenant, Webhook: w.Key, Limit: 10})
		require.Equal(f, []triggers.ID{ids[3] + 1, ids[2] + 1}, idsOf(list))
		counts, err := f.store.Hourly(f.Context(), f.tenant, w.Key, noon, f.clock.Now())
		require.NoError(f, err)
		require.Len(f, counts, 4, "counters stay longer")
		f.store = f.reopen()
	}
	f.retain()
	f.retain()
	require.Empty(f, f.list(delivery.HistoryQuery{Tenant: f.tenant, Webhook: w.Key, Limit: 10}))
	next := f.accept(w, 0)
	require.Greater(f, next, ids[3])
	f.succeed(f.claimOne())
	require.Equal(f, delivery.Succeeded, f.delivery(next+1).State)
}

func testRetainOpen(f *fixture) {
	w := f.create(f.webhook("w", "/items"))
	first, second := f.accept(w, 0), f.accept(w, 0)
	untouched := f.accept(w, 0)
	claimed := f.claim()
	require.Len(f, claimed, 3)
	f.settle(claimed[0], delivery.Waiting, 503, time.Second, f.clock.Now())
	f.settle(f.claimOne(), delivery.Waiting, 502, time.Second, f.clock.Now().Add(48*time.Hour))
	f.settle(claimed[1], delivery.Waiting, 503, time.Second, f.clock.Now().Add(48*time.Hour))
	before := f.delivery(first + 1)
	require.Len(f, before.Attempts, 2)

	f.clock.Advance(48 * time.Hour)
	f.retain()
	require.Equal(f, 3, f.store.Open())
	require.Equal(f, before, f.delivery(first+1), "open work is shown as before")
	f.succeed(claimed[2]) // a lease that lasted
	record := f.delivery(untouched + 1)
	require.Equal(f, delivery.Succeeded, record.State, "what ends now can be looked at")
	require.Len(f, record.Events, 1)
	f.store = f.reopen()
	again := f.claim()
	require.Len(f, again, 2)
	require.Equal(f, claimed[0].Events, again[0].Events)
	require.Equal(f, claimed[0].Revision, again[0].Revision)
	f.succeed(again[0])
	record = f.delivery(first + 1)
	require.Equal(f, delivery.Succeeded, record.State)
	require.Len(f, record.Attempts, 3)
	require.Equal(f, before.Events, record.Events)
	list := f.list(delivery.HistoryQuery{Tenant: f.tenant, Webhook: w.Key, Limit: 10})
	require.Equal(f, []triggers.ID{untouched + 1, second + 1, first + 1}, idsOf(list))

	resent, err := f.store.Resend(f.Context(), f.tenant, first+1, f.clock.Now())
	require.NoError(f, err)
	require.Equal(f, claimed[0].Events, resent.Events)
	f.clock.Advance(24 * time.Hour)
	f.retain()
	_, err = f.store.Delivery(f.Context(), f.tenant, first+1)
	require.ErrorIs(f, err, triggers.ErrNotFound, "it has had its time")
	f.succeed(resent)
	f.succeed(again[1])
	require.Len(f, f.delivery(resent.ID).Events, 1)
	f.clock.Advance(24 * time.Hour)
	f.retain()
	f.requireGone(first)
	f.requireGone(second)
	require.Empty(f, f.list(delivery.HistoryQuery{Tenant: f.tenant, Webhook: w.Key, Limit: 10}))
}

func testRetainResent(f *fixture) {
	w := f.create(f.webhook("w", "/items"))
	id := f.accept(w, 0)
	c := f.claimOne()
	f.succeed(c)
	f.clock.Advance(24 * time.Hour)
	again, err := f.store.Resend(f.Context(), f.tenant, c.ID, f.clock.Now())
	require.NoError(f, err)
	f.succeed(again)
	f.retain()
	record := f.delivery(again.ID)
	require.Equal(f, c.Events, record.Events, "its event is of a day that is gone")
	third, err := f.store.Resend(f.Context(), f.tenant, again.ID, f.clock.Now())
	require.NoError(f, err)
	require.Equal(f, c.Events, third.Events)
	f.succeed(third)
	f.clock.Advance(24 * time.Hour)
	f.retain()
	f.requireGone(id)
}

func testRetainInterval(f *fixture) {
	w := f.create(f.webhook("w", "/items"))
	plan := delivery.Planned{Webhook: w.Key, Revision: w.Revision, State: delivery.Waiting, Interval: f.clock.Now().Add(36 * time.Hour)}
	first, second := f.acceptPlanned(plan), f.acceptPlanned(plan)
	f.clock.Advance(36 * time.Hour)
	f.retain()
	made, err := f.store.CloseIntervals(f.Context(), f.clock.Now())
	require.NoError(f, err)
	require.Equal(f, 1, made)
	f.clock.Advance(24 * time.Hour)
	f.retain()
	c := f.claimOne()
	require.Len(f, c.Events, 2)
	require.Equal(f, []triggers.ID{first, second}, []triggers.ID{c.Events[0].ID, c.Events[1].ID})
	f.succeed(c)
	require.Len(f, f.delivery(c.ID).Events, 2)
	f.clock.Advance(48 * time.Hour)
	f.retain()
	f.requireGone(first)
	f.requireGone(second)
}

func testRetainRevisions(f *fixture) {
	w := f.create(f.webhook("w", "/items"))
	f.accept(w, 0)
	c := f.claimOne()
	f.settle(c, delivery.Waiting, 503, time.Second, f.clock.Now().Add(100*time.Hour))
	for _, name := range []string{"second", "third"} {
		w.Name = name
		require.NoError(f, f.store.UpdateWebhook(f.Context(), w, delivery.WebhookLimits{}))
	}
	f.clock.Advance(100 * time.Hour)
	f.retain()
	f.store = f.reopen()
	again := f.claimOne()
	require.Equal(f, c.Revision, again.Revision)
	f.succeed(again)
	f.accept(w, 0)
	require.Equal(f, "third", f.claimOne().Revision.WebhookName)
}

func testShiftDue(f *fixture) {
	w := f.create(f.webhook("w", "/items"))
	f.accept(w, 0)
	f.settle(f.claimOne(), delivery.Waiting, 503, time.Second, f.clock.Now().Add(time.Hour))
	failing := f.clock.Now().Add(time.Second)
	f.clock.Advance(24 * time.Hour) // the clock was set
	require.NoError(f, f.store.ShiftDue(f.Context(), 24*time.Hour))
	for range 2 {
		health, err := f.store.Health(f.Context(), w.Key)
		require.NoError(f, err)
		require.Equal(f, failing.Add(24*time.Hour), health[w.Key].FailingSince, "a webhook has failed for as long as it has")
		f.store = f.reopen()
	}
	require.Empty(f, f.claim())
	f.clock.Advance(time.Hour)
	c := f.claimOne()
	require.Equal(f, f.clock.Now(), c.DueAt)
	f.settle(c, delivery.Waiting, 503, time.Second, f.clock.Now().Add(24*time.Hour))
	f.clock.Advance(-time.Hour)
	require.NoError(f, f.store.ShiftDue(f.Context(), -25*time.Hour))
	f.claimOne()

	off := f.webhook("off", "/items")
	off.Enabled = false
	f.create(off)
	p := delivery.Probing{Tries: 1, At: f.clock.Now(), Outcome: delivery.Refused, NextAt: f.clock.Now().Add(time.Hour)}
	require.NoError(f, f.store.NoteProbe(f.Context(), off.Key, p))
	require.NoError(f, f.store.ShiftDue(f.Context(), time.Hour))
	p.At, p.NextAt = p.At.Add(time.Hour), p.NextAt.Add(time.Hour)
	health, err := f.store.Health(f.Context(), off.Key)
	require.NoError(f, err)
	require.Equal(f, p, health[off.Key].Probe)
}

// A clock that jumps ahead over a day and is set back to it finds it ready, though the days around it were made first.
func testSkippedDay(f *fixture) {
	w := f.create(f.webhook("w", "/items"))
	f.clock.Advance(72 * time.Hour)
	w.Name = "saved on the later day" // which draws no number
	require.NoError(f, f.store.UpdateWebhook(f.Context(), w, delivery.WebhookLimits{}))
	f.clock.Advance(-24 * time.Hour)
	require.NoError(f, f.store.ShiftDue(f.Context(), -24*time.Hour))
	f.accept(w, 0)
	f.claimOne()
}

// Whoever starts after the clock was set back has what was to wait an hour wait for that hour, and not until the old date.
func testSetBackAway(f *fixture) {
	w := f.create(f.webhook("w", "/items"))
	f.accept(w, 0)
	f.settle(f.claimOne(), delivery.Waiting, 503, time.Second, f.clock.Now().Add(time.Hour))
	f.clock.Advance(-24 * time.Hour)
	f.store = f.reopen()
	require.Empty(f, f.claim())
	f.clock.Advance(time.Hour + time.Minute)
	c := f.claimOne()
	f.settle(c, delivery.Waiting, 503, time.Second, f.clock.Now().Add(time.Hour))
	f.clock.Advance(10 * time.Second)
	f.store = f.reopen()
	require.Empty(f, f.claim(), "nobody has set the clock")
	f.clock.Advance(time.Hour)
	f.claimOne()
}

func testShiftIntervals(f *fixture) {
	w := f.create(f.webhook("w", "/items"))
	end := f.clock.Now().Add(time.Minute)
	uri, err := triggers.Default().ParseURI("/items/a1/update")
	require.NoError(f, err)
	receipts, err := f.store.Enqueue(f.Context(), []delivery.Acceptance{{
		Tenant: w.Tenant, AcceptedAt: f.clock.Now(), Event: &triggers.Event{URI: uri}, Body: []byte(`{"n":1}`),
		Planned: []delivery.Planned{{Webhook: w.Key, Revision: w.Revision, State: delivery.Waiting, Interval: end}},
	}})
	require.NoError(f, err)
	f.clock.Advance(24 * time.Hour) // the clock was set
	require.NoError(f, f.store.ShiftDue(f.Context(), 24*time.Hour))
	f.store = f.reopen()
	event, err := f.store.Event(f.Context(), w.Tenant, receipts[0].ID)
	require.NoError(f, err)
	require.Equal(f, delivery.Waiting, event.Matches[0].Delivery.State)
	require.Equal(f, end.Add(24*time.Hour), event.Matches[0].Delivery.DueAt)
	for _, want := range []int{0, 1} {
		made, err := f.store.CloseIntervals(f.Context(), f.clock.Now())
		require.NoError(f, err)
		require.Equal(f, want, made, "an interval lasts as long as it was to last")
		f.clock.Advance(time.Minute)
	}
	require.Len(f, f.claim(), 1)
}

func testHealth(f *fixture) {
	require.NoError(f, f.store.Ping(f.Context()))
	room, err := f.store.FreeBytes()
	require.NoError(f, err)
	require.NotZero(f, room)
}
