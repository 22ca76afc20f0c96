package delivery_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/delivery/deliverytest"
	"portalhook/triggers"
)

// policied makes attempts once, and sets a policy of so many failures in a day.
func policied(failures int) func(*triggers.Webhook) {
	return func(w *triggers.Webhook) {
		once(w)
		w.Deactivation = &triggers.DeactivationPolicy{NumberOfFailures: failures, DaysInPast: 1}
	}
}

func (h *house) present(w *triggers.Webhook) *triggers.Webhook { return h.directory.Get(w.Key) }

func (h *house) switchOn(w *triggers.Webhook) {
	h.t.Helper()
	_, err := h.directory.Update(context.Background(), h.tenant, w.ID, func(w *triggers.Webhook) error {
		w.Enabled = true
		return nil
	})
	require.NoError(h.t, err)
}

func (h *house) switchOff(w *triggers.Webhook) {
	h.t.Helper()
	_, err := h.directory.Update(context.Background(), h.tenant, w.ID, func(w *triggers.Webhook) error {
		w.Enabled = false
		return nil
	})
	require.NoError(h.t, err)
}

// leap is time that has passed without anybody waiting for it, a poll of the store apart: days of it cost nothing.
type leap struct{ passed atomic.Int64 }

func (l *leap) now() time.Time { return time.Now().Round(0).Add(time.Duration(l.passed.Load())) }

func (l *leap) pass(d time.Duration) {
	const poll = 2 * time.Second
	l.passed.Add(int64(d - poll))
	pass(poll)
}

// inLeaps runs a test in a bubble in which days may pass.
func inLeaps(t *testing.T, w *wire, test func(*house, *ledger, *leap)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l, began := new(leap), time.Now()
		queue := deliverytest.NewQueue(l.now)
		kept := &ledger{Queue: queue}
		h := reopen(t, queue, func(config *delivery.Config) {
			config.Transport, config.Queue = w, kept
			config.Clock = delivery.NewTestClock(l.now, func() time.Duration { return time.Since(began) + time.Duration(l.passed.Load()) })
		})
		synctest.Wait()
		test(h, kept, l)
	})
}

// fail emits an event whose delivery fails, and waits for what comes of it.
func (h *house) fail() triggers.ID {
	h.t.Helper()
	id := h.emit(event(h.t, "/items/a/update"))[0].ID + 1
	pass(10 * time.Millisecond)
	return id
}

// TestCase24RepeatedFailureSwitchesOff: too many deliveries within the days of the policy switch the webhook off; sporadic ones do not.
func TestCase24RepeatedFailureSwitchesOff(t *testing.T) {
	w := &wire{answer: always(500)}
	inLeaps(t, w, func(h *house, l *ledger, days *leap) {
		t := h.t
		hook := h.subscribe("https://a.example.com/hook", policied(2))
		h.fail()
		days.pass(24 * time.Hour)
		h.fail()
		require.True(t, h.present(hook).Enabled, "a day apart")
		days.pass(23 * time.Hour)
		h.fail()
		off := h.present(hook)
		require.False(t, off.Enabled)
		require.Equal(t, "FAILURES", off.DisabledReasonCode)
		require.Contains(t, off.DisabledReason, "2 deliveries ran out of attempts within 1 day, between ")
		require.WithinDuration(t, days.now(), off.DisabledAt, time.Second)
		require.Equal(t, uriOf(hook, "disable"), l.uris()[3])

		skipped := h.emit(event(t, "/items/a/update"))[0]
		require.Equal(t, delivery.Skipped, h.delivered(skipped.ID+1, ended).State)
		require.Len(t, w.all(), 3)

		h.switchOn(hook)
		synctest.Wait()
		on := h.present(hook)
		require.Empty(t, on.DisabledReason)
		require.Empty(t, on.DisabledReasonCode)
		require.True(t, on.DisabledAt.IsZero())
		require.Equal(t, uriOf(hook, "enable"), l.uris()[4])
		h.fail()
		require.True(t, h.present(hook).Enabled, "the window has begun anew")
		h.fail()
		require.False(t, h.present(hook).Enabled)
	})
}

// TestServicesGoByTheirSettings: attempts for a webhook of a service, and what switches it off, are the tenant's settings of services, as they
// are when it fails.
func TestServicesGoByTheirSettings(t *testing.T) {
	w := &wire{answer: always(500)}
	inLeaps(t, w, func(h *house, _ *ledger, days *leap) {
		t := h.t
		set := func(attempts, failures int) {
			tenant := h.directory.Tenant(h.tenant)
			tenant.ServiceSettings = triggers.ServiceSettings{
				Attempts: attempts, TimeoutSeconds: 5, PauseSeconds: 3, DeactivationPolicy: triggers.DeactivationPolicy{NumberOfFailures: failures, DaysInPast: 2},
			}
			require.NoError(t, h.directory.SaveTenant(context.Background(), &tenant))
		}
		portal := func(w *triggers.Webhook) { w.Retry = triggers.Retry{Profile: triggers.RetryPortal} }
		set(2, 3)
		service := h.subscribe("https://a.example.com/hook", portal, "/services/roads/FeatureServer/FeaturesCreated")
		both := h.subscribe("https://b.example.com/hook", portal, "/services/roads/FeatureServer/FeaturesCreated", "/items/none")
		fail := func() {
			h.emit(event(t, "/services/roads/FeatureServer/FeaturesCreated"))
			days.pass(time.Minute)
			pass(30 * time.Second)
		}
		fail()
		require.Len(t, w.all(), 2+3, "the organisation's settings still say three")
		set(1, 3)
		fail()
		require.Len(t, w.all(), 5+1+3)
		require.True(t, h.present(service).Enabled)
		set(1, 2)
		require.True(t, h.present(service).Enabled, "only a failure is judged")
		fail()
		off := h.present(service)
		require.False(t, off.Enabled)
		require.Equal(t, "FAILURES", off.DisabledReasonCode)
		require.Contains(t, off.DisabledReason, "3 deliveries ran out of attempts within 2 days")
		require.True(t, h.present(both).Enabled, "the standard rule knows no numbers")
	})
}

// TestCase24FiveDaysOfFailuresSwitchOff is the standard rule: nothing but failures for five days, at least one delivery given up; a success in
// between begins it anew.
func TestCase24FiveDaysOfFailuresSwitchOff(t *testing.T) {
	w := &wire{answer: always(500)}
	inLeaps(t, w, func(h *house, l *ledger, days *leap) {
		t := h.t
		hook := h.subscribe("https://a.example.com/hook", nil) // its deliveries live for 75 hours
		sporadic := h.subscribe("https://b.example.com/hook", once)
		began := days.now()
		for hour := 0; hour < 5*24; hour += 4 {
			w.set(func(r *http.Request, _ int) (int, http.Header, time.Duration, error) {
				if r.URL.Host == "b.example.com" && hour == 60 {
					return 200, nil, 0, nil
				}
				return 500, nil, 0, nil
			})
			h.fail()
			require.True(t, h.present(hook).Enabled, "hour %d", hour)
			days.pass(4*time.Hour - 10*time.Millisecond)
		}
		h.fail()
		off := h.present(hook)
		require.False(t, off.Enabled)
		require.Equal(t, "FAILING", off.DisabledReasonCode)
		require.Contains(t, off.DisabledReason, "no attempt has succeeded for 5 days, since "+began.UTC().Format("2006-01-02T15:04"))
		require.GreaterOrEqual(t, off.DisabledAt.Sub(began), 5*24*time.Hour)
		require.Contains(t, l.uris(), uriOf(hook, "disable"))
		require.True(t, h.present(sporadic).Enabled, "it has succeeded in between")

		h.switchOn(hook)
		days.pass(24 * time.Hour)
		h.fail()
		require.True(t, h.present(hook).Enabled)
	})
}

// Time alone switches nothing off: one delivery that failed days ago says nothing of today.
func TestAnIdleWebhookStaysOn(t *testing.T) {
	w := &wire{answer: always(500)}
	inLeaps(t, w, func(h *house, _ *ledger, days *leap) {
		hook := h.subscribe("https://a.example.com/hook", once)
		h.fail()
		days.pass(30 * 24 * time.Hour)
		require.True(h.t, h.present(hook).Enabled)
		w.set(always(200))
		h.fail()
		w.set(always(500))
		h.fail()
		require.True(h.t, h.present(hook).Enabled)
	})
}

func TestAResendCountsAndSwitchesOff(t *testing.T) {
	w := &wire{answer: always(500)}
	inBubble(t, w, nil, func(h *house) {
		hook := h.subscribe("https://a.example.com/hook", policied(2))
		id := h.fail()
		_, err := h.Resend(context.Background(), h.tenant, id)
		require.NoError(h.t, err)
		synctest.Wait()
		require.Equal(h.t, "FAILURES", h.present(hook).DisabledReasonCode)
		_, err = h.Resend(context.Background(), h.tenant, id)
		require.NoError(h.t, err, "a webhook that is off is sent to all the same")
		require.Len(h.t, w.all(), 3)
	})
}

// Deliveries of our own events count for their webhook, and nobody is told what comes of them.
func TestOwnEventsSwitchOffQuietly(t *testing.T) {
	w := &wire{answer: byHost(map[string]int{"sick.example.com": 500, "watch.example.com": 500})}
	inLedger(t, w, func(h *house, l *ledger) {
		t := h.t
		sick := h.subscribe("https://sick.example.com/hook", once)
		watch := h.subscribe("https://watch.example.com/hook", policied(2), "/webhooks")
		h.fail()
		h.fail()
		pass(time.Minute)
		require.Equal(t, []string{uriOf(sick, "exhaust"), uriOf(sick, "exhaust")}, l.uris())
		require.Equal(t, "FAILURES", h.present(watch).DisabledReasonCode)
	})
}

// TestCase25FailuresAreTheirOwn: those of one webhook, or tenant, do not touch another, though they share a host.
func TestCase25FailuresAreTheirOwn(t *testing.T) {
	w := &wire{answer: byHost(map[string]int{"sick.example.com": 500})}
	inBubble(t, w, nil, func(h *house) {
		sick := h.subscribe("https://sick.example.com/hook", policied(3))
		twin := h.subscribe("https://sick.example.com/other", policied(3), "/groups")
		well := h.subscribe("https://well.example.com/hook", policied(1))
		other := triggers.Tenant{Name: "other", PortalID: "FEDCBA9876543210", PortalURL: "https://other.example.com/"}
		require.NoError(h.t, h.directory.SaveTenant(context.Background(), &other))
		mine := h.tenant
		h.tenant = other.Key
		foreign := h.subscribe("https://sick.example.com/hook", policied(3))
		h.fail()
		h.tenant = mine
		for range 3 {
			h.fail()
		}
		require.Len(h.t, h.health(foreign).Exhausted, 1)
		require.Zero(h.t, h.health(twin))
		require.True(h.t, h.present(foreign).Enabled)
		require.False(h.t, h.present(sick).Enabled)
		require.True(h.t, h.present(twin).Enabled)
		require.True(h.t, h.present(well).Enabled)
	})
}

// TestCase24SurvivesARestart: failures are counted over a restart, and one that came just before the end is judged after the next start.
func TestCase24SurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answer: always(500)}
		queue := deliverytest.NewQueue(time.Now)
		var mute atomic.Bool
		queue.Fail = func(verb string) error {
			if verb == "Health" && mute.Load() {
				return errors.New("the store does not answer")
			}
			return nil
		}
		start := func() *house {
			h := reopen(t, queue, func(config *delivery.Config) { config.Transport = w })
			synctest.Wait()
			return h
		}
		h := start()
		hook := h.subscribe("https://a.example.com/hook", policied(2))
		h.fail()
		require.NoError(t, h.Shutdown(context.Background()))
		queue.Restart()

		h = start()
		require.True(t, h.present(hook).Enabled)
		mute.Store(true)
		h.fail()
		pass(5 * time.Second)
		require.True(t, h.present(hook).Enabled, "not judged yet")
		require.NoError(t, h.Shutdown(context.Background()))
		queue.Restart()
		mute.Store(false)

		h = start()
		require.Equal(t, "FAILURES", h.present(hook).DisabledReasonCode)
		h.switchOn(hook)
		mute.Store(true)
		h.fail()
		h.fail()
		mute.Store(false)
		pass(2 * time.Second)
		require.Equal(t, "FAILURES", h.present(hook).DisabledReasonCode, "it is judged when the store answers again")
	})
}

// meddling is a queue that tells of webhooks' health as it was before somebody meddled.
type meddling struct {
	delivery.Queue
	meddle atomic.Pointer[func()]
}

func (m *meddling) Health(ctx context.Context, webhooks ...uint32) (map[uint32]delivery.Health, error) {
	health, err := m.Queue.Health(ctx, webhooks...)
	if meddle := m.meddle.Swap(nil); meddle != nil {
		(*meddle)()
	}
	return health, err
}

// A webhook that somebody switches off and on while its failures are judged begins anew all the same.
func TestSwitchedOnWhileJudged(t *testing.T) {
	w := &wire{answer: always(500)}
	m := new(meddling)
	inBubble(t, w, func(config *delivery.Config) { m.Queue, config.Queue = config.Queue, m }, func(h *house) {
		t := h.t
		hook := h.subscribe("https://a.example.com/hook", policied(2))
		h.fail()
		meddle := func() {
			_, err := h.directory.Update(context.Background(), h.tenant, hook.ID, func(w *triggers.Webhook) error {
				w.Enabled = false
				return nil
			})
			require.NoError(t, err)
			h.switchOn(hook)
		}
		m.meddle.Store(&meddle)
		h.fail()
		require.Nil(t, m.meddle.Load())
		require.True(t, h.present(hook).Enabled)
		h.fail()
		require.True(t, h.present(hook).Enabled)
		h.fail()
		require.False(t, h.present(hook).Enabled)
	})
}
