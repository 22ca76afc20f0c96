package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// serverFlags say which server a command talks to, and as whom.
type serverFlags struct {
	Server string `help:"The server's URL." default:"http://127.0.0.1:8080" env:"PORTALHOOK_SERVER" placeholder:"URL"`
	Key    string `help:"An API key of that server." env:"PORTALHOOK_KEY" placeholder:"KEY"`
}

// Validate is called by kong once the flags are read.
func (s *serverFlags) Validate() error {
	base, err := url.Parse(s.Server)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return fmt.Errorf("--server: %q is not a URL such as http://127.0.0.1:8080", withoutUser(s.Server))
	}
	return nil
}

func (s *serverFlags) client() *client {
	return &client{base: strings.TrimRight(s.Server, "/"), key: s.Key, http: &http.Client{Timeout: requestTimeout}}
}

const (
	// requestTimeout bounds one request to a server, answer included.
	requestTimeout = 60 * time.Second
	// maxAnswer is the largest answer that is read, in bytes.
	maxAnswer = 64 << 20
)

// client speaks to a server's JSON API.
type client struct {
	base string // without a slash at the end
	key  string
	http *http.Client
	// portalToken is a token of an ArcGIS portal, where base is one's.
	portalToken string
}

// call sends in (nil: no body) as JSON and reads the answer into out (nil: it is dropped). An answer that is no success is an
// *apiError; a server that cannot be reached, or that refuses the key, is a failure with exitUnreachable.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	answer, err := c.send(ctx, method, path, body)
	if err != nil || out == nil {
		return err
	}
	return decode(answer, out)
}

// decode reads a server's answer; members that this program does not know of are left alone.
func decode(answer []byte, out any) error {
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("the server's answer was not understood: %w", err)
	}
	return nil
}

// send is call for a body that is JSON already; without a body there is none.
func (c *client) send(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	return c.sendAs(ctx, method, path, "application/json", body)
}

// sendAs is send for a body of any content type.
func (c *client) sendAs(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	request, err := c.request(ctx, method, path, contentType, body)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.undone(ctx, method, path, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, unanswered(withoutUser(c.base)+" broke off its answer", err)
	}
	if !succeeded(response.StatusCode) {
		return nil, refusal(response, answer, c.key != "")
	}
	return answer, nil
}

// request is one with the key and, if there is one, a body.
func (c *client) request(ctx context.Context, method, path, contentType string, body []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	if body != nil {
		request.Header.Set("Content-Type", contentType)
	}
	if c.portalToken != "" {
		request.Header.Set("X-Esri-Authorization", "Bearer "+c.portalToken)
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	return request, nil
}

// withoutUser is a URL, however wrong, as it may be shown: without what stands before an @, where passwords are.
func withoutUser(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		scheme, rest = "", text
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 && strings.Contains(rest[:end], "@") {
		authority = rest[:end]
	}
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return text
	}
	if ok {
		scheme += "://"
	}
	return scheme + "…" + rest[at:]
}

// undone says why a request got no answer.
func (c *client) undone(ctx context.Context, method, path string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", method, path, context.Cause(ctx))
	}
	return unanswered(withoutUser(c.base)+" cannot be reached", plainCause(err))
}

// noAnswer is the cause of a request's failure when the network, not the server, failed it.
type noAnswer struct {
	what  string
	cause error
}

func (n *noAnswer) Error() string { return n.what + ": " + n.cause.Error() }
func (n *noAnswer) Unwrap() error { return n.cause }

func unanswered(what string, cause error) error {
	return &failure{status: exitUnreachable, cause: &noAnswer{what: what, cause: cause}}
}

// plainCause takes from a client's error what it says twice: method and URL.
func plainCause(err error) error {
	var wrapped *url.Error
	if !errors.As(err, &wrapped) {
		return err
	}
	var refused *net.OpError
	if errors.As(wrapped.Err, &refused) && refused.Op == "dial" {
		return refused.Err
	}
	return wrapped.Err
}

// apiError is a server's refusal in the JSON API's form.
type apiError struct {
	Status     int
	Code       string
	Detail     string
	Field      string
	Index      int // in a batch; -1 outside one
	TraceID    string
	RetryAfter time.Duration // zero: the server did not say
}

func (e *apiError) Error() string {
	text := e.Detail
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Index >= 0 {
		text = fmt.Sprintf("event %d: %s", e.Index, text)
	}
	if e.Status >= http.StatusInternalServerError && e.TraceID != "" {
		text += " (trace " + e.TraceID + ")"
	}
	return text
}

// refusalBody is {"errors":[{"code","title","detail","field","index"}],"traceId"}.
type refusalBody struct {
	Errors []struct {
		Code   string `json:"code"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
		Field  string `json:"field"`
		Index  *int   `json:"index"`
	} `json:"errors"`
	TraceID string `json:"traceId"`
}

// refusal turns an answer that is no success into an error; withKey says whether a key was sent.
func refusal(response *http.Response, answer []byte, withKey bool) error {
	e := &apiError{Status: response.StatusCode, Index: -1, RetryAfter: retryAfter(response.Header.Get("Retry-After"), time.Now())}
	var body refusalBody
	if err := json.Unmarshal(answer, &body, jsontext.AllowDuplicateNames(true)); err == nil && len(body.Errors) > 0 {
		first := body.Errors[0]
		e.Code, e.Field, e.TraceID = first.Code, first.Field, body.TraceID
		e.Detail = first.Detail
		if e.Detail == "" {
			e.Detail = first.Title
		}
		if first.Index != nil {
			e.Index = *first.Index
		}
	} else {
		e.Detail = "the server answered " + response.Status
	}
	switch {
	case e.Status == http.StatusUnauthorized && !withKey:
		return unreachablef("the server wants a key: give --key or set PORTALHOOK_KEY")
	case e.Status == http.StatusUnauthorized:
		return unreachablef("the server does not know the key, or it has expired or been revoked")
	case e.Status == http.StatusForbidden && e.Code == "FORBIDDEN":
		return unreachablef("the key may not do this: %w", e)
	}
	return e
}

// retryAfter reads the header of that name, in either of its forms; zero when it is absent, unreadable or past.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return time.Duration(min(seconds, maxRetryAfterSeconds)) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(0, date.Sub(now)), maxRetryAfterSeconds*time.Second)
	}
	return 0
}

// maxRetryAfterSeconds bounds what a server may ask, so that no number overflows: a day.
const maxRetryAfterSeconds = 24 * 60 * 60
