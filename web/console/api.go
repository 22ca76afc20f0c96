package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// apiError is an answer of the API that refuses something.
type apiError struct {
	Status int
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Field  string `json:"field"`
	Trace  string `json:"-"`
	Wait   string `json:"-"` // Retry-After, in seconds
}

func (e *apiError) Error() string {
	return fmt.Sprintf("%d %s: %s: %s", e.Status, e.Code, e.Field, e.Detail)
}

// answer is what the API answered, kept in memory: its answers are bounded.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// get reads from the API, as whoever visits, and puts the answer into out. Paths are those below /api/v1. The error is an *apiError when the API refuses.
func (v *visit) get(path string, query url.Values, out any) error {
	return v.call(http.MethodGet, path, query, nil, out)
}

// post sends a body to the API, nil for none, and puts the answer into out unless that is nil.
func (v *visit) post(path string, body, out any) error {
	return v.call(http.MethodPost, path, nil, body, out)
}

// call asks the API, as whoever visits.
func (v *visit) call(method, path string, query url.Values, body, out any) error {
	return v.ask(v.asVisitor(), "", method, path, query, body, out)
}

// ask makes a request within the process and reads its answer. A key is given to sign in only.
func (v *visit) ask(ctx context.Context, key, method, path string, query url.Values, body, out any) error {
	r, err := v.request(ctx, key, method, path, query, body)
	if err != nil {
		return err
	}
	got := &answer{header: make(http.Header)}
	v.console.config.API.ServeHTTP(got, r)
	if got.status >= http.StatusBadRequest {
		return refusalOf(got)
	}
	if out == nil || got.status == http.StatusNoContent {
		return nil
	}
	if err := json.UnmarshalRead(&got.body, out); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	return nil
}

// request is one within the process: the same handlers, checks and limits as for any other client.
func (v *visit) request(ctx context.Context, key, method, path string, query url.Values, body any) (*http.Request, error) {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	address, err := url.Parse("/api/v1" + path)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	address.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, "/", bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	r.URL = address
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	// The log and the limits of the API are about who sits before the browser.
	r.Host, r.RemoteAddr, r.TLS = v.r.Host, v.r.RemoteAddr, v.r.TLS
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"} {
		if values := v.r.Header.Values(name); values != nil {
			r.Header[name] = values
		}
	}
	return r, nil
}

// refusalOf reads {"errors":[…],"traceId"}.
func refusalOf(a *answer) error {
	var told struct {
		Errors []apiError `json:"errors"`
		Trace  string     `json:"traceId"`
	}
	text, _ := io.ReadAll(&a.body) // of memory
	if err := json.Unmarshal(text, &told); err != nil || len(told.Errors) == 0 {
		return fmt.Errorf("the API answered %d: %.200s", a.status, text)
	}
	first := told.Errors[0]
	first.Status, first.Trace, first.Wait = a.status, told.Trace, a.header.Get("Retry-After")
	return &first
}

// links are the pages around a list's page, as the API gives them.
type links struct {
	Next link `json:"next"`
	Prev link `json:"prev"`
}

type link struct {
	Href string `json:"href"`
}

// cursor is the link's parameter of the name given, next or prev; empty when there is no such page.
func (l link) cursor(name string) string {
	address, err := url.Parse(l.Href)
	if err != nil {
		return ""
	}
	return address.Query().Get(name)
}

// moment is a date of the API's; the zero value when there is none.
type moment struct{ time.Time }

// UnmarshalJSON reads an RFC 3339 date.
func (m *moment) UnmarshalJSON(text []byte) error {
	var value string
	if err := json.Unmarshal(text, &value); err != nil {
		return err
	}
	if value == "" {
		return nil
	}
	at, err := time.Parse(time.RFC3339, value)
	m.Time = at
	return err
}

// pretty indents a JSON value, and gives any other text as it is.
func pretty(value jsontext.Value) string {
	copied := jsontext.Value(bytes.Clone(value))
	if err := copied.Indent(jsontext.WithIndent("  ")); err != nil {
		return string(value)
	}
	return string(copied)
}

// asRefusal gives the API's refusal within an error, when it is of one of the statuses.
func asRefusal(err error, statuses ...int) (*apiError, bool) {
	refused, ok := errors.AsType[*apiError](err)
	if !ok || !slices.Contains(statuses, refused.Status) {
		return nil, false
	}
	return refused, true
}
