package delivery_test

import (
	"context"
	"errors"
	"fmt"
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

var anyFeatures = []string{"/services/*/FeatureServer", "/services/*/*/FeatureServer"}

// every makes a webhook collect for so many seconds.
func every(seconds int) func(*triggers.Webhook) {
	return func(w *triggers.Webhook) {
		w.Schedule = &triggers.Schedule{State: triggers.ScheduleEnabled, Frequency: "second", Interval: seconds}
	}
}

// edit is a change to the features of a service.
func edit(tb testing.TB, service string) *triggers.Event {
	tb.Helper()
	return event(tb, fmt.Sprintf("/services/%s/FeatureServer/FeaturesUpdated", service))
}

// deliveryOf is the delivery that came of an event's first match.
func (h *house) deliveryOf(r delivery.Receipt) *delivery.Record {
	h.t.Helper()
	stored, err := h.queue.Event(context.Background(), h.tenant, r.ID)
	require.NoError(h.t, err)
	require.NotEmpty(h.t, stored.Matches)
	return &stored.Matches[0].Delivery
}

func TestAScheduleMergesWhatAnIntervalBrings(t *testing.T) {
	w := &wire{answer: always(200)}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		began := time.Now()
		h.subscribe("https://a.example.com/hook", every(10), anyFeatures...)
		h.subscribe("https://b.example.com/hook", nil, anyFeatures...)
		var receipts []delivery.Receipt
		services := []string{"City/Water", "Water"}
		for i := range 100 {
			receipts = append(receipts, h.emit(edit(t, services[i%2]))...)
			pass(500 * time.Millisecond)
		}
		pass(10 * time.Second)
		merged := make(map[triggers.ID]int)
		for i, r := range receipts {
			d := h.deliveryOf(r)
			require.Equal(t, delivery.Succeeded, d.State)
			record := h.delivered(d.ID, ended)
			for _, e := range record.Events {
				require.Equal(t, record.Events[0].URI.FolderKey(), e.URI.FolderKey(), "of one service")
			}
			at := slices.IndexFunc(record.Events, func(e payload.Event) bool { return e.ID == receipts[i].ID })
			require.GreaterOrEqual(t, at, 0)
			merged[d.ID] = len(record.Events)
		}
		total := 0
		for _, n := range merged {
			total += n
		}
		require.Equal(t, 100, total, "each event is in one delivery")
		require.Len(t, merged, 10, "five intervals, two services")
		var at []time.Duration
		for _, sent := range w.times("a.example.com", began) {
			at = append(at, sent.Round(time.Second))
		}
		require.Equal(t, []time.Duration{
			10 * time.Second, 10 * time.Second, 20 * time.Second, 20 * time.Second, 30 * time.Second, 30 * time.Second,
			40 * time.Second, 40 * time.Second, 50 * time.Second, 50 * time.Second,
		}, at)
		require.Len(t, w.times("b.example.com", began), 100, "who has no schedule hears of each at once")
	})
}

func TestAScheduleIsForFeatureServicesOnly(t *testing.T) {
	w := &wire{answer: always(200)}
	inBubble(t, w, nil, func(h *house) {
		h.subscribe("https://a.example.com/hook", every(3600)) // such as no surface makes
		h.emit(event(h.t, "/items/a/update"))
		pass(time.Second)
		require.Len(h.t, w.all(), 1)
	})
}

func TestWhatWasCollectedGoesOutAtItsTimeWhateverTheScheduleBecomes(t *testing.T) {
	for name, change := range map[string]func(*triggers.Webhook){
		"no schedule": func(w *triggers.Webhook) { w.Schedule = nil },
		"disabled": func(w *triggers.Webhook) {
			w.Schedule = &triggers.Schedule{State: triggers.ScheduleDisabled, Frequency: "hour", Interval: 1}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := &wire{answer: always(200)}
			inBubble(t, w, nil, func(h *house) {
				t := h.t
				began := time.Now()
				hook := h.subscribe("https://a.example.com/hook", every(10), anyFeatures...)
				collected := h.emit(edit(t, "A"))[0]
				_, err := h.directory.Update(context.Background(), h.tenant, hook.ID, func(w *triggers.Webhook) error { change(w); return nil })
				require.NoError(t, err)
				h.emit(edit(t, "A"))
				pass(time.Minute)
				times := w.times("a.example.com", began)
				require.Len(t, times, 2)
				require.Less(t, times[0], time.Second, "what comes after the change goes at once")
				require.Equal(t, 10*time.Second, times[1].Round(time.Second))
				require.Len(t, h.delivered(h.deliveryOf(collected).ID, ended).Events, 1)
			})
		})
	}
}

func TestWhatWasCollectedWaitsWhileTheWebhookIsOff(t *testing.T) {
	w := &wire{answer: always(200)}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		hook := h.subscribe("https://a.example.com/hook", every(10), anyFeatures...)
		h.emit(edit(t, "A"), edit(t, "A"))
		_, err := h.directory.Update(context.Background(), h.tenant, hook.ID, func(w *triggers.Webhook) error { w.Enabled = false; return nil })
		require.NoError(t, err)
		pass(time.Minute)
		require.Empty(t, w.all())
		h.switchOn(hook)
		pass(time.Second)
		require.Len(t, w.all(), 1)
	})
}

func TestARestartWithinAnIntervalLosesAndDoublesNothing(t *testing.T) {
	w := &wire{answer: always(200)}
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(config *delivery.Config) { config.Transport = w })
		h.subscribe("https://a.example.com/hook", every(10), anyFeatures...)
		first := h.emit(edit(t, "A"))[0]
		pass(time.Second)
		require.NoError(t, h.Shutdown(context.Background()))
		h.queue.Restart()
		h = reopen(t, h.queue, func(config *delivery.Config) { config.Transport = w })
		second := h.emit(edit(t, "A"))[0]
		pass(time.Minute)
		require.Len(t, w.all(), 1)
		require.Equal(t, h.deliveryOf(first).ID, h.deliveryOf(second).ID)
		require.Equal(t, delivery.Succeeded, h.deliveryOf(first).State)
	})
}

func TestAnIntervalThatEndedWhileTheServerWasDownIsClosedAtTheStart(t *testing.T) {
	w := &wire{answer: always(200)}
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(config *delivery.Config) { config.Transport = w })
		h.subscribe("https://a.example.com/hook", every(10), anyFeatures...)
		h.emit(edit(t, "A"))
		require.NoError(t, h.Shutdown(context.Background()))
		pass(time.Hour)
		require.Empty(t, w.all())
		reopen(t, h.queue, func(config *delivery.Config) { config.Transport = w })
		pass(2 * time.Second)
		require.Len(t, w.all(), 1)
	})
}

// slowStore takes its time for what it stores, but for the first.
type slowStore struct {
	*deliverytest.Queue
	calls atomic.Int32
	takes time.Duration
}

func (s *slowStore) Enqueue(ctx context.Context, batch []delivery.Acceptance) ([]delivery.Receipt, error) {
	if s.calls.Add(1) > 1 {
		<-time.After(s.takes)
	}
	return s.Queue.Enqueue(ctx, batch)
}

func TestAnIntervalIsNotClosedBeforeWhatWasPlannedForItIsStored(t *testing.T) {
	w := &wire{answer: always(200)}
	store := new(slowStore)
	inBubble(t, w, func(config *delivery.Config) {
		store.Queue = config.Queue.(*deliverytest.Queue)
		config.Queue = store
	}, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", every(10), anyFeatures...)
		h.emit(edit(t, "A"))
		pass(9 * time.Second)
		store.takes = 5 * time.Second
		late := h.emit(edit(t, "A"))[0]
		pass(time.Second)
		require.Len(t, w.all(), 1, "stored at 14 s, and still in the delivery of 10 s")
		require.Len(t, h.delivered(h.deliveryOf(late).ID, ended).Events, 2)
	})
}

func TestAStoreThatCannotCloseIntervalsIsAskedAgain(t *testing.T) {
	w := &wire{answer: always(200)}
	var broken atomic.Bool
	fail := func(verb string) error {
		if verb == "CloseIntervals" && broken.Load() {
			return errors.New("disk full")
		}
		return nil
	}
	inBubble(t, w, func(c *delivery.Config) { c.Queue.(*deliverytest.Queue).Fail = fail }, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", every(10), anyFeatures...)
		broken.Store(true)
		h.emit(edit(t, "A"))
		pass(time.Minute)
		require.Empty(t, w.all())
		broken.Store(false)
		pass(2 * time.Second)
		require.Len(t, w.all(), 1)
	})
}

// What is collected lasts as long as it was to last when the clock is set, and the next intervals are on the grid of the new date.
func TestAClockThatIsSetMovesIntervals(t *testing.T) {
	for name, step := range map[string]time.Duration{"an hour ahead": time.Hour, "an hour back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{answer: always(200)}
				began := time.Now()
				var offset atomic.Int64
				wall := func() time.Time { return time.Now().Round(0).Add(time.Duration(offset.Load())) }
				h := reopen(t, deliverytest.NewQueue(wall), func(config *delivery.Config) {
					config.Transport = w
					config.Clock = delivery.NewTestClock(wall, func() time.Duration { return time.Since(began) })
				})
				h.subscribe("https://a.example.com/hook", every(20*60), anyFeatures...)
				h.emit(edit(t, "A"))
				pass(time.Minute)
				offset.Store(int64(step))
				pass(5 * time.Second)
				h.emit(edit(t, "A"))
				pass(2 * time.Hour)
				times := w.times("a.example.com", began)
				require.NotEmpty(t, times)
				require.Equal(t, 20*time.Minute, times[0].Round(time.Minute))
				require.Equal(t, 20*time.Minute, times[len(times)-1].Round(time.Minute))
			})
		})
	}
}
