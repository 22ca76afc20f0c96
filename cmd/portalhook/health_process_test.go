package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// watcher is a receiver of events of our own: it notes what each delivery id brought.
type watcher struct {
	mu   sync.Mutex
	told map[string]ownEvent
}

// ownEvent is what is read of an event of our own.
type ownEvent struct {
	Operation  string `json:"operation"`
	Properties struct {
		DeliveryID     string `json:"deliveryId"`
		EnabledReason  string `json:"enabledReason"`
		DisabledReason string `json:"disabledReason"`
		First          bool   `json:"first"`
		Warning        int    `json:"warning"`
	} `json:"properties"`
}

func (w *watcher) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var body struct {
		Events []ownEvent `json:"events"`
	}
	text, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(text, &body) != nil || len(body.Events) != 1 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told == nil {
		w.told = make(map[string]ownEvent)
	}
	w.told[r.Header.Get("Webhook-Id")] = body.Events[0]
}

// heard are the events of an operation, each delivery once.
func (w *watcher) heard(operation string) (list []ownEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ev := range w.told {
		if ev.Operation == operation {
			list = append(list, ev)
		}
	}
	return list
}

// TestOwnEventsOutliveKills kills the server again and again while deliveries run out of attempts: each of them is told of, by one event, and
// which was the first, and where the half of the way was reached, is told once.
func TestOwnEventsOutliveKills(t *testing.T) {
	t.Parallel()
	eachStore(t, testOwnEventsOutliveKills)
}

func testOwnEventsOutliveKills(t *testing.T, startServer starter) {
	t.Helper()
	const events, kills = 600, 4
	watch, sick := new(watcher), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	at, watching := httptest.NewServer(sick), httptest.NewServer(watch)
	defer at.Close()
	defer watching.Close()
	server := startServer(t)
	var hook struct{ ID string }
	server.createWebhook(t, map[string]any{"name": "watch", "url": watching.URL, "eventTypes": []string{"/webhooks"}, "enabled": true})
	server.call(t, http.MethodPost, "/api/v1/webhooks", map[string]any{
		"name": "sick", "url": at.URL, "eventTypes": []string{"/items"}, "enabled": true, "retry": "once",
	}, &hook, http.StatusCreated)
	batch := make([]map[string]any, events)
	for n := range batch {
		batch[n] = map[string]any{"uri": "/items/a1/update"}
	}
	server.call(t, http.MethodPost, "/api/v1/events", batch, nil, http.StatusAccepted)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for killed := 0; killed < kills; <-tick.C {
		if len(watch.heard("exhaust")) >= (killed+1)*events/(kills+2) {
			server.kill()
			server.start(t)
			killed++
		}
	}
	// The last are told when nothing of ours waits any more: the deliveries that ended make events, which make deliveries.
	require.Eventually(t, func() bool {
		return server.metric(t, "portalhook_open_deliveries") == 0 && len(watch.heard("exhaust")) >= events
	}, time.Minute, 20*time.Millisecond)

	told, first := map[string]int{}, 0
	for _, ev := range watch.heard("exhaust") {
		told[ev.Properties.DeliveryID]++
		if ev.Properties.First {
			first++
		}
	}
	require.Len(t, told, events, "every delivery that ran out of attempts")
	for id, times := range told {
		require.Equal(t, 1, times, "%s by one event", id)
	}
	require.Equal(t, 1, first)
	var stats struct {
		Total struct{ Exhausted int } `json:"total"`
	}
	server.call(t, http.MethodGet, "/api/v1/webhooks/"+hook.ID+"/stats", nil, &stats, http.StatusOK)
	require.Equal(t, events, stats.Total.Exhausted)
}

// TestProbeSwitchesOn has a real server switch a webhook off, probe its receiver over a kill, and switch it on when that is well.
func TestProbeSwitchesOn(t *testing.T) {
	t.Parallel()
	eachStore(t, testProbeSwitchesOn)
}

func testProbeSwitchesOn(t *testing.T, startServer starter) {
	t.Helper()
	var well atomic.Bool
	var tests, others atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count := &others
		if id := r.Header.Get("Webhook-Id"); len(id) > 5 && id[:5] == "test_" && r.Header.Get("X-Esrihook-Signature") != "" {
			count = &tests
		}
		count.Add(1)
		if !well.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer receiver.Close()
	watch := new(watcher)
	watching := httptest.NewServer(watch)
	defer watching.Close()
	server := startServer(t, "--probe-after", "50ms")
	server.createWebhook(t, map[string]any{"name": "watch", "url": watching.URL, "eventTypes": []string{"/webhooks"}, "enabled": true})
	type webhook struct {
		ID                            string
		Enabled                       bool
		DisabledReason, EnabledReason string
		Health                        *struct {
			Percent int
			Probe   *struct {
				Tries, StatusCode       int
				LastAt, NextAt, Outcome string
			}
		}
	}
	var hook webhook
	server.call(t, http.MethodPost, "/api/v1/webhooks", map[string]any{
		"name": "hook", "url": receiver.URL, "eventTypes": []string{"/items/update"}, "enabled": true, "retry": "once", "probe": true,
		"secret": "0123456789abcdef0123456789abcdef", "deactivationPolicy": map[string]any{"numberOfFailures": 1, "daysInPast": 1},
	}, &hook, http.StatusCreated)
	path := "/api/v1/webhooks/" + hook.ID
	look := func() (now webhook) {
		server.call(t, http.MethodGet, path, nil, &now, http.StatusOK)
		return now
	}
	probed := func(tries int) func() bool {
		return func() bool {
			now := look()
			return now.Health != nil && now.Health.Probe != nil && now.Health.Probe.Tries >= tries
		}
	}
	const item = "/items/4adc30bb03054812a846fa592de105de/update"
	server.call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": item}, nil, http.StatusAccepted)
	require.Eventually(t, probed(2), time.Minute, 10*time.Millisecond)
	off := look()
	require.False(t, off.Enabled)
	require.Equal(t, 100, off.Health.Percent)
	require.Equal(t, []any{503, "rejected"}, []any{off.Health.Probe.StatusCode, off.Health.Probe.Outcome})
	require.NotEmpty(t, off.Health.Probe.LastAt)
	require.NotEmpty(t, off.Health.Probe.NextAt)
	server.call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": item}, nil, http.StatusAccepted)

	server.kill()
	server.start(t)
	require.Eventually(t, probed(off.Health.Probe.Tries+1), time.Minute, 10*time.Millisecond)
	well.Store(true)
	require.Eventually(t, func() bool { return look().Enabled }, time.Minute, 10*time.Millisecond)
	on := look()
	require.Equal(t, "a probe was answered 200 OK", on.EnabledReason)
	require.Nil(t, on.Health)
	require.Eventually(t, func() bool { return len(watch.heard("enable")) > 0 }, time.Minute, 10*time.Millisecond)
	enable := watch.heard("enable")[0].Properties
	require.Equal(t, []string{on.EnabledReason, off.DisabledReason}, []string{enable.EnabledReason, enable.DisabledReason})
	require.GreaterOrEqual(t, tests.Load(), int64(4))
	require.EqualValues(t, 1, others.Load(), "the delivery that failed; the second was skipped")

	var stats struct {
		Total struct{ Attempts int } `json:"total"`
	}
	server.call(t, http.MethodGet, path+"/stats", nil, &stats, http.StatusOK)
	require.Equal(t, 1, stats.Total.Attempts, "probes count nowhere")
	var audit struct {
		Data []struct {
			UserID, KeyID string
			After         webhook
		} `json:"data"`
	}
	server.call(t, http.MethodGet, "/api/v1/audit?action=webhook.enable", nil, &audit, http.StatusOK)
	require.Len(t, audit.Data, 1)
	require.Equal(t, []string{"portalhook", "", on.EnabledReason}, []string{audit.Data[0].UserID, audit.Data[0].KeyID, audit.Data[0].After.EnabledReason})
	server.call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": item}, nil, http.StatusAccepted)
	require.Eventually(t, func() bool { return others.Load() == 2 }, time.Minute, 10*time.Millisecond)
}
