package delivery_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/delivery/deliverytest"
	"portalhook/triggers"
)

// In no minute is more sent than the limit and what two seconds of it let gather: not while a receiver hangs, not when it is well again,
// and not by retries.
func TestRateLimitIsKept(t *testing.T) {
	var sick atomic.Bool
	for name, test := range map[string]struct {
		limit int
		sick  script
	}{
		"well":        {60, always(200)},
		"hangs":       {60, func(*http.Request, int) (int, http.Header, time.Duration, error) { return 200, nil, hang, nil }},
		"fails":       {60, always(500)},
		"many a time": {6000, func(*http.Request, int) (int, http.Header, time.Duration, error) { return 200, nil, hang, nil }},
		"few a time":  {2, always(500)},
	} {
		t.Run(name, func(t *testing.T) {
			sick.Store(true)
			w := &wire{answer: func(r *http.Request, nth int) (int, http.Header, time.Duration, error) {
				if sick.Load() {
					return test.sick(r, nth)
				}
				return 200, nil, time.Millisecond, nil
			}}
			inBubble(t, w, nil, func(h *house) {
				t := h.t
				h.subscribe("https://a.example.com/hook", func(w *triggers.Webhook) {
					w.RateLimit = test.limit
					w.Retry = triggers.Retry{Profile: triggers.RetryList, Waits: []time.Duration{0, time.Second, time.Second, time.Second}}
				})
				began := time.Now()
				for range 100 {
					h.emit(event(t, "/items/a/update"), event(t, "/items/a/update"))
					pass(500 * time.Millisecond)
				}
				pass(10 * time.Second)
				sick.Store(false)
				pass(5 * time.Minute)
				times := w.times("a.example.com", began)
				require.NotEmpty(t, times)
				most := test.limit + 2*max(test.limit/60, 1)
				for first, last := 0, 0; last < len(times); last++ {
					for times[last]-times[first] >= time.Minute {
						first++
					}
					require.LessOrEqual(t, last-first+1, most, "in the minute before %s", times[last])
				}
				if test.limit >= 60 {
					require.Zero(t, h.queue.Open(), "all of it has been sent")
				}
			})
		})
	}
}

// sharedQueue is one that other nodes claim of, too: it says of what was accepted how much was to be leased at once.
type sharedQueue struct {
	*deliverytest.Queue

	nodes, leased atomic.Int32
}

func (q *sharedQueue) Nodes() int { return int(q.nodes.Load()) }

func (q *sharedQueue) Enqueue(ctx context.Context, batch []delivery.Acceptance) ([]delivery.Receipt, error) {
	for i := range batch {
		for k := range batch[i].Planned {
			if batch[i].Planned[k].Lease {
				q.leased.Add(1)
			}
		}
	}
	return q.Queue.Enqueue(ctx, batch)
}

// Where several nodes share a store, a webhook with a rate is left to Claim, which knows what the others have sent; and of a webhook's share each
// node takes its part.
func TestRateIsLeftToTheStore(t *testing.T) {
	hanging := func(*http.Request, int) (int, http.Header, time.Duration, error) { return 200, nil, time.Second, nil }
	w := &wire{answer: hanging}
	shared := new(sharedQueue)
	shared.nodes.Store(4)
	inBubble(t, w, func(c *delivery.Config) {
		shared.Queue = c.Queue.(*deliverytest.Queue)
		c.Queue = shared
	}, func(h *house) {
		h.subscribe("https://limited.example.com/hook", func(w *triggers.Webhook) { w.RateLimit = 1 }, "/users")
		h.subscribe("https://free.example.com/hook", nil, "/items")
		h.emit(event(h.t, "/users/jdoe/update"))
		pass(10 * time.Millisecond)
		require.Zero(t, shared.leased.Load())
		pass(2 * time.Second)
		require.Zero(t, h.queue.Open(), "it was claimed, and sent")
		for range 20 {
			h.emit(event(h.t, "/items/a/update"))
		}
		pass(500 * time.Millisecond)
		require.Len(t, w.times("free.example.com", time.Time{}), 1, "a fourth of four")
		shared.nodes.Store(1)
		pass(time.Minute)
		require.Zero(t, h.queue.Open())
	})
}
