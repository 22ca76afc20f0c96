package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// holding is a receiver that answers nothing under /held before it is released, and then counts the items that it is told of.
type holding struct {
	released chan struct{}

	mu  sync.Mutex
	got map[string]int
}

func (h *holding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var told struct {
		Events []struct {
			ID string `json:"id"`
		} `json:"events"`
	}
	_ = json.NewDecoder(r.Body).Decode(&told)
	if r.URL.Path == "/held" {
		select {
		case <-h.released:
		case <-r.Context().Done():
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, event := range told.Events {
			h.got[event.ID]++
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// load emits batches from two sides until it is stopped.
type load struct {
	count   atomic.Int64 // acknowledged events
	slowest atomic.Int64 // nanoseconds of a request
	stop    chan struct{}
	group   sync.WaitGroup

	mu           sync.Mutex
	acknowledged []string // items
}

const loadBatch = 50

func (l *load) begin(t *testing.T, server *process) {
	t.Helper()
	note := strings.Repeat("x", 3<<10)
	for side := range 2 {
		l.group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-l.stop:
					return
				default:
				}
				batch, items := make([]any, loadBatch), make([]string, loadBatch)
				for i := range batch {
					items[i] = fmt.Sprintf("%d-%d", side, n*loadBatch+i)
					batch[i] = map[string]any{"uri": "/items/" + items[i] + "/update", "properties": map[string]any{"note": note}}
				}
				began := time.Now()
				server.call(t, http.MethodPost, "/api/v1/events", batch, nil, http.StatusAccepted)
				if took := int64(time.Since(began)); took > l.slowest.Load() { // of two sides at once, one may be lost: it is for the log
					l.slowest.Store(took)
				}
				l.mu.Lock()
				l.acknowledged = append(l.acknowledged, items...)
				l.mu.Unlock()
				l.count.Add(loadBatch)
			}
		})
	}
}

// until waits for so many more events and says how many came a second.
func (l *load) until(more int64) float64 {
	first, began := l.count.Load(), time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for l.count.Load() < first+more {
		<-tick.C
	}
	return float64(l.count.Load()-first) / time.Since(began).Seconds()
}

// TestBackupOfARunningServer copies a store under load, and has a server started on the copy do what was open.
func TestBackupOfARunningServer(t *testing.T) {
	receiver := &holding{released: make(chan struct{}), got: map[string]int{}}
	target := httptest.NewServer(receiver)
	defer target.Close()
	server := startServer(t)
	secret := "0123456789abcdef0123456789abcdef"
	for _, path := range []string{"/held", "/quick"} {
		server.createWebhook(t, map[string]any{
			"name": path, "url": target.URL + path, "eventTypes": []string{"/items"}, "enabled": true, "secret": secret, "timeoutSeconds": 60,
		})
	}
	l := &load{stop: make(chan struct{})}
	l.begin(t, server)
	stopLoad := sync.OnceFunc(func() {
		close(l.stop)
		l.group.Wait()
	})
	defer stopLoad()
	l.until(6000)
	l.slowest.Store(0)
	before := l.until(1000)

	l.mu.Lock()
	wanted := append([]string(nil), l.acknowledged...)
	l.mu.Unlock()
	file := filepath.Join(t.TempDir(), "copy.db")
	slowBefore := time.Duration(l.slowest.Swap(0))
	first, began := l.count.Load(), time.Now()
	backup := func(args ...string) ([]byte, error) {
		path, err := binary()
		require.NoError(t, err)
		return exec.Command(path, append([]string{"backup"}, args...)...).CombinedOutput()
	}
	said, err := backup(file, "--server", server.url, "--key", server.key)
	took := time.Since(began)
	during := float64(l.count.Load()-first) / took.Seconds()
	require.NoError(t, err, "%s", said)
	slowDuring := time.Duration(l.slowest.Load())
	after := l.until(1000)
	stopLoad()
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	t.Logf("%d MB in %v; events a second: %.0f before, %.0f during (%.2f), %.0f after; the slowest request: %v before, %v during",
		info.Size()>>20, took, before, during, during/before, after, slowBefore, slowDuring)
	require.Contains(t, string(said), "Not in it: the server's key file.")
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotContains(t, string(content), secret)
	left, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*"))
	require.NoError(t, err)
	require.Equal(t, []string{file}, left, "one file, and no key file")
	said, err = backup(file, "--server", server.url, "--key", server.key)
	require.Error(t, err)
	require.Contains(t, string(said), "is there already")

	server.kill()
	close(receiver.released)
	restored := &process{key: processKey, store: file, listen: "127.0.0.1:0", args: []string{"--key-file", server.store + ".key"}}
	restored.start(t)
	defer restored.kill()
	awaitNoneOpen(t, restored)
	receiver.mu.Lock()
	defer receiver.mu.Unlock()
	for _, item := range wanted {
		require.NotZero(t, receiver.got[item], "item %s was acknowledged before the backup", item)
	}
	t.Logf("%d events acknowledged before the backup, %d delivered from the copy", len(wanted), len(receiver.got))
}
