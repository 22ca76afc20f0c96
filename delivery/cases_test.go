package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/delivery/deliverytest"
	"portalhook/payload"
	"portalhook/triggers"
)

// idOf is the id that a request goes out under.
func idOf(r *http.Request) string {
	name := payload.HeaderID // in the spelling that goes out
	return r.Header[name][0]
}

// attempts are how often each delivery was sent, by its id.
func (w *wire) attempts() map[string]int {
	count := make(map[string]int)
	for _, s := range w.all() {
		count[s.id]++
	}
	return count
}

// TestCase16WaitingForARateUsesUpNoTry: what a webhook's rate holds back has had no attempt, and none of its tries is gone.
func TestCase16WaitingForARateUsesUpNoTry(t *testing.T) {
	w := &wire{answer: always(500)}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", func(w *triggers.Webhook) {
			w.RateLimit, w.Retry = 1, triggers.Retry{Profile: triggers.RetryList, Waits: []time.Duration{0, time.Second}}
		})
		var ids []triggers.ID
		for range 10 {
			ids = append(ids, h.emit(event(t, "/items/a/update"))[0].ID+1)
		}
		pass(time.Second)
		for minute := range 20 {
			sent := w.attempts()
			for _, id := range ids {
				record, err := h.queue.Delivery(context.Background(), h.tenant, id)
				require.NoError(t, err)
				require.Equal(t, sent[id.Delivery()], record.Tries, "minute %d", minute)
				require.Len(t, record.Attempts, record.Tries)
			}
			pass(time.Minute)
		}
		pass(10 * time.Minute)
		for _, id := range ids {
			require.Equal(t, 2, h.delivered(id, ended).Tries, "each has both of its tries")
		}
	})
}

// TestCase17ResendBesideARetry: a delivery that is sent again by hand while its retry is due, or under way, keeps one schedule, and nothing is
// sent twice under one id.
func TestCase17ResendBesideARetry(t *testing.T) {
	for name, at := range map[string]time.Duration{
		"before": 5 * time.Second, "at the moment that it is due": 10 * time.Second, "under way": 11 * time.Second, "when it has ended": 30 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			w := &wire{answer: func(*http.Request, int) (int, http.Header, time.Duration, error) {
				return 500, nil, 2 * time.Second, nil
			}}
			inBubble(t, w, nil, func(h *house) {
				t := h.t
				h.subscribe("https://a.example.com/hook", func(w *triggers.Webhook) {
					w.Retry = triggers.Retry{Profile: triggers.RetryList, Waits: []time.Duration{0, 8 * time.Second, 8 * time.Second}}
				})
				id := h.emit(event(t, "/items/a/update"))[0].ID + 1
				pass(at)
				var again [2]*delivery.Record
				done := make(chan error, len(again))
				for i := range again { // two at once, of two people
					go func() {
						var err error
						again[i], err = h.Resend(context.Background(), h.tenant, id)
						done <- err
					}()
				}
				require.NoError(t, <-done)
				require.NoError(t, <-done)
				require.NotEqual(t, again[0].ID, again[1].ID)
				pass(time.Hour)
				want := map[string]int{id.Delivery(): 3, again[0].ID.Delivery(): 3, again[1].ID.Delivery(): 3}
				require.Equal(t, want, w.attempts())
				for _, each := range []triggers.ID{id, again[0].ID, again[1].ID} {
					record := h.delivered(each, ended)
					require.Equal(t, []any{delivery.Exhausted, 3, 3}, []any{record.State, record.Tries, len(record.Attempts)})
				}
			})
		})
	}
}

// TestCase20OutcomeThatIsNotWritten: an end that could not be recorded has its delivery sent again, under the same id, and no other; and a
// sender who repeats an event whose commit was unknown doubles nothing.
func TestCase20OutcomeThatIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answer: byHost(nil)}
		queue := deliverytest.NewQueue(time.Now)
		var broken atomic.Bool
		queue.Fail = func(verb string) error {
			if verb == "Settle" && broken.Load() {
				return errors.New("disk full")
			}
			return nil
		}
		start := func() *house { return reopen(t, queue, func(config *delivery.Config) { config.Transport = w }) }
		h := start()
		h.subscribe("https://quick.example.com/hook", nil)
		h.subscribe("https://slow.example.com/hook", nil)
		w.set(func(r *http.Request, _ int) (int, http.Header, time.Duration, error) {
			if r.URL.Host == "slow.example.com" {
				return 200, nil, 5 * time.Second, nil
			}
			return 200, nil, time.Millisecond, nil
		})
		first := h.emit(named(t, "/items/b/update", "e2", "ann"))[0]
		pass(time.Second) // the quick one is recorded
		broken.Store(true)
		pass(10 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.Error(t, h.Shutdown(ctx))
		queue.Restart()
		broken.Store(false)

		h = start()
		again := h.emit(named(t, "/items/b/update", "e2", "ann"))[0]
		require.True(t, again.Duplicate)
		require.Equal(t, first.ID, again.ID)
		pass(time.Minute)
		count := map[string]int{}
		ids := map[string][]string{}
		for _, s := range w.all() {
			count[s.host]++
			if !slices.Contains(ids[s.host], s.id) {
				ids[s.host] = append(ids[s.host], s.id)
			}
		}
		require.Equal(t, map[string]int{"quick.example.com": 1, "slow.example.com": 2}, count)
		require.Len(t, ids["slow.example.com"], 1, "the same webhook-id")
		for _, id := range []triggers.ID{first.ID + 1, first.ID + 2} {
			require.Equal(t, delivery.Succeeded, h.delivered(id, ended).State)
		}
		require.Zero(t, queue.Open())
	})
}

// TestCase21PoisonGoesAside: what cannot be sent at all, or is never taken, ends after its tries where everybody sees it, with the reason; what
// comes behind it, of its own webhook and in its own line too, goes on.
func TestCase21PoisonGoesAside(t *testing.T) {
	for name, poison := range map[string]struct {
		url    string
		format triggers.Format
		event  string
		tries  int
		reason string
	}{
		"bytes that cannot be built":   {"https://a.example.com/hook", "of-the-future", "/items/poison/update", 2, "format"},
		"a URL that cannot be read":    {"https://a.example.com:x/hook", triggers.FormatAuto, "/items/poison/update", 2, "URL"},
		"a delivery that always fails": {"https://a.example.com/hook", triggers.FormatAuto, "/items/poison/update", 2, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			var poisonous atomic.Value
			poisonous.Store("")
			w := &wire{answer: func(r *http.Request, _ int) (int, http.Header, time.Duration, error) {
				if idOf(r) == poisonous.Load() {
					return 500, nil, 0, nil
				}
				return 200, nil, 0, nil
			}}
			inBubble(t, w, nil, func(h *house) {
				t := h.t
				hook := h.subscribe(poison.url, func(w *triggers.Webhook) {
					w.Format, w.Ordered = poison.format, true
					w.Retry = triggers.Retry{Profile: triggers.RetryList, Waits: []time.Duration{0, 10 * time.Second}}
				}, "/items/poison")
				other := h.subscribe("https://b.example.com/hook", func(w *triggers.Webhook) { w.Ordered = true })
				first := h.emit(event(t, poison.event))[0].ID
				bad := first + 1
				for _, id := range []triggers.ID{first + 1, first + 2} {
					if record := h.delivered(id, func(*delivery.Record) bool { return true }); record.Webhook == hook.Key {
						bad = id
					}
				}
				poisonous.Store(bad.Delivery())
				pass(time.Second)
				_, err := h.directory.Update(context.Background(), h.tenant, hook.ID, func(w *triggers.Webhook) error {
					w.URL, w.Format = "https://a.example.com/hook", triggers.FormatAuto // what comes from now on is well
					return nil
				})
				require.NoError(t, err)
				var later []triggers.ID
				for range 5 {
					receipt := h.emit(event(t, poison.event))[0]
					later = append(later, receipt.ID+1, receipt.ID+2)
				}
				pass(time.Minute)
				record := h.delivered(bad, ended)
				if poison.url == "https://a.example.com:x/hook" { // the next attempt used the present URL, where it is poison all the same
					require.Contains(t, record.Attempts[0].Error, poison.reason)
				} else {
					require.Contains(t, record.Reason, poison.reason)
				}
				require.Equal(t, []any{delivery.Exhausted, poison.tries}, []any{record.State, record.Tries})
				for _, id := range later {
					require.Equal(t, delivery.Succeeded, h.delivered(id, ended).State)
				}
				require.True(t, h.present(hook).Enabled)
				require.True(t, h.present(other).Enabled)
				require.Len(t, w.times("b.example.com", time.Now()), 6)
			})
		})
	}
}

// TestCase22EditingWithPendingWork: every attempt goes to where the webhook points then, with the bytes that the delivery has had from the
// beginning; nothing is sent to the old URL after the change was acknowledged.
func TestCase22EditingWithPendingWork(t *testing.T) {
	w := &wire{answer: byHost(map[string]int{"old.example.com": 500})}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		hook := h.subscribe("https://old.example.com/hook", func(w *triggers.Webhook) {
			w.Retry = triggers.Retry{Profile: triggers.RetryList, Waits: []time.Duration{0, time.Minute, time.Minute}}
		})
		var ids []triggers.ID
		for range 50 {
			ids = append(ids, h.emit(event(t, "/items/a/update"))[0].ID+1)
		}
		pass(30 * time.Second)
		old := len(w.times("old.example.com", time.Now()))
		require.Equal(t, 50, old)
		_, err := h.directory.Update(context.Background(), h.tenant, hook.ID, func(w *triggers.Webhook) error {
			w.URL, w.Name = "https://new.example.com/hook", "renamed"
			return nil
		})
		require.NoError(t, err)
		pass(time.Hour)
		require.Len(t, w.times("old.example.com", time.Now()), old)
		require.Len(t, w.times("new.example.com", time.Now()), 50)
		for _, id := range ids {
			record := h.delivered(id, ended)
			require.Equal(t, []any{delivery.Succeeded, 2, hook.Revision}, []any{record.State, record.Tries, record.Revision.Number})
			require.NotEqual(t, hook.Revision, record.Attempts[1].Revision, "the attempt tells whose URL it used")
		}
	})
}

// TestCase26ClockMoved: a breaker's rest, and what a rate allows, go by time that nobody sets.
func TestCase26ClockMoved(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{answer: func(r *http.Request, nth int) (int, http.Header, time.Duration, error) {
					if r.URL.Host == "sick.example.com" && nth <= 10 {
						return 0, nil, 0, errRefused
					}
					return 200, nil, 0, nil
				}}
				began := time.Now()
				var offset atomic.Int64
				wall := func() time.Time { return time.Now().Round(0).Add(time.Duration(offset.Load())) }
				h := reopen(t, deliverytest.NewQueue(wall), func(config *delivery.Config) {
					config.Transport = w
					config.Clock = delivery.NewTestClock(wall, func() time.Duration { return time.Since(began) })
				})
				h.subscribe("https://sick.example.com/hook", once, "/items/sick")
				h.subscribe("https://limited.example.com/hook", func(w *triggers.Webhook) { w.RateLimit = 60 }, "/items/limited")
				for range 10 {
					h.emit(event(t, "/items/sick/update"))
					pass(time.Millisecond)
				}
				for range 30 {
					h.emit(event(t, "/items/limited/update"))
				}
				pass(10 * time.Second)
				offset.Store(int64(step))
				pass(5 * time.Second)
				limited := len(w.times("limited.example.com", began))
				h.emit(event(t, "/items/sick/update"))
				pass(10 * time.Second)
				require.Len(t, w.times("sick.example.com", began), 10, "it rests for thirty seconds")
				require.InDelta(t, limited+10, len(w.times("limited.example.com", began)), 2)
				pass(10 * time.Second)
				require.Len(t, w.times("sick.example.com", began), 11, "and no longer")
			})
		})
	}
}
