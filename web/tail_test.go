package web_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"portalhook/storage"
	"portalhook/storage/storagetest"
	"portalhook/triggers"
)

// frame is one server-sent event, or a comment.
type frame struct {
	name, comment string
	data          map[string]any
}

// tailing is a client of the tail.
type tailing struct {
	*http.Response
	frames chan frame // closed when the stream has ended
}

// tail opens the tail on a socket and reads past the greeting: what happens from now on is heard.
func (e *edge) tail(t *testing.T, query, key string) *tailing {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.url+"/api/v1/tail"+query, nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+key)
	resp, err := noRedirects.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	out := &tailing{resp, make(chan frame, 10_000)}
	go out.read()
	require.Equal(t, "listening", out.next(t).comment)
	return out
}

func (s *tailing) read() {
	defer close(s.frames)
	lines := bufio.NewScanner(s.Body)
	var f frame
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			f.name = value
		case "data":
			if json.Unmarshal([]byte(value), &f.data) != nil {
				return
			}
		case "":
			if f.name == "" {
				f.comment = value
			}
			if value == "" || f.comment != "" {
				if f.name != "" || f.comment != "" {
					s.frames <- f
				}
				f = frame{}
			}
		}
	}
}

func (s *tailing) next(t *testing.T) frame {
	t.Helper()
	select {
	case f, ok := <-s.frames:
		require.True(t, ok, "the stream has ended")
		return f
	case <-t.Context().Done():
		require.FailNow(t, "nothing came")
	}
	return frame{}
}

// TestWholeTail hears of an event, its attempt and its end over a socket, filtered as asked.
func TestWholeTail(t *testing.T) { storagetest.OnEach(t, testWholeTail) }

func testWholeTail(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	w := newWhole(t, place(t), newReceiver(t))
	require.NoError(t, w.store.AddAPIKey(t.Context(), triggers.APIKey{
		ID: "k2", Hash: sha256.Sum256([]byte(userKey)), Tenant: 1, Role: triggers.RoleUser, UserID: "ann", Created: time.Now(),
	}))
	require.NoError(t, w.server.ReloadKeys(t.Context()))
	webhook := w.subscribe(t, `"eventTypes":["/items/share"]`)
	anns := w.subscribe(t, `"eventTypes":["/items/update"],"level":"user","ownerId":"ann"`)
	all, ends, groups := w.tail(t, "", adminKey), w.tail(t, "?kind=end,attempt&webhook="+webhook, adminKey), w.tail(t, "?uri=/groups/*/update", adminKey)
	user := w.tail(t, "", userKey)
	event := w.post(t, strings.Replace(share, "{", `{"eventId":"share-17",`, 1))
	w.receiver.next(t)
	sent := w.delivered(t, event)

	first := all.next(t)
	require.Equal(t, "event", first.name)
	require.Equal(t, event, first.data["id"])
	require.Equal(t, "share-17", first.data["eventId"])
	require.EqualValues(t, 1, first.data["matched"])
	for _, from := range []*tailing{all, ends} {
		attempt := from.next(t)
		require.Equal(t, "attempt", attempt.name)
		require.Equal(t, sent["id"], attempt.data["deliveryId"])
		require.Equal(t, event, attempt.data["eventId"])
		require.Equal(t, webhook, attempt.data["webhookId"])
		require.Equal(t, "delivered", attempt.data["outcome"])
		require.EqualValues(t, 200, attempt.data["statusCode"])
		end := from.next(t)
		require.Equal(t, "end", end.name)
		require.Equal(t, "succeeded", end.data["state"])
		require.EqualValues(t, 1, end.data["attempts"])
	}
	group := w.post(t, `{"uri":"/groups/g1/update"}`)
	require.Equal(t, group, groups.next(t).data["id"], "the first that it hears")
	w.post(t, `{"uri":"/items/i1/update","ownerId":"ann"}`)
	w.receiver.next(t)
	require.Equal(t, anns, user.next(t).data["webhookId"], "the first that it hears is its own")

	for query, field := range map[string]string{
		"?kind=events": "kind", "?webhook=x": "webhook", "?webhook=" + strings.Repeat("0", 32): "webhook", "?uri=/itemz": "uri",
	} {
		a := w.call(t, "GET", "/api/v1/tail"+query, "")
		require.Equal(t, http.StatusBadRequest, a.status, query)
		require.Equal(t, field, a.problem(t)["field"])
	}
	a := w.do(t, request{method: "GET", path: "/api/v1/tail?webhook=" + webhook, key: userKey})
	require.Equal(t, http.StatusBadRequest, a.status, "another's webhook")
	require.Equal(t, http.StatusOK, w.call(t, "HEAD", "/api/v1/tail", "").status)
}

// TestTailAccountsForEverything emits more at once than is kept for a listener: what was not told was counted.
func TestTailAccountsForEverything(t *testing.T) {
	storagetest.OnEach(t, testTailAccountsForEverything)
}

func testTailAccountsForEverything(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	w := newWhole(t, place(t), newReceiver(t))
	tail := w.tail(t, "", adminKey)
	const emitted = 5000
	a := w.call(t, "POST", "/api/v1/events", "["+strings.TrimSuffix(strings.Repeat(`{"uri":"/users/u/update"},`, emitted), ",")+"]")
	require.Equal(t, http.StatusAccepted, a.status)
	for heard := 0; heard < emitted; {
		switch f := tail.next(t); f.name {
		case "event":
			heard++
		case "missed":
			heard += int(f.data["count"].(float64))
		}
	}
}

// TestTailOutlivesTimeLimits listens on a server whose limits for a request are far shorter than the listening, and ends with the key.
func TestTailOutlivesTimeLimits(t *testing.T) { storagetest.OnEach(t, testTailOutlivesTimeLimits) }

func testTailOutlivesTimeLimits(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	w := newWhole(t, place(t), newReceiver(t))
	w.server.SetBeat(10 * time.Millisecond)
	listener := httptest.NewUnstartedServer(w.server)
	limits := listener.Config
	limits.ReadHeaderTimeout, limits.ReadTimeout, limits.IdleTimeout = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	listener.Start()
	t.Cleanup(listener.Close)
	w.url = listener.URL
	require.NoError(t, w.store.AddAPIKey(t.Context(), triggers.APIKey{
		ID: "k2", Hash: sha256.Sum256([]byte(viewerKey)), Tenant: 1, Role: triggers.RoleViewer, Created: time.Now(),
	}))
	require.NoError(t, w.server.ReloadKeys(t.Context()))
	tail := w.tail(t, "", viewerKey)
	for range 20 {
		require.Equal(t, "beat", tail.next(t).comment)
	}
	require.NoError(t, w.store.RevokeAPIKey(t.Context(), 1, "k2"))
	require.NoError(t, w.server.ReloadKeys(t.Context()))
	for range tail.frames { // until it has ended
	}
}

// TestTailEndsWithTheServer lets a shutdown end the listening rather than wait for it.
func TestTailEndsWithTheServer(t *testing.T) { storagetest.OnEach(t, testTailEndsWithTheServer) }

func testTailEndsWithTheServer(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	w := newWhole(t, place(t), newReceiver(t))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(listener) }()
	w.url = "http://" + listener.Addr().String()
	tail := w.tail(t, "", adminKey)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, w.server.Shutdown(ctx))
	require.NoError(t, <-served)
	for range tail.frames { // until it has ended
	}
}

// TestTailIsFull refuses the seventeenth listener.
func TestTailIsFull(t *testing.T) { storagetest.OnEach(t, testTailIsFull) }

func testTailIsFull(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	w := newWhole(t, place(t), newReceiver(t))
	for range 16 {
		w.tail(t, "", adminKey)
	}
	a := w.call(t, "GET", "/api/v1/tail", "")
	require.Equal(t, http.StatusTooManyRequests, a.status)
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	require.NoError(t, err)
	require.Positive(t, seconds)
}
