package delivery_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// shelf is a RecoveryStore with one recovery of events 1 to n, and notes when each delivery was made.
type shelf struct {
	mu     sync.Mutex
	of     delivery.Recovery
	events triggers.ID
	made   []time.Time
	broken error // what searches answer
	off    []delivery.Span
	past   []delivery.PastEvent
}

func (s *shelf) FindRecoverable(_ context.Context, search delivery.RecoverySearch) (found delivery.RecoveryFound, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return found, s.broken
	}
	for found.To = search.After; found.To < s.events && len(found.Found) < search.Most; {
		found.To++
		found.Looked++
		found.Found = append(found.Found, delivery.Recoverable{Event: found.To, Delivery: found.To, State: delivery.Skipped})
	}
	found.Done = found.To == s.events
	return found, nil
}

func (s *shelf) StartRecovery(_ context.Context, r *delivery.Recovery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.ID = 1
	s.of = *r
	return nil
}

func (s *shelf) CountRecovery(_ context.Context, step delivery.RecoveryStep) (*delivery.Recovery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of.Counts.Add(step.Found.Found)
	s.of.CountedTo = step.Found.To
	if step.Found.Done {
		s.of.Counts.Complete, s.of.State = true, delivery.RecoveryRunning
	}
	return s.now(), nil
}

func (s *shelf) AdvanceRecovery(_ context.Context, step delivery.RecoveryStep) (*delivery.Recovery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of.State != delivery.RecoveryRunning || s.of.Position != step.From {
		return s.now(), nil
	}
	for range step.Found.Found {
		s.made = append(s.made, step.Now)
	}
	s.of.Made += len(step.Found.Found)
	s.of.Position, s.of.NextAt = step.Found.To, step.NextAt
	if step.Found.Done {
		s.of.State = delivery.RecoveryDone
	}
	return s.now(), nil
}

func (s *shelf) ControlRecovery(_ context.Context, c delivery.RecoveryControl) (*delivery.Recovery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.Automatic || s.of.State != delivery.RecoveryPaused || s.of.PausedBy != delivery.PausedByRequest {
		s.of.State, s.of.PausedBy, s.of.Reason = c.To, c.PausedBy, c.Reason
	}
	return s.now(), nil
}

func (s *shelf) now() *delivery.Recovery {
	of := s.of
	return &of
}

// look is the recovery as it stands, and how many deliveries were made.
func (s *shelf) look() (of delivery.Recovery, made int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of, len(s.made)
}

func (s *shelf) OpenRecoveries(context.Context) ([]delivery.Recovery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of.ID == 0 || !s.of.Open() {
		return nil, nil
	}
	return []delivery.Recovery{s.of}, nil
}

func (s *shelf) Recovery(context.Context, uint32, uint32, triggers.ID) (*delivery.Recovery, error) {
	of, _ := s.look()
	return &of, nil
}

func (s *shelf) Recoveries(context.Context, delivery.RecoveryQuery) ([]delivery.Recovery, error) {
	of, _ := s.look()
	return []delivery.Recovery{of}, nil
}

func (s *shelf) OffSpans(context.Context, uint32, uint32) ([]delivery.Span, error) { return s.off, nil }

func (s *shelf) EachPast(_ context.Context, q delivery.PastQuery, visit func(*delivery.PastEvent)) (triggers.ID, error) {
	for i := range s.past {
		if i == q.Most {
			return s.past[i-1].ID, nil
		}
		visit(&s.past[i])
	}
	return 0, nil
}

// recovers runs test with a recoverer over so many events, in simulated time.
func recovers(t *testing.T, events triggers.ID, adjust func(*delivery.Config), test func(h *house, s *shelf, r *delivery.Recoverer, w *triggers.Webhook)) {
	t.Helper()
	inBubble(t, &wire{answer: always(200)}, adjust, func(h *house) {
		s := &shelf{events: events}
		r := delivery.NewRecoverer(delivery.RecovererConfig{Store: s, Dispatcher: h.Dispatcher})
		r.Start()
		defer r.Stop()
		test(h, s, r, h.subscribe("https://late.example.com/", nil, "/items"))
	})
}

func begun(t *testing.T, h *house, r *delivery.Recoverer, w *triggers.Webhook, perMinute int) *delivery.Recovery {
	t.Helper()
	counted, err := r.Count(t.Context(), delivery.RecoveryRequest{
		Tenant: h.tenant, Webhook: w.Key, States: []delivery.State{delivery.Skipped}, RatePerMinute: perMinute,
	})
	require.NoError(t, err)
	started, err := r.Begin(t.Context(), counted)
	require.NoError(t, err)
	return started
}

func TestRecoveryKeepsItsRate(t *testing.T) {
	for _, perMinute := range []int{1, 30, 600, 6000, 60_000} {
		events := min(3*perMinute, 45_000)
		recovers(t, triggers.ID(events), nil, func(h *house, s *shelf, r *delivery.Recoverer, w *triggers.Webhook) {
			began := time.Now()
			started := begun(t, h, r, w, perMinute)
			require.Equal(t, events, started.Counts.Skipped)
			pass(90 * time.Second)
			// A restart neither loses the pace nor the place.
			r.Stop()
			again := delivery.NewRecoverer(delivery.RecovererConfig{Store: s, Dispatcher: h.Dispatcher})
			again.Start()
			defer again.Stop()
			pass(3 * time.Minute)
			of, made := s.look()
			require.Equal(t, delivery.RecoveryDone, of.State)
			require.Equal(t, events, made)
			chunk := min(max(perMinute/60, 1), 100)
			for i, at := range s.made {
				due := time.Duration(i) * time.Minute / time.Duration(perMinute)
				require.GreaterOrEqual(t, at.Sub(began), due-time.Duration(chunk)*time.Minute/time.Duration(perMinute), "delivery %d of %d a minute", i, perMinute)
			}
			require.Less(t, s.made[len(s.made)-1].Sub(began), 4*time.Minute)
		})
	}
}

func TestRecoveryWaitsForItsWebhook(t *testing.T) {
	recovers(t, 100, nil, func(h *house, s *shelf, r *delivery.Recoverer, w *triggers.Webhook) {
		turn := func(on bool) {
			_, err := h.directory.Update(t.Context(), h.tenant, w.ID, func(w *triggers.Webhook) error { w.Enabled = on; return nil })
			require.NoError(t, err)
			pass(2 * time.Second)
		}
		turn(false)
		started := begun(t, h, r, w, 600)
		pass(time.Minute)
		of, made := s.look()
		require.Equal(t, delivery.RecoveryPaused, of.State)
		require.Equal(t, delivery.PausedByWebhook, of.PausedBy)
		require.Zero(t, made)
		turn(true)
		of, made = s.look()
		require.Equal(t, delivery.RecoveryRunning, of.State)
		require.NotZero(t, made)

		_, err := r.Control(t.Context(), h.tenant, w.Key, started.ID, delivery.RecoveryPaused)
		require.NoError(t, err)
		_, made = s.look()
		turn(false)
		turn(true)
		pass(time.Minute)
		of, still := s.look()
		require.Equal(t, delivery.PausedByRequest, of.PausedBy, "what was asked for stays")
		require.Equal(t, made, still)
		_, err = r.Control(t.Context(), h.tenant, w.Key, started.ID, delivery.RecoveryRunning)
		require.NoError(t, err)
		pass(time.Minute)
		of, _ = s.look()
		require.Equal(t, delivery.RecoveryDone, of.State)
	})
}

func TestRecoveryWaitsForRoom(t *testing.T) {
	full := new(gauge)
	full.free.Store(1 << 40)
	full.open.Store(90)
	recovers(t, 100, func(c *delivery.Config) { c.Gauge, c.MaxOpen = full, 100 }, func(h *house, s *shelf, r *delivery.Recoverer, w *triggers.Webhook) {
		begun(t, h, r, w, 600)
		pass(time.Minute)
		of, made := s.look()
		require.Equal(t, delivery.PausedByServer, of.PausedBy)
		require.NotEmpty(t, of.Reason)
		require.Zero(t, made)
		full.open.Store(10)
		pass(time.Minute)
		of, made = s.look()
		require.Equal(t, delivery.RecoveryDone, of.State)
		require.Equal(t, 100, made)
	})
}

func TestRecoveryCountsALongHistoryFirst(t *testing.T) {
	const events = 250_000
	recovers(t, events, nil, func(h *house, s *shelf, r *delivery.Recoverer, w *triggers.Webhook) {
		started := begun(t, h, r, w, 60_000)
		require.Equal(t, delivery.RecoveryCounting, started.State)
		require.False(t, started.Counts.Complete)
		require.GreaterOrEqual(t, started.Counts.Skipped, 50_000)
		synctest.Wait()
		of, _ := s.look()
		require.Equal(t, events, of.Counts.Skipped)
		require.Equal(t, delivery.RecoveryRunning, of.State)
		pass(time.Second)
		_, made := s.look()
		require.LessOrEqual(t, made, 1200)
		_, err := r.Control(t.Context(), h.tenant, w.Key, of.ID, delivery.RecoveryCancelled)
		require.NoError(t, err)
	})
}

func TestRecoveryThatCannotReadFails(t *testing.T) {
	recovers(t, 10, nil, func(h *house, s *shelf, r *delivery.Recoverer, w *triggers.Webhook) {
		breaks := func(err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.broken = err
		}
		started := begun(t, h, r, w, 1)
		breaks(errors.New("read error"))
		pass(2 * time.Minute)
		of, _ := s.look()
		require.Equal(t, delivery.RecoveryFailed, of.State)
		require.NotEmpty(t, of.Reason)
		breaks(nil)
		_, err := r.Control(t.Context(), h.tenant, w.Key, started.ID, delivery.RecoveryRunning)
		require.NoError(t, err)
		pass(20 * time.Minute)
		of, made := s.look()
		require.Equal(t, delivery.RecoveryDone, of.State)
		require.Equal(t, 10, made)
	})
}

// TestRecoverySpans looks at the times in which the webhook was off when what it missed is asked for without one.
func TestRecoverySpans(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 22, 3, minute, 0, 0, time.UTC) }
	recovers(t, 0, nil, func(h *house, s *shelf, r *delivery.Recoverer, w *triggers.Webhook) {
		s.off = []delivery.Span{{From: at(1), To: at(5)}, {From: at(5).Add(time.Second), To: at(6)}, {From: at(9)}}
		spans := func(asked delivery.RecoveryRequest) []delivery.Span {
			asked.Tenant, asked.Webhook = h.tenant, w.Key
			counted, err := r.Count(t.Context(), asked)
			require.NoError(t, err)
			return counted.Spans
		}
		require.Equal(t, []delivery.Span{{From: at(1), To: at(7)}, {From: at(9)}}, spans(delivery.RecoveryRequest{Missed: true}))
		given := []delivery.Span{{From: at(2)}}
		require.Equal(t, given, spans(delivery.RecoveryRequest{Missed: true, Spans: given}))
		require.Empty(t, spans(delivery.RecoveryRequest{}))
		_, err := r.Count(t.Context(), delivery.RecoveryRequest{Tenant: h.tenant + 1, Webhook: w.Key})
		require.ErrorIs(t, err, triggers.ErrNotFound)
	})
}
