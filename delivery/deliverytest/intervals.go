package deliverytest

import (
	"bytes"
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

// edit is an acceptance of a change to features.
func (f *fixture) edit(service string, planned ...delivery.Planned) delivery.Acceptance {
	f.Helper()
	a := f.event(planned...)
	var err error
	a.Event.URI, err = triggers.Default().ParseURI("/services/" + service + "/FeatureServer/FeaturesUpdated")
	require.NoError(f, err)
	return a
}

func testIntervalServices(f *fixture) {
	h := f.webhook()
	end := f.clock.Now().Add(time.Minute)
	receipts := f.enqueue(f.edit("City/Water", h.until(end)), f.edit("Water", h.until(end)), f.edit("city/WATER", h.until(end)), f.event(h.until(end)),
		f.event(h.until(end)))
	f.clock.Advance(time.Minute)
	f.closeIntervals(3)
	var came [][]triggers.ID
	for _, c := range f.claim() {
		require.Equal(f, end, c.BuiltAt)
		var ids []triggers.ID
		for _, e := range c.Events {
			ids = append(ids, e.ID)
		}
		came = append(came, ids)
	}
	require.ElementsMatch(f, [][]triggers.ID{
		{receipts[0].ID, receipts[2].ID}, {receipts[1].ID}, {receipts[3].ID, receipts[4].ID},
	}, came, "what is of no service comes together")
}

func testIntervalBounds(f *fixture) {
	h, other := f.webhook(), f.webhook()
	end := f.clock.Now().Add(time.Minute)
	batch := make([]delivery.Acceptance, delivery.MaxMembers+1)
	for i := range batch {
		batch[i] = f.edit("Water", h.until(end))
	}
	f.enqueue(batch...)
	large := func(size int) delivery.Acceptance {
		a := f.edit("Water", other.until(end))
		a.Body = bytes.Repeat([]byte{' '}, size)
		return a
	}
	f.enqueue(large(delivery.MaxMemberBytes-1), large(1), large(1), large(2*delivery.MaxMemberBytes), large(1))
	f.clock.Advance(time.Minute)
	f.closeIntervals(6)
	sizes := make(map[uint32][]int)
	for _, c := range f.claim() {
		sizes[c.Webhook] = append(sizes[c.Webhook], len(c.Events))
	}
	require.Equal(f, map[uint32][]int{h.Key: {delivery.MaxMembers, 1}, other.Key: {2, 1, 1, 1}}, sizes)
}

func testIntervalMany(f *fixture) {
	const hooks, edits = 7, 900
	end := f.clock.Now().Add(time.Minute)
	var planned []delivery.Planned
	for range hooks {
		planned = append(planned, f.webhook().until(end))
	}
	batch := make([]delivery.Acceptance, edits)
	for i := range batch {
		batch[i] = f.edit("Water", planned...)
	}
	f.enqueue(batch...)
	f.clock.Advance(time.Minute)
	f.closeIntervals(hooks)
	f.restart()
	f.closeIntervals(0)
	claimed := f.claim()
	require.Len(f, claimed, hooks)
	for _, c := range claimed {
		require.Len(f, c.Events, edits, "no delivery is cut in two")
	}
}

func testIntervalLate(f *fixture) {
	h := f.webhook()
	end := f.clock.Now().Add(time.Minute)
	f.enqueue(f.edit("Water", h.until(end)))
	f.clock.Advance(time.Minute)
	f.closeIntervals(1)
	late := f.enqueue(f.edit("Water", h.until(end)))[0]
	f.closeIntervals(1)
	claimed := f.claim()
	require.Len(f, claimed, 2)
	require.Equal(f, late.ID, claimed[1].Events[0].ID)
	require.Len(f, claimed[1].Events, 1)
}

func testIntervalWebhook(f *fixture) {
	kept, gone := f.webhook(), f.webhook()
	end := f.clock.Now().Add(time.Minute)
	f.enqueue(f.edit("Water", kept.until(end), gone.until(end)))
	renamed := *kept.Webhook
	renamed.Name = "another name"
	require.NoError(f, f.store.UpdateWebhook(f.Context(), &renamed, delivery.WebhookLimits{}))
	last := f.enqueue(f.edit("Water", hook{&renamed}.until(end)))[0]
	off := renamed
	off.Enabled = false
	require.NoError(f, f.store.UpdateWebhook(f.Context(), &off, delivery.WebhookLimits{}))
	require.NoError(f, f.store.DeleteWebhook(f.Context(), f.tenant, gone.ID))
	f.clock.Advance(time.Minute)
	f.closeIntervals(1)
	c := f.claimOne()
	require.Equal(f, last.ID, c.Events[1].ID)
	require.Equal(f, "another name", c.Revision.WebhookName, "the revision is that of the last member")
	require.Equal(f, delivery.Cancelled, f.stored(c.Events[0].ID).Matches[1].Delivery.State)
}

func testIntervalLines(f *fixture) {
	h := f.ordered()
	end := f.clock.Now().Add(time.Minute)
	for range 2 {
		f.enqueue(f.edit("A", h.until(end)), f.edit("B", h.until(end)))
		end = end.Add(time.Minute)
	}
	f.clock.Advance(time.Hour)
	f.closeIntervals(4)
	f.restart()
	claimed := f.claim()
	require.Len(f, claimed, 2, "the second of each service waits for the first")
	require.Equal(f, claimed[0].BuiltAt, claimed[1].BuiltAt)
	f.settle(f.succeeded(claimed[0]))
	second := f.claimOne()
	require.Equal(f, claimed[0].Events[0].URI.ID, second.Events[0].URI.ID)
}
