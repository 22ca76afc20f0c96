package web

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"portalhook/delivery"
)

// Route is a row of the list of everything that is served, for the tests that go through it.
type Route struct {
	Method, Path string
	Public       bool
	Tier         int // 1, 2, or 0 without a limit
	Roles        []string
}

// Routes are all rows, in order.
func (s *Server) Routes() []Route {
	var list []Route
	for _, r := range s.routes() {
		row := Route{Method: r.method, Path: r.path, Public: r.allowed&anyone != 0}
		if t := r.limitedBy(); t != noTier && !row.Public {
			row.Tier = int(t)
		}
		for _, role := range []struct {
			bit  roles
			name string
		}{{admin, "admin"}, {user, "user"}, {emitter, "emitter"}, {viewer, "viewer"}, {operator, "operator"}} {
			if r.allowed&role.bit != 0 {
				row.Roles = append(row.Roles, role.name)
			}
		}
		list = append(list, row)
	}
	return list
}

// RateLimiter gives the limiter by itself: how many seconds a call that reads, or one that changes something, is too early.
func RateLimiter(limit RateLimit, users func(tenant uint32) int, now func() time.Time) func(tenant uint32, user string, change bool) int64 {
	l := newRateLimiter(limit, users, now)
	return func(tenant uint32, user string, change bool) int64 {
		if change {
			return l.take(tenant, user, changeTier)
		}
		return l.take(tenant, user, readTier)
	}
}

// LimitBy has the server's limiter read another clock.
func (s *Server) LimitBy(now func() time.Time) {
	s.limiter.now, s.limiter.began = now, now()
}

// NewToken makes a token of the key with an id.
func (s *Server) NewToken(id string, ends time.Time) string { return s.newToken(id, ends) }

// Kinds gives every code of an error with its status.
func Kinds() map[string]int {
	statuses := make(map[string]int, len(kinds))
	for code, k := range kinds {
		statuses[code] = k.status
	}
	return statuses
}

// Authenticate is what every request with a key pays.
func (s *Server) Authenticate(r *http.Request) error {
	_, err := s.authenticate(r, admin)
	return err
}

// FromHTTP reads a CloudEvent in the binary mode.
var FromHTTP = fromHTTP

// SetBeat says how often the tail shows signs of life.
func (s *Server) SetBeat(every time.Duration) { s.beat = every }

// Receivers is how the built-in receivers stand, but for what arrived and when they were used.
func (s *Server) Receivers() string {
	here := s.config.Inbox.store.(*receiversHere)
	here.mu.Lock()
	defer here.mu.Unlock()
	var list []string
	for token, r := range here.byToken {
		list = append(list, fmt.Sprint(token, r.Tenant, string(r.Body)))
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// NewReceiversHere keeps built-in receivers in memory.
func NewReceiversHere() delivery.BuiltIns { return newReceiversHere() }

// The parsers of parameters, for the tests that hold them to what they say.
var (
	WebhookCursor      = webhookCursor
	ParseWebhookCursor = parseWebhookCursor
	MomentParam        = momentParam
	SplitList          = splitList
)

// FormOf are the values of a form of a content type.
func FormOf(contentType, text string) (map[string][]string, error) {
	r := &http.Request{
		Method: http.MethodPost, URL: new(url.URL), ContentLength: int64(len(text)), Body: io.NopCloser(strings.NewReader(text)),
		Header: http.Header{"Content-Type": {contentType}},
	}
	p, err := readParameters(r)
	if err != nil {
		return nil, err
	}
	return p.body, nil
}

// FillLargeBodies takes all the room for large bodies until release is called.
func (s *Server) FillLargeBodies() (release func()) {
	if !s.largeBodies.TryAcquire(largeBodies) {
		panic("large bodies are under way")
	}
	return func() { s.largeBodies.Release(largeBodies) }
}
