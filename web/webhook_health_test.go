package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// TestWebhookHealth shows how a webhook has failed, and how it is probed, wherever a webhook is shown; a body may repeat it, and cannot
// change it.
func TestWebhookHealth(t *testing.T) {
	began := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		policy   *triggers.DeactivationPolicy
		off      bool
		health   delivery.Health
		contains string // the members of health; empty: none
	}{
		"well": {nil, false, delivery.Health{}, ""},
		"by its policy": {
			&triggers.DeactivationPolicy{NumberOfFailures: 4, DaysInPast: 30}, false,
			delivery.Health{Exhausted: []time.Time{time.Now().UTC().Add(-40 * 24 * time.Hour), began, began.Add(time.Hour)}, Warned: 50, Told: 50},
			`{"rule":"policy","percent":50,"failures":2,"limit":4,"days":30,"since":"2026-11-22T03:00:00.000Z","warned":50}`,
		},
		"what counts no more": {
			&triggers.DeactivationPolicy{NumberOfFailures: 4, DaysInPast: 1}, false,
			delivery.Health{FailingSince: began.AddDate(-1, 0, 0), Exhausted: []time.Time{began.AddDate(-1, 0, 0)}},
			"",
		},
		"by the standard rule": {
			nil, true,
			delivery.Health{FailingSince: began, GaveUp: true, Exhausted: []time.Time{began.Add(time.Hour)}, Warned: 90},
			`{"rule":"standard","percent":100,"failures":1,"limit":1,"days":5,"since":"2026-11-22T03:00:00.000Z","warned":90}`,
		},
		"not probed yet": {
			nil, true,
			delivery.Health{Probe: delivery.Probing{NextAt: began}},
			`{"rule":"standard","percent":0,"failures":0,"limit":1,"days":5,"probe":{"tries":0,"nextAt":"2026-11-22T03:00:00.000Z"}}`,
		},
		"probed": {
			nil, true,
			delivery.Health{Probe: delivery.Probing{
				Tries: 2, At: began, Outcome: delivery.Gone, StatusCode: 410, Reason: "410 Gone",
			}},
			`{"rule":"standard","percent":0,"failures":0,"limit":1,"days":5,
				"probe":{"tries":2,"lastAt":"2026-11-22T03:00:00.000Z","outcome":"gone","statusCode":410,"reason":"410 Gone"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			path := "/api/v1/webhooks/" + e.create(t, hook)
			w := e.only(t)
			w.Deactivation = c.policy
			if c.off {
				w.Enabled, w.DisabledReason, w.DisabledReasonCode, w.DisabledAt = false, "no", "FAILING", began.Add(5*24*time.Hour)
			}
			e.health = map[uint32]delivery.Health{w.Key: c.health}
			one := e.call(t, "GET", path, "")
			shown, listed := one.json(t)["health"], e.call(t, "GET", "/api/v1/webhooks", "").json(t)["data"].([]any)[0].(map[string]any)["health"]
			summed := e.call(t, "GET", "/api/v1/webhooks?include=summary", "").json(t)["data"].([]any)[0].(map[string]any)
			require.Equal(t, shown, listed)
			require.Equal(t, shown, summed["health"])
			require.Contains(t, summed, "summary")
			if c.contains == "" {
				require.Nil(t, shown)
			} else {
				text, err := json.Marshal(shown)
				require.NoError(t, err)
				require.JSONEq(t, c.contains, string(text))
			}

			a := e.call(t, "PUT", path, one.body)
			require.Equal(t, http.StatusOK, a.status, a.body)
			require.Equal(t, shown, a.json(t)["health"])
			require.Equal(t, http.StatusConflict, e.call(t, "PATCH", path, `[{"op":"remove","path":"/health"}]`).status)
		})
	}
	e := newEdge(t)
	a := e.call(t, "POST", "/api/v1/webhooks", `{"name":"a","url":"https://a.example.com/","health":{}}`)
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Equal(t, "READ_ONLY", a.problem(t)["code"])
}

// TestWebhookThatTheServerSwitchedOn says why and since when, until somebody switches it.
func TestWebhookThatTheServerSwitchedOn(t *testing.T) {
	e := newEdge(t)
	path := "/api/v1/webhooks/" + e.create(t, hook)
	require.NotContains(t, e.call(t, "GET", path, "").json(t), "enabledReason")
	w := e.only(t)
	w.EnabledReason, w.EnabledAt = "a probe was answered 200 OK", time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	before := e.call(t, "GET", path, "")
	require.Equal(t, []any{"a probe was answered 200 OK", "2026-11-22T03:00:00.000Z"}, []any{before.json(t)["enabledReason"], before.json(t)["enabledAt"]})
	require.Equal(t, http.StatusOK, e.call(t, "PUT", path, before.body).status)
	require.Contains(t, e.call(t, "GET", path, "").json(t), "enabledReason", "another save leaves it")
	other := fmt.Sprintf(`[{"op":"replace","path":"/enabledReason","value":%q}]`, "mine")
	require.Equal(t, http.StatusConflict, e.call(t, "PATCH", path, other).status)
	require.Equal(t, http.StatusOK, e.call(t, "POST", path+"/actions/disable", "").status)
	require.NotContains(t, e.call(t, "GET", path, "").json(t), "enabledReason")
}
