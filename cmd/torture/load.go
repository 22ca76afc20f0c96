package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is events on their way to a server, each sent again under the same eventId until it is acknowledged or refused for good.
type load struct {
	server *server
	first  int // the number of its first event
	events int
	pad    string // makes events larger
	pace   time.Duration

	next     atomic.Int64
	acks     atomic.Int64
	done     chan struct{}
	mu       sync.Mutex
	acked    map[int]string // the server's ids by event number
	refusals map[string]int // "503, Retry-After: 30" -> how often
	firstAck time.Time      // after the last fault; see fault
	wrong    []error
}

// loadOptions are what a scenario may have otherwise.
type loadOptions struct {
	conns int           // at the same time; default 16
	pad   int           // bytes that make an event larger
	pace  time.Duration // between two events of a connection; default none
}

// emit starts to send n events. wait tells when all are acknowledged.
func (r *rig) emit(s *server, n int, o loadOptions) *load {
	l := &load{
		server: s, first: r.account.emitted, events: n, pad: strings.Repeat("x", o.pad), pace: o.pace,
		done: make(chan struct{}), acked: map[int]string{}, refusals: map[string]int{},
	}
	r.account.emitted += n
	r.account.loads = append(r.account.loads, l)
	if o.conns == 0 {
		o.conns = 16
	}
	var wg sync.WaitGroup
	for range o.conns {
		wg.Go(l.send)
	}
	go func() { wg.Wait(); close(l.done) }()
	return l
}

func (l *load) send() {
	for l.server.ctx.Err() == nil {
		n := int(l.next.Add(1)) - 1
		if n >= l.events {
			return
		}
		l.sendOne(l.first + n)
		if l.pace > 0 {
			pause(l.server.ctx, l.pace)
		}
	}
}

// sendOne sends event n until it is acknowledged.
func (l *load) sendOne(n int) {
	body := fmt.Appendf(nil, `{"eventId":"torture-%d","uri":"/items/%032x/update","username":"jdoe","properties":{"n":%d,"pad":%q}}`, n, n, n, l.pad)
	for l.server.ctx.Err() == nil {
		status, header, answer, err := l.server.call(http.MethodPost, "/api/v1/events", body)
		if err != nil { // killed in the middle: the outcome is unknown, so the same event goes again
			pause(l.server.ctx, 20*time.Millisecond)
			continue
		}
		if status == http.StatusAccepted {
			l.acknowledge(n, answer)
			return
		}
		l.refuse(n, status, header, answer)
		if status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
			return
		}
		pause(l.server.ctx, 50*time.Millisecond) // sooner than asked, so that the end of the fault is seen
	}
}

func (l *load) acknowledge(n int, answer []byte) {
	var receipt struct {
		ID string `json:"id"`
	}
	err := json.Unmarshal(bytes.TrimSpace(answer), &receipt)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil || receipt.ID == "" {
		l.wrong = append(l.wrong, fmt.Errorf("event %d: a 202 without an id: %s", n, answer))
		return
	}
	l.acked[n] = receipt.ID
	l.acks.Add(1)
	if l.firstAck.IsZero() {
		l.firstAck = time.Now()
	}
}

// refuse remembers what the sender saw. A refusal for now must say when to come again.
func (l *load) refuse(n, status int, header http.Header, answer []byte) {
	after := header.Get("Retry-After")
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests:
		l.wrong = append(l.wrong, fmt.Errorf("event %d: answer %d: %s", n, status, answer))
	case after == "":
		l.wrong = append(l.wrong, fmt.Errorf("event %d: answer %d without Retry-After: %s", n, status, answer))
	default:
		l.refusals[fmt.Sprintf("%d, Retry-After %s", status, after)]++
	}
}

// refused is how often senders were asked to come again.
func (l *load) refused() (times int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.refusals {
		times += n
	}
	return times
}

// reached waits until so many events are acknowledged.
func (l *load) reached(n int) error {
	return poll(l.server.ctx, 5*time.Minute, fmt.Sprintf("%d events are acknowledged", n), func() (bool, error) {
		select {
		case <-l.done:
			return true, nil
		default:
			return l.acks.Load() >= int64(n), fmt.Errorf("%d are", l.acks.Load())
		}
	})
}

// stop has no further events sent; those that are under way are.
func (l *load) stop() { l.next.Store(int64(l.events)) }

// wait waits until every event is acknowledged or refused for good.
func (l *load) wait() error {
	select {
	case <-l.done:
		return nil
	case <-time.After(10 * time.Minute):
		return fmt.Errorf("of %d events %d are acknowledged after ten minutes", l.events, l.acks.Load())
	}
}

// mended notes that a fault has ended now; the next acknowledgement tells how long it took to come back.
func (l *load) mended() (recovered func() (time.Duration, bool)) {
	began := time.Now()
	l.mu.Lock()
	l.firstAck = time.Time{}
	l.mu.Unlock()
	return func() (time.Duration, bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.firstAck.Sub(began), !l.firstAck.IsZero()
	}
}
