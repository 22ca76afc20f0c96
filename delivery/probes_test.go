package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
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

// probing is policied by one failure, and asks for probes.
func probing(w *triggers.Webhook) {
	policied(1)(w)
	w.Probe = true
}

func (h *house) health(w *triggers.Webhook) delivery.Health {
	h.t.Helper()
	found, err := h.queue.Health(context.Background(), w.Key)
	require.NoError(h.t, err)
	return found[w.Key]
}

// TestProbesSwitchOn goes the whole way: off, probed at growing intervals, on when a probe is answered well, and told of.
func TestProbesSwitchOn(t *testing.T) {
	w := &wire{answer: always(500)}
	inLedger(t, w, func(h *house, l *ledger) {
		t := h.t
		hook := h.subscribe("https://a.example.com/hook", probing)
		h.fail()
		off := h.present(hook)
		require.Equal(t, "FAILURES", off.DisabledReasonCode)
		held := h.emit(event(t, "/items/b/update"))[0].ID + 1
		require.Equal(t, delivery.Probing{NextAt: off.DisabledAt.UTC().Add(5 * time.Minute)}, h.health(hook).Probe, "planned at once, and seen")

		pass(48 * time.Hour)
		sent := w.times("a.example.com", off.DisabledAt)[1:] // the first was the delivery
		var waits []time.Duration
		for i, at := range sent {
			if i == 0 {
				waits = append(waits, at.Round(time.Minute))
				continue
			}
			waits = append(waits, (at - sent[i-1]).Round(time.Minute))
		}
		minutes := func(n int) time.Duration { return time.Duration(n) * time.Minute }
		require.Equal(t, []time.Duration{minutes(5), minutes(10), minutes(20), minutes(40), minutes(80), minutes(160), minutes(320), minutes(360), minutes(360)}, waits[:9])
		require.Equal(t, 6*time.Hour, slices.Max(waits))
		p := h.health(hook).Probe
		require.Equal(t, []any{len(sent), delivery.Rejected, 500, "500 Internal Server Error"}, []any{p.Tries, p.Outcome, p.StatusCode, p.Reason})
		require.True(t, p.NextAt.After(time.Now()))
		require.WithinDuration(t, off.DisabledAt.Add(sent[len(sent)-1]), p.At, time.Second)

		told := len(l.own())
		w.set(always(204))
		pass(6 * time.Hour)
		on := h.present(hook)
		require.True(t, on.Enabled)
		require.Empty(t, on.DisabledReason)
		require.Equal(t, "a probe was answered 204 No Content", on.EnabledReason)
		require.WithinDuration(t, time.Now(), on.EnabledAt, 6*time.Hour)
		require.Zero(t, h.health(hook), "it begins anew")
		require.Len(t, l.own(), told+1)
		enable := l.own()[told]
		require.Equal(t, uriOf(hook, "enable"), enable.URI.String())
		require.Equal(t, on.EnabledAt.UnixMilli(), enable.When)
		require.JSONEq(t, fmt.Sprintf(`{"webhookId":%q,"webhookName":%q,
			"disabledReason":%q,"disabledReasonCode":"FAILURES","disabledAt":%q,"enabledReason":"a probe was answered 204 No Content"}`,
			hook.ID, hook.Name, off.DisabledReason, off.DisabledAt.UTC().Format("2006-01-02T15:04:05.000Z")), string(enable.Properties))
		require.Equal(t, delivery.Skipped, h.delivered(held, ended).State)
		sends := len(w.all())
		pass(24 * time.Hour)
		require.Len(t, w.all(), sends, "one that is on is not probed")

		h.switchOff(hook)
		require.Empty(t, h.present(hook).EnabledReason)
	})
}

// TestProbesAreTests: what goes out is what the action test sends, signed, to where the webhook points now; it is in no history.
func TestProbesAreTests(t *testing.T) {
	bodies := make(map[string]string)
	var mu sync.Mutex
	var sick atomic.Bool
	sick.Store(true)
	w := &wire{answer: func(r *http.Request, _ int) (int, http.Header, time.Duration, error) {
		mu.Lock()
		defer mu.Unlock()
		body := new(strings.Builder)
		if r.Body != nil {
			buf := make([]byte, 1<<16)
			n, _ := r.Body.Read(buf)
			body.Write(buf[:n])
		}
		esri, standard := payload.HeaderEsri, payload.HeaderSignature
		bodies[idOf(r)] = r.URL.Path + " " + body.String() + fmt.Sprint(len(r.Header[esri]), len(r.Header[standard]))
		if sick.Load() {
			return 500, nil, 0, nil
		}
		return 200, nil, 0, nil
	}}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		hook := h.subscribe("https://a.example.com/hook", probing, "/items/share", "/items/update")
		h.fail()
		require.False(t, h.present(hook).Enabled)
		clear(bodies)
		_, err := h.directory.Update(context.Background(), h.tenant, hook.ID, func(w *triggers.Webhook) error {
			w.URL = "https://a.example.com/new"
			return nil
		})
		require.NoError(t, err)
		open := h.queue.Open()
		sick.Store(false)
		pass(5*time.Minute - 500*time.Millisecond)
		sample, err := delivery.SampleFor(triggers.Default(), &hook.Triggers[0])
		require.NoError(t, err)
		// A test in the same second as the probe says the same, but for the moment.
		trial, err := h.Test(context.Background(), h.tenant, hook.ID, sample)
		require.NoError(t, err)
		pass(2 * time.Second)
		require.True(t, h.present(hook).Enabled)
		mu.Lock()
		defer mu.Unlock()
		require.Len(t, bodies, 2)
		var shapes []string
		for id, body := range bodies {
			require.True(t, strings.HasPrefix(id, "test_"), id)
			require.True(t, strings.HasPrefix(body, "/new {"))
			require.True(t, strings.HasSuffix(body, "1 1"), "signed")
			shapes = append(shapes, strings.Map(func(r rune) rune {
				if r >= '0' && r <= '9' {
					return -1
				}
				return r
			}, body))
		}
		require.Equal(t, shapes[0], shapes[1])
		require.Contains(t, bodies, trial.ID)
		require.Equal(t, open, h.queue.Open(), "no delivery was made")
	})
}

// Who is probed: one that asks for it and is off by a rule. 410 ends it, trouble of our own does not lengthen the wait, Retry-After is honoured.
func TestWhoIsProbed(t *testing.T) {
	w := &wire{answer: byHost(map[string]int{"gone.example.com": 410})}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		off := func(host, code string, change func(*triggers.Webhook)) *triggers.Webhook {
			return h.subscribe("https://"+host+".example.com/hook", func(w *triggers.Webhook) {
				w.Probe, w.Enabled, w.DisabledReasonCode, w.DisabledReason, w.DisabledAt = true, false, code, "why", time.Now()
				if change != nil {
					change(w)
				}
			})
		}
		failures, failing := off("failures", "FAILURES", nil), off("failing", "FAILING", nil)
		ends := off("gone", "FAILING", nil)
		others := []*triggers.Webhook{
			off("was-gone", "GONE", nil), off("filter", "FILTER", nil), off("secrets", "SECRETS_FORGOTTEN", nil),
			off("by-hand", "", nil), off("not-asked", "FAILURES", func(w *triggers.Webhook) { w.Probe = false }),
			off("nothing", "FAILURES", func(w *triggers.Webhook) { w.Triggers = nil }),
		}
		limited, ours := off("limited", "FAILURES", nil), off("ours", "FAILURES", nil)
		w.set(func(r *http.Request, _ int) (int, http.Header, time.Duration, error) {
			switch r.URL.Host {
			case "gone.example.com":
				return 410, nil, 0, nil
			case "limited.example.com":
				return 429, http.Header{"Retry-After": {"7200"}}, 0, nil
			case "ours.example.com":
				return 0, nil, 0, errOurs
			}
			return 200, nil, 0, nil
		})
		pass(time.Hour)
		for _, on := range []*triggers.Webhook{failures, failing} {
			require.True(t, h.present(on).Enabled)
		}
		began := time.Now().Add(-time.Hour)
		require.Len(t, w.times("gone.example.com", began), 1)
		p := h.health(ends).Probe
		require.Equal(t, []any{delivery.Gone, 410, true}, []any{p.Outcome, p.StatusCode, p.NextAt.IsZero()})
		for _, other := range others {
			require.False(t, h.present(other).Enabled, other.URL)
			require.Zero(t, h.health(other).Probe, other.URL)
		}
		require.Len(t, w.times("limited.example.com", began), 1)
		require.WithinDuration(t, time.Now().Add(65*time.Minute), h.health(limited).Probe.NextAt, 5*time.Second)
		require.Zero(t, h.health(ours).Probe.Tries)
		require.Equal(t, delivery.Infrastructure, h.health(ours).Probe.Outcome)
		require.GreaterOrEqual(t, len(w.times("ours.example.com", began)), 10)
		hosts := map[string]bool{}
		for _, s := range w.all() {
			hosts[s.host] = true
		}
		require.Len(t, hosts, 5)
		pass(24 * time.Hour)
		require.Len(t, w.times("gone.example.com", began), 1, "410 ends it")

		// Whoever asks for probes later is probed then.
		_, err := h.directory.Update(context.Background(), h.tenant, others[4].ID, func(w *triggers.Webhook) error {
			w.Probe = true
			return nil
		})
		require.NoError(t, err)
		synctest.Wait()
		require.True(t, h.present(others[4]).Enabled)
	})
}

// errOurs is a resolver of ours that does not answer.
var errOurs = &net.DNSError{Err: "i/o timeout", IsTimeout: true}

// TestProbesAreFewAtOnce: receivers that hang do not hold each other up for long, and no more than a few are asked together, each by one probe.
func TestProbesAreFewAtOnce(t *testing.T) {
	const hooks = 10
	var mu sync.Mutex
	running, most := map[string]int{}, 0
	w := &wire{answer: func(*http.Request, int) (int, http.Header, time.Duration, error) {
		return 200, nil, 10 * time.Second, nil
	}}
	inBubble(t, w, func(c *delivery.Config) {
		c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			running[r.URL.Host]++
			most = max(most, len(running))
			double := running[r.URL.Host] > 1
			mu.Unlock()
			if double {
				return nil, errors.New("two at once")
			}
			answer, err := w.RoundTrip(r)
			mu.Lock()
			delete(running, r.URL.Host)
			mu.Unlock()
			return answer, err
		})
	}, func(h *house) {
		for i := range hooks {
			h.subscribe(fmt.Sprintf("https://h%d.example.com/hook", i), func(w *triggers.Webhook) {
				w.Probe, w.Enabled, w.DisabledReasonCode, w.DisabledReason, w.DisabledAt = true, false, "FAILURES", "why", time.Now()
			})
		}
		pass(6 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		require.Equal(h.t, 4, most)
		require.Len(h.t, w.all(), hooks)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestProbesOutliveRestarts: the schedule is in the store, and a process that ends in the middle of a probe does not repeat it at each start.
func TestProbesOutliveRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answer: always(500)}
		queue := deliverytest.NewQueue(time.Now)
		start := func() *house {
			h := reopen(t, queue, func(config *delivery.Config) { config.Transport = w })
			synctest.Wait()
			return h
		}
		h := start()
		hook := h.subscribe("https://a.example.com/hook", probing)
		h.fail()
		began := h.present(hook).DisabledAt
		for range 100 {
			require.NoError(t, h.Shutdown(context.Background()))
			queue.Restart()
			h = start()
			pass(time.Minute)
		}
		var at []time.Duration
		for _, s := range w.times("a.example.com", began)[1:] {
			at = append(at, s.Round(time.Minute))
		}
		require.Equal(t, []time.Duration{5 * time.Minute, 15 * time.Minute, 35 * time.Minute, 75 * time.Minute}, at)

		w.set(func(*http.Request, int) (int, http.Header, time.Duration, error) {
			return 200, nil, 14 * time.Second, nil
		})
		next := h.health(hook).Probe.NextAt
		for range 20 { // each ends in the middle of what it sends
			pass(max(time.Until(next), 0) + time.Second)
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			require.Error(t, h.Shutdown(ctx))
			queue.Restart()
			h = start()
			require.False(t, h.present(hook).Enabled)
			after := h.health(hook).Probe.NextAt
			require.Greater(t, after.Sub(next), time.Hour, "what has begun is not begun again at once")
			next = after
		}
		pass(12 * time.Hour)
		require.True(t, h.present(hook).Enabled)
	})
}

// TestProbesOfWhatIsChanged: somebody who changes a webhook while it is probed wins.
func TestProbesOfWhatIsChanged(t *testing.T) {
	for name, change := range map[string]func(*triggers.Webhook){
		"another URL":     func(w *triggers.Webhook) { w.URL = "https://b.example.com/hook" },
		"another secret":  func(w *triggers.Webhook) { w.Secret = triggers.NewSecret("another secret of thirty-two chars") },
		"probes no more":  func(w *triggers.Webhook) { w.Probe = false },
		"off by hand now": func(w *triggers.Webhook) { w.DisabledReason, w.DisabledReasonCode, w.DisabledAt = "", "", time.Time{} },
	} {
		t.Run(name, func(t *testing.T) {
			w := &wire{answer: always(500)}
			inBubble(t, w, nil, func(h *house) {
				hook := h.subscribe("https://a.example.com/hook", probing)
				h.fail()
				w.set(func(*http.Request, int) (int, http.Header, time.Duration, error) {
					return 200, nil, 10 * time.Second, nil
				})
				pass(5*time.Minute + 5*time.Second)
				_, err := h.directory.Update(context.Background(), h.tenant, hook.ID, func(w *triggers.Webhook) error {
					change(w)
					return nil
				})
				require.NoError(h.t, err)
				pass(20 * time.Second)
				require.False(h.t, h.present(hook).Enabled)
			})
		})
	}
}
