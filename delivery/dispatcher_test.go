package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/delivery/deliverytest"
	"portalhook/triggers"
)

// named is an event with an identity.
func named(tb testing.TB, uri, eventID, username string) *triggers.Event {
	tb.Helper()
	e, err := triggers.Default().ParseEvent(fmt.Appendf(nil, `{"uri":%q,"eventId":%q,"username":%q,"when":1}`, uri, eventID, username))
	require.NoError(tb, err)
	return e
}

func TestBatchIsAllOrNothing(t *testing.T) {
	w := &wire{answer: always(200)}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", nil)
		incomplete := event(t, "/items/a/share") // without the groups that it was shared to
		_, err := h.Dispatch(context.Background(), h.tenant, []*triggers.Event{event(t, "/items/a/update"), incomplete})
		var field *triggers.FieldError
		require.ErrorAs(t, err, &field)
		require.Equal(t, 1, field.Index)
		require.Equal(t, "MISSING_PROPERTY", field.Code)
		pass(time.Minute)
		require.Empty(t, w.all())
		require.Zero(t, h.queue.Open())
	})
}

func TestReceiptsStandInTheOrderOfTheEvents(t *testing.T) {
	w := &wire{answer: always(200)}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", nil, "/items/update")
		h.subscribe("https://b.example.com/hook", nil, "/items")
		h.subscribe("https://c.example.com/hook", nil, "/users")
		receipts := h.emit(event(t, "/items/a/update"), event(t, "/groups/g/update"), event(t, "/items/a/delete"), event(t, "/users/u/update"))
		matched := make([]int, len(receipts))
		for i := range receipts {
			matched[i] = receipts[i].Matched
			if i > 0 {
				require.Greater(t, receipts[i].ID, receipts[i-1].ID)
			}
		}
		require.Equal(t, []int{2, 0, 1, 1}, matched)
		pass(time.Minute)
		sent := map[string]int{}
		for _, s := range w.all() {
			sent[s.host]++
		}
		require.Equal(t, map[string]int{"a.example.com": 1, "b.example.com": 2, "c.example.com": 1}, sent)
		nothing, err := h.Dispatch(context.Background(), h.tenant, nil)
		require.NoError(t, err)
		require.Empty(t, nothing)
	})
}

// TestCase19DuplicatesAreAnsweredAndNotSent answers an event that comes again as the first time, and sends it once; with other content it is a conflict.
func TestCase19DuplicatesAreAnsweredAndNotSent(t *testing.T) {
	w := &wire{answer: always(200)}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", nil)
		first := h.emit(named(t, "/items/a/update", "e1", "ann"))[0]
		require.False(t, first.Duplicate)
		for range 100 { // more often than there are places in memory
			again := h.emit(named(t, "/items/a/update", "e1", "ann"))[0]
			require.True(t, again.Duplicate)
			require.Equal(t, first.ID, again.ID)
			require.Equal(t, 1, again.Matched)
		}
		_, err := h.Dispatch(context.Background(), h.tenant, []*triggers.Event{
			event(t, "/items/b/update"), named(t, "/items/a/update", "e1", "bob"),
		})
		var conflict *delivery.ConflictError
		require.ErrorAs(t, err, &conflict)
		require.Equal(t, 1, conflict.Index)
		pass(time.Minute)
		require.Len(t, w.all(), 1)
		require.Equal(t, delivery.Succeeded, h.delivered(h.emit(event(t, "/items/c/update"))[0].ID+1, ended).State, "no place was lost")
	})
}

func TestTooManyDeliveries(t *testing.T) {
	w := &wire{answer: always(200)}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		for i := range 60 {
			h.subscribe(fmt.Sprintf("https://r%d.example.com/hook", i), nil)
		}
		batch := make([]*triggers.Event, 834) // 50,040 deliveries
		for i := range batch {
			batch[i] = event(t, "/items/a/update")
		}
		_, err := h.Dispatch(context.Background(), h.tenant, batch)
		require.ErrorIs(t, err, delivery.ErrTooMany)
		require.Zero(t, h.queue.Open())
		require.Empty(t, w.all())
	})
}

// gauge is a store that is as full as it says.
type gauge struct {
	open atomic.Int64
	free atomic.Uint64
}

func (g *gauge) Open() int                  { return int(g.open.Load()) }
func (g *gauge) FreeBytes() (uint64, error) { return g.free.Load(), nil }

func TestOverload(t *testing.T) {
	w := &wire{answer: always(200)}
	g := new(gauge)
	g.free.Store(1 << 40)
	inBubble(t, w, func(c *delivery.Config) { c.Gauge, c.MaxOpen, c.MinFreeBytes = g, 10, 1000 }, func(h *house) {
		t := h.t
		try := func() *delivery.Overload {
			pass(2 * time.Second) // the disk is asked once a second
			_, err := h.Dispatch(context.Background(), h.tenant, []*triggers.Event{event(t, "/items/a/update")})
			if overload, ok := errors.AsType[*delivery.Overload](err); ok {
				require.Positive(t, overload.RetryAfter)
				require.False(t, overload.Unknown)
				return overload
			}
			require.NoError(t, err)
			return nil
		}
		require.Nil(t, try())
		g.open.Store(10)
		require.Equal(t, http.StatusTooManyRequests, try().Status)
		g.open.Store(9)
		require.Nil(t, try())
		g.free.Store(999)
		require.Equal(t, http.StatusServiceUnavailable, try().Status)
		g.free.Store(1000)
		require.Nil(t, try())
		require.NoError(t, h.Shutdown(context.Background()))
		require.Equal(t, http.StatusServiceUnavailable, try().Status)
		_, err := h.Resend(context.Background(), h.tenant, 1)
		var overload *delivery.Overload
		require.ErrorAs(t, err, &overload)
	})
}

// TestNoRoom holds readiness to what commits find, whatever the gauge says.
func TestNoRoom(t *testing.T) {
	inBubble(t, &wire{answer: always(200)}, nil, func(h *house) {
		t := h.t
		ctx := context.Background()
		var full atomic.Bool
		h.queue.Fail = func(string) error {
			if full.Load() {
				return &delivery.CommitError{Full: true, Err: errors.New("no room")}
			}
			return nil
		}
		try := func() error {
			_, err := h.Dispatch(ctx, h.tenant, []*triggers.Event{event(t, "/items/a/update")})
			return err
		}
		require.NoError(t, try())
		require.NoError(t, h.DiskReady(ctx))
		full.Store(true)
		overload, ok := errors.AsType[*delivery.Overload](try())
		require.True(t, ok)
		require.Equal(t, []any{http.StatusServiceUnavailable, 30 * time.Second, true}, []any{overload.Status, overload.RetryAfter, overload.Unknown})
		require.Error(t, h.DiskReady(ctx))
		full.Store(false)
		require.Error(t, h.DiskReady(ctx), "nothing has shown yet that there is room")
		require.NoError(t, try())
		require.NoError(t, h.DiskReady(ctx))

		full.Store(true)
		require.Error(t, try())
		pass(29 * time.Second)
		require.Error(t, h.DiskReady(ctx))
		pass(2 * time.Second)
		require.NoError(t, h.DiskReady(ctx), "it is worth another try")
		require.Error(t, try())
		require.Error(t, h.DiskReady(ctx))
		full.Store(false)
	})
}

// TestManySendersAtOnce counts every event at its receivers, over real sockets.
func TestManySendersAtOnce(t *testing.T) {
	var mu sync.Mutex
	got := map[string]int{}
	target := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		got[r.Header.Get("Webhook-Id")]++
		mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	})
	registry := prometheus.NewPedanticRegistry()
	h := open(t, func(c *delivery.Config) { c.Registerer = registry })
	for range 3 {
		h.subscribe(target, nil)
	}
	const senders, batches, size = 8, 20, 3
	var group sync.WaitGroup
	for range senders {
		group.Go(func() {
			for range batches {
				batch := make([]*triggers.Event, size)
				for i := range batch {
					batch[i] = event(t, "/items/a/update")
				}
				_, err := h.Dispatch(context.Background(), h.tenant, batch)
				require.NoError(t, err)
			}
		})
	}
	group.Wait()
	require.Eventually(t, func() bool { return h.queue.Open() == 0 }, 30*time.Second, time.Millisecond)
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, got, senders*batches*size*3)
	for id, times := range got {
		require.Equal(t, 1, times, id)
	}
	require.Equal(t, map[string]float64{
		"portalhook_events_accepted_total":    senders * batches * size,
		"portalhook_deliveries_planned_total": senders * batches * size * 3,
		"portalhook_attempts_total":           senders * batches * size * 3,
		"portalhook_deliveries_ended_total":   senders * batches * size * 3,
		"portalhook_events_unmatched_total":   0,
		"portalhook_attempts_in_flight":       0,
		"portalhook_deliveries_in_memory":     0,
		"portalhook_breakers_open":            0,
	}, sums(t, registry, "portalhook_events_accepted_total", "portalhook_deliveries_planned_total", "portalhook_attempts_total",
		"portalhook_deliveries_ended_total", "portalhook_events_unmatched_total", "portalhook_attempts_in_flight",
		"portalhook_deliveries_in_memory", "portalhook_breakers_open"))
}

// sums adds up each metric over its labels.
func sums(t *testing.T, registry *prometheus.Registry, names ...string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	all := make(map[string]float64)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			all[family.GetName()] += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	wanted := make(map[string]float64)
	for _, name := range names {
		require.Contains(t, all, name)
		wanted[name] = all[name]
	}
	return wanted
}

func TestRestartGoesOnWhereItStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answer: func(*http.Request, int) (int, http.Header, time.Duration, error) { return 200, nil, hang, nil }}
		queue := deliverytest.NewQueue(time.Now)
		h := reopen(t, queue, func(c *delivery.Config) { c.Transport = w })
		h.subscribe("https://a.example.com/hook", func(w *triggers.Webhook) { w.TimeoutSeconds = 60 })
		var ids []triggers.ID
		for range 50 {
			ids = append(ids, h.emit(event(t, "/items/a/update"))[0].ID+1)
		}
		synctest.Wait()
		require.Len(t, w.all(), 4)

		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, h.Shutdown(ctx), context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(began))
		for _, id := range ids {
			record, err := queue.Delivery(context.Background(), h.tenant, id)
			require.NoError(t, err)
			require.Equal(t, delivery.Waiting, record.State, "every lease was given back")
			require.Zero(t, record.Tries, "and nothing charged")
		}
		require.NoError(t, h.Shutdown(context.Background()), "a second time does nothing")

		w.set(always(200))
		again := reopen(t, queue, func(c *delivery.Config) { c.Transport = w })
		pass(10 * time.Second)
		for _, id := range ids {
			require.Equal(t, delivery.Succeeded, again.delivered(id, ended).State)
		}
	})
}

func TestShutdownLetsAttemptsEnd(t *testing.T) {
	w := &wire{answer: func(*http.Request, int) (int, http.Header, time.Duration, error) {
		return 200, nil, 3 * time.Second, nil
	}}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", nil)
		id := h.emit(event(t, "/items/a/update"))[0].ID + 1
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		began := time.Now()
		require.NoError(t, h.Shutdown(ctx))
		require.Equal(t, 3*time.Second, time.Since(began))
		record, err := h.queue.Delivery(context.Background(), h.tenant, id)
		require.NoError(t, err)
		require.Equal(t, delivery.Succeeded, record.State)
	})
}

func TestShutdownBeforeStart(t *testing.T) {
	queue := deliverytest.NewQueue(time.Now)
	h := open(t, nil)
	d := delivery.New(delivery.Config{Queue: queue, Directory: h.directory})
	require.NoError(t, d.Shutdown(context.Background()))
}

func TestResend(t *testing.T) {
	w := &wire{answer: always(500)}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		ctx := context.Background()
		hook := h.subscribe("https://old.example.com/hook", func(w *triggers.Webhook) { w.Retry.Profile = triggers.RetryOnce })
		id := h.emit(event(t, "/items/a/update"))[0].ID + 1
		pass(time.Minute)
		require.Equal(t, delivery.Exhausted, h.delivered(id, ended).State)

		_, err := h.directory.Update(ctx, h.tenant, hook.ID, func(w *triggers.Webhook) error {
			w.URL, w.Name, w.Enabled = "https://new.example.com/hook", "renamed", false
			return nil
		})
		require.NoError(t, err)
		w.set(always(202))
		record, err := h.Resend(ctx, h.tenant, id)
		require.NoError(t, err)
		require.NotEqual(t, id, record.ID)
		require.Equal(t, delivery.Succeeded, record.State)
		require.Equal(t, 202, record.StatusCode)
		require.Equal(t, "/items/a/update", record.URI)
		require.Len(t, record.Attempts, 1)
		require.NotEqual(t, "renamed", record.Revision.WebhookName, "the bytes are the old ones")
		stored, err := h.queue.Delivery(ctx, h.tenant, record.ID)
		require.NoError(t, err)
		require.Equal(t, delivery.Succeeded, stored.State, "it is recorded when the call returns")
		require.Len(t, w.times("new.example.com", time.Now()), 1)

		_, err = h.Resend(ctx, h.tenant, 12345)
		require.ErrorIs(t, err, triggers.ErrNotFound)
		_, err = h.Resend(ctx, h.tenant+1, id)
		require.ErrorIs(t, err, triggers.ErrNotFound)
		require.NoError(t, h.directory.Delete(ctx, h.tenant, hook.ID))
		_, err = h.Resend(ctx, h.tenant, id)
		require.ErrorIs(t, err, triggers.ErrNotFound)
	})
}

func TestResendThatItsCallerGivesUp(t *testing.T) {
	w := &wire{answer: always(200)}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", nil)
		id := h.emit(event(t, "/items/a/update"))[0].ID + 1
		pass(time.Second)
		w.set(func(*http.Request, int) (int, http.Header, time.Duration, error) { return 200, nil, hang, nil })
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		record, err := h.Resend(ctx, h.tenant, id)
		require.NoError(t, err)
		require.Equal(t, delivery.Waiting, record.State, "it is sent without them")
		w.set(always(200))
		pass(time.Hour)
		require.Equal(t, delivery.Succeeded, h.delivered(record.ID, ended).State)
	})
}
