package storagetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// searchStory accepts events of two tenants over some days, of few kinds, users and things, and brings their deliveries to every end.
// It gives back all events of the fixture's tenant, the oldest first.
func (f *fixture) searchStory() (ids []triggers.ID) {
	f.Helper()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same story every time
	webhooks := []*triggers.Webhook{f.create(f.webhook("a", "/items")), f.create(f.webhook("b", "/"))}
	doomed := f.create(f.webhook("doomed", "/"))
	other := f.newTenant("other")
	uris := []string{"/items/A/share", "/items/a/update", "/items/b/share", "/users/Ann/signIn", "/users/bulkEnable", "com.qlik.v1.app.created"}
	for n := range 120 {
		uri, err := triggers.Default().ParseURI(uris[random.IntN(len(uris))])
		require.NoError(f, err)
		a := delivery.Acceptance{
			Tenant: f.tenant, AcceptedAt: f.clock.Now(), Body: []byte(`{}`),
			Event: &triggers.Event{URI: uri, Username: []string{"", "ann", "ANN", "bob"}[random.IntN(4)]},
		}
		if random.IntN(3) == 0 {
			a.Event.EventID, a.Digest = fmt.Sprint(n%5), [16]byte{byte(n)}
			a.Event.Source = fmt.Sprint("source ", n)
		}
		if random.IntN(5) == 0 {
			a.Tenant = other
		} else {
			for _, w := range append(webhooks, doomed)[:random.IntN(4)] {
				planned := delivery.Planned{Webhook: w.Key, Revision: w.Revision, State: delivery.Waiting}
				switch kind := random.IntN(6); {
				case kind == 0:
					planned.State = delivery.Skipped
				case kind == 1 && w != doomed:
					planned.Interval = f.clock.Now().Add(time.Duration(1+random.IntN(30)) * time.Hour)
				}
				a.Planned = append(a.Planned, planned)
			}
		}
		receipts, err := f.store.Enqueue(f.Context(), []delivery.Acceptance{a})
		require.NoError(f, err)
		if a.Tenant == f.tenant {
			ids = append(ids, receipts[0].ID)
		}
		f.clock.Advance(time.Duration(random.IntN(60)) * time.Minute)
		_, err = f.store.CloseIntervals(f.Context(), f.clock.Now())
		require.NoError(f, err)
		if n%3 == 0 {
			f.settleSome(random)
		}
	}
	require.NoError(f, f.store.DeleteWebhook(f.Context(), doomed.Tenant, doomed.ID))
	return ids
}

// settleSome brings some of the due deliveries to an end, and sends one of them again.
func (f *fixture) settleSome(random *rand.Rand) {
	f.Helper()
	for i, c := range f.claim() {
		state := []delivery.State{delivery.Succeeded, delivery.Succeeded, delivery.Exhausted, delivery.Waiting}[random.IntN(4)]
		due := time.Time{}
		if state == delivery.Waiting {
			due = f.clock.Now().Add(time.Duration(random.IntN(100)) * time.Hour)
		}
		f.settle(c, state, 500, time.Second, due)
		if i == 0 && state != delivery.Waiting {
			again, err := f.store.Resend(f.Context(), f.tenant, c.ID, f.clock.Now())
			require.NoError(f, err)
			f.settle(again, delivery.Exhausted, 500, time.Second, time.Time{})
		}
	}
}

// search follows a query to its end, page by page.
func (f *fixture) search(q delivery.EventQuery) (events []delivery.EventSummary) {
	f.Helper()
	for {
		page, err := f.store.Events(f.Context(), q)
		require.NoError(f, err)
		require.LessOrEqual(f, len(page.Events), q.Limit)
		events = append(events, page.Events...)
		switch {
		case page.Stopped != 0:
			q.After = page.Stopped
		case len(page.Events) < q.Limit:
			return events
		default:
			q.After = page.Events[len(page.Events)-1].ID
		}
	}
}

// searches are queries by every way and by several at once.
func (f *fixture) searches(from, to time.Time) []delivery.EventQuery {
	uri := func(text string) triggers.URI {
		parsed, err := triggers.Default().ParseURI(text)
		require.NoError(f, err)
		return parsed
	}
	list := []delivery.EventQuery{
		{},
		{EventID: "3"},
		{EventID: "none"},
		{Username: "Ann"},
		{Username: "nobody"},
		{URI: uri("/items/a/share"), Scope: delivery.WholeURI},
		{URI: uri("/users/bulkEnable"), Scope: delivery.WholeURI},
		{URI: uri("com.qlik.v1.app.created"), Scope: delivery.WholeURI},
		{URI: uri("/items/none/share"), Scope: delivery.SameOperation},
		{URI: uri("/items/a/add"), Scope: delivery.SameThing},
		{URI: uri("/items/none/share"), Scope: delivery.WholeURI},
	}
	for _, outcome := range delivery.EventOutcomes {
		for _, q := range slices.Clone(list[:11]) {
			q.Outcome = outcome
			list = append(list, q)
		}
	}
	for _, q := range slices.Clone(list) {
		q.From = from
		list = append(list, q)
		q.To = to
		list = append(list, q)
	}
	return list
}

func testSearch(f *fixture) {
	begin := f.clock.Now()
	ids := f.searchStory()
	for range 2 {
		known := make([]delivery.EventSummary, len(ids))
		outcomes := make(map[delivery.EventOutcome]int)
		for i, id := range ids {
			event, err := f.store.Event(f.Context(), f.tenant, id)
			require.NoError(f, err)
			summary, err := f.store.EventSummary(f.Context(), f.tenant, id)
			require.NoError(f, err)
			require.Equal(f, delivery.Summarize(event), summary)
			f.searchMatches(event)
			event.Body = nil
			known[i] = *delivery.Summarize(event)
			for _, outcome := range delivery.EventOutcomes {
				if known[i].Has(outcome) {
					outcomes[outcome]++
				}
			}
		}
		require.Len(f, outcomes, len(delivery.EventOutcomes), "the story has them all")
		for _, q := range f.searches(begin.Add(5*time.Hour), begin.Add(40*time.Hour)) {
			q.Tenant = f.tenant
			var want []delivery.EventSummary
			for i := range known {
				if naive(&q, &known[i]) {
					want = append(want, known[i])
				}
			}
			for _, q.OldestFirst = range []bool{true, false} {
				for _, q.Limit = range []int{1, 7, 1000} {
					require.Equal(f, want, f.search(q), "%+v", q)
				}
				slices.Reverse(want)
			}
		}
		f.store = f.reopen()
	}
}

// naive is the specification of a search.
func naive(q *delivery.EventQuery, e *delivery.EventSummary) bool {
	uri, err := triggers.Default().ParseURI(e.URI)
	at := e.ID.Time()
	return err == nil && q.Hears(&uri) && (q.EventID == "" || q.EventID == e.EventID) &&
		(q.Username == "" || triggers.Fold(q.Username) == triggers.Fold(e.Username)) && (q.Outcome == "" || e.Has(q.Outcome)) &&
		!at.Before(q.From) && (q.To.IsZero() || at.Before(q.To))
}

func testSearchRetained(f *fixture) {
	ids := f.searchStory()
	f.retain()
	for _, event := range f.search(delivery.EventQuery{Tenant: f.tenant, Limit: 10}) {
		require.Contains(f, ids, event.ID)
	}
	open := f.search(delivery.EventQuery{Tenant: f.tenant, Outcome: delivery.EventPending, Limit: 10})
	require.NotEmpty(f, open, "what is open is found however old it is")
	for _, q := range f.searches(time.Time{}, time.Time{}) {
		q.Tenant, q.Limit = f.tenant, 10
		for _, event := range f.search(q) {
			require.True(f, naive(&q, &event))
		}
	}
}

// matches follows a query to its end, page by page.
func (f *fixture) matches(q delivery.MatchQuery) (all []delivery.Match) {
	f.Helper()
	for {
		page, err := f.store.Matches(f.Context(), q)
		require.NoError(f, err)
		require.LessOrEqual(f, len(page.Matches), q.Limit)
		all = append(all, page.Matches...)
		switch {
		case page.Stopped != 0:
			q.After = page.Stopped
		case len(page.Matches) < q.Limit:
			return all
		default:
			q.After = page.Matches[len(page.Matches)-1].Place
		}
	}
}

// searchMatches holds the pages of an event's matches to a look at each of them.
func (f *fixture) searchMatches(event *delivery.EventRecord) {
	f.Helper()
	for _, q := range []delivery.MatchQuery{
		{},
		{WebhookName: "A"},
		{WebhookName: "nobody"},
		{States: []delivery.State{delivery.Succeeded}},
		{States: []delivery.State{delivery.Waiting, delivery.Sending, delivery.Exhausted}},
		{WebhookName: "doom", States: []delivery.State{delivery.Cancelled, delivery.Skipped}},
	} {
		q.Tenant, q.Event = f.tenant, event.ID
		var want []delivery.Match
		for i := range event.Matches {
			if q.Asks(&event.Matches[i]) {
				want = append(want, event.Matches[i])
			}
		}
		for _, q.Backwards = range []bool{false, true} {
			for _, q.Limit = range []int{1, 2, 1000} {
				require.Equal(f, want, f.matches(q), "%+v", q)
			}
			slices.Reverse(want)
		}
	}
}

// An event of many webhooks is summarized and paged as the look at all of them says, while its deliveries come to every end.
func testManyMatches(f *fixture) {
	const webhooks = 60
	a := delivery.Acceptance{
		Tenant: f.tenant, AcceptedAt: f.clock.Now(), Body: []byte(`{}`),
		Event: &triggers.Event{URI: triggers.URI{Resource: triggers.Items, ID: "a"}},
	}
	for i := range webhooks {
		w := f.create(f.webhook(fmt.Sprintf("w%02d", i), "/items"))
		a.Planned = append(a.Planned, delivery.Planned{Webhook: w.Key, Revision: w.Revision, State: delivery.Waiting})
		if i%20 == 19 {
			a.Planned[i].State = delivery.Skipped
		}
	}
	receipts, err := f.store.Enqueue(f.Context(), []delivery.Acceptance{a})
	require.NoError(f, err)
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // the same story every time
	var claimed []delivery.Claimed
	for round := range 10 {
		event, err := f.store.Event(f.Context(), f.tenant, receipts[0].ID)
		require.NoError(f, err)
		require.Len(f, event.Matches, webhooks)
		summary, err := f.store.EventSummary(f.Context(), f.tenant, event.ID)
		require.NoError(f, err)
		require.Equal(f, delivery.Summarize(event), summary)
		f.searchMatches(event)
		if round == 0 {
			claimed = f.claim()
			continue
		}
		half := (len(claimed) + 1) / 2
		for _, c := range claimed[:half] {
			state := delivery.Succeeded
			if random.IntN(8) == 0 {
				state = delivery.Exhausted
			}
			f.settle(c, state, 500, time.Second, time.Time{})
			if state == delivery.Exhausted { // of the same event, but none of its matches
				again, err := f.store.Resend(f.Context(), f.tenant, c.ID, f.clock.Now())
				require.NoError(f, err)
				f.settle(again, delivery.Exhausted, 500, time.Second, time.Time{})
			}
		}
		claimed = claimed[half:]
	}
	keys, err := f.store.Matched(f.Context(), f.tenant, receipts[0].ID)
	require.NoError(f, err)
	for i, key := range keys {
		require.Equal(f, a.Planned[i].Webhook, key)
	}
	require.Len(f, keys, webhooks)
	other := f.newTenant("other")
	_, err = f.store.Matched(f.Context(), other, receipts[0].ID)
	require.ErrorIs(f, err, triggers.ErrNotFound)
	_, err = f.store.EventSummary(f.Context(), other, receipts[0].ID)
	require.ErrorIs(f, err, triggers.ErrNotFound)
	_, err = f.store.Matches(f.Context(), delivery.MatchQuery{Tenant: other, Event: receipts[0].ID, Limit: 1})
	require.ErrorIs(f, err, triggers.ErrNotFound)
}
