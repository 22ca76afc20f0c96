package web_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"portalhook/triggers"
	"portalhook/web"
)

// edge is a server over memory.
type edge struct {
	*memory
	url    string // empty without a socket
	server *web.Server
	// handler is the server held to its specification, but for benchmarks.
	handler http.Handler
	log     *logbook
}

// logbook holds what was logged; requests are logged after their answer has gone out.
type logbook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// newEdge starts a server; change may alter its configuration before.
func newEdge(tb testing.TB, change ...func(*web.Config)) *edge {
	tb.Helper()
	e := newBareEdge(tb, change...)
	listener := httptest.NewServer(e.handler)
	tb.Cleanup(listener.Close)
	e.url = listener.URL
	return e
}

// newBareEdge makes a server without a socket: do calls it directly.
func newBareEdge(tb testing.TB, change ...func(*web.Config)) *edge {
	tb.Helper()
	e := &edge{memory: newMemory(), log: &logbook{}}
	config := web.Config{
		Catalog: triggers.Default(), Dispatcher: e.memory, Table: e.table, Directory: directory{e.memory}, Resender: e.memory, Tester: e.memory,
		Recoverer: e.memory, Handshaker: e.memory, Overview: e.memory, Hosts: e.memory, Tailer: e.memory,
		History: e.memory, Keys: e.memory, Audit: e.memory, Copier: e.memory, Log: slog.New(slog.NewTextHandler(e.log, nil)),
	}
	for _, c := range change {
		c(&config)
	}
	var err error
	e.server, err = web.New(tb.Context(), config)
	require.NoError(tb, err)
	e.handler = e.server
	if _, measured := tb.(*testing.B); !measured {
		e.handler = specified(tb, e.server)
	}
	return e
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) json(tb testing.TB) map[string]any {
	tb.Helper()
	var object map[string]any
	require.NoError(tb, json.Unmarshal([]byte(a.body), &object), a.body)
	return object
}

// problem is the one error of an answer that refuses.
func (a answer) problem(tb testing.TB) map[string]any {
	tb.Helper()
	object := a.json(tb)
	require.Len(tb, object["traceId"], 32)
	require.Equal(tb, object["traceId"], a.header.Get("X-Request-Id"))
	problems, ok := object["errors"].([]any)
	require.True(tb, ok, a.body)
	require.Len(tb, problems, 1)
	return problems[0].(map[string]any)
}

// request describes a request; what is empty is left out.
type request struct {
	method, path, key, contentType, body string
	header                               http.Header
}

func (e *edge) do(tb testing.TB, r request) answer {
	tb.Helper()
	req, err := http.NewRequestWithContext(context.Background(), r.method, e.url+r.path, strings.NewReader(r.body))
	require.NoError(tb, err)
	maps.Copy(req.Header, r.header)
	if host := r.header.Get("Host"); host != "" {
		req.Host = host
	}
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	if r.contentType == "" && r.body != "" {
		r.contentType = "application/json"
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if e.url == "" {
		w := newRecorder()
		e.handler.ServeHTTP(w, req)
		return answer{w.Code, w.Header(), w.Body.String()}
	}
	resp, err := noRedirects.Do(req)
	require.NoError(tb, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(tb, err)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// recorder records an answer without a socket, whose time limits are nobody's.
type recorder struct{ *httptest.ResponseRecorder }

func newRecorder() recorder { return recorder{httptest.NewRecorder()} }

func (recorder) SetReadDeadline(time.Time) error { return nil }

func (recorder) SetWriteDeadline(time.Time) error { return nil }

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// call is do with the admin's key.
func (e *edge) call(tb testing.TB, method, path, body string) answer {
	tb.Helper()
	return e.do(tb, request{method: method, path: path, key: adminKey, body: body})
}

// create makes a webhook and gives its id.
func (e *edge) create(tb testing.TB, body string) string {
	tb.Helper()
	a := e.call(tb, http.MethodPost, "/api/v1/webhooks", body)
	require.Equal(tb, http.StatusCreated, a.status, a.body)
	return a.json(tb)["id"].(string)
}

// post emits one event and gives its id.
func (e *edge) post(tb testing.TB, body string) string {
	tb.Helper()
	a := e.call(tb, http.MethodPost, "/api/v1/events", body)
	require.Equal(tb, http.StatusAccepted, a.status, a.body)
	return a.json(tb)["id"].(string)
}

func mustURL(tb testing.TB, text string) *url.URL {
	tb.Helper()
	u, err := url.Parse(text)
	require.NoError(tb, err)
	return u
}
