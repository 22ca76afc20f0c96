package delivery

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"portalhook/payload"
	"portalhook/triggers"
)

// How long a receiver has: for any answer to the question whether it is there, and for that to a challenge, as in ArcGIS Online.
const (
	reachTimeout     = 10 * time.Second
	challengeTimeout = 5 * time.Second
)

// crcParameter is the query parameter of a challenge; its answer is CRCAnswer.
const crcParameter = "crc_token"

// CRCAnswer is what a receiver answers to a challenge's token: {"response_token":"sha256=<base64>"}, of HMAC-SHA256 by the text of its secret.
func CRCAnswer(secret triggers.Secret, token string) string {
	h := hmac.New(sha256.New, []byte(secret.Reveal()))
	h.Write([]byte(token))
	return "sha256=" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// HandshakeError says why a receiver could not be reached, or did not prove that it has the secret. It holds no secret.
type HandshakeError struct {
	Reason string
	ours   bool // it is our own trouble, and says nothing of the receiver
}

func (e *HandshakeError) Error() string { return e.Reason }

// Reach posts {"WebhookRegistry":{"name":…}} to where a webhook points, stored or not, with its own headers, and unsigned. Any HTTP answer
// will do. The error is a *HandshakeError when there is none within 10 s, an *Overload while the tenant has many tests running or the dispatcher
// stops, or ctx's own.
func (d *Dispatcher) Reach(ctx context.Context, w *triggers.Webhook) error {
	name, err := jsontext.AppendQuote(nil, w.Name)
	if err != nil {
		return err
	}
	to := newTarget(w, payload.Revision{}, triggers.PortalSettings{})
	to.timeout = reachTimeout
	return d.shakeHands(ctx, w, func(ctx context.Context) error {
		_, _, failed := d.ask(ctx, to, http.MethodPost, to.url, []byte(`{"WebhookRegistry":{"name":`+string(name)+`}}`))
		return failed
	})
}

// Challenge asks where a webhook points, stored or not, by GET with a crc_token, and requires CRCAnswer within 5 s, by the present secret or one
// that was rotated and still signs. The errors are Reach's.
func (d *Dispatcher) Challenge(ctx context.Context, w *triggers.Webhook) error {
	return d.shakeHands(ctx, w, func(ctx context.Context) error { return d.challenge(ctx, w) })
}

// shakeHands runs one of the two among the tests.
func (d *Dispatcher) shakeHands(ctx context.Context, w *triggers.Webhook, ask func(ctx context.Context) error) error {
	if !d.enter() {
		return stopping()
	}
	defer d.active.Done()
	ctx, release := d.whileSending(ctx)
	defer release()
	leave, err := d.trials.enter(ctx, w.Tenant)
	if err != nil {
		return err
	}
	defer leave()
	return ask(ctx)
}

func (d *Dispatcher) challenge(ctx context.Context, w *triggers.Webhook) error {
	to := newTarget(w, payload.Revision{}, triggers.PortalSettings{})
	to.timeout = challengeTimeout
	token := rand.Text()
	var at *url.URL
	if to.url != nil {
		asked := *to.url
		asked.RawQuery = strings.TrimPrefix(asked.RawQuery+"&"+crcParameter+"="+token, "&")
		at = &asked
	}
	status, text, err := d.ask(ctx, to, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return &HandshakeError{Reason: "the challenge was answered " + statusLine(status)}
	}
	var answer struct {
		Token string `json:"response_token"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return &HandshakeError{Reason: `the challenge was not answered by JSON such as {"response_token":"sha256=…"}`}
	}
	for _, secret := range to.secrets(d.clock.Now()) {
		if hmac.Equal([]byte(answer.Token), []byte(CRCAnswer(secret, token))) {
			return nil
		}
	}
	return &HandshakeError{Reason: "the response_token of the challenge is not that of the webhook's secret"}
}

// ask makes one request that is no delivery, within the target's time limit. The error is a *HandshakeError.
func (d *Dispatcher) ask(ctx context.Context, to *target, method string, at *url.URL, body []byte) (status int, text []byte, err error) {
	if at == nil {
		return 0, nil, &HandshakeError{Reason: "the URL cannot be read"}
	}
	progress := &steps{began: time.Now()}
	progress.deadline = progress.began.Add(to.timeout)
	ctx, cancel := context.WithDeadline(context.WithValue(ctx, stepsKey{}, progress), progress.deadline)
	defer cancel()
	header := make(http.Header, 3+len(to.headers))
	header[userAgentHeader] = []string{d.sender.userAgent}
	header["Accept-Encoding"] = []string{"identity"}
	request := &http.Request{
		Method: method, URL: at, Host: at.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header, Body: http.NoBody,
	}
	if body != nil {
		header["Content-Type"] = []string{triggers.ContentTypeJSON}
		request.ContentLength, request.Body = int64(len(body)), io.NopCloser(bytes.NewReader(body))
	}
	for name := range to.overridden {
		delete(header, name)
	}
	for _, pair := range to.headers {
		header[pair[0]] = append(header[pair[0]], pair[1])
	}
	response, err := d.sender.transport.RoundTrip(request.WithContext(ctx))
	if err == nil {
		status = response.StatusCode
		text, _, err = to.readBody(response)
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
	}
	if err == nil {
		return status, text, nil
	}
	err = progress.explain(err, at.Hostname())
	outcome := Classify(0, err)
	return status, nil, &HandshakeError{
		Reason: string(to.conceal([]byte(reason(0, err)))), ours: outcome == Infrastructure || outcome == ShutDown,
	}
}
