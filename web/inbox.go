package web

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"portalhook/delivery"
	"portalhook/triggers"
)

// Bounds of the built-in receivers, which live in memory only.
const (
	maxReceivers       = 64 // of all tenants
	maxTenantReceivers = 10
	receiverUnused     = 24 * time.Hour // after which one is forgotten
	keptArrivals       = 100            // of one receiver, the last
	keptArrivalBytes   = 2 << 20        // of one receiver's bodies and headers; the oldest go first
	keptArrivalBody    = 64 << 10       // of one body
	maxReceiverDelay   = 10 * time.Second
)

// Inbox holds the built-in receivers, where an integrator watches what arrives. What our own webhooks send to one is handed over within the
// process, see delivery.Inside; from elsewhere it comes over HTTP.
type Inbox struct {
	base string // what the URLs of receivers begin with
	now  func() time.Time

	mu      sync.Mutex
	byToken map[string]*receiver
}

var _ delivery.Inside = (*Inbox)(nil)

// NewInbox makes an empty one. Base is the server's address as the operator names it, with a path where it has one and without a slash at
// the end: it is not taken from requests, so that nobody can have a webhook's URL lead elsewhere when its receiver is gone.
func NewInbox(base string) *Inbox {
	return &Inbox{base: base, now: time.Now, byToken: make(map[string]*receiver)}
}

// receiver is one built-in receiver: guarded by its inbox's lock.
type receiver struct {
	token    string
	tenant   uint32
	owner    string // id of the user who made it
	url      string
	name     string
	answer   answerTold
	secret   triggers.Secret
	made     time.Time
	used     time.Time // when something last arrived or was looked at
	received int64     // how many arrived; the number of the last
	kept     []*arrival
	bytes    int // of kept
}

// answerTold is how a receiver answers.
type answerTold struct {
	status int
	delay  time.Duration
}

func (r *receiver) expires() time.Time { return r.used.Add(receiverUnused) }

// make makes a receiver and draws its token; false when there are as many as there may be.
func (b *Inbox) make(r receiver) (receiver, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sweep()
	own := 0
	for _, other := range b.byToken {
		if other.tenant == r.tenant {
			own++
		}
	}
	if own >= maxTenantReceivers || len(b.byToken) >= maxReceivers {
		return receiver{}, false
	}
	r.token = strings.ToLower(rand.Text())
	r.url = b.base + delivery.InsidePath + r.token
	r.made = b.now()
	r.used = r.made
	b.byToken[r.token] = &r
	return r, true
}

// sweep forgets those that nobody uses any more. The lock is held.
func (b *Inbox) sweep() {
	now := b.now()
	for token, r := range b.byToken {
		if !now.Before(r.expires()) {
			delete(b.byToken, token)
		}
	}
}

// find gives the receiver with the token to visit, under the lock; false when there is none.
func (b *Inbox) find(token string, visit func(r *receiver)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.byToken[token]
	if r == nil {
		return false
	}
	if !b.now().Before(r.expires()) {
		delete(b.byToken, token)
		return false
	}
	visit(r)
	return true
}

// list are copies of a tenant's receivers that wanted says yes to, the oldest first.
func (b *Inbox) list(tenant uint32, wanted func(r *receiver) bool) []receiver {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sweep()
	var list []receiver
	for _, r := range b.byToken {
		if r.tenant == tenant && wanted(r) {
			list = append(list, *r)
		}
	}
	slices.SortFunc(list, func(a, b receiver) int { return cmp.Or(a.made.Compare(b.made), cmp.Compare(a.token, b.token)) })
	return list
}

// remove forgets a receiver with all that arrived.
func (b *Inbox) remove(token string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byToken, token)
}

// take keeps what arrived at a receiver and says how to answer; false when there is no such receiver.
func (b *Inbox) take(token string, a *arrival) (answerTold, bool) {
	var told answerTold
	found := b.find(token, func(r *receiver) {
		r.used = b.now()
		r.received++
		a.number, a.at, a.answered = r.received, r.used, r.answer
		a.verify(r.secret)
		r.kept = append(r.kept, a)
		r.bytes += a.size()
		for len(r.kept) > keptArrivals || r.bytes > keptArrivalBytes && len(r.kept) > 1 {
			r.bytes -= r.kept[0].size()
			r.kept = slices.Delete(r.kept, 0, 1)
		}
		told = r.answer
	})
	return told, found
}

// Inside implements delivery.Inside.
func (b *Inbox) Inside(tenant uint32, url string) http.RoundTripper {
	at := strings.LastIndex(url, delivery.InsidePath)
	if at < 0 {
		return nil
	}
	token := url[at+len(delivery.InsidePath):]
	own := false
	b.find(token, func(r *receiver) { own = r.tenant == tenant && r.url == url })
	if !own {
		return nil
	}
	return insideReceiver{b, token}
}

// insideReceiver takes a delivery within the process as it would be taken over HTTP.
type insideReceiver struct {
	inbox *Inbox
	token string
}

// RoundTrip implements http.RoundTripper.
func (i insideReceiver) RoundTrip(r *http.Request) (*http.Response, error) {
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	header := make(http.Header, len(r.Header))
	for name, values := range r.Header { // spelt as the webhook has them, while net/http hands on canonical names
		for _, value := range values {
			header.Add(name, value)
		}
	}
	a := newArrival(r.Method, header, r.Host, body, int64(len(body)))
	a.inside = true
	told, found := i.inbox.take(i.token, a)
	if !found {
		told = answerTold{status: http.StatusNotFound}
	}
	if err := told.wait(r.Context().Done(), nil); err != nil {
		return nil, context.Cause(r.Context())
	}
	text := told.body()
	return &http.Response{
		Status: strconv.Itoa(told.status) + " " + http.StatusText(told.status), StatusCode: told.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": typeText}, ContentLength: int64(len(text)), Body: io.NopCloser(bytes.NewReader(text)),
	}, nil
}

var typeText = []string{"text/plain; charset=utf-8"}

// wait lets the time pass that the receiver was told to take; an error when the one who asks or the server gives up first.
func (t answerTold) wait(gone, stopped <-chan struct{}) error {
	if t.delay == 0 {
		return nil
	}
	timer := time.NewTimer(t.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-gone:
	case <-stopped:
	}
	return errGivenUp
}

// body is what a receiver says beside its status; nothing where there can be no body.
func (t answerTold) body() []byte {
	if t.status == http.StatusNoContent || t.status == http.StatusNotModified {
		return nil
	}
	return []byte(http.StatusText(t.status) + "\n")
}
