package storagetest

import (
	"context"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

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
		require.NoError(f, f.store.UpdateWebhook(f.Context(), w, delivery.WebhookLimits{}))
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
	require.NoError(f, f.store.UpdateWebhook(f.Context(), w, delivery.WebhookLimits{}))
	require.True(f, slices.Equal(append(want, delivery.Span{From: back}), spans(w)))
	list, err := f.store.OffSpans(f.Context(), f.newTenant("other"), w.Key)
	require.NoError(f, err)
	require.Empty(f, list)
}
