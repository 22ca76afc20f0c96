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

var allStates = []delivery.State{
	delivery.Waiting, delivery.Sending, delivery.Succeeded, delivery.Exhausted, delivery.Skipped, delivery.Cancelled,
}

// events stores events of which each has the planned deliveries.
func (f *fixture) events(texts []string, planned ...delivery.Planned) (ids []triggers.ID) {
	f.Helper()
	batch := make([]delivery.Acceptance, len(texts))
	for i, text := range texts {
		uri, err := triggers.Default().ParseURI(text)
		require.NoError(f, err)
		batch[i] = delivery.Acceptance{
			Tenant: f.tenant, AcceptedAt: f.clock.Now(), Event: &triggers.Event{URI: uri}, Body: []byte(`{}`), Planned: planned,
		}
	}
	receipts, err := f.store.Enqueue(f.Context(), batch)
	require.NoError(f, err)
	for _, receipt := range receipts {
		ids = append(ids, receipt.ID)
	}
	return ids
}

// historyStory brings deliveries of several kinds to every end over some days: tried and not, in intervals, resent, of two revisions.
func (f *fixture) historyStory(random *rand.Rand) *triggers.Webhook {
	f.Helper()
	w := f.create(f.webhook("w", "/items", "/items/*/share", "/items/share", "/"))
	other := f.create(f.webhook("other", "/"))
	uris := []string{"/items/A/share", "/items/a/update", "/users/Ann/signIn", "/users/bulkEnable"}
	for n := range 150 {
		if n == 80 {
			w.Triggers = f.parse("/items/share", "/", "/items", "/users/*/signIn")
			require.NoError(f, f.store.UpdateWebhook(f.Context(), w, delivery.WebhookLimits{}))
		}
		planned := delivery.Planned{Webhook: w.Key, Revision: w.Revision, Trigger: uint8(random.IntN(4)), State: delivery.Waiting} //nolint:gosec // small
		switch random.IntN(8) {
		case 0:
			planned.State = delivery.Skipped
		case 1:
			planned.Interval = f.clock.Now().Add(time.Duration(1+random.IntN(20)) * time.Hour)
		}
		f.events(uris[random.IntN(len(uris)):][:1], planned, delivery.Planned{Webhook: other.Key, Revision: other.Revision, State: delivery.Waiting})
		f.clock.Advance(time.Duration(random.IntN(50)) * time.Minute)
		_, err := f.store.CloseIntervals(f.Context(), f.clock.Now())
		require.NoError(f, err)
		if n%4 == 0 {
			f.settleSome(random)
		}
		if n%10 == 1 {
			for _, c := range f.claim() { // not tried, or not again
				_, err := f.store.Settle(f.Context(), []delivery.Settlement{{Delivery: c.ID, Fence: c.Fence, State: delivery.Cancelled}})
				require.NoError(f, err)
			}
		}
	}
	for _, uri := range uris {
		f.events([]string{uri}, delivery.Planned{Webhook: w.Key, Revision: w.Revision, State: delivery.Waiting})
	}
	f.clock.Advance(20 * time.Hour)
	f.claim() // being sent from here on, some for the first time
	f.events(uris[:1], delivery.Planned{Webhook: w.Key, Revision: w.Revision, State: delivery.Waiting})
	return w
}

func testHistoryFilters(f *fixture) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same story every time
	start := f.clock.Now()
	w, foreign := f.historyStory(random), f.newTenant("foreign")
	for round := range 3 {
		everything := f.list(delivery.HistoryQuery{Tenant: f.tenant, Webhook: w.Key, Limit: 1000})
		kinds := make(map[string]int)
		for i := range everything {
			kinds[fmt.Sprint(everything[i].State, " tried: ", everything[i].Tries > 0)]++
		}
		if round == 0 {
			require.Len(f, kinds, 9, "the story has them all: %v", kinds)
		}
		for range 100 {
			q := f.historyQuery(random, start)
			q.Tenant, q.Webhook = f.tenant, w.Key
			var want []delivery.Record
			for i := range everything {
				if wanted(&q, &everything[i]) {
					want = append(want, everything[i])
				}
			}
			if q.OldestFirst {
				slices.Reverse(want)
			}
			require.Equal(f, idsOf(want), idsOf(f.history(q)), "round %d: %+v", round, q)
			q.Tenant = foreign
			require.Empty(f, f.list(q), "of another tenant")
		}
		switch round {
		case 0:
			f.store = f.reopen()
		case 1: // what is left of days that are over is found too
			f.clock.Advance(24 * time.Hour)
			f.retain()
			f.settleSome(random)
		}
	}
}

func (f *fixture) historyQuery(random *rand.Rand, start time.Time) (q delivery.HistoryQuery) {
	q = delivery.HistoryQuery{Limit: 1 + random.IntN(20), FinishedOnly: random.IntN(2) == 0, OldestFirst: random.IntN(2) == 0}
	if random.IntN(3) > 0 {
		types := []string{"/items/share", "/items/update", "/items/*/share", "/items", "/", "/users/signin", "/users/*/signIn", "/users/bulkEnable", "/groups"}
		q.EventType = types[random.IntN(len(types))]
	}
	for range random.IntN(3) {
		q.States = append(q.States, allStates[random.IntN(len(allStates))])
	}
	if random.IntN(4) == 0 {
		q.From = start.Add(time.Duration(random.IntN(80)) * time.Hour)
	}
	if random.IntN(4) == 0 {
		q.To = start.Add(time.Duration(random.IntN(80)) * time.Hour)
	}
	return q
}

// history follows a query to its end, page by page.
func (f *fixture) history(q delivery.HistoryQuery) (found []delivery.Record) {
	f.Helper()
	for {
		page, err := f.store.Deliveries(f.Context(), q)
		require.NoError(f, err)
		require.LessOrEqual(f, len(page.Deliveries), q.Limit)
		found = append(found, page.Deliveries...)
		switch {
		case page.Stopped != 0:
			q.After = page.Stopped
		case len(page.Deliveries) < q.Limit:
			return found
		default:
			q.After = page.Deliveries[q.Limit-1].ID
		}
	}
}

// wanted is the specification of a query, in plain words.
func wanted(q *delivery.HistoryQuery, r *delivery.Record) bool {
	uri, err := triggers.Default().ParseURI(r.URI)
	return err == nil && (q.EventType == "" || r.Trigger == q.EventType || uri.AnyForm() == q.EventType) &&
		(len(q.States) == 0 || slices.Contains(q.States, r.State)) &&
		(!q.FinishedOnly || r.Tries > 0) &&
		(q.From.IsZero() || !r.CreatedAt.Before(q.From)) &&
		(q.To.IsZero() || r.CreatedAt.Before(q.To))
}

// manyDeliveries are more than one page looks at.
const manyDeliveries = 5000

// many accepts so many deliveries of an event type, and settles them; a state of skipped is not sent.
func (f *fixture) many(w *triggers.Webhook, uri string, n int, state delivery.State) {
	f.Helper()
	planned := delivery.Planned{Webhook: w.Key, Revision: w.Revision, State: delivery.Waiting, Lease: true}
	if state == delivery.Skipped {
		planned = delivery.Planned{Webhook: w.Key, Revision: w.Revision, State: state}
	}
	ids := f.events(slices.Repeat([]string{uri}, n), planned)
	if state == delivery.Skipped {
		return
	}
	settlements := make([]delivery.Settlement, n)
	for i, id := range ids {
		settlements[i] = delivery.Settlement{
			Delivery: id + 1, Tenant: w.Tenant, Webhook: w.Key, Fence: 1, State: state,
			Attempt: &delivery.Attempt{StartedAt: f.clock.Now(), Total: time.Millisecond, StatusCode: 200, Revision: w.Revision},
		}
		if state == delivery.Waiting {
			settlements[i].DueAt = f.clock.Now().Add(time.Hour)
		}
	}
	stale, err := f.store.Settle(f.Context(), settlements)
	require.NoError(f, err)
	require.Zero(f, stale)
}

func testHistoryRare(f *fixture) {
	failed := []delivery.State{delivery.Waiting, delivery.Sending, delivery.Exhausted, delivery.Skipped, delivery.Cancelled}
	succeeded := []delivery.State{delivery.Succeeded}
	const items, users = "/items/a/share", "/users/ann/signIn"
	healthy, dead := f.create(f.webhook("healthy", "/")), f.create(f.webhook("dead", "/"))
	torn, off, late := f.create(f.webhook("torn", "/")), f.create(f.webhook("off", "/")), f.create(f.webhook("late", "/"))
	f.many(healthy, "/groups/a/update", 1, delivery.Exhausted)
	f.many(healthy, items, manyDeliveries, delivery.Succeeded)
	f.many(dead, "/groups/a/update", 1, delivery.Succeeded)
	f.many(dead, items, manyDeliveries, delivery.Exhausted)
	for range 5 { // one kind succeeds, the other fails
		f.many(torn, items, manyDeliveries/5, delivery.Succeeded)
		f.many(torn, users, manyDeliveries/5, delivery.Exhausted)
	}
	f.many(off, items, 1, delivery.Succeeded)
	f.many(off, items, manyDeliveries, delivery.Skipped)
	f.many(late, items, 1, delivery.Succeeded)
	f.many(late, items, manyDeliveries, delivery.Waiting)
	for name, test := range map[string]struct {
		webhook *triggers.Webhook
		query   delivery.HistoryQuery
		found   int
	}{
		"failures of a healthy webhook":             {healthy, delivery.HistoryQuery{States: failed}, 1},
		"finished failures of a healthy webhook":    {healthy, delivery.HistoryQuery{States: failed, FinishedOnly: true}, 1},
		"an event type that was heard once":         {healthy, delivery.HistoryQuery{EventType: "/groups/update"}, 1},
		"an event type that never was":              {healthy, delivery.HistoryQuery{EventType: users}, 0},
		"a common type's failures":                  {healthy, delivery.HistoryQuery{EventType: "/items/share", States: failed}, 0},
		"a rare type's successes":                   {healthy, delivery.HistoryQuery{EventType: "/groups/update", States: succeeded}, 0},
		"successes of a dead webhook":               {dead, delivery.HistoryQuery{States: succeeded, FinishedOnly: true}, 1},
		"a type's successes of a dead webhook":      {dead, delivery.HistoryQuery{EventType: "/items/share", States: succeeded}, 0},
		"failures of the kind that succeeds":        {torn, delivery.HistoryQuery{EventType: "/items/share", States: failed}, 0},
		"successes of the kind that fails":          {torn, delivery.HistoryQuery{EventType: "/users/signin", States: succeeded}, 0},
		"what was tried before it was switched off": {off, delivery.HistoryQuery{FinishedOnly: true}, 1},
		"what failed before it was switched off":    {off, delivery.HistoryQuery{FinishedOnly: true, States: failed}, 0},
		"what succeeded before all waits":           {late, delivery.HistoryQuery{FinishedOnly: true, States: succeeded}, 1},
		"what ended badly before all waits":         {late, delivery.HistoryQuery{FinishedOnly: true, States: failed[2:]}, 0},
	} {
		for _, oldest := range []bool{false, true} {
			q := test.query
			q.Tenant, q.Webhook, q.OldestFirst, q.Limit = f.tenant, test.webhook.Key, oldest, 20
			page, err := f.store.Deliveries(f.Context(), q)
			require.NoError(f, err)
			require.Len(f, page.Deliveries, test.found, "%s, oldest first: %t", name, oldest)
			require.Zero(f, page.Stopped, "%s needs one page, oldest first: %t", name, oldest)
		}
	}
}

// testHistoryMoves follows pages while others arrive and open ones end.
func testHistoryMoves(f *fixture) {
	w := f.create(f.webhook("w", "/"))
	f.many(w, "/items/a/share", 20, delivery.Waiting)
	f.many(w, "/items/a/share", 20, delivery.Exhausted)
	for _, eventType := range []string{"", "/items/share"} {
		q := delivery.HistoryQuery{
			Tenant: f.tenant, Webhook: w.Key, EventType: eventType, FinishedOnly: true, Limit: 7,
			States: []delivery.State{delivery.Waiting, delivery.Sending, delivery.Exhausted},
		}
		q.Limit = 100
		want := idsOf(f.list(q))
		q.Limit = 7
		var got []triggers.ID
		for len(got) < len(want) {
			page := idsOf(f.list(q))
			require.NotEmpty(f, page)
			got = append(got, page...)
			q.After = page[len(page)-1]
			f.many(w, "/items/a/share", 3, delivery.Exhausted)
			f.clock.Advance(time.Hour)
			for _, c := range f.claim() {
				f.settle(c, delivery.Exhausted, 500, time.Second, time.Time{})
			}
		}
		require.Equal(f, want, got)
	}
}
