package storagetest

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// ledger is what happened, one entry for each thing: the naive specification of every counter.
type ledger []happened

type happened struct {
	at      time.Time
	tenant  uint32
	webhook uint32 // of attempts
	counts  delivery.TenantHour
	last    delivery.LastAttempt
}

func attemptOf(state delivery.State, took time.Duration) (c delivery.TenantHour) {
	c.Attempts, c.Took = 1, took
	switch state {
	case delivery.Succeeded:
		c.Succeeded = 1
	case delivery.Exhausted:
		c.Exhausted, c.Failed = 1, 1
	case delivery.Waiting, delivery.Sending, delivery.Skipped, delivery.Cancelled:
		c.Failed = 1
	}
	for class, high := range delivery.LatencyBounds {
		if took <= high {
			c.Latency[class] = 1
			return c
		}
	}
	c.Latency[len(delivery.LatencyBounds)] = 1
	return c
}

// hours adds up what a tenant's entries come to, hour by hour.
func (l ledger) hours(tenant uint32, from, to time.Time) (list []delivery.TenantHour) {
	for hour := from.Truncate(time.Hour); hour.Before(to); hour = hour.Add(time.Hour) {
		sum := delivery.TenantHour{HourCounts: delivery.HourCounts{Hour: hour}}
		found := false
		for i := range l {
			if l[i].tenant == tenant && l[i].at.Truncate(time.Hour).Equal(hour) {
				found = true
				sum.Add(&l[i].counts)
			}
		}
		if found {
			list = append(list, sum)
		}
	}
	return list
}

// total adds up a webhook's attempts, without their latencies.
func (l ledger) total(webhook uint32, from, to time.Time) (sum delivery.HourCounts) {
	for i := range l {
		if l[i].webhook == webhook && !l[i].at.Truncate(time.Hour).Before(from.Truncate(time.Hour)) && l[i].at.Before(to) {
			sum.Add(&l[i].counts.HourCounts)
		}
	}
	sum.Latency = delivery.HourCounts{}.Latency
	return sum
}

func (l ledger) last(webhook uint32) (last *delivery.LastAttempt) {
	for i := range l {
		if l[i].webhook == webhook && (last == nil || !l[i].last.At.Before(last.At)) {
			last = &l[i].last
		}
	}
	return last
}

// testOverview lets two tenants live for two days and holds every counter to the ledger of what happened.
func testOverview(f *fixture) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same story every time
	first := f.tenant
	other := f.newTenant("other")
	var hooks []*triggers.Webhook
	for i := range 6 {
		f.tenant = []uint32{first, other}[i%2]
		hooks = append(hooks, f.create(f.webhook("w", "/items")))
	}
	var log ledger
	begin := f.clock.Now()
	open := map[triggers.ID]uint32{} // deliveries by tenant
	for step := range 400 {
		f.clock.Advance(time.Duration(random.IntN(15*60)) * time.Second)
		now := f.clock.Now()
		w := hooks[random.IntN(len(hooks))]
		f.tenant = w.Tenant
		switch random.IntN(8) {
		case 0:
			f.acceptPlanned()
			log = append(log, happened{at: now, tenant: w.Tenant, counts: delivery.TenantHour{Events: 1, Unmatched: 1}})
		case 1:
			f.acceptPlanned(delivery.Planned{Webhook: w.Key, Revision: w.Revision, State: delivery.Skipped})
			log = append(log, happened{at: now, tenant: w.Tenant, counts: delivery.TenantHour{Events: 1, Planned: 1, Skipped: 1}})
		case 2:
			claimed := f.claim()
			for _, c := range claimed {
				took := []time.Duration{time.Millisecond, 3 * time.Millisecond, time.Second, time.Minute}[random.IntN(4)]
				state := []delivery.State{delivery.Succeeded, delivery.Exhausted, delivery.Waiting}[random.IntN(3)]
				due := time.Time{}
				if state == delivery.Waiting {
					due = now.Add(time.Hour)
				} else {
					delete(open, c.ID)
				}
				f.settle(c, state, 200+len(log)%7, took, due)
				log = append(log, happened{
					at: now.Add(took), tenant: c.Tenant, webhook: c.Webhook, counts: attemptOf(state, took),
					last: delivery.LastAttempt{Delivery: c.ID, At: now.Add(took), State: state, StatusCode: 200 + len(log)%7},
				})
			}
		case 3:
			if step%5 == 0 {
				f.store = f.reopen()
			}
		default:
			id := f.accept(w, 0) + 1
			open[id] = w.Tenant
			log = append(log, happened{at: now, tenant: w.Tenant, counts: delivery.TenantHour{Events: 1, Planned: 1}})
		}
	}
	f.claim() // some are being sent
	end := f.clock.Now().Add(time.Minute)
	for _, tenant := range []uint32{first, other} {
		for _, span := range [][2]time.Time{{begin, end}, {begin.Add(90 * time.Minute), end.Add(-5 * time.Hour)}, {end, end}} {
			got, err := f.store.TenantHours(f.Context(), tenant, span[0], span[1])
			require.NoError(f, err)
			require.Equal(f, log.hours(tenant, span[0], span[1]), got)
		}
		f.requireOpen(tenant, open)
		f.requireTotals(tenant, hooks, log, end.Add(-24*time.Hour).Truncate(time.Hour), end)
	}
	f.requireSummaries(hooks, log, end)
	f.cancelled(hooks, open)
}

func (f *fixture) requireOpen(tenant uint32, open map[triggers.ID]uint32) {
	f.Helper()
	var want delivery.OpenWork
	oldest := triggers.ID(0)
	for id, owner := range open {
		if owner != tenant {
			continue
		}
		if oldest == 0 || id < oldest {
			oldest = id
		}
		f.tenant = tenant
		if f.delivery(id).State == delivery.Sending {
			want.Sending++
		} else {
			want.Waiting++
		}
	}
	if oldest != 0 {
		want.Oldest = oldest.Time()
	}
	for range 2 { // the second look begins where the first one ended
		got, err := f.store.OpenWork(f.Context(), tenant)
		require.NoError(f, err)
		require.Equal(f, want, got)
	}
}

func (f *fixture) requireTotals(tenant uint32, hooks []*triggers.Webhook, log ledger, from, to time.Time) {
	f.Helper()
	var want []delivery.WebhookTotal
	for _, w := range hooks {
		if sum := log.total(w.Key, from, to); w.Tenant == tenant && sum.Attempts > 0 {
			want = append(want, delivery.WebhookTotal{Webhook: w.Key, HourCounts: sum})
		}
	}
	got, err := f.store.WebhookTotals(f.Context(), tenant, from, to)
	require.NoError(f, err)
	require.NotEmpty(f, got)
	require.Equal(f, want, got)
}

func (f *fixture) requireSummaries(hooks []*triggers.Webhook, log ledger, end time.Time) {
	f.Helper()
	keys := []uint32{1_000_000} // one that is not there
	for _, w := range slices.Backward(hooks) {
		keys = append(keys, w.Key)
	}
	since := end.Add(-24 * time.Hour).Truncate(time.Hour)
	for _, keys := range [][]uint32{keys, keys[1:], keys[3:4]} {
		got, err := f.store.Summaries(f.Context(), keys, since, end)
		require.NoError(f, err)
		require.Len(f, got, len(keys))
		for i, key := range keys {
			require.Equal(f, delivery.WebhookSummary{Webhook: key, Counts: log.total(key, since, end), Last: log.last(key)}, got[i])
		}
	}
	got, err := f.store.Summaries(f.Context(), nil, since, end)
	require.NoError(f, err)
	require.Empty(f, got)
}

// cancelled deletes the first tenant's webhooks: what waits for them is counted as cancelled, and open no more.
func (f *fixture) cancelled(hooks []*triggers.Webhook, open map[triggers.ID]uint32) {
	f.Helper()
	f.store = f.reopen() // nothing is being sent
	tenant, waiting := hooks[0].Tenant, int64(0)
	for _, owner := range open {
		if owner == tenant {
			waiting++
		}
	}
	require.Positive(f, waiting)
	for _, w := range hooks {
		if w.Tenant == tenant {
			require.NoError(f, f.store.DeleteWebhook(f.Context(), tenant, w.ID))
		}
	}
	got, err := f.store.OpenWork(f.Context(), tenant)
	require.NoError(f, err)
	require.Zero(f, got)
	hours, err := f.store.TenantHours(f.Context(), tenant, f.clock.Now(), f.clock.Now().Add(time.Hour))
	require.NoError(f, err)
	sum := int64(0)
	for i := range hours {
		sum += hours[i].Cancelled
	}
	require.Equal(f, waiting, sum)
}
