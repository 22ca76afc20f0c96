package main_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// recoveryAnswer is a recovery as the API shows it.
type recoveryAnswer struct {
	ID      string `json:"id"`
	State   string `json:"state"`
	Made    int    `json:"made"`
	Skipped int    `json:"skipped"`
	Counted struct {
		Total, Exhausted, Missed int
		Complete                 bool
	} `json:"counted"`
}

// numbered is a receiver of events with a number among their properties: it notes under which delivery ids each came.
type numbered struct {
	mu      sync.Mutex
	failing atomic.Bool
	ids     map[int]map[string]bool
}

var number = regexp.MustCompile(`"n":(\d+)`)

func (n *numbered) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if n.failing.Load() {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	found := number.FindSubmatch(body)
	if found == nil {
		return
	}
	which, _ := strconv.Atoi(string(found[1]))
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ids[which] == nil {
		n.ids[which] = make(map[string]bool)
	}
	n.ids[which][r.Header.Get("Webhook-Id")] = true
}

// count is how many events have come.
func (n *numbered) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.ids)
}

// TestCase18RecoveryOutlivesKills kills the server again and again while it recovers what a webhook did not get: what failed, and what happened
// while it was off. Each event must come, under one delivery id.
func TestCase18RecoveryOutlivesKills(t *testing.T) {
	t.Parallel()
	eachStore(t, testCase18RecoveryOutlivesKills)
}

func testCase18RecoveryOutlivesKills(t *testing.T, startServer starter) {
	t.Helper()
	const failed, missed, kills = 300, 3000, 3
	receiver := &numbered{ids: make(map[int]map[string]bool)}
	at := httptest.NewServer(receiver)
	defer at.Close()
	server := startServer(t)
	var hook struct{ ID string }
	server.call(t, http.MethodPost, "/api/v1/webhooks", map[string]any{
		"name": "late", "url": at.URL, "eventTypes": []string{"/items"}, "enabled": true, "retry": "once",
		"deactivationPolicy": map[string]any{"numberOfFailures": 100, "daysInPast": 1},
	}, &hook, http.StatusCreated)
	webhook := "/api/v1/webhooks/" + hook.ID
	emit := func(from, to int) {
		batch := make([]map[string]any, 0, to-from)
		for n := from; n < to; n++ {
			batch = append(batch, map[string]any{"uri": fmt.Sprintf("/items/%032x/update", n), "properties": map[string]any{"n": n}})
		}
		server.call(t, http.MethodPost, "/api/v1/events", batch, nil, http.StatusAccepted)
	}
	receiver.failing.Store(true)
	for n := 0; n < failed; n += 60 { // fewer than the policy lets fail between two changes of the webhook
		emit(n, n+60)
		awaitNoneOpen(t, server)
		server.call(t, http.MethodPost, webhook+"/actions/disable", nil, nil, http.StatusOK)
		server.call(t, http.MethodPost, webhook+"/actions/enable", nil, nil, http.StatusOK)
	}
	server.call(t, http.MethodPost, webhook+"/actions/disable", nil, nil, http.StatusOK)
	emit(failed, failed+missed)
	receiver.failing.Store(false)
	server.call(t, http.MethodPost, webhook+"/actions/enable", nil, nil, http.StatusOK)

	var counted recoveryAnswer
	asked := map[string]any{"missed": true, "dryRun": true, "states": []string{}}
	server.call(t, http.MethodPost, webhook+"/actions/recover", asked, &counted, http.StatusOK)
	require.Equal(t, missed, counted.Counted.Missed, "what happened while it was off")
	asked = map[string]any{"missed": true, "from": 1, "ratePerMinute": 60_000}
	var r recoveryAnswer
	server.call(t, http.MethodPost, webhook+"/actions/recover", asked, &r, http.StatusAccepted)
	require.Equal(t, failed, r.Counted.Exhausted)
	require.Equal(t, failed+missed, r.Counted.Total)
	require.Zero(t, r.Made, "counted first")
	server.call(t, http.MethodPost, webhook+"/actions/recover", asked, nil, http.StatusConflict)

	look := func() recoveryAnswer {
		var now recoveryAnswer
		server.call(t, http.MethodGet, webhook+"/recoveries/"+r.ID, nil, &now, http.StatusOK)
		return now
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for killed := 0; ; <-tick.C {
		now := look()
		require.GreaterOrEqual(t, now.Made, r.Made, "it goes on where it was")
		if r.Made = now.Made; now.State == "done" {
			require.Equal(t, kills, killed, "every kill took place in the middle")
			break
		}
		require.Equal(t, "running", now.State)
		if killed < kills && now.Made > (killed+1)*(failed+missed)/(kills+2) {
			killed++
			server.kill()
			server.start(t)
		}
	}
	awaitNoneOpen(t, server)
	done := look()
	require.Equal(t, failed+missed, done.Made)
	require.Zero(t, done.Skipped)
	receiver.mu.Lock()
	require.Len(t, receiver.ids, failed+missed)
	for n, ids := range receiver.ids {
		require.Len(t, ids, 1, "event %d", n)
	}
	receiver.mu.Unlock()
	server.call(t, http.MethodPost, webhook+"/actions/recover", map[string]any{"missed": true, "from": 1, "dryRun": true}, &counted, http.StatusOK)
	require.Zero(t, counted.Counted.Total, "nothing is left to be recovered")
}
