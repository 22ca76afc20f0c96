package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"portalhook/delivery"
	"portalhook/triggers"
)

// Bounds of the built-in receivers.
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
	base  string // what the URLs of receivers begin with
	store delivery.BuiltIns
	now   func() time.Time
}

var _ delivery.Inside = (*Inbox)(nil)

// NewInbox makes an empty one, in memory. Base is the server's address as the operator names it, with a path where it has one and without a slash at
// the end: it is not taken from requests, so that nobody can have a webhook's URL lead elsewhere when its receiver is gone.
func NewInbox(base string) *Inbox { return NewInboxOf(base, newReceiversHere(), time.Now) }

// NewInboxOf makes one whose receivers are in a store, which other servers may have open, too. Now is the date that all of them go by.
func NewInboxOf(base string, store delivery.BuiltIns, now func() time.Time) *Inbox {
	return &Inbox{base: base, store: store, now: now}
}

// receiver is one built-in receiver.
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
	kept     int       // how many of them are kept
}

// answerTold is how a receiver answers.
type answerTold struct {
	status int
	delay  time.Duration
}

func (r *receiver) expires() time.Time { return r.used.Add(receiverUnused) }

// receiverBody is what a store keeps of a receiver without knowing it.
type receiverBody struct {
	Owner  string `json:"owner"`
	URL    string `json:"url"`
	Name   string `json:"name"`
	Status int    `json:"status"`
	Delay  int64  `json:"delayMs"`
	Secret string `json:"secret"`
}

func (r *receiver) body() ([]byte, error) {
	return json.Marshal(receiverBody{r.owner, r.url, r.name, r.answer.status, r.answer.delay.Milliseconds(), r.secret.Reveal()})
}

func receiverOf(kept *delivery.BuiltIn) (r receiver, err error) {
	var body receiverBody
	if err := json.Unmarshal(kept.Body, &body); err != nil {
		return r, fmt.Errorf("receiver: %w", err)
	}
	return receiver{
		token: kept.Token, tenant: kept.Tenant, owner: body.Owner, url: body.URL, name: body.Name,
		answer: answerTold{body.Status, time.Duration(body.Delay) * time.Millisecond}, secret: triggers.NewSecret(body.Secret),
		made: kept.Made, used: kept.Used, received: kept.Received, kept: kept.Kept,
	}, nil
}

// since is when a receiver must have been used last that is still there.
func (b *Inbox) since() time.Time { return b.now().Add(-receiverUnused) }

// make makes a receiver and draws its token; false when there are as many as there may be.
func (b *Inbox) make(ctx context.Context, r receiver) (receiver, bool, error) {
	r.token = strings.ToLower(rand.Text())
	r.url = b.base + delivery.InsidePath + r.token
	r.made = b.now()
	r.used = r.made
	body, err := r.body()
	if err != nil {
		return r, false, err
	}
	kept := delivery.BuiltIn{Token: r.token, Tenant: r.tenant, Made: r.made, Used: r.used, Body: body}
	added, err := b.store.AddReceiver(ctx, &kept, delivery.BuiltInLimits{Tenant: maxTenantReceivers, All: maxReceivers, Since: b.since()})
	return r, added, err
}

// change gives the receiver with the token to visit, while nobody else looks at it or changes it, and keeps what that gives as arrived.
func (b *Inbox) change(ctx context.Context, token string, visit func(r *receiver) (*arrival, error)) error {
	if !mayBeToken(token) {
		return triggers.ErrNotFound
	}
	limits := delivery.ArrivedLimits{Count: keptArrivals, Bytes: keptArrivalBytes}
	return b.store.ChangeReceiver(ctx, token, b.since(), limits, func(kept *delivery.BuiltIn) (*delivery.Arrived, error) {
		r, err := receiverOf(kept)
		if err != nil {
			return nil, err
		}
		a, err := visit(&r)
		if err != nil {
			return nil, err
		}
		kept.Used, kept.Received = r.used, r.received
		if kept.Body, err = r.body(); err != nil || a == nil {
			return nil, err
		}
		return &delivery.Arrived{Number: a.number, Size: a.size(), Body: appendArrival(nil, a)}, nil
	})
}

// mayBeToken keeps what cannot be a receiver's from the store.
func mayBeToken(text string) bool {
	return len(text) == len(rand.Text()) && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// list are a tenant's receivers that wanted says yes to, the oldest first.
func (b *Inbox) list(ctx context.Context, tenant uint32, wanted func(r *receiver) bool) ([]receiver, error) {
	kept, err := b.store.Receivers(ctx, tenant, b.since())
	if err != nil {
		return nil, err
	}
	var list []receiver
	for i := range kept {
		r, err := receiverOf(&kept[i])
		if err != nil {
			return nil, err
		}
		if wanted(&r) {
			list = append(list, r)
		}
	}
	return list, nil
}

// take keeps what arrived at a receiver and says how to answer.
func (b *Inbox) take(ctx context.Context, token string, a *arrival) (told answerTold, err error) {
	err = b.change(ctx, token, func(r *receiver) (*arrival, error) {
		r.used = b.now()
		r.received++
		a.number, a.at, a.answered = r.received, r.used, r.answer
		a.verify(r.secret)
		told = r.answer
		return a, nil
	})
	return told, err
}

// insideTimeout bounds the look for the receiver of a delivery.
const insideTimeout = 5 * time.Second

// Inside implements delivery.Inside.
func (b *Inbox) Inside(tenant uint32, url string) http.RoundTripper {
	at := strings.LastIndex(url, delivery.InsidePath)
	if at < 0 {
		return nil
	}
	token := url[at+len(delivery.InsidePath):]
	if !mayBeToken(token) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), insideTimeout)
	defer cancel()
	kept, err := b.store.Receiver(ctx, token, b.since())
	if errors.Is(err, triggers.ErrNotFound) {
		return nil
	}
	r, broken := receiverOf(&kept)
	switch {
	case err != nil || broken != nil:
		return unknownReceiver{errors.Join(err, broken)}
	case r.tenant != tenant || r.url != url:
		return nil
	}
	return insideReceiver{b, token}
}

// unknownReceiver is one that could not be looked for.
type unknownReceiver struct{ err error }

// RoundTrip implements http.RoundTripper.
func (u unknownReceiver) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, errors.Join(u.err, r.Body.Close())
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
	told, err := i.inbox.take(r.Context(), i.token, a)
	if errors.Is(err, triggers.ErrNotFound) {
		told, err = answerTold{status: http.StatusNotFound}, nil
	}
	if err != nil {
		return nil, err
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
