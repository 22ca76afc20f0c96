package delivery

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"portalhook/payload"
	"portalhook/triggers"
)

// Bounds of what is read and kept of an answer's body.
const (
	readBodyMost = 64 << 10 // decoded
	keptBody     = 16 << 10
)

const userAgentHeader = "User-Agent"

// omitted stands in history where a secret was.
const omitted = "**OMITTED**"

// target is what the attempts of one version of a webhook need, worked out once.
type target struct {
	webhook  *triggers.Webhook
	revision payload.Revision
	url      *url.URL
	urlErr   error  // why there is no url
	host     string // scheme://name:port
	// inside is true when the URL may be that of a receiver within this process.
	inside   bool
	schedule Schedule
	timeout  time.Duration
	policy   *triggers.DeactivationPolicy // by which it is switched off; nil: the standard rule
	// headers are the custom ones, under the spelling they go out with; overridden tells which of ours they replace.
	headers    [][2]string
	overridden map[string]bool
	// hidden are the texts that must not be seen in history though a receiver echoes them.
	hidden [][]byte
}

func newTarget(w *triggers.Webhook, revision payload.Revision, settings triggers.PortalSettings) *target {
	t := &target{webhook: w, revision: revision, schedule: ScheduleFor(w.Retry, settings), timeout: timeoutFor(w, settings)}
	t.url, t.urlErr = url.Parse(w.URL)
	if t.urlErr == nil {
		t.host = hostOf(t.url)
		t.inside = strings.Contains(t.url.Path, InsidePath)
	}
	for _, list := range [][]triggers.Header{w.Headers, w.EncryptedHeaders} {
		for _, header := range list {
			name, canonical := header.Name, textproto.CanonicalMIMEHeaderKey(header.Name)
			if canonical == userAgentHeader {
				name = canonical // in any other spelling the transport would add its own beside it
			}
			t.headers = append(t.headers, [2]string{name, header.Value.Reveal()})
			if t.overridden == nil {
				t.overridden = make(map[string]bool)
			}
			t.overridden[canonical] = true
		}
	}
	t.hide(w.Secret)
	for _, old := range w.OldSecrets {
		t.hide(old.Secret)
	}
	for _, header := range w.EncryptedHeaders {
		t.hide(header.Value)
	}
	return t
}

// hide leaves texts of a few characters alone: they are no secrets, and blotting them out would ruin the answer.
func (t *target) hide(secret triggers.Secret) {
	const least = 6
	if text := secret.Reveal(); len(text) >= least {
		t.hidden = append(t.hidden, []byte(text))
	}
}

// hostOf is scheme, name and port: what shares a fate.
func hostOf(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "http":
		port = "80"
	default:
		port = "443"
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// secrets are those that sign now: the present one first, then the rotated ones whose time has not come.
func (t *target) secrets(now time.Time) []triggers.Secret {
	if t.webhook.Secret.IsZero() {
		return nil
	}
	secrets := make([]triggers.Secret, 1, 1+len(t.webhook.OldSecrets))
	secrets[0] = t.webhook.Secret
	for _, old := range t.webhook.OldSecrets {
		if now.Before(old.Until) {
			secrets = append(secrets, old.Secret)
		}
	}
	return secrets
}

// sender makes single attempts.
type sender struct {
	transport http.RoundTripper
	inside    Inside // nil: there are no receivers within this process
	userAgent string
	clock     *Clock
}

// shipment is one delivery as an attempt needs it.
type shipment struct {
	id       triggers.ID
	name     string            // in place of the id, of what is no delivery
	revision *payload.Revision // of the bytes; the target's is of the URL and headers
	builtAt  time.Time
	events   []payload.Event
	tries    int
	dueAt    time.Time
	shift    time.Duration // how far the clock had been set when it was dueAt
}

// header is what receivers are told as webhook-id.
func (it *shipment) header() string {
	if it.name != "" {
		return it.name
	}
	return it.id.Delivery()
}

// answer is what came of an attempt.
type answer struct {
	attempt    *Attempt
	outcome    Outcome
	reason     string
	retryAfter time.Duration
	shift      time.Duration // how far the clock had been set when the attempt began
}

// send makes one attempt, within the target's time limit and ctx. Nothing it returns holds a secret.
func (s *sender) send(ctx context.Context, to *target, it *shipment) answer {
	now, shift := s.clock.Read()
	attempt := &Attempt{
		Number:    it.tries + 1,
		StartedAt: now,
		Waited:    max(now.Sub(it.dueAt.Add(shift-it.shift)), 0),
		Revision:  to.revision.Number,
	}
	progress := &steps{began: time.Now(), checked: to.webhook.CheckCertificateRevocation}
	progress.deadline = progress.began.Add(to.timeout)
	asked, err := s.exchange(ctx, to, it, attempt, progress)
	attempt.Total = time.Since(progress.began)
	if err != nil && to.url != nil {
		err = progress.explain(err, to.url.Hostname())
	}
	attempt.DNS, attempt.Connect, attempt.TLS = progress.at(stepDNS), progress.at(stepConnect), progress.at(stepTLS)

	outcome := Classify(attempt.StatusCode, err)
	why := legible(string(to.conceal([]byte(reason(attempt.StatusCode, err)))))
	attempt.Outcome = outcome
	if err != nil {
		attempt.Error = why
	}
	return answer{attempt: attempt, outcome: outcome, reason: why, retryAfter: asked, shift: shift}
}

// exchange sends the request and reads the answer into attempt. It returns what Retry-After asked for.
func (s *sender) exchange(ctx context.Context, to *target, it *shipment, attempt *Attempt, progress *steps) (time.Duration, error) {
	request, err := s.request(to, it, attempt)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errUnsendable, err)
	}
	ctx, cancel := context.WithDeadline(context.WithValue(ctx, stepsKey{}, progress), progress.deadline)
	defer cancel()
	response, err := s.way(to).RoundTrip(request.WithContext(ctx))
	if err != nil {
		return 0, err
	}
	attempt.FirstByte = time.Since(progress.began)
	attempt.StatusCode = response.StatusCode
	attempt.ResponseHeaders = to.keptHeaders(response.Header)
	asked := retryAfter(response.Header, attempt.StartedAt)
	attempt.ResponseBody, attempt.Truncated, err = to.readBody(response)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return asked, err
}

// InsidePath is in the path of every URL of a receiver within this process.
const InsidePath = "/receiver/"

// Inside knows the receivers within this process. What is sent to them is handed over in memory and never dialled, so that the guard keeps
// our own port closed to whatever else is asked for.
type Inside interface {
	// Inside is the receiver whose URL this is, letter for letter, if it is the tenant's; nil when it is none, and then the network is asked.
	Inside(tenant uint32, url string) http.RoundTripper
}

// way is the way to a target: out of the house, but for receivers within it.
func (s *sender) way(to *target) http.RoundTripper {
	if to.inside && s.inside != nil {
		if receiver := s.inside.Inside(to.webhook.Tenant, to.webhook.URL); receiver != nil {
			return receiver
		}
	}
	return s.transport
}

// request builds and signs. The bytes that are signed are the bytes that are sent.
func (s *sender) request(to *target, it *shipment, attempt *Attempt) (*http.Request, error) {
	if to.urlErr != nil {
		return nil, errors.New("the URL cannot be read") // the error would print it
	}
	body, err := payload.Build(make([]byte, 0, bodySize(it)), it.revision, it.builtAt, it.events)
	if err != nil {
		return nil, err
	}
	signed := payload.Sign(payload.Signing{
		Secrets: to.secrets(attempt.StartedAt),
		Plain:   to.webhook.PlainSecretHeader,
		ID:      it.header(),
		At:      attempt.StartedAt,
		Body:    body,

		ContentType: it.revision.ContentType(),

		Cloud: len(it.events) > 0 && payload.FamilyOf(&it.events[0].URI) == payload.Cloud,
	})
	// Values are cut from one array; without custom headers the map has no more entries than fit into its smallest form.
	values := make([]string, 0, 3+len(signed))
	header := make(http.Header, 4+len(signed)+len(to.headers))
	set := func(name, value string) {
		values = append(values, value)
		header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	set("Content-Type", it.revision.ContentType())
	set(userAgentHeader, s.userAgent)
	set("Accept-Encoding", "identity")
	// A name without a value is not sent. It tells the transport that the request may be sent again on a new connection when an
	// idle one turns out to be closed: receivers know repeats by the delivery's id.
	header["X-Idempotency-Key"] = nil
	for name := range to.overridden {
		delete(header, name)
	}
	for _, pair := range to.headers {
		header[pair[0]] = append(header[pair[0]], pair[1])
	}
	for i, pair := range signed {
		set(pair[0], pair[1])
		if pair[0] == payload.HeaderSecret {
			signed[i][1] = omitted
		}
	}
	attempt.Signed = signed

	// Nothing is pooled: the transport may read a body after an attempt has ended.
	return &http.Request{
		Method:        http.MethodPost,
		URL:           to.url,
		Host:          to.url.Host,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		ContentLength: int64(len(body)),
		Body:          io.NopCloser(bytes.NewReader(body)),
		GetBody:       func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}, nil
}

// bodySize is room enough for the body of most deliveries.
func bodySize(it *shipment) int {
	const envelope = 320
	size := envelope + len(it.revision.WebhookName) + len(it.revision.PortalURL)
	for i := range it.events {
		size += len(it.events[i].Body) + 1
	}
	return size
}

// scratch is where answers are read before what is kept of them is copied.
var scratch = sync.Pool{New: func() any { return new([readBodyMost + 1]byte) }}

// readBody reads at most 64 KiB of the decoded body, to its end when it is short, so that the connection can be used again, and
// returns at most 16 KiB of it and whether that is less than there was. It closes the body. The error is the connection's: a body
// that cannot be decoded is one of which nothing is kept. Secrets are blotted out before it is cut, or a part of one might be left.
func (t *target) readBody(response *http.Response) (kept []byte, truncated bool, err error) {
	defer response.Body.Close()
	// After 101 the body is the connection itself, which no deadline of ours ends.
	if response.Body == http.NoBody || response.ContentLength == 0 || response.StatusCode == http.StatusSwitchingProtocols {
		return nil, false, nil
	}
	wire := &wireReader{from: response.Body, left: readBodyMost + 1}
	var decoded io.Reader = wire
	if strings.EqualFold(response.Header.Get("Content-Encoding"), "gzip") {
		decoder, err := gzip.NewReader(wire)
		if err != nil {
			return nil, true, wire.err
		}
		decoded = decoder
	}
	room := scratch.Get().(*[readBodyMost + 1]byte)
	defer scratch.Put(room)
	n := 0
	for err == nil && n < len(room) {
		var more int
		more, err = decoded.Read(room[n:])
		n += more
	}
	whole := errors.Is(err, io.EOF) && wire.left > 0 && !errors.Is(err, io.ErrUnexpectedEOF)
	seen := t.conceal(room[:n])
	return slices.Clone(seen[:min(len(seen), keptBody)]), !whole || len(seen) > keptBody, wire.err
}

// wireReader limits what is read off the wire, since a compressed stream may be endless and decode to nothing, and remembers what
// the connection said, which a decoder on top of it would cover up.
type wireReader struct {
	from io.Reader
	left int
	err  error // but for io.EOF
}

func (w *wireReader) Read(p []byte) (int, error) {
	if w.left <= 0 {
		return 0, io.EOF
	}
	n, err := w.from.Read(p[:min(len(p), w.left)])
	w.left -= n
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// keptHeaders are the answer's headers in order of their names, as many as fit, without cookies and our own secrets.
func (t *target) keptHeaders(header http.Header) [][2]string {
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	kept := make([][2]string, 0, len(names))
	size := 0
	for _, name := range names {
		for _, value := range header[name] {
			if size += len(name) + len(value); size > keptHeaders {
				return kept
			}
			if name == "Set-Cookie" {
				value = omitted
			}
			if len(t.hidden) > 0 {
				value = string(t.conceal([]byte(value)))
			}
			kept = append(kept, [2]string{name, value})
		}
	}
	return kept
}

// conceal blots out the webhook's own secrets in what a receiver sent back.
func (t *target) conceal(text []byte) []byte {
	for _, secret := range t.hidden {
		if bytes.Contains(text, secret) {
			text = bytes.ReplaceAll(text, secret, []byte(omitted))
		}
	}
	return text
}
