package delivery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/delivery"
	"portalhook/delivery/deliverytest"
	"portalhook/payload"
	"portalhook/triggers"
)

// witness is a receiver that notes what order it is told things in. Of each thing it knows which deliveries have ended there, and which
// is under way.
type witness struct {
	mu       sync.Mutex
	attempts map[string]int            // by delivery
	under    map[string]map[string]int // by host and thing: deliveries under way
	told     map[string][]string       // by host and thing: deliveries, as they came to succeed
	broken   []string
	most     int
	// fails says how often a delivery to a host fails before it succeeds.
	fails func(host, thing string, nth int) bool
	took  time.Duration
}

func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	var body struct {
		Events []struct{ ID string }
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, err
	}
	name := payload.HeaderID // in the spelling that goes out
	id, place := r.Header[name][0], r.URL.Host+"/"+body.Events[0].ID
	w.mu.Lock()
	w.attempts[id]++
	nth := w.attempts[id]
	if w.under[place] == nil {
		w.under[place] = make(map[string]int)
	}
	w.under[place][id]++
	if len(w.under[place]) > 1 {
		w.broken = append(w.broken, fmt.Sprint("together: ", place, w.under[place]))
	}
	flying := 0
	for _, ids := range w.under {
		flying += len(ids)
	}
	w.most = max(w.most, flying)
	w.mu.Unlock()

	timer := time.NewTimer(w.took)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.under[place], id)
	if err := context.Cause(r.Context()); err != nil {
		return nil, err
	}
	status := http.StatusInternalServerError
	if !w.fails(r.URL.Host, body.Events[0].ID, nth) {
		status = http.StatusOK
		w.told[place] = append(w.told[place], id)
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}, nil
}

// seen looks at what it knows.
func (w *witness) seen(look func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	look()
}

func newWitness() *witness {
	return &witness{
		attempts: make(map[string]int), under: make(map[string]map[string]int), told: make(map[string][]string), took: 20 * time.Millisecond,
	}
}

func quickly(waits ...time.Duration) func(*triggers.Webhook) {
	return func(w *triggers.Webhook) {
		w.Ordered, w.Retry = true, triggers.Retry{Profile: triggers.RetryList, Waits: waits}
	}
}

// What waits for another attempt holds back what is about the same thing, and nothing else; what is given up lets the next pass.
func TestAFailureHoldsBackItsOwnThingOnly(t *testing.T) {
	w := newWitness()
	w.fails = func(_, thing string, nth int) bool { return thing == "a" && nth <= 2 || thing == "c" }
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(config *delivery.Config) { config.Transport = w })
		h.subscribe("https://o.example.com/hook", quickly(0, time.Minute, time.Minute))
		var ids []string
		for _, thing := range []string{"a", "a", "b", "b", "c", "c"} {
			ids = append(ids, (h.emit(event(t, "/items/"+thing+"/update"))[0].ID + 1).Delivery())
		}
		pass(10 * time.Second)
		w.seen(func() {
			require.Equal(t, map[string]int{ids[0]: 1, ids[2]: 1, ids[3]: 1, ids[4]: 1}, w.attempts)
			require.Equal(t, ids[2:4], w.told["o.example.com/b"])
			require.Greater(t, w.most, 1, "different things go together")
		})
		pass(10 * time.Minute)
		w.seen(func() {
			require.Equal(t, map[string]int{ids[0]: 3, ids[1]: 3, ids[2]: 1, ids[3]: 1, ids[4]: 3, ids[5]: 3}, w.attempts)
			require.Equal(t, ids[0:2], w.told["o.example.com/a"])
			require.Empty(t, w.broken)
		})
		require.Zero(t, h.queue.Open())
	})
}

// Whatever fails and whenever the server is started again, each thing's deliveries come in the order of their acceptance, one at a time,
// and all of them.
func TestOrderIsKeptWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWitness()
		failures := rapid.SliceOfN(rapid.IntRange(0, 2), 8, 8).Draw(rt, "failures")
		w.fails = func(_, thing string, nth int) bool { return nth <= failures[len(w.told[thing])%len(failures)] }
		things := rapid.SliceOfN(rapid.SampledFrom([]string{"/items/a/update", "/items/b/update", "/users/bulkEnable"}), 1, 30).Draw(rt, "things")
		restarts := rapid.SliceOfN(rapid.IntRange(0, len(things)), 0, 3).Draw(rt, "restarts")
		synctest.Test(t, func(t *testing.T) {
			queue := deliverytest.NewQueue(time.Now)
			start := func() *house {
				h := reopen(t, queue, func(config *delivery.Config) { config.Transport = w })
				synctest.Wait()
				return h
			}
			h := start()
			h.subscribe("https://o.example.com/hook", quickly(0, time.Second, 3*time.Second))
			h.subscribe("https://free.example.com/hook", func(w *triggers.Webhook) { w.Retry = triggers.Retry{Profile: triggers.RetryOnce} }, "/groups")
			want := make(map[string][]string)
			for i, uri := range things {
				for _, at := range restarts {
					if at == i {
						require.NoError(t, h.Shutdown(context.Background()))
						queue.Restart()
						h = start()
					}
				}
				e := event(t, uri)
				id := h.emit(e)[0].ID + 1
				place := "o.example.com/" + e.URI.ID
				want[place] = append(want[place], id.Delivery())
				pass(time.Duration(i%3) * 10 * time.Millisecond)
			}
			pass(10 * time.Minute)
			w.seen(func() {
				require.Equal(rt, want, w.told)
				require.Empty(rt, w.broken)
			})
		})
	})
}
