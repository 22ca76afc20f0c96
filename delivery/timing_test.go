package delivery_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/delivery/deliverytest"
	"portalhook/payload"
	"portalhook/triggers"
)

// script answers the nth request to a host.
type script func(r *http.Request, nth int) (status int, header http.Header, took time.Duration, err error)

// wire is a RoundTripper that answers by host from a script, without a socket, so that time can be made to pass.
type wire struct {
	mu     sync.Mutex
	sent   []shot
	answer script
	flying int
	most   int // at once
}

type shot struct {
	host, id string
	at       time.Time
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	name := payload.HeaderID // in the spelling that goes out
	w.sent = append(w.sent, shot{r.URL.Host, r.Header[name][0], time.Now()})
	nth := 0
	for _, s := range w.sent {
		if s.host == r.URL.Host {
			nth++
		}
	}
	answer := w.answer
	w.flying++
	w.most = max(w.most, w.flying)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.flying--
		w.mu.Unlock()
	}()

	status, header, took, err := answer(r, nth)
	timer := time.NewTimer(took)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
	if err != nil {
		return nil, err
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("")), ContentLength: 0}, nil
}

// set changes the script.
func (w *wire) set(answer script) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = answer
}

// all are the requests so far.
func (w *wire) all() []shot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent)
}

// peak is how many requests were under way at once, at most.
func (w *wire) peak() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most
}

// times are when requests were sent to a host, since began.
func (w *wire) times(host string, began time.Time) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []time.Duration
	for _, s := range w.sent {
		if s.host == host {
			all = append(all, s.at.Sub(began))
		}
	}
	return all
}

func always(status int) script {
	return func(*http.Request, int) (int, http.Header, time.Duration, error) {
		return status, nil, time.Millisecond, nil
	}
}

const hang = 24 * time.Hour

var errRefused = &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}

// inBubble runs a test in which time passes only when all wait. The dispatcher is shut down at its end.
func inBubble(t *testing.T, w *wire, adjust func(*delivery.Config), test func(*house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(config *delivery.Config) {
			config.Transport = w
			if adjust != nil {
				adjust(config)
			}
		})
		synctest.Wait() // it has looked at what the store held
		test(h)
	})
}

// pass lets time go by until all has happened that is to happen in it.
func pass(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

// TestCase14StandardScheduleKeepsItsTimes sees the attempts of the standard schedule made at its times.
func TestCase14StandardScheduleKeepsItsTimes(t *testing.T) {
	w := &wire{answer: always(500)}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", nil)
		began := time.Now()
		id := h.emit(event(t, "/items/a/update"))[0].ID + 1
		pass(100 * time.Hour)
		want, at := []time.Duration{0}, time.Duration(0)
		for _, wait := range []time.Duration{
			5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour,
			20 * time.Hour, 24 * time.Hour,
		} {
			at += wait
			want = append(want, at)
		}
		got := w.times("a.example.com", began)
		require.Len(t, got, len(want))
		for i := range want {
			require.GreaterOrEqual(t, got[i], want[i], "attempt %d", i+1)
			require.Less(t, got[i], want[i]+time.Duration(i)*20*time.Millisecond+time.Millisecond, "attempt %d", i+1)
		}
		record := h.delivered(id, ended)
		require.Equal(t, delivery.Exhausted, record.State)
		require.Equal(t, 10, record.Tries)
		require.Len(t, record.Attempts, 10)
	})
}

// TestCase15RetryAfterIsHonoured sees nothing sent to a receiver before the time that it asks for.
func TestCase15RetryAfterIsHonoured(t *testing.T) {
	w := &wire{answer: func(_ *http.Request, nth int) (int, http.Header, time.Duration, error) {
		if nth == 1 {
			return 503, http.Header{"Retry-After": {"600"}}, 0, nil
		}
		return 200, nil, 0, nil
	}}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", nil)
		began := time.Now()
		h.emit(event(t, "/items/a/update"))
		pass(time.Minute)
		later := h.emit(event(t, "/items/b/update"))[0].ID + 1
		pass(time.Hour)
		times := w.times("a.example.com", began)
		require.Len(t, times, 3)
		for _, at := range times[1:] {
			require.GreaterOrEqual(t, at, 10*time.Minute, "nothing is sent to who asked to be left alone")
			require.Less(t, at, 10*time.Minute+2*time.Second)
		}
		require.Equal(t, delivery.Succeeded, h.delivered(later, ended).State)
	})
}

func TestPortalProfile(t *testing.T) {
	w := &wire{answer: func(*http.Request, int) (int, http.Header, time.Duration, error) { return 200, nil, hang, nil }}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", func(w *triggers.Webhook) { w.Retry.Profile = triggers.RetryPortal })
		began := time.Now()
		id := h.emit(event(t, "/items/a/update"))[0].ID + 1
		pass(time.Hour)
		require.Equal(t, []time.Duration{0, 15 * time.Second, 30 * time.Second}, roundedTimes(w, "a.example.com", began))
		record := h.delivered(id, ended)
		require.Equal(t, delivery.Exhausted, record.State)
		require.Equal(t, delivery.TimedOut, record.Attempts[0].Outcome)
		require.Equal(t, 10*time.Second, record.Attempts[0].Total)
	})
}

// TestPortalSettingsAreReadAtEachAttempt changes them while a delivery is being tried, and again.
func TestPortalSettingsAreReadAtEachAttempt(t *testing.T) {
	w := &wire{answer: func(*http.Request, int) (int, http.Header, time.Duration, error) { return 200, nil, hang, nil }}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", func(w *triggers.Webhook) { w.Retry.Profile = triggers.RetryPortal })
		h.subscribe("https://b.example.com/hook", func(w *triggers.Webhook) { w.Retry.Profile = triggers.RetryOnce })
		set := func(settings triggers.PortalSettings) {
			tenant := h.directory.Tenant(h.tenant)
			tenant.Settings = settings
			require.NoError(t, h.directory.SaveTenant(t.Context(), &tenant))
		}
		began := time.Now()
		id := h.emit(event(t, "/items/a/update"))[0].ID + 1
		pass(11 * time.Second) // the first attempt has taken 10 s, the second is due 5 s later
		set(triggers.PortalSettings{Attempts: 5, TimeoutSeconds: 1, PauseSeconds: 100})
		pass(150 * time.Second) // the second took 1 s, the third came 100 s later, with up to a fifth of jitter
		set(triggers.PortalSettings{Attempts: 0, TimeoutSeconds: 1, PauseSeconds: 1})
		pass(time.Hour)
		times := roundedTimes(w, "a.example.com", began)
		require.Len(t, times, 4, "the one that was due already is still made")
		require.Equal(t, []time.Duration{0, 15 * time.Second}, times[:2])
		require.GreaterOrEqual(t, times[2], 116*time.Second)
		record := h.delivered(id, ended)
		require.Equal(t, delivery.Exhausted, record.State)
		require.Equal(t, time.Second, record.Attempts[1].Total)
		require.Len(t, w.times("b.example.com", began), 1, "it is nothing to others")

		// No attempts means one, and no time means the default.
		set(triggers.PortalSettings{Attempts: 0, TimeoutSeconds: 0, PauseSeconds: 1})
		id = h.emit(event(t, "/items/a/update"))[0].ID + 1
		pass(time.Hour)
		record = h.delivered(id, ended)
		require.Len(t, record.Attempts, 1)
		require.Equal(t, 10*time.Second, record.Attempts[0].Total)
	})
}

func roundedTimes(w *wire, host string, began time.Time) []time.Duration {
	times := w.times(host, began)
	for i := range times {
		times[i] = times[i].Truncate(time.Second)
	}
	return times
}

func TestListWithAFirstWait(t *testing.T) {
	w := &wire{answer: always(500)}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", func(w *triggers.Webhook) {
			w.Retry = triggers.Retry{Profile: triggers.RetryList, Waits: []time.Duration{30 * time.Second, 0, time.Minute}}
		})
		began := time.Now()
		h.emit(event(t, "/items/a/update"))
		pass(time.Hour)
		times := w.times("a.example.com", began)
		require.Len(t, times, 3)
		require.GreaterOrEqual(t, times[0], 30*time.Second)
		require.Less(t, times[1], 32*time.Second)
		require.GreaterOrEqual(t, times[2], times[1]+time.Minute)
	})
}

// TestSickReceiversDoNotDelayAHealthyOne has most hosts hang, fail or refuse, with work for all of them.
func TestSickReceiversDoNotDelayAHealthyOne(t *testing.T) {
	w := &wire{answer: func(r *http.Request, _ int) (int, http.Header, time.Duration, error) {
		switch {
		case strings.HasPrefix(r.URL.Host, "well"):
			return 200, nil, 10 * time.Millisecond, nil
		case strings.HasPrefix(r.URL.Host, "hang"):
			return 200, nil, hang, nil
		case strings.HasPrefix(r.URL.Host, "refuse"):
			return 0, nil, time.Millisecond, errRefused
		}
		return 500, nil, 50 * time.Millisecond, nil
	}}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		for i := range 20 {
			h.subscribe("https://hang"+string(rune('A'+i))+".example.com/hook", nil)
			h.subscribe("https://refuse"+string(rune('A'+i))+".example.com/hook", nil)
			h.subscribe("https://fail"+string(rune('A'+i))+".example.com/hook", nil)
		}
		well := h.subscribe("https://well.example.com/hook", nil)
		for minute := range 5 {
			var batch []*triggers.Event
			for range 20 {
				batch = append(batch, event(t, "/items/a/update"))
			}
			began := time.Now()
			h.emit(batch...)
			pass(time.Minute)
			got := 0
			worst := time.Duration(0)
			for _, at := range w.times("well.example.com", began) {
				if at >= 0 {
					got++
					worst = max(worst, at)
				}
			}
			require.Equal(t, 20, got, "minute %d", minute)
			require.Less(t, worst, time.Second, "minute %d", minute)
		}
		require.Equal(t, delivery.Succeeded, h.delivered(lastOf(h, well), ended).State)
	})
}

// lastOf is the newest delivery of a webhook.
func lastOf(h *house, w *triggers.Webhook) triggers.ID {
	t := h.t
	t.Helper()
	t.Helper()
	receipt := h.emit(event(t, "/items/z/update"))[0]
	pass(time.Second)
	record, err := h.queue.Event(context.Background(), h.tenant, receipt.ID)
	require.NoError(t, err)
	for _, m := range record.Matches {
		if m.WebhookID == w.ID {
			return m.Delivery.ID
		}
	}
	t.Fatal("no delivery")
	return 0
}

func TestBreakerRestsAHostAndChargesNothing(t *testing.T) {
	w := &wire{answer: func(_ *http.Request, nth int) (int, http.Header, time.Duration, error) {
		if nth <= 12 {
			return 0, nil, time.Millisecond, errRefused
		}
		return 200, nil, time.Millisecond, nil
	}}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", nil)
		began := time.Now()
		var ids []triggers.ID
		for range 20 {
			ids = append(ids, h.emit(event(t, "/items/a/update"))[0].ID+1)
			pass(10 * time.Millisecond)
		}
		pass(25 * time.Second)
		open := len(w.times("a.example.com", began))
		require.LessOrEqual(t, open, 13, "it rests after ten failures and what was under way")
		pass(time.Hour)
		for _, id := range ids {
			record := h.delivered(id, ended)
			require.Equal(t, delivery.Succeeded, record.State)
			require.LessOrEqual(t, record.Tries, 4)
		}
	})
}

func TestOrderedWebhookHasOneAtATime(t *testing.T) {
	w := &wire{answer: func(*http.Request, int) (int, http.Header, time.Duration, error) {
		return 200, nil, 20 * time.Millisecond, nil
	}}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", func(w *triggers.Webhook) { w.Ordered = true })
		var want []string
		for range 30 {
			want = append(want, (h.emit(event(t, "/items/a/update"))[0].ID + 1).Delivery())
		}
		pass(time.Minute)
		require.Equal(t, 1, w.peak())
		var got []string
		for _, s := range w.all() {
			got = append(got, s.id)
		}
		require.Equal(t, want, got)
	})
}

func TestConcurrencyRisesAndFalls(t *testing.T) {
	var sick atomic.Bool
	w := &wire{answer: func(*http.Request, int) (int, http.Header, time.Duration, error) {
		if sick.Load() {
			return 500, nil, 10 * time.Millisecond, nil
		}
		return 200, nil, 10 * time.Millisecond, nil
	}}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", func(w *triggers.Webhook) { w.Retry.Profile = triggers.RetryOnce })
		emit := func() {
			var batch []*triggers.Event
			for range 1000 {
				batch = append(batch, event(t, "/items/a/update"))
			}
			h.emit(batch...)
		}
		emit()
		synctest.Wait()
		require.Equal(t, 4, w.peak(), "it begins with four")
		pass(time.Minute)
		require.Equal(t, 64, w.peak())
		require.Len(t, w.all(), 1000)
		sick.Store(true)
		emit()
		pass(time.Second)
		w.mu.Lock()
		w.most = 0
		w.mu.Unlock()
		pass(5 * time.Second)
		require.Equal(t, 1, w.peak())
	})
}

func TestGoneSwitchesTheWebhookOff(t *testing.T) {
	w := &wire{answer: always(410)}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		hook := h.subscribe("https://a.example.com/hook", nil)
		id := h.emit(event(t, "/items/a/update"))[0].ID + 1
		synctest.Wait()
		pass(time.Second)
		require.Equal(t, delivery.Exhausted, h.delivered(id, ended).State)
		off := h.directory.Get(hook.Key)
		require.False(t, off.Enabled)
		require.Equal(t, "GONE", off.DisabledReasonCode)
		require.NotEmpty(t, off.DisabledReason)
		require.False(t, off.DisabledAt.IsZero())

		skipped := h.emit(event(t, "/items/a/update"))[0]
		require.Equal(t, 1, skipped.Matched)
		require.Equal(t, delivery.Skipped, h.delivered(skipped.ID+1, ended).State)
		require.Len(t, w.all(), 1)

		w.set(always(200))
		on, err := h.directory.Update(context.Background(), h.tenant, hook.ID, func(w *triggers.Webhook) error {
			w.Enabled = true
			return nil
		})
		require.NoError(t, err)
		require.Empty(t, on.DisabledReasonCode)
		require.Equal(t, delivery.Succeeded, h.delivered(h.emit(event(t, "/items/a/update"))[0].ID+1, ended).State)
	})
}

func TestSwitchedOffByHandHoldsWhatWaits(t *testing.T) {
	w := &wire{answer: always(500)}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		hook := h.subscribe("https://a.example.com/hook", nil)
		id := h.emit(event(t, "/items/a/update"))[0].ID + 1
		pass(time.Second)
		set := func(on bool) {
			_, err := h.directory.Update(context.Background(), h.tenant, hook.ID, func(w *triggers.Webhook) error {
				w.Enabled = on
				return nil
			})
			require.NoError(t, err)
		}
		set(false)
		require.Zero(t, h.emit(event(t, "/items/a/update"))[0].Matched, "nothing new while it is off")
		pass(time.Hour)
		require.Len(t, w.all(), 1)
		record := h.delivered(id, func(*delivery.Record) bool { return true })
		require.Equal(t, delivery.Waiting, record.State)
		w.set(always(200))
		set(true)
		pass(100 * time.Millisecond)
		require.Equal(t, delivery.Succeeded, h.delivered(id, ended).State, "it goes on at once")
	})
}

// TestCase22DeletingCancelsWhatWaits: what waits for a webhook that is deleted is cancelled, and what is under way ends.
func TestCase22DeletingCancelsWhatWaits(t *testing.T) {
	w := &wire{answer: func(*http.Request, int) (int, http.Header, time.Duration, error) { return 200, nil, time.Second, nil }}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		hook := h.subscribe("https://a.example.com/hook", nil)
		var ids []triggers.ID
		for range 100 {
			ids = append(ids, h.emit(event(t, "/items/a/update"))[0].ID+1)
		}
		synctest.Wait()
		require.NoError(t, h.directory.Delete(context.Background(), h.tenant, hook.ID))
		require.ErrorIs(t, h.directory.Delete(context.Background(), h.tenant, hook.ID), triggers.ErrNotFound)
		require.Zero(t, h.emit(event(t, "/items/a/update"))[0].Matched)
		pass(time.Minute)
		states := map[delivery.State]int{}
		for _, id := range ids {
			states[h.delivered(id, ended).State]++
		}
		require.Equal(t, map[delivery.State]int{delivery.Succeeded: 4, delivery.Cancelled: 96}, states, "what was under way ends")
		require.Len(t, w.all(), 4)
	})
}

// The wall clock of the queue and the dispatcher is set while time passes as ever.
func TestAClockThatIsSetMovesWhatIsDue(t *testing.T) {
	for name, step := range map[string]time.Duration{"an hour ahead": time.Hour, "an hour back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{answer: always(500)}
				began := time.Now()
				var offset atomic.Int64
				wall := func() time.Time { return time.Now().Round(0).Add(time.Duration(offset.Load())) }
				queue := &shifting{Queue: deliverytest.NewQueue(wall)}
				h := reopen(t, queue.Queue, func(config *delivery.Config) {
					config.Transport, config.Queue = w, queue
					config.Clock = delivery.NewTestClock(wall, func() time.Duration { return time.Since(began) })
				})
				h.subscribe("https://a.example.com/hook", func(w *triggers.Webhook) {
					w.Retry = triggers.Retry{Profile: triggers.RetryList, Waits: []time.Duration{0, 10 * time.Minute, 10 * time.Minute}}
				})
				h.emit(event(t, "/items/a/update"))
				pass(time.Minute)
				offset.Store(int64(step))
				pass(5 * time.Second)
				require.Equal(t, []time.Duration{step}, queue.shifts, "what waits is moved along, once")
			})
		})
	}
}

// shifting is a queue that is told of steps.
type shifting struct {
	*deliverytest.Queue
	shifts []time.Duration
}

func (s *shifting) ShiftDue(_ context.Context, by time.Duration) error {
	s.shifts = append(s.shifts, by)
	return nil
}

func TestAStoreThatFailsStopsNothingForGood(t *testing.T) {
	w := &wire{answer: always(200)}
	var broken atomic.Value
	broken.Store("")
	fail := func(verb string) error {
		if verb == broken.Load() {
			return errors.New("disk full")
		}
		return nil
	}
	inBubble(t, w, func(c *delivery.Config) { c.Queue.(*deliverytest.Queue).Fail = fail }, func(h *house) {
		t := h.t
		h.subscribe("https://a.example.com/hook", nil)
		broken.Store("Enqueue")
		_, err := h.Dispatch(context.Background(), h.tenant, []*triggers.Event{event(t, "/items/a/update")})
		var overload *delivery.Overload
		require.ErrorAs(t, err, &overload)
		require.Equal(t, http.StatusServiceUnavailable, overload.Status)
		require.True(t, overload.Unknown)
		require.Positive(t, overload.RetryAfter)

		broken.Store("Settle")
		id := h.emit(event(t, "/items/a/update"))[0].ID + 1
		pass(10 * time.Second)
		require.Len(t, w.all(), 1, "it is sent once, however often it cannot be recorded")
		broken.Store("Claim")
		pass(10 * time.Second)
		require.Equal(t, delivery.Succeeded, h.delivered(id, ended).State)
		for range 100 {
			h.emit(event(t, "/items/a/update"))
		}
		pass(10 * time.Second)
		broken.Store("")
		pass(10 * time.Second)
		require.Len(t, w.all(), 101)
		require.Zero(t, h.queue.Open())
	})
}
