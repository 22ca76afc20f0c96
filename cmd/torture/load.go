package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is events on their way to a server, each sent again under the same eventId until it is acknowledged or refused for good. Of several nodes
// each gets its turn, and what one does not take another is asked to, as a load balancer does.
type load struct {
	server *server
	first  int // the number of its first event
	events int
	loadOptions

	next     atomic.Int64
	turn     atomic.Int64
	acks     atomic.Int64
	unheard  atomic.Int64 // requests that had no answer
	done     chan struct{}
	mu       sync.Mutex
	acked    map[int]string // the server's ids by event number
	refusals map[string]int // "503, Retry-After: 30" -> how often
	firstAck time.Time      // after the last fault; see fault
	wrong    []error
}

// loadOptions are what a scenario may have otherwise.
type loadOptions struct {
	conns     int           // at the same time; default 16
	batch     int           // events in a request; default 1
	pad       int           // bytes that make an event larger
	pace      time.Duration // between two requests of a connection; default none
	operation string        // on the items; default update
}

// emit starts to send n events. wait tells when all are acknowledged.
func (r *rig) emit(s *server, n int, o loadOptions) *load {
	o.conns, o.batch, o.operation = cmp.Or(o.conns, 16), cmp.Or(o.batch, 1), cmp.Or(o.operation, "update")
	l := &load{
		server: s, first: r.account.emitted, events: n, loadOptions: o,
		done: make(chan struct{}), acked: map[int]string{}, refusals: map[string]int{},
	}
	r.account.emitted += n
	r.account.loads = append(r.account.loads, l)
	var wg sync.WaitGroup
	for range o.conns {
		wg.Go(l.send)
	}
	go func() { wg.Wait(); close(l.done) }()
	return l
}

func (l *load) send() {
	for l.server.ctx.Err() == nil {
		n := int(l.next.Add(int64(l.batch))) - l.batch
		if n >= l.events {
			return
		}
		l.sendSome(l.first+n, min(l.batch, l.events-n))
		if l.pace > 0 {
			pause(l.server.ctx, l.pace)
		}
	}
}

// body is a request of count events from n on. Each carries when it was first sent, for receivers that ask how long it took.
func (l *load) body(n, count int) []byte {
	var b bytes.Buffer
	pad := strings.Repeat("x", l.pad)
	for i := range count {
		fmt.Fprintf(&b, `%c{"eventId":"torture-%d","uri":"/items/%032x/%s","username":"jdoe","properties":{"n":%d,"at":%d,"pad":"%s"}}`,
			"[,"[min(i, 1)], n+i, n+i, l.operation, n+i, time.Now().UnixMicro(), pad)
	}
	if count == 1 {
		return b.Bytes()[1:]
	}
	return append(b.Bytes(), ']')
}

// sendSome sends count events from n on, in one request, until they are acknowledged.
func (l *load) sendSome(n, count int) {
	body := l.body(n, count)
	for failures := 1; l.server.ctx.Err() == nil; failures++ {
		s := l.pick()
		status, header, answer, err := s.send(body)
		switch {
		case err != nil: // killed in the middle: the outcome is unknown, so the same event goes again
			l.unheard.Add(1)
			s.rest()
		case status == http.StatusAccepted:
			l.acknowledge(n, count, answer)
			return
		default:
			l.refuse(n, status, header, answer)
			if status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
				return
			}
		}
		switch {
		case failures%len(l.server.peers.all) != 0: // another one may take it
		case err != nil:
			pause(l.server.ctx, 20*time.Millisecond)
		default:
			pause(l.server.ctx, 50*time.Millisecond) // sooner than asked, so that the end of the fault is seen
		}
	}
}

// pick is the node whose turn it is, of those that a balancer would send to.
func (l *load) pick() *server {
	all := l.server.peers.all
	first := int(l.turn.Add(1))
	for i := range all {
		if s := all[(first+i)%len(all)]; !s.resting() {
			return s
		}
	}
	return all[first%len(all)]
}

func (l *load) acknowledge(n, count int, answer []byte) {
	type receipt struct {
		ID string `json:"id"`
	}
	var receipts struct {
		receipt
		Events []receipt `json:"events"`
	}
	err := json.Unmarshal(bytes.TrimSpace(answer), &receipts)
	if count == 1 {
		receipts.Events = []receipt{receipts.receipt}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil || len(receipts.Events) != count || slices.Contains(receipts.Events, receipt{}) {
		l.wrong = append(l.wrong, fmt.Errorf("event %d: a 202 without the ids of %d: %s", n, count, answer))
		return
	}
	for i, one := range receipts.Events {
		l.acked[n+i] = one.ID
	}
	l.acks.Add(int64(count))
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
