package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/storage"
)

// fullServer is a whole server whose store a test fills, and a receiver that answers nothing before it is released.
type fullServer struct {
	*server

	url      string
	client   *http.Client
	released chan struct{}

	mu  sync.Mutex
	got map[string]int // requests by the id of the item that they tell of
}

const fullKey = "full-disk-admin-key-0123456789"

func newFullServer(t *testing.T) *fullServer {
	t.Helper()
	built, err := demoServer(t.Context(), streams{out: io.Discard, err: io.Discard}, t.TempDir(), "", fullKey)
	require.NoError(t, err)
	f := &fullServer{server: built, url: built.url(), client: new(http.Client), released: make(chan struct{}), got: map[string]int{}}
	f.client.Transport = &http.Transport{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-f.released
		var told struct {
			Events []struct {
				ID string `json:"id"`
			} `json:"events"`
		}
		_ = json.NewDecoder(r.Body).Decode(&told) // what does not decode is counted under no id
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, event := range told.Events {
			f.got[event.ID]++
		}
	}))
	serving, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- f.serve(serving) }()
	t.Cleanup(func() {
		f.release()
		stop()
		require.NoError(t, <-ended)
		f.client.CloseIdleConnections()
		receiver.Close()
	})
	status, _, body := f.call(t, http.MethodPost, webhooksPath, newWebhook{
		Name: "w", URL: receiver.URL, EventTypes: []string{"/items"}, Enabled: true, Retry: []string{"0s", "1s", "1s"},
	})
	require.Equal(t, http.StatusCreated, status, body)
	return f
}

func (f *fullServer) release() {
	select {
	case <-f.released:
	default:
		close(f.released)
	}
}

// received are the ids of the items that the receiver has heard of.
func (f *fullServer) received() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.got))
}

func (f *fullServer) call(t *testing.T, method, path string, in any) (status int, header http.Header, body string) {
	t.Helper()
	sent, err := json.Marshal(in)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), method, f.url+path, bytes.NewReader(sent))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+fullKey)
	request.Header.Set("Content-Type", "application/json")
	response, err := f.client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header, string(answer)
}

// post sends an event about an item, with room that it takes.
func (f *fullServer) post(t *testing.T, item string) (status int, header http.Header, body string) {
	t.Helper()
	return f.call(t, http.MethodPost, eventsPath, map[string]any{
		"uri": "/items/" + item + "/update", "eventId": item, "properties": map[string]any{"note": strings.Repeat("x", 8<<10)},
	})
}

func (f *fullServer) ready(t *testing.T) (status int, body string) {
	t.Helper()
	status, _, body = f.call(t, http.MethodGet, "/readyz", nil)
	return status, body
}

// A store that cannot grow refuses events with a time to come again and says which part is not ready. What it has acknowledged is
// delivered and recorded once there is room, and what it has refused it has not kept.
func TestFullDiskOverHTTP(t *testing.T) {
	f := newFullServer(t)
	var acknowledged, refused []string
	accept := func(item string) {
		status, _, body := f.post(t, item)
		require.Equal(t, http.StatusAccepted, status, body)
		acknowledged = append(acknowledged, item)
	}
	for n := range 10 {
		accept(fmt.Sprintf("before%03d", n))
	}
	require.NoError(t, f.store.(*storage.Store).Limit(t.Context(), 1))
	for n := 0; len(refused) < 10; n++ {
		require.Less(t, n, 1000, "the store grows all the same")
		item := fmt.Sprintf("during%03d", n)
		status, header, body := f.post(t, item)
		if status == http.StatusAccepted { // in pages that were free
			acknowledged = append(acknowledged, item)
			continue
		}
		require.Equal(t, http.StatusServiceUnavailable, status, body)
		require.Equal(t, "30", header.Get("Retry-After"))
		require.Contains(t, body, `"code":"OUTCOME_UNKNOWN"`)
		refused = append(refused, item)
	}
	status, body := f.ready(t)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.JSONEq(t, `{"status":"not ready","notReady":["disk"]}`, body)

	// Receivers answer while nothing can be recorded: that too is done when there is room.
	f.release()
	require.Eventually(t, func() bool { return len(f.received()) > 0 }, 10*time.Second, time.Millisecond)
	require.NoError(t, f.store.(*storage.Store).Limit(t.Context(), 0))
	for _, item := range refused {
		status, _, body := f.post(t, item)
		require.Equal(t, http.StatusAccepted, status, body)
		require.NotContains(t, body, `"duplicate"`, "what was refused was not stored")
		acknowledged = append(acknowledged, item)
	}
	accept("after")
	status, body = f.ready(t)
	require.Equal(t, http.StatusOK, status, body)
	require.Eventually(t, func() bool { return f.store.Open() == 0 }, 30*time.Second, 5*time.Millisecond)
	slices.Sort(acknowledged)
	require.Equal(t, acknowledged, f.received())
	for _, item := range acknowledged {
		status, _, body := f.post(t, item)
		require.Equal(t, http.StatusAccepted, status, body)
		require.Contains(t, body, `"duplicate":true`, item)
	}
}
