package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/storage/storagetest"
)

// heardItems is a receiver that remembers which events it has heard of, and under which ids.
type heardItems struct {
	mu    sync.Mutex
	items map[string]int // by the delivery's id
}

func (h *heardItems) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.items[r.Header.Get("webhook-id")]++
}

func (h *heardItems) counts() (deliveries, requests int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.items {
		requests += n
	}
	return len(h.items), requests
}

// second starts another server on a server's store: a node beside it on PostgreSQL, or one in its place.
func (p *process) second(tb testing.TB) *process {
	tb.Helper()
	other := &process{key: p.key, store: p.store, database: p.database, listen: "127.0.0.1:0", args: p.args}
	tb.Cleanup(other.kill)
	other.start(tb)
	return other
}

type emitted struct {
	ID      string `json:"id"`
	Matched int    `json:"matched"`
}

// emitOn tells a node of an event, with an id of the sender's.
func (p *process) emitOn(t *testing.T, n int) (event emitted) {
	t.Helper()
	p.call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": fmt.Sprintf("/items/%d/delete", n), "eventId": fmt.Sprint("event ", n)}, &event, http.StatusAccepted)
	return event
}

// Two nodes share the work. What one saves the other hears of; when one is killed, the other carries on with all of it.
func TestCase09NodesCarryOn(t *testing.T) {
	heard := &heardItems{items: make(map[string]int)}
	receiver := httptest.NewServer(heard)
	defer receiver.Close()
	first := on(storagetest.Postgres)(t)
	second := first.second(t)
	webhook := map[string]any{"name": "all", "url": receiver.URL, "eventTypes": []string{"/items"}, "enabled": true}
	first.createWebhook(t, webhook)
	require.Equal(t, 1, first.emitOn(t, 0).Matched, "at once, where it was saved")
	n := 0
	require.Eventually(t, func() bool { n++; return second.emitOn(t, n).Matched == 1 }, time.Minute, 20*time.Millisecond)
	require.Equal(t, n+1, second.emitOn(t, n+1).Matched+n)
	before := first.emitOn(t, n+1)
	require.Equal(t, before, second.emitOn(t, n+1), "the same event at another node is answered alike")
	awaitNoneOpen(t, first)
	start, requests := heard.counts()
	require.Equal(t, start, requests, "each delivery was made once")

	// Both take events, and one of them is killed.
	const each = 40
	n += 2
	for i := range each {
		first.emitOn(t, n+2*i)
		second.emitOn(t, n+2*i+1)
	}
	first.kill()
	awaitNoneOpen(t, second)
	deliveries, _ := heard.counts()
	require.Equal(t, start+2*each, deliveries, "whatever was acknowledged has arrived")

	// A third takes its place, and the second leaves in good order: nothing is refused on the way.
	third := second.second(t)
	second.emitOn(t, n+2*each)
	second.stop(t)
	require.Equal(t, 1, third.emitOn(t, n+2*each+1).Matched)
	awaitNoneOpen(t, third)
	deliveries, _ = heard.counts()
	require.Equal(t, start+2*each+2, deliveries)
}
