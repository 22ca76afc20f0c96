package web_test

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/storage/storagetest"
	"portalhook/web"
)

// gauge is the store's, with a disk that a test fills.
type gauge struct {
	delivery.Gauge
	free atomic.Uint64
}

func (g *gauge) FreeBytes() (uint64, error) { return g.free.Load(), nil }

const roomy = 1 << 40 // bytes

// slowReceiver answers no delivery before the test says so.
func slowReceiver(t *testing.T) (to *receiver, release func()) {
	t.Helper()
	to = newReceiver(t)
	gate := make(chan struct{})
	inner := to.Config.Handler
	to.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-gate
		inner.ServeHTTP(w, r)
	})
	var released atomic.Bool
	release = func() {
		if !released.Swap(true) {
			close(gate)
		}
	}
	t.Cleanup(release)
	return to, release
}

func TestFullQueueOverHTTP(t *testing.T) { storagetest.OnEach(t, testFullQueueOverHTTP) }

func testFullQueueOverHTTP(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	to, release := slowReceiver(t)
	registry := prometheus.NewRegistry()
	w := newWholeWith(t, place(t), to, func(d *delivery.Config, c *web.Config) {
		d.MaxOpen, d.Registerer, c.Registry = 3, registry, registry
	})
	w.subscribe(t, `"eventTypes":["/items"]`)
	for range 3 {
		w.post(t, share)
	}
	requireOverload(t, w, http.StatusTooManyRequests)
	require.Equal(t, 3, w.store.Open(), "nothing of what was refused is stored")
	requireNotReady(t, w, "queue")

	release()
	require.Eventually(t, func() bool { return w.store.Open() == 0 }, 10*time.Second, time.Millisecond)
	w.delivered(t, w.post(t, share))
	require.Equal(t, http.StatusOK, w.call(t, "GET", "/readyz", "").status)

	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems, "every metric has a conventional name, a unit and a help text")
}

func TestNearlyFullDiskOverHTTP(t *testing.T) { storagetest.OnEach(t, testNearlyFullDiskOverHTTP) }

func testNearlyFullDiskOverHTTP(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	var disk *gauge
	w := newWholeWith(t, place(t), newReceiver(t), func(d *delivery.Config, _ *web.Config) {
		disk = &gauge{Gauge: d.Gauge}
		disk.free.Store(roomy)
		d.Gauge = disk
	})
	w.subscribe(t, `"eventTypes":["/items"]`)
	w.delivered(t, w.post(t, share))
	ready := func(status int) func() bool {
		return func() bool { return w.call(t, "GET", "/readyz", "").status == status }
	}
	disk.free.Store(1 << 20)
	require.Eventually(t, ready(http.StatusServiceUnavailable), 10*time.Second, 10*time.Millisecond)
	requireOverload(t, w, http.StatusServiceUnavailable)
	requireNotReady(t, w, "disk")

	disk.free.Store(roomy)
	require.Eventually(t, ready(http.StatusOK), 10*time.Second, 10*time.Millisecond)
	w.delivered(t, w.post(t, share))
}

// requireOverload posts an event that must be refused with the status and a time to come again.
func requireOverload(t *testing.T, w *whole, status int) {
	t.Helper()
	a := w.call(t, "POST", "/api/v1/events", share)
	require.Equal(t, status, a.status, a.body)
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	require.NoError(t, err)
	require.Positive(t, seconds)
	require.Equal(t, "OVERLOADED", a.problem(t)["code"])
}

func requireNotReady(t *testing.T, w *whole, part string) {
	t.Helper()
	a := w.call(t, "GET", "/readyz", "")
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.JSONEq(t, `{"status":"not ready","notReady":["`+part+`"]}`, a.body)
}
