package storagetest

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// story makes deliveries to a webhook over three days: one of each state a day, and one of another trigger.
func (f *fixture) story(w *triggers.Webhook) (ids []triggers.ID) {
	f.Helper()
	for day := range uint8(3) {
		for _, state := range []delivery.State{delivery.Succeeded, delivery.Exhausted, delivery.Cancelled, delivery.Waiting, delivery.Sending} {
			id := f.accept(w, day%2) + 1
			ids = append(ids, id)
			f.clock.Advance(time.Minute)
			switch c := f.claimOne(); state {
			case delivery.Sending, delivery.Skipped:
			case delivery.Waiting:
				f.settle(c, state, 503, time.Second, f.clock.Now().Add(1000*time.Hour))
			case delivery.Cancelled:
				_, err := f.store.Settle(f.Context(), []delivery.Settlement{{Delivery: c.ID, Fence: c.Fence, State: state}})
				require.NoError(f, err)
			case delivery.Succeeded, delivery.Exhausted:
				f.settle(c, state, 200, time.Second, time.Time{})
			}
		}
		ids = append(ids, f.acceptPlanned(delivery.Planned{Webhook: w.Key, Revision: w.Revision, Trigger: 1, State: delivery.Skipped})+1)
		f.clock.Advance(24 * time.Hour)
	}
	return ids
}

func (f *fixture) list(q delivery.HistoryQuery) []delivery.Record {
	f.Helper()
	page, err := f.store.Deliveries(f.Context(), q)
	require.NoError(f, err)
	require.Zero(f, page.Stopped)
	return page.Deliveries
}

func idsOf(list []delivery.Record) []triggers.ID {
	ids := make([]triggers.ID, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	return ids
}

func testHistoryPages(f *fixture) {
	w, other := f.create(f.webhook("w", "/items", "/items/share")), f.create(f.webhook("other", "/items", "/users"))
	f.story(other)
	ids := f.story(w)
	newest := slices.Clone(ids)
	slices.Reverse(newest)
	whole := f.list(delivery.HistoryQuery{Tenant: f.tenant, Webhook: w.Key, Limit: 100})
	require.Equal(f, newest, idsOf(whole))
	for i := range whole {
		record := f.delivery(whole[i].ID)
		require.Equal(f, record.URI, whole[i].URI)
		record.Revision, record.BuiltAt, record.Events, record.Attempts = whole[i].Revision, time.Time{}, nil, nil
		require.Equal(f, *record, whole[i], "a list says the same as one delivery")
	}
	for _, oldest := range []bool{false, true} {
		for limit := 1; limit < 8; limit++ {
			var got []triggers.ID
			q := delivery.HistoryQuery{Tenant: f.tenant, Webhook: w.Key, OldestFirst: oldest, Limit: limit}
			for {
				page := idsOf(f.list(q))
				if len(page) == 0 {
					break
				}
				require.LessOrEqual(f, len(page), limit)
				got = append(got, page...)
				q.After = page[len(page)-1]
			}
			if oldest {
				slices.Reverse(got)
			}
			require.Equal(f, newest, got, "limit %d, oldest first: %t", limit, oldest)
		}
	}
	require.Empty(f, f.list(delivery.HistoryQuery{Tenant: f.newTenant("foreign"), Webhook: w.Key, Limit: 100}))
}

func testHourly(f *fixture) {
	w := f.create(f.webhook("w", "/items"))
	noon := f.clock.Now()
	run := func(state delivery.State, took time.Duration) {
		f.accept(w, 0)
		f.settle(f.claimOne(), state, 200, took, noon.Add(1000*time.Hour))
	}
	run(delivery.Succeeded, time.Millisecond)
	run(delivery.Succeeded, 3*time.Millisecond)
	run(delivery.Waiting, time.Minute)
	f.store = f.reopen()
	run(delivery.Exhausted, 30*time.Second)
	f.clock.Advance(59*time.Minute + 59*time.Second)
	run(delivery.Succeeded, 2*time.Second) // ends in the next hour
	f.clock.Advance(2 * time.Hour)
	f.acceptPlanned(delivery.Planned{Webhook: w.Key, Revision: w.Revision, State: delivery.Skipped})

	first := delivery.HourCounts{Hour: noon, Attempts: 4, Succeeded: 2, Failed: 2, Exhausted: 1, Took: 90*time.Second + 4*time.Millisecond}
	first.Latency[0], first.Latency[2], first.Latency[len(first.Latency)-2], first.Latency[len(first.Latency)-1] = 1, 1, 1, 1
	second := delivery.HourCounts{Hour: noon.Add(time.Hour), Attempts: 1, Succeeded: 1, Took: 2 * time.Second}
	second.Latency[10] = 1
	hourly := func(tenant uint32, from, to time.Time) []delivery.HourCounts {
		counts, err := f.store.Hourly(f.Context(), tenant, w.Key, from, to)
		require.NoError(f, err)
		return counts
	}
	require.Equal(f, []delivery.HourCounts{first, second}, hourly(f.tenant, noon.Add(-24*time.Hour), noon.Add(24*time.Hour)))
	require.Equal(f, []delivery.HourCounts{second}, hourly(f.tenant, noon.Add(time.Hour), noon.Add(2*time.Hour)))
	require.Equal(f, []delivery.HourCounts{first}, hourly(f.tenant, noon.Add(30*time.Minute), noon.Add(time.Hour)))
	require.Empty(f, hourly(f.tenant, noon, noon))
	require.Empty(f, hourly(f.newTenant("other"), noon.Add(-24*time.Hour), noon.Add(24*time.Hour)))
}
