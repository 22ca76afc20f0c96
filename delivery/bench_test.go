package delivery_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/triggers"
)

// sink is a queue that remembers only what waits for its first attempt, so that what is measured is delivery alone.
type sink struct {
	delivery.Queue
	mu      sync.Mutex
	last    triggers.ID
	waiting map[uint32][]delivery.Claimed
	ends    sync.WaitGroup
	waited  []time.Duration // from acceptance to the start of each attempt that succeeded
}

func (s *sink) Enqueue(_ context.Context, batch []delivery.Acceptance) ([]delivery.Receipt, error) {
	receipts := make([]delivery.Receipt, len(batch))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == nil {
		s.waiting = make(map[uint32][]delivery.Claimed)
	}
	for i := range batch {
		a := &batch[i]
		id := s.last + 1
		receipts[i] = delivery.Receipt{ID: id, Matched: len(a.Planned)}
		for j, planned := range a.Planned {
			s.ends.Add(1)
			if !planned.Lease {
				s.waiting[planned.Webhook] = append(s.waiting[planned.Webhook], delivery.Claimed{
					ID: id + 1 + triggers.ID(j), Tenant: a.Tenant, Webhook: planned.Webhook, Revision: payload.Revision{Number: planned.Revision},
					BuiltAt: a.AcceptedAt, Events: []payload.Event{{ID: id, URI: a.Event.URI, Body: a.Body}}, Fence: 1, DueAt: a.AcceptedAt,
				})
			}
		}
		s.last += triggers.ID(1 + len(a.Planned))
	}
	return receipts, nil
}

func (s *sink) Claim(_ context.Context, _ time.Time, most int, free func(uint32) int) ([]delivery.Claimed, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var claimed []delivery.Claimed
	for webhook, line := range s.waiting {
		n := min(free(webhook), most-len(claimed), len(line))
		claimed = append(claimed, line[:n]...)
		if s.waiting[webhook] = line[n:]; n == len(line) {
			delete(s.waiting, webhook)
		}
		if len(claimed) == most {
			break
		}
	}
	return claimed, time.Time{}, nil
}

// Settle takes every attempt for the last.
func (s *sink) Settle(_ context.Context, batch []delivery.Settlement) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range batch {
		if batch[i].State == delivery.Succeeded {
			s.waited = append(s.waited, batch[i].Attempt.Waited)
		}
		s.ends.Done()
	}
	return 0, nil
}

// waits are sorted.
func (s *sink) waits() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.waited))
}

// nowhere answers at once.
type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody}, nil
}

func benchHouse(b *testing.B, transport http.RoundTripper, queue *sink) *house {
	b.Helper()
	h := open(b, func(c *delivery.Config) {
		c.Transport, c.Registerer = transport, prometheus.NewRegistry()
		c.Queue = queue
	})
	return h
}

// BenchmarkDispatch is the way of one event without the store and the network: match, render, plan, hand over.
func BenchmarkDispatch(b *testing.B) {
	body := `{"uri":"/items/4adc30bb03054812a846fa592de105de/update","username":"jdoe","userId":"173dd04b69134bdf99c5000aad0b6298",
		"when":1543192196521,"properties":{"note":"` + strings.Repeat("x", 300) + `"}}`
	ev, err := triggers.Default().ParseEvent([]byte(body))
	require.NoError(b, err)
	events := []*triggers.Event{ev}
	b.Run("unmatched", func(b *testing.B) {
		h := benchHouse(b, nowhere{}, new(sink))
		b.ReportAllocs()
		for b.Loop() {
			_, _ = h.Dispatch(context.Background(), h.tenant, events)
		}
	})
	b.Run("sent", func(b *testing.B) { // built, signed, sent to nowhere and settled beside it
		queue := new(sink)
		h := benchHouse(b, nowhere{}, queue)
		h.subscribe("https://a.example.com/hook", nil)
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N { // b.Loop would leave out the attempts that end after it
			_, _ = h.Dispatch(context.Background(), h.tenant, events)
		}
		queue.ends.Wait()
	})
}

// BenchmarkDispatchAndSend is the same with a receiver on loopback, 64 senders at a time; an event is done when its attempt is settled.
func BenchmarkDispatchAndSend(b *testing.B) {
	queue := new(sink)
	transport := delivery.NewTransport(delivery.TransportConfig{Guard: delivery.NewGuard(loopback(b), 0)})
	b.Cleanup(transport.CloseIdleConnections)
	target := receiver(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	})
	h := benchHouse(b, transport, queue)
	h.subscribe(target, nil)
	e := event(b, "/items/4adc30bb03054812a846fa592de105de/update")
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := h.Dispatch(context.Background(), h.tenant, []*triggers.Event{e}); err != nil {
				b.Error(err)
			}
		}
	})
	queue.ends.Wait()
}
