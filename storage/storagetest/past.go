package storagetest

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/router"
	"portalhook/triggers"
)

// past follows a query, so many events at a time, and gives what it proposes.
func (f *fixture) past(q delivery.PastQuery, atOnce int) (events []delivery.PastEvent) {
	f.Helper()
	q.Tenant, q.Most = f.tenant, atOnce
	for last := triggers.ID(0); ; {
		looked := 0
		stopped, err := f.store.EachPast(f.Context(), q, func(e *delivery.PastEvent) {
			looked++
			events = append(events, *e)
		})
		require.NoError(f, err)
		require.LessOrEqual(f, looked, atOnce)
		if stopped == 0 {
			return events
		}
		require.True(f, last == 0 || stopped < last)
		last = stopped
		// Others of the same millisecond may follow.
		events = slices.DeleteFunc(events, func(e delivery.PastEvent) bool { return e.ID.Time().Equal(stopped.Time()) })
		q.To = stopped.Time().Add(time.Millisecond)
	}
}

func pastIDs(events []delivery.PastEvent) (ids []triggers.ID) {
	for i := range events {
		ids = append(ids, events[i].ID)
	}
	return ids
}

// testEachPast holds what is proposed for triggers to a look at every event: none is left out that one of them hears.
func testEachPast(f *fixture) {
	began := f.clock.Now()
	ids := f.searchStory()
	var all []*delivery.EventRecord
	for _, id := range slices.Backward(ids) {
		event, err := f.store.Event(f.Context(), f.tenant, id)
		require.NoError(f, err)
		all = append(all, event)
	}
	for _, texts := range [][]string{
		{"/"},
		{"/items"},
		{"/items/share"},
		{"/items/A"},
		{"/items/A/share"},
		{"/items/?/share"},
		{"/items/b/share", "/users/signIn"},
		{"/users/bulkEnable"},
		{"/users/{ann,bob}/signIn"},
		{"/items/**"},
		{"com.qlik.v1.app.created"},
		{"com.qlik.v1.**"},
		{"/services/Roads/FeatureServer"},
		{"/services/Water/Pipes/FeatureServer/FeaturesEdited"},
		{"/services/**"},
		{"/webhooks/disable"},
		{"/items/nothing"},
		{"/groups", "com.qlik.v1.app.created", "/items/a"},
	} {
		ts := f.parse(texts...)
		for _, span := range []delivery.Span{{}, {From: began.Add(10 * time.Hour), To: began.Add(30 * time.Hour)}} {
			var want, got []triggers.ID
			for _, event := range all {
				uri, err := triggers.Default().ParseURI(event.URI)
				require.NoError(f, err)
				within := !event.ID.Time().Before(span.From) && (span.To.IsZero() || event.ID.Time().Before(span.To))
				if within && router.Explain(ts, &uri).Matched {
					want = append(want, event.ID)
				}
			}
			proposed := f.past(delivery.PastQuery{Triggers: ts, From: span.From, To: span.To}, 1000)
			for i := range proposed {
				if router.Explain(ts, &proposed[i].URI).Matched {
					got = append(got, proposed[i].ID)
				}
			}
			require.Equal(f, want, got, "%v in %v", texts, span)
			parts := f.past(delivery.PastQuery{Triggers: ts, From: span.From, To: span.To}, 7)
			require.Equal(f, pastIDs(proposed), pastIDs(parts), "%v in %v, in parts", texts, span)
			if len(texts) == 1 && texts[0] == "/items/A" {
				require.Len(f, proposed, len(want), "the index proposes no other")
			}
		}
	}
	event := triggers.Event{Username: "ann", OwnerID: "owner", Audience: []string{"ann", "bob"}}
	uri, err := triggers.Default().ParseURI("/items/heard/share")
	require.NoError(f, err)
	event.URI = uri
	_, err = f.store.Enqueue(f.Context(), []delivery.Acceptance{{
		Tenant: f.tenant, AcceptedAt: f.clock.Now(), Event: &event, Body: []byte(`{"n":1}`),
	}})
	require.NoError(f, err)
	f.store = f.reopen()
	heard := f.past(delivery.PastQuery{Triggers: f.parse("/items/heard")}, 10)
	require.Len(f, heard, 1)
	require.Equal(f, []string{"owner", "ann", "bob"}, heard[0].HeardBy)
	require.JSONEq(f, `{"n":1}`, string(heard[0].Body))
	require.Equal(f, f.clock.Now(), heard[0].AcceptedAt)
}
