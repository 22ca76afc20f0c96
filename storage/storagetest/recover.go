package storagetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// request asks for all that is not delivered of a webhook's whole history.
func request(w *triggers.Webhook) delivery.RecoveryRequest {
	return delivery.RecoveryRequest{
		Tenant: w.Tenant, Webhook: w.Key, RatePerMinute: 600, States: []delivery.State{delivery.Exhausted, delivery.Skipped, delivery.Cancelled},
	}
}

// begin stores a recovery that runs.
func (f *fixture) begin(asked delivery.RecoveryRequest) *delivery.Recovery {
	f.Helper()
	r := &delivery.Recovery{RecoveryRequest: asked, State: delivery.RecoveryRunning}
	r.Counts.Complete = true
	require.NoError(f, f.store.StartRecovery(f.Context(), r))
	return r
}

// recoverable searches for a webhook that would get every event.
func (f *fixture) recoverable(r *delivery.Recovery, w *triggers.Webhook, most int) delivery.RecoveryFound {
	f.Helper()
	found, err := f.store.FindRecoverable(f.Context(), delivery.RecoverySearch{
		Recovery: r, After: r.Position, Most: most, Webhook: w, Wants: func(*delivery.PastEvent) (uint8, bool) { return 0, true },
	})
	require.NoError(f, err)
	return found
}

func (f *fixture) advance(r *delivery.Recovery, w *triggers.Webhook, found delivery.RecoveryFound) *delivery.Recovery {
	f.Helper()
	moved, err := f.store.AdvanceRecovery(f.Context(), delivery.RecoveryStep{
		ID: r.ID, From: r.Position, Found: found, Revision: w.Revision, Now: f.clock.Now(), NextAt: f.clock.Now().Add(time.Second),
	})
	require.NoError(f, err)
	return moved
}

// recover runs a recovery to its end, and says what it made.
func (f *fixture) recover(asked delivery.RecoveryRequest, w *triggers.Webhook, most int) int {
	f.Helper()
	r := f.begin(asked)
	for steps := 0; r.State == delivery.RecoveryRunning; steps++ {
		require.Less(f, steps, 1000)
		r = f.advance(r, w, f.recoverable(r, w, most))
	}
	require.Equal(f, delivery.RecoveryDone, r.State)
	return r.Made
}

func (f *fixture) exhaust(c delivery.Claimed) {
	f.Helper()
	f.settle(c, delivery.Exhausted, 500, time.Millisecond, time.Time{})
}

func planned(w *triggers.Webhook, state delivery.State) delivery.Planned {
	return delivery.Planned{Webhook: w.Key, Revision: w.Revision, State: state}
}

func testRecover(f *fixture) {
	w := f.create(f.webhook("late", "/items"))
	other := f.create(f.webhook("other", "/items"))
	arrived, failed := f.accept(w, 0), f.accept(w, 0)
	for _, c := range f.claim() {
		if c.Events[0].ID == arrived {
			f.succeed(c)
		} else {
			f.exhaust(c)
		}
	}
	skipped := f.acceptPlanned(planned(other, delivery.Skipped), planned(w, delivery.Skipped))
	f.acceptPlanned(planned(other, delivery.Skipped))
	f.acceptPlanned()
	open := f.accept(w, 0)
	f.clock.Advance(time.Minute)

	r := f.begin(request(w))
	found := f.recoverable(r, w, 10)
	require.Equal(f, []delivery.Recoverable{
		{Event: failed, Delivery: failed + 1, State: delivery.Exhausted}, {Event: skipped, Delivery: skipped + 2, State: delivery.Skipped},
	}, found.Found)
	require.True(f, found.Done)
	r = f.advance(r, w, found)
	require.Equal(f, delivery.RecoveryDone, r.State)
	require.Equal(f, 2, r.Made)
	require.Equal(f, 3, f.store.Open())

	claimed := f.claim()
	require.Len(f, claimed, 3)
	require.Equal(f, open+1, claimed[0].ID, "what was due before comes first")
	old := f.delivery(failed + 1)
	again := claimed[1]
	require.Greater(f, again.ID, old.ID)
	require.Equal(f, old.Revision, again.Revision)
	require.Equal(f, old.BuiltAt, again.BuiltAt, "the bytes are the same")
	require.Equal(f, old.Events, again.Events)
	require.Zero(f, again.Tries)

	f.succeed(claimed[0])
	require.Zero(f, f.recover(request(w), w, 10), "what is under way is not taken")
	f.succeed(claimed[1])
	f.exhaust(claimed[2])
	r = f.begin(request(w))
	require.Equal(f, []delivery.Recoverable{{Event: skipped, Delivery: claimed[2].ID, State: delivery.Exhausted}}, f.recoverable(r, w, 10).Found,
		"only what failed again, and under what it is now")
	f.store = f.reopen()
	r = f.advance(r, w, f.recoverable(r, w, 10))
	require.Equal(f, 1, r.Made)
	f.succeed(f.claimOne())
	require.Zero(f, f.recover(request(w), w, 1))
}

// testRecoverResent counts a resend like any other delivery of the event.
func testRecoverResent(f *fixture) {
	w := f.create(f.webhook("late", "/items"))
	event := f.accept(w, 0)
	f.exhaust(f.claimOne())
	resend := func(state delivery.State) triggers.ID {
		c, err := f.store.Resend(f.Context(), f.tenant, event+1, f.clock.Now())
		require.NoError(f, err)
		if state != delivery.Sending {
			f.settle(c, state, 0, 0, time.Time{})
		}
		return c.ID
	}
	second := resend(delivery.Exhausted)
	r := f.begin(request(w))
	found := f.recoverable(r, w, 10)
	require.Equal(f, []delivery.Recoverable{{Event: event, Delivery: second, State: delivery.Exhausted}}, found.Found)
	resend(delivery.Sending)
	r = f.advance(r, w, found)
	require.Zero(f, r.Made, "it was sent again after it had been found")
	require.Equal(f, 1, r.Passed)
	f.store = f.reopen()
	f.succeed(f.claimOne())
	require.Zero(f, f.recover(request(w), w, 10))
}

// testRecoverOrdered makes deliveries of an ordered webhook, each of which waits for that before it, and all of which are found by their
// event type.
func testRecoverOrdered(f *fixture) {
	w := f.webhook("ordered", "/items")
	w.Ordered = true
	f.create(w)
	f.many(w, "/items/a/share", 3, delivery.Skipped)
	require.Equal(f, 3, f.recover(request(w), w, 2))
	open, err := f.store.OpenWork(f.Context(), f.tenant)
	require.NoError(f, err)
	require.EqualValues(f, 3, open.Waiting)
	found := idsOf(f.list(delivery.HistoryQuery{
		Tenant: f.tenant, Webhook: w.Key, EventType: "/items/share", States: []delivery.State{delivery.Waiting}, OldestFirst: true, Limit: 10,
	}))
	require.Len(f, found, 3)
	for _, id := range found {
		next := f.claimOne()
		require.Equal(f, id, next.ID)
		f.succeed(next)
	}
	require.Empty(f, f.claim())
}

// testRecoverInterval takes a delivery of several events whole, under its first.
func testRecoverInterval(f *fixture) {
	w := f.create(f.webhook("hourly", "/items"))
	collected := planned(w, delivery.Waiting)
	collected.Interval = f.clock.Now().Add(time.Hour)
	first := f.acceptPlanned(collected)
	f.acceptPlanned(collected)
	asked := request(w)
	asked.Missed = true
	require.Zero(f, f.recover(asked, w, 10), "they wait for the end of the interval")
	_, err := f.store.CloseIntervals(f.Context(), f.clock.Advance(24*time.Hour)) // a day later: in the tables of another day
	require.NoError(f, err)
	old := f.claimOne()
	require.Len(f, old.Events, 2)
	f.exhaust(old)
	r := f.begin(asked)
	found := f.recoverable(r, w, 10)
	require.Equal(f, []delivery.Recoverable{{Event: first, Delivery: old.ID, State: delivery.Exhausted}}, found.Found)
	require.Equal(f, 1, f.advance(r, w, found).Made)
	again := f.claimOne()
	require.Equal(f, old.Events, again.Events)
	require.Equal(f, old.BuiltAt, again.BuiltAt)
	f.succeed(again)
	require.Zero(f, f.recover(asked, w, 10))
}

func testRecoverNarrowed(f *fixture) {
	w := f.create(f.webhook("late", "/items", "/items/share"))
	var events []triggers.ID
	for i := range 5 {
		p := planned(w, delivery.Skipped)
		p.Trigger = uint8(i % 2)
		events = append(events, f.acceptPlanned(p))
		f.clock.Advance(time.Hour)
	}
	found := func(change func(*delivery.RecoveryRequest)) (events []triggers.ID) {
		asked := request(w)
		change(&asked)
		r := &delivery.Recovery{RecoveryRequest: asked, Until: 1<<63 - 1}
		for _, one := range f.recoverable(r, w, 10).Found {
			events = append(events, one.Event)
		}
		return events
	}
	require.Equal(f, events, found(func(*delivery.RecoveryRequest) {}))
	require.Empty(f, found(func(r *delivery.RecoveryRequest) { r.States = []delivery.State{delivery.Exhausted} }))
	require.Equal(f, []triggers.ID{events[0], events[2], events[4]}, found(func(r *delivery.RecoveryRequest) { r.Trigger = "/items" }))
	require.Equal(f, events, found(func(r *delivery.RecoveryRequest) { r.Trigger = "/items/share" }), "the trigger that matched, or the kind")
	require.Empty(f, found(func(r *delivery.RecoveryRequest) { r.Trigger = "/items/add" }))
	at := func(i int) time.Time { return events[i].Time() }
	require.Equal(f, events[1:3], found(func(r *delivery.RecoveryRequest) { r.Spans = []delivery.Span{{From: at(1), To: at(3)}} }))
	require.Equal(f, []triggers.ID{events[0], events[4]}, found(func(r *delivery.RecoveryRequest) {
		r.Spans = []delivery.Span{{To: at(1)}, {From: at(4)}}
	}))
}

// testRecoverMissed takes events that had no delivery to the webhook, once.
func testRecoverMissed(f *fixture) {
	w := f.create(f.webhook("new", "/items"))
	other := f.create(f.webhook("other", "/items"))
	unmatched := f.acceptPlanned()
	others := f.acceptPlanned(planned(other, delivery.Skipped))
	f.acceptPlanned(planned(w, delivery.Waiting))
	f.succeed(f.claimOne())
	f.clock.Advance(time.Hour)
	asked := request(w)
	asked.Missed, asked.States = true, nil
	r := f.begin(asked)
	found := f.recoverable(r, w, 10)
	require.Equal(f, []delivery.Recoverable{{Event: unmatched}, {Event: others}}, found.Found)
	r = f.advance(r, w, found)
	require.Equal(f, 2, r.Made)
	claimed := f.claim()
	require.Len(f, claimed, 2)
	require.Equal(f, unmatched, claimed[0].Events[0].ID)
	require.Equal(f, unmatched.Time().UTC(), claimed[0].BuiltAt, "as of acceptance")
	require.Equal(f, w.Revision, claimed[0].Revision.Number)
	f.succeed(claimed[0])
	f.exhaust(claimed[1])
	require.Zero(f, f.recover(asked, w, 10), "each has a delivery now")
	asked.States = []delivery.State{delivery.Exhausted}
	require.Equal(f, 1, f.recover(asked, w, 10))

	// What the triggers cannot hear is not even looked at, and what is not wanted is not taken.
	asked = request(other)
	asked.Missed, asked.States = true, nil
	r = f.begin(asked)
	shares := *other
	shares.Triggers = f.parse("/items/add")
	require.Empty(f, f.recoverable(r, &shares, 10).Found)
	none, err := f.store.FindRecoverable(f.Context(), delivery.RecoverySearch{
		Recovery: r, Most: 10, Webhook: other, Wants: func(*delivery.PastEvent) (uint8, bool) { return 0, false },
	})
	require.NoError(f, err)
	require.Empty(f, none.Found)
}

// testRecoverSteps makes each delivery once, however often a step is tried.
func testRecoverSteps(f *fixture) {
	w := f.create(f.webhook("late", "/items"))
	const events = 25
	for range events {
		f.acceptPlanned(planned(w, delivery.Skipped))
	}
	counting := &delivery.Recovery{RecoveryRequest: request(w), State: delivery.RecoveryCounting}
	require.NoError(f, f.store.StartRecovery(f.Context(), counting))
	for r := counting; r.State == delivery.RecoveryCounting; {
		found, err := f.store.FindRecoverable(f.Context(), delivery.RecoverySearch{Recovery: r, After: r.CountedTo, Most: 10})
		require.NoError(f, err)
		for range 2 {
			r, err = f.store.CountRecovery(f.Context(), delivery.RecoveryStep{ID: r.ID, From: counting.CountedTo, Found: found, Now: f.clock.Now()})
			require.NoError(f, err)
		}
		counting = r
	}
	require.Equal(f, delivery.RecoveryCounts{Skipped: events, Complete: true}, counting.Counts)
	f.acceptPlanned(planned(w, delivery.Skipped)) // too late
	r := counting
	for r.State == delivery.RecoveryRunning {
		found := f.recoverable(r, w, 10)
		moved := f.advance(r, w, found)
		f.store = f.reopen()
		require.Equal(f, moved, f.advance(r, w, found), "a step that was made already")
		stored, err := f.store.Recovery(f.Context(), f.tenant, w.Key, r.ID)
		require.NoError(f, err)
		require.Equal(f, moved, stored)
		require.Equal(f, r.Made+len(found.Found), moved.Made)
		r = moved
	}
	require.Equal(f, events, r.Made)
	require.Len(f, f.claim(), events)
}
