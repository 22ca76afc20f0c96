package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// made is what the tests read of a webhook.
type made struct {
	ID                 string `json:"id"`
	Enabled            bool   `json:"enabled"`
	DisabledReason     string `json:"disabledReason"`
	DisabledReasonCode string `json:"disabledReasonCode"`
	DisabledAt         string `json:"disabledAt"`
}

func (p *process) make(t *testing.T, webhook map[string]any) (created made) {
	t.Helper()
	p.call(t, http.MethodPost, "/api/v1/webhooks", webhook, &created, http.StatusCreated)
	return created
}

func (p *process) webhook(t *testing.T, id string) (found made) {
	t.Helper()
	p.call(t, http.MethodGet, "/api/v1/webhooks/"+id, nil, &found, http.StatusOK)
	return found
}

// emit tells one event and gives its id.
func (p *process) emit(t *testing.T, uri string) string {
	t.Helper()
	var event struct {
		ID string `json:"id"`
	}
	p.call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": uri}, &event, http.StatusAccepted)
	return event.ID
}

// outcome is the state of an event's only delivery.
func (p *process) outcome(t *testing.T, event string) string {
	t.Helper()
	var ledger struct {
		Matches []struct {
			Delivery struct {
				State string `json:"state"`
			} `json:"delivery"`
		} `json:"matches"`
	}
	p.call(t, http.MethodGet, "/api/v1/events/"+event, nil, &ledger, http.StatusOK)
	require.Len(t, ledger.Matches, 1)
	return ledger.Matches[0].Delivery.State
}

// told reads the event of our own that a receiver got.
func told(t *testing.T, got attempt) (operation string, properties map[string]any) {
	t.Helper()
	var body struct {
		Events []struct {
			Operation  string         `json:"operation"`
			Properties map[string]any `json:"properties"`
		} `json:"events"`
	}
	require.NoError(t, json.Unmarshal(got.body, &body))
	require.Len(t, body.Events, 1)
	return body.Events[0].Operation, body.Events[0].Properties
}

// Two deliveries that fail within a day switch a webhook off which says so, whether the server goes on between them, is stopped or is
// killed. It says why, the administrators' webhook hears of it, what comes while it is off is kept as skipped, and it can be switched on.
func TestPolicySwitchesOff(t *testing.T) {
	t.Parallel()
	eachStore(t, testPolicySwitchesOff)
}

func testPolicySwitchesOff(t *testing.T, startServer starter) {
	t.Helper()
	for _, between := range []string{"nothing", "a restart", "a kill"} {
		t.Run("over "+between, func(t *testing.T) {
			t.Parallel()
			url, got := newReceiver(t, http.StatusInternalServerError)
			watch, heard := newReceiver(t, http.StatusOK)
			server := startServer(t)
			hook := server.make(t, map[string]any{
				"name": "sick", "url": url, "eventTypes": []string{"/items"}, "enabled": true, "retry": "once",
				"deactivationPolicy": map[string]any{"numberOfFailures": 2, "daysInPast": 1},
			})
			server.createWebhook(t, map[string]any{
				"name": "watch", "url": watch, "eventTypes": []string{"/webhooks/disable", "/webhooks/enable"}, "enabled": true,
			})
			require.Equal(t, "exhausted", server.ended(t, server.emit(t, "/items/a/delete")))
			<-got
			require.True(t, server.webhook(t, hook.ID).Enabled)
			switch between {
			case "a restart":
				server.stop(t)
				server.start(t)
			case "a kill":
				server.kill()
				server.start(t)
			}
			server.emit(t, "/items/a/delete")
			<-got
			operation, properties := told(t, <-heard)
			require.Equal(t, "disable", operation)
			require.Equal(t, hook.ID, properties["webhookId"])
			require.Equal(t, "FAILURES", properties["code"])

			off := server.webhook(t, hook.ID)
			require.False(t, off.Enabled)
			require.Equal(t, "FAILURES", off.DisabledReasonCode)
			require.Contains(t, off.DisabledReason, "2 deliveries ran out of attempts within 1 day")
			require.Equal(t, properties["reason"], off.DisabledReason)
			require.NotEmpty(t, off.DisabledAt)
			require.Equal(t, "skipped", server.ended(t, server.emit(t, "/items/a/delete")))

			server.call(t, http.MethodPost, "/api/v1/webhooks/"+hook.ID+"/actions/enable", nil, nil, http.StatusOK)
			operation, _ = told(t, <-heard)
			require.Equal(t, "enable", operation)
			require.Equal(t, made{ID: hook.ID, Enabled: true}, server.webhook(t, hook.ID))
			require.Equal(t, "exhausted", server.ended(t, server.emit(t, "/items/a/delete")))
			<-got
			require.True(t, server.webhook(t, hook.ID).Enabled, "the window has begun anew")
		})
	}
}

// ended waits until an event's only delivery has ended, and says how.
func (p *process) ended(t *testing.T, event string) (state string) {
	t.Helper()
	require.Eventually(t, func() bool {
		state = p.outcome(t, event)
		return state != "waiting" && state != "sending"
	}, 30*time.Second, 5*time.Millisecond)
	return state
}

// moody is a receiver that fails every third attempt, and keeps what it took: of each thing the deliveries in order.
type moody struct {
	mu        sync.Mutex
	asked     int
	took      map[string][]string
	attempted map[string][]string
}

func (m *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Events []struct {
			ID string `json:"id"`
		} `json:"events"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if err != nil || len(body.Events) != 1 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	thing, id := body.Events[0].ID, r.Header.Get("webhook-id")
	m.attempted[thing] = append(m.attempted[thing], id)
	if m.asked%3 == 0 {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if !slices.Contains(m.took[thing], id) { // a server that is killed may tell it again
		m.took[thing] = append(m.took[thing], id)
	}
}

// An ordered webhook's receiver hears of each thing in the order of acceptance, over failures and a kill, while other things go on.
func TestOrderedDeliveries(t *testing.T) {
	t.Parallel()
	eachStore(t, testOrderedDeliveries)
}

func testOrderedDeliveries(t *testing.T, startServer starter) {
	t.Helper()
	const things, each = 5, 24
	receiver := &moody{took: make(map[string][]string), attempted: make(map[string][]string)}
	target := httptest.NewServer(receiver)
	defer target.Close()
	server := startServer(t)
	server.createWebhook(t, map[string]any{
		"name": "ordered", "url": target.URL, "eventTypes": []string{"/"}, "enabled": true, "ordered": true,
		"retry": []string{"0s", "100ms", "100ms", "100ms", "100ms", "100ms", "100ms", "100ms"},
	})
	want := make(map[string][]string)
	emit := func(count int) {
		for range count {
			var batch []map[string]any
			for thing := range things {
				batch = append(batch, map[string]any{"uri": fmt.Sprintf("/items/i%d/delete", thing)})
			}
			var answer struct {
				Events []struct {
					ID string `json:"id"`
				} `json:"events"`
			}
			server.call(t, http.MethodPost, "/api/v1/events", batch, &answer, http.StatusAccepted)
			for thing := range things {
				var event struct {
					Matches []struct {
						Delivery struct {
							ID string `json:"id"`
						} `json:"delivery"`
					} `json:"matches"`
				}
				server.call(t, http.MethodGet, "/api/v1/events/"+answer.Events[thing].ID, nil, &event, http.StatusOK)
				name := fmt.Sprintf("i%d", thing)
				want[name] = append(want[name], event.Matches[0].Delivery.ID)
			}
		}
	}
	emit(each / 2)
	server.kill()
	server.start(t)
	emit(each / 2)
	awaitNoneOpen(t, server)
	receiver.mu.Lock()
	defer receiver.mu.Unlock()
	require.Equal(t, want, receiver.took)
	for thing, attempted := range receiver.attempted {
		require.True(t, slices.IsSortedFunc(attempted, func(a, b string) int {
			return slices.Index(want[thing], a) - slices.Index(want[thing], b)
		}), "no attempt overtakes one before it: %s", thing)
	}
}

// A list's first wait is before the first attempt, and its length is the number of attempts; `once` is one.
func TestRetryLists(t *testing.T) {
	t.Parallel()
	eachStore(t, testRetryLists)
}

func testRetryLists(t *testing.T, startServer starter) {
	t.Helper()
	url, got := newReceiver(t, http.StatusInternalServerError)
	server := startServer(t)
	server.createWebhook(t, map[string]any{
		"name": "list", "url": url, "eventTypes": []string{"/items"}, "enabled": true, "retry": []string{"1s", "0s", "500ms"},
	})
	server.createWebhook(t, map[string]any{"name": "once", "url": url, "eventTypes": []string{"/groups"}, "enabled": true, "retry": "once"})
	for uri, waits := range map[string][]time.Duration{
		"/items/a/delete": {time.Second, 0, 500 * time.Millisecond}, "/groups/a/delete": {0},
	} {
		event := server.emit(t, uri)
		require.Equal(t, "exhausted", server.ended(t, event))
		var ledger struct {
			AcceptedAt time.Time `json:"acceptedAt"`
			Matches    []struct {
				WebhookID string `json:"webhookId"`
				Delivery  struct {
					ID string `json:"id"`
				} `json:"delivery"`
			} `json:"matches"`
		}
		server.call(t, http.MethodGet, "/api/v1/events/"+event, nil, &ledger, http.StatusOK)
		var delivery struct {
			Attempts []struct {
				StartedAt time.Time `json:"startedAt"`
			} `json:"attemptLog"`
		}
		match := ledger.Matches[0]
		server.call(t, http.MethodGet, "/api/v1/webhooks/"+match.WebhookID+"/deliveries/"+match.Delivery.ID, nil, &delivery, http.StatusOK)
		require.Len(t, delivery.Attempts, len(waits))
		before := ledger.AcceptedAt
		for i, attempt := range delivery.Attempts {
			<-got
			require.False(t, attempt.StartedAt.Before(before.Add(waits[i])), "attempt %d of %s is not early", i+1, uri)
			before = attempt.StartedAt
		}
	}
	require.Empty(t, got)
}

// The portal's URL of payloads is at first where the server is reached, and stays what somebody has made it.
func TestPortalURLStaysAsItWasSet(t *testing.T) {
	t.Parallel()
	eachStore(t, testPortalURLStaysAsItWasSet)
}

func testPortalURLStaysAsItWasSet(t *testing.T, startServer starter) {
	t.Helper()
	server := startServer(t)
	const path = "/api/v1/tenants/default"
	portalURL := func() string {
		var tenant struct {
			PortalURL string `json:"portalUrl"`
		}
		server.call(t, http.MethodGet, path, nil, &tenant, http.StatusOK)
		return tenant.PortalURL
	}
	require.Equal(t, server.url+"/", portalURL())
	restart := func(args ...string) {
		server.stop(t)
		server.args = args
		server.start(t)
	}
	restart("--public-url", "https://hooks.example.com")
	require.Equal(t, "https://hooks.example.com/", portalURL())
	const set = "https://portal.example.com/portal/"
	server.call(t, http.MethodPatch, path, map[string]any{"portalUrl": set}, nil, http.StatusOK)
	for _, args := range [][]string{{"--public-url", "https://hooks.example.com"}, nil} {
		restart(args...)
		require.Equal(t, set, portalURL())
	}
}
