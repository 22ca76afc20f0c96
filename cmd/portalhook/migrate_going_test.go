package main_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/storage/postgrestest"
	"portalhook/storage/storagetest"
)

// What is under way when a store is taken to the other database goes on there: an ordered webhook's line, a recovery that runs, one that
// somebody paused; and a job that was told of is not told of again.
func TestMigrationGoesOn(t *testing.T) {
	t.Run("to PostgreSQL", func(t *testing.T) {
		server := on(storagetest.SQLite)(t)
		testMigrationGoesOn(t, server, "sqlite:"+server.store, postgrestest.Database(t, "", nil))
	})
	t.Run("to SQLite", func(t *testing.T) {
		server := on(storagetest.Postgres)(t)
		testMigrationGoesOn(t, server, server.database, "sqlite:"+filepath.Join(t.TempDir(), "to.db"))
	})
}

// lining is a receiver that is well from some time on, and remembers by webhook the numbers of what it took, in order.
type lining struct {
	mu   sync.Mutex
	well bool
	took map[string][]string
}

func (l *lining) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.well {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if found := number.FindSubmatch(body); found != nil {
		l.took[r.URL.Path] = append(l.took[r.URL.Path], string(found[1]))
	}
}

func (l *lining) of(path string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.took[path])
}

func (l *lining) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.well = true
}

func testMigrationGoesOn(t *testing.T, server *process, from, to string) {
	t.Helper()
	const events = 8
	got := &lining{took: make(map[string][]string)}
	webhook := func(name string, events []string, more map[string]any) string {
		// A host of its own: what fails at one must not hold up the others.
		receiver := httptest.NewServer(got)
		t.Cleanup(receiver.Close)
		body := map[string]any{"name": name, "url": receiver.URL + "/" + name, "eventTypes": events, "enabled": true, "deactivationPolicy": map[string]any{"numberOfFailures": 100, "daysInPast": 1}}
		maps.Copy(body, more)
		var made struct{ ID string }
		server.call(t, http.MethodPost, "/api/v1/webhooks", body, &made, http.StatusCreated)
		return "/api/v1/webhooks/" + made.ID
	}
	waits := slices.Concat([]string{"0s"}, slices.Repeat([]string{"4s"}, 19))
	webhook("line", []string{"/items"}, map[string]any{"ordered": true, "retry": waits})
	running := webhook("running", []string{"/items"}, map[string]any{"retry": "once"})
	paused := webhook("paused", []string{"/items"}, map[string]any{"retry": "once"})
	var numbers []string
	for n := range events {
		numbers = append(numbers, fmt.Sprint(n))
		server.call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": "/items/a/update", "properties": map[string]any{"n": n}}, nil, http.StatusAccepted)
	}
	job := map[string]any{"uri": "/services/Parcels/GPServer", "jobId": "j1", "taskName": "Buffer", "status": "succeeded"}
	tell := func() (told struct {
		ID        string
		Duplicate bool
	},
	) {
		server.call(t, http.MethodPost, "/api/v1/events", job, &told, http.StatusAccepted)
		return told
	}
	first := tell()
	require.False(t, first.Duplicate)

	recovery := func(path string) (r recoveryAnswer) {
		server.call(t, http.MethodGet, path, nil, &r, http.StatusOK)
		return r
	}
	begin := func(webhook string) string {
		var page struct{ Data []any }
		require.Eventually(t, func() bool {
			server.call(t, http.MethodGet, webhook+"/deliveries?state=exhausted&limit=100", nil, &page, http.StatusOK)
			return len(page.Data) == events
		}, time.Minute, 20*time.Millisecond)
		var begun recoveryAnswer
		server.call(t, http.MethodPost, webhook+"/actions/recover", map[string]any{"states": []string{"exhausted"}, "ratePerMinute": 60}, &begun, http.StatusAccepted)
		return webhook + "/recoveries/" + begun.ID
	}
	pausedRecovery := begin(paused)
	server.call(t, http.MethodPost, pausedRecovery+"/actions/pause", nil, nil, http.StatusOK)
	runningRecovery := begin(running)
	require.Eventually(t, func() bool { return recovery(runningRecovery).Made > 0 }, time.Minute, 5*time.Millisecond)
	server.stop(t)

	key := server.store + ".key"
	status, out := migrate(t, "--from", from, "--to", to, "--key-file", key)
	require.Equal(t, 0, status, out)
	if path, ok := strings.CutPrefix(to, "sqlite:"); ok {
		server.database, server.store, server.args = "", path, append(server.args, "--key-file", key)
	} else {
		server.database = to
	}
	got.heal()
	server.start(t)
	require.True(t, tell().Duplicate)
	require.Equal(t, first.ID, tell().ID)
	before := recovery(pausedRecovery)
	require.Equal(t, "paused", before.State)
	require.Less(t, before.Made, events)
	require.Eventually(t, func() bool { return recovery(runningRecovery).State == "done" }, time.Minute, 20*time.Millisecond)
	require.Equal(t, before, recovery(pausedRecovery), "nobody has resumed it")
	require.Equal(t, events, recovery(runningRecovery).Made)
	require.Eventually(t, func() bool { return len(got.of("/line")) == events }, time.Minute, 20*time.Millisecond)
	require.Equal(t, numbers, got.of("/line"), "in the order of acceptance")
	server.call(t, http.MethodPost, pausedRecovery+"/actions/resume", nil, nil, http.StatusOK)
	require.Eventually(t, func() bool { return recovery(pausedRecovery).State == "done" }, time.Minute, 20*time.Millisecond)
	require.Equal(t, events, recovery(pausedRecovery).Made)
}
