package storage_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/triggers"
)

var historyRows = flag.Int("storage.rows", 200_000, "events of history in BenchmarkTenMillion")

// benchStore is a store with webhooks, on a clock that the benchmark moves.
func benchStore(tb testing.TB, webhooks int, now func() time.Time) (*storage.Store, []*triggers.Webhook, string) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "bench.db")
	store := open(tb, storage.Config{Path: path, Now: now})
	tb.Cleanup(func() { require.NoError(tb, store.Close()) })
	tenant := triggers.Tenant{Name: "default", PortalID: "0123456789ABCDEF", PortalURL: "https://portal.example.com/"}
	require.NoError(tb, store.SaveTenant(tb.Context(), &tenant))
	all, err := triggers.Default().ParseTrigger("/items")
	require.NoError(tb, err)
	made := make([]*triggers.Webhook, webhooks)
	for i := range made {
		made[i] = &triggers.Webhook{
			Tenant: tenant.Key, Name: fmt.Sprintf("webhook %d", i), URL: "https://receiver.example.com/hook", Enabled: true,
			Triggers: []triggers.Trigger{all}, CreatedAt: now(), UpdatedAt: now(),
		}
		copy(made[i].ID[:], fmt.Sprintf("%016d", i))
		require.NoError(tb, store.CreateWebhook(tb.Context(), made[i], delivery.WebhookLimits{}))
	}
	return store, made, path
}

// benchEvent is an event of about 600 bytes for one webhook, leased at once.
func benchEvent(tb testing.TB, w *triggers.Webhook, n int, now time.Time) delivery.Acceptance {
	tb.Helper()
	uri, err := triggers.Default().ParseURI(fmt.Sprintf("/items/%032x/share", n))
	if err != nil {
		tb.Fatal(err)
	}
	body := fmt.Appendf(nil, `{"username":"jdoe","userId":"173dd04b69134bdf99c5000aad0b6298","when":1543192196521,"operation":"share",`+
		`"source":"items","id":"%032x","properties":{"sharedToGroups":["Everyone","a4e6e37e2f7d4bb5b64d587c91d39a2c"],"n":%d,"text":"%0300d"}}`, n, n, n)
	return delivery.Acceptance{
		Tenant: w.Tenant, Event: &triggers.Event{URI: uri, Username: "jdoe", When: 1543192196521, HasWhen: true}, AcceptedAt: now, Body: body,
		Planned: []delivery.Planned{{Webhook: w.Key, Revision: w.Revision, State: delivery.Waiting, Lease: true}},
	}
}

func benchSettlement(w *triggers.Webhook, id triggers.ID, now time.Time) delivery.Settlement {
	return delivery.Settlement{
		Delivery: id, Tenant: w.Tenant, Webhook: w.Key, Fence: 1, State: delivery.Succeeded, Reason: "200 OK",
		Attempt: &delivery.Attempt{
			StartedAt: now, FirstByte: 2 * time.Millisecond, Total: 3 * time.Millisecond, Revision: w.Revision, Outcome: "delivered", StatusCode: 200,
			Signed: [][2]string{
				{"webhook-id", id.Delivery()},
				{"webhook-timestamp", "1543192196"},
				{"webhook-signature", "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="},
				{"x-esriHook-Signature", "sha256=K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="},
			},
			ResponseHeaders: [][2]string{{"Content-Length", "2"}, {"Date", "Sun, 22 Nov 2026 12:00:00 GMT"}},
			ResponseBody:    []byte("ok"),
		},
	}
}

// BenchmarkWriter accepts and settles events as so many callers at once, each on disk before it goes on.
func BenchmarkWriter(b *testing.B) {
	for _, callers := range []int{1, 16, 64, 256} {
		for _, named := range []bool{false, true} {
			name := fmt.Sprintf("callers=%d", callers)
			if named {
				name += "/eventId"
			}
			b.Run(name, func(b *testing.B) {
				store, webhooks, _ := benchStore(b, 1, time.Now)
				events := make([]delivery.Acceptance, b.N)
				now := time.Now()
				for n := range events {
					events[n] = benchEvent(b, webhooks[0], n, now)
					if named {
						events[n].Event.EventID = fmt.Sprintf("%016x", rand.Uint64())
						copy(events[n].Digest[:], events[n].Event.EventID)
					}
				}
				settle := startSettler(b, store, webhooks[0])
				b.ReportAllocs()
				used := processorTime(b)
				b.ResetTimer()
				var group sync.WaitGroup
				for c := range callers {
					group.Go(func() {
						for n := c; n < b.N; n += callers {
							receipts, err := store.Enqueue(context.Background(), events[n:n+1])
							if err != nil {
								b.Error(err)
								return
							}
							settle.ids <- receipts[0].ID + 1
						}
					})
				}
				group.Wait()
				settle.stop()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
				b.ReportMetric(float64((processorTime(b)-used).Microseconds())/float64(b.N), "cpu-µs/event")
			})
		}
	}
}

// processorTime is what the process has used so far; on a machine that others use it says more than the clock.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// settler settles deliveries in batches of what has come up, as the dispatcher does.
type settler struct {
	ids  chan triggers.ID
	done sync.WaitGroup
}

func startSettler(tb testing.TB, store *storage.Store, w *triggers.Webhook) *settler {
	tb.Helper()
	s := &settler{ids: make(chan triggers.ID, 4096)}
	s.done.Go(func() {
		for id := range s.ids {
			batch := []delivery.Settlement{benchSettlement(w, id, time.Now())}
			runtime.Gosched()
			for len(s.ids) > 0 && len(batch) < 512 {
				batch = append(batch, benchSettlement(w, <-s.ids, time.Now()))
			}
			if stale, err := store.Settle(context.Background(), batch); err != nil || stale > 0 {
				tb.Errorf("settle: %d stale, %v", stale, err)
				return
			}
		}
	})
	return s
}

func (s *settler) stop() {
	close(s.ids)
	s.done.Wait()
}

// BenchmarkBatches accepts batches of a hundred events.
func BenchmarkBatches(b *testing.B) {
	store, webhooks, _ := benchStore(b, 1, time.Now)
	batch := make([]delivery.Acceptance, 100)
	b.ResetTimer()
	for n := range b.N {
		for i := range batch {
			batch[i] = benchEvent(b, webhooks[0], n*len(batch)+i, time.Now())
			batch[i].Planned = nil
		}
		if _, err := store.Enqueue(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(batch))/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkTenMillion fills a store with so many events of six days, each delivered, and measures how fast rows are written at the
// start and at the end, how fast they are read then, and what an event costs on disk.
func BenchmarkTenMillion(b *testing.B) {
	for range b.N {
		benchmarkHistory(b, *historyRows)
	}
}

func benchmarkHistory(b *testing.B, events int) {
	b.Helper()
	const webhookCount, days, batchSize = 1000, 6, 500
	clock := time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return clock }
	store, webhooks, path := benchStore(b, webhookCount, now)
	step := days * 24 * time.Hour / time.Duration(events/batchSize)
	ids := make([]triggers.ID, 0, events)
	random := rand.New(rand.NewPCG(1, 2))
	tenth, used := time.Now(), processorTime(b)
	for n := 0; n < events; n += batchSize {
		batch := make([]delivery.Acceptance, batchSize)
		for i := range batch {
			batch[i] = benchEvent(b, webhooks[random.IntN(webhookCount)], n+i, now())
			batch[i].Event.EventID = fmt.Sprintf("%012x-%016x", now().UnixMilli(), random.Uint64()) // as UUIDs of version 7
			copy(batch[i].Digest[:], batch[i].Event.EventID)
		}
		receipts, err := store.Enqueue(b.Context(), batch)
		require.NoError(b, err)
		settlements := make([]delivery.Settlement, batchSize)
		for i, receipt := range receipts {
			ids = append(ids, receipt.ID)
			w := webhooks[batch[i].Planned[0].Webhook-1]
			settlements[i] = benchSettlement(w, receipt.ID+1, now())
		}
		_, err = store.Settle(b.Context(), settlements)
		require.NoError(b, err)
		mu.Lock()
		clock = clock.Add(step)
		mu.Unlock()
		if done := n + batchSize; done%(events/10) < batchSize {
			b.Logf("%9d events: %6.0f/s, %5.1f µs of processor time each", done, float64(events/10)/time.Since(tenth).Seconds(),
				float64((processorTime(b)-used).Microseconds())/float64(events/10))
			tenth, used = time.Now(), processorTime(b)
		}
	}
	size := int64(0)
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(path + suffix); err == nil {
			size += info.Size()
		}
	}
	b.ReportMetric(float64(size)/float64(events), "B/event")
	timed := func(name string, times int, read func() error) {
		start := time.Now()
		for range times {
			require.NoError(b, read())
		}
		b.ReportMetric(float64(time.Since(start).Microseconds())/float64(times), name)
	}
	tenant := webhooks[0].Tenant
	timed("event-µs", 1000, func() error {
		_, err := store.Event(b.Context(), tenant, ids[random.IntN(len(ids))])
		return err
	})
	timed("delivery-µs", 1000, func() error {
		_, err := store.Delivery(b.Context(), tenant, ids[random.IntN(len(ids))]+1)
		return err
	})
	page := func(q delivery.HistoryQuery) error {
		q.Tenant, q.Webhook, q.Limit = tenant, webhooks[random.IntN(webhookCount)].Key, 20
		found, err := store.Deliveries(b.Context(), q)
		if err == nil && q.EventType == "" && len(q.States) == 0 && len(found.Deliveries) == 0 {
			err = fmt.Errorf("empty page")
		}
		return err
	}
	timed("first-page-µs", 100, func() error { return page(delivery.HistoryQuery{}) })
	timed("deep-page-µs", 100, func() error { return page(delivery.HistoryQuery{After: ids[random.IntN(len(ids)/2)+len(ids)/2]}) })
	timed("rare-type-page-µs", 10, func() error { return page(delivery.HistoryQuery{EventType: "/users/signin"}) })
	timed("common-type-page-µs", 100, func() error { return page(delivery.HistoryQuery{EventType: "/items/share"}) })
	timed("failed-page-µs", 100, func() error {
		return page(delivery.HistoryQuery{States: []delivery.State{delivery.Waiting, delivery.Sending, delivery.Exhausted}, FinishedOnly: true})
	})
	timed("webhook-page-µs", 100, func() error {
		_, err := store.Webhooks(b.Context(), delivery.WebhookQuery{Tenant: tenant, Name: "9", Sort: delivery.SortName, Limit: 20})
		return err
	})
	slowest, stop := slowestEnqueue(b, store, webhooks[0], now)
	start := time.Now()
	require.NoError(b, store.Retain(b.Context(), time.Date(2026, 11, 18, 0, 0, 0, 0, time.UTC)))
	b.ReportMetric(time.Since(start).Seconds(), "retain-2-days-s")
	stop()
	b.ReportMetric(float64(slowest().Milliseconds()), "slowest-enqueue-ms")
}

// slowestEnqueue accepts events one after another until it is stopped.
func slowestEnqueue(b *testing.B, store *storage.Store, w *triggers.Webhook, now func() time.Time) (slowest func() time.Duration, stop func()) {
	b.Helper()
	quit := make(chan struct{})
	var longest time.Duration
	var done sync.WaitGroup
	done.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-quit:
				return
			default:
			}
			start := time.Now()
			if _, err := store.Enqueue(context.Background(), []delivery.Acceptance{benchEvent(b, w, n, now())}); err != nil {
				b.Error(err)
				return
			}
			longest = max(longest, time.Since(start))
		}
	})
	return func() time.Duration { return longest }, func() { close(quit); done.Wait() }
}
