package storagetest

import (
	"context"
	"slices"
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

func testRecoveryControl(f *fixture) {
	w := f.create(f.webhook("late", "/items"))
	f.acceptPlanned(planned(w, delivery.Skipped))
	r := f.begin(request(w))
	require.ErrorIs(f, f.store.StartRecovery(f.Context(), &delivery.Recovery{RecoveryRequest: request(w)}), delivery.ErrRecoveryOpen)
	control := func(id triggers.ID, to delivery.RecoveryState, change func(*delivery.RecoveryControl)) (*delivery.Recovery, error) {
		c := delivery.RecoveryControl{Tenant: f.tenant, Webhook: w.Key, ID: id, To: to, Now: f.clock.Now()}
		if change != nil {
			change(&c)
		}
		return f.store.ControlRecovery(f.Context(), c)
	}
	_, err := control(r.ID+1, delivery.RecoveryPaused, nil)
	require.ErrorIs(f, err, triggers.ErrNotFound)
	_, err = control(r.ID, delivery.RecoveryPaused, func(c *delivery.RecoveryControl) { c.Tenant++ })
	require.ErrorIs(f, err, triggers.ErrNotFound)
	_, err = f.store.Recovery(f.Context(), f.tenant, w.Key+1, r.ID)
	require.ErrorIs(f, err, triggers.ErrNotFound)

	found := f.recoverable(r, w, 10)
	paused, err := control(r.ID, delivery.RecoveryPaused, func(c *delivery.RecoveryControl) { c.PausedBy = delivery.PausedByRequest })
	require.NoError(f, err)
	require.Equal(f, paused, f.advance(r, w, found), "a step of a recovery that is paused")
	kept, err := control(r.ID, delivery.RecoveryRunning, func(c *delivery.RecoveryControl) { c.Automatic = true })
	require.NoError(f, err)
	require.Equal(f, paused, kept, "what was asked for is not undone by itself")
	failed, err := control(r.ID, delivery.RecoveryFailed, func(c *delivery.RecoveryControl) { c.Reason = "read error" })
	require.NoError(f, err)
	require.NotZero(f, failed.EndedAt)
	_, err = control(r.ID, delivery.RecoveryPaused, nil)
	require.ErrorIs(f, err, delivery.ErrRecoveryEnded)

	second := f.begin(request(w))
	_, err = control(r.ID, delivery.RecoveryRunning, nil)
	require.ErrorIs(f, err, delivery.ErrRecoveryOpen)
	_, err = control(second.ID, delivery.RecoveryCancelled, nil)
	require.NoError(f, err)
	_, err = control(second.ID, delivery.RecoveryRunning, nil)
	require.ErrorIs(f, err, delivery.ErrRecoveryEnded)
	resumed, err := control(r.ID, delivery.RecoveryRunning, nil)
	require.NoError(f, err)
	require.Zero(f, resumed.EndedAt)
	open, err := f.store.OpenRecoveries(f.Context())
	require.NoError(f, err)
	require.Equal(f, []delivery.Recovery{*resumed}, open)

	list := func(q delivery.RecoveryQuery) (ids []triggers.ID) {
		q.Tenant, q.Webhook, q.Limit = f.tenant, w.Key, 10
		rows, err := f.store.Recoveries(f.Context(), q)
		require.NoError(f, err)
		for i := range rows {
			ids = append(ids, rows[i].ID)
		}
		return ids
	}
	require.Equal(f, []triggers.ID{second.ID, r.ID}, list(delivery.RecoveryQuery{}))
	require.Equal(f, []triggers.ID{r.ID, second.ID}, list(delivery.RecoveryQuery{OldestFirst: true}))
	require.Equal(f, []triggers.ID{r.ID}, list(delivery.RecoveryQuery{After: second.ID}))
	require.Equal(f, []triggers.ID{second.ID}, list(delivery.RecoveryQuery{After: r.ID, OldestFirst: true}))

	require.NoError(f, f.store.DeleteWebhook(f.Context(), f.tenant, w.ID))
	cancelled, err := f.store.Recovery(f.Context(), f.tenant, w.Key, r.ID)
	require.NoError(f, err)
	require.Equal(f, delivery.RecoveryCancelled, cancelled.State)
	require.NotEmpty(f, cancelled.Reason)
	require.ErrorIs(f, f.store.StartRecovery(f.Context(), &delivery.Recovery{RecoveryRequest: request(w)}), triggers.ErrNotFound)
}

// testRecoverAudited writes who began a recovery beside it, under the number that is drawn then.
func testRecoverAudited(f *fixture) {
	w := f.create(f.webhook("late", "/items"))
	change := &delivery.Change{Action: "recovery.create", Object: "recovery", KeyID: "key"}
	r := &delivery.Recovery{RecoveryRequest: request(w), State: delivery.RecoveryRunning}
	require.NoError(f, f.store.StartRecovery(delivery.Audited(f.Context(), change), r))
	changes, err := f.store.Changes(context.WithoutCancel(f.Context()), delivery.ChangeQuery{Tenant: f.tenant, Object: "recovery", Limit: 10})
	require.NoError(f, err)
	require.Len(f, changes, 1)
	require.Equal(f, r.ID.Recovery(), changes[0].ObjectID)
}

// testRecoverRetained passes over days that were dropped before their turn, and says so; what ended after its day is kept and taken.
func testRecoverRetained(f *fixture) {
	w := f.create(f.webhook("late", "/items"))
	f.acceptPlanned(planned(w, delivery.Skipped))
	open := f.accept(w, 0)
	f.clock.Advance(24 * time.Hour)
	second := f.acceptPlanned(planned(w, delivery.Skipped))
	r := f.begin(request(w))
	require.Len(f, f.recoverable(r, w, 10).Found, 2)
	stale := f.recoverable(r, w, 10)
	f.retain()
	f.exhaust(f.claimOne())
	found := f.recoverable(r, w, 10)
	require.Equal(f, []triggers.ID{open, second}, []triggers.ID{found.Found[0].Event, found.Found[1].Event})
	moved := f.advance(r, w, stale)
	require.Equal(f, 1, moved.Made)
	require.Equal(f, 1, moved.Passed)
	require.Equal(f, moved.Lost.To, f.clock.Now().Truncate(24*time.Hour))
	require.True(f, moved.Lost.From.Before(open.Time()))
	require.Equal(f, 1, f.recover(request(w), w, 10), "what was open when its day was dropped")

	f.clock.Advance(10 * 24 * time.Hour)
	for _, c := range f.claim() {
		f.succeed(c)
	}
	f.retain()
	rows, err := f.store.Recoveries(f.Context(), delivery.RecoveryQuery{Tenant: f.tenant, Webhook: w.Key, Limit: 10})
	require.NoError(f, err)
	require.Empty(f, rows, "recoveries are forgotten with their history")
}

// testOffSpans records when a webhook was off by hand.
func testOffSpans(f *fixture) {
	spans := func(w *triggers.Webhook) []delivery.Span {
		list, err := f.store.OffSpans(f.Context(), f.tenant, w.Key)
		require.NoError(f, err)
		return list
	}
	began := f.clock.Now()
	w := f.webhook("off", "/items")
	w.Enabled = false
	f.create(w)
	require.Equal(f, []delivery.Span{{From: began}}, spans(w))
	turn := func(on bool, code string) time.Time {
		at := f.clock.Advance(time.Hour)
		w.Enabled, w.DisabledReasonCode = on, code
		require.NoError(f, f.store.UpdateWebhook(f.Context(), w))
		return at
	}
	on := turn(true, "")
	require.Equal(f, []delivery.Span{{From: began, To: on}}, spans(w))
	turn(true, "")
	turn(false, "GONE") // events are kept as skipped
	require.Len(f, spans(w), 1)
	off := turn(false, "")
	turn(false, "")
	f.store = f.reopen()
	require.Equal(f, []delivery.Span{{From: began, To: on}, {From: off}}, spans(w))
	back := turn(true, "")
	want := []delivery.Span{{From: began, To: on}, {From: off, To: back}}
	require.Equal(f, want, spans(w))
	w.Enabled = false // and on again within the millisecond
	require.NoError(f, f.store.UpdateWebhook(f.Context(), w))
	require.True(f, slices.Equal(append(want, delivery.Span{From: back}), spans(w)))
	list, err := f.store.OffSpans(f.Context(), f.newTenant("other"), w.Key)
	require.NoError(f, err)
	require.Empty(f, list)
}
