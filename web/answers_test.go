package web_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/triggers"
)

// TestEverythingIsShown sees members that other tests have no need of.
func TestEverythingIsShown(t *testing.T) {
	e := newEdge(t)
	webhook := e.create(t, `{"name":"all","url":"https://a.example.com/","eventTypes":["/","com.qlik.v1.app.created"],"enabled":true}`)
	told := e.do(t, request{
		method: "POST", path: "/api/v1/events", key: adminKey, contentType: "application/cloudevents+json",
		body: `{"specversion":"1.0","id":"e-1","source":"https://a.example.com/","type":"com.qlik.v1.app.created","data":{}}`,
	})
	require.Equal(t, http.StatusAccepted, told.status, told.body)
	event := told.json(t)["id"].(string)
	at := time.UnixMilli(1763848800000).UTC()
	e.settle(func(_ int, r *delivery.Record) {
		r.State, r.Tries, r.StartedAt, r.EndedAt, r.Reason = delivery.Exhausted, 1, at, at.Add(time.Second), "no such host"
		r.Revision = payload.Revision{Builder: payload.Version, Format: triggers.FormatAuto, URL: "https://a.example.com/"}
		r.Events = []payload.Event{{ID: r.EventID, URI: triggers.URI{Resource: triggers.Items}, Body: []byte(`{}`)}}
		r.Attempts = []delivery.Attempt{{
			Number: 1, StartedAt: at, Waited: time.Millisecond, DNS: 2 * time.Millisecond, Connect: 3 * time.Millisecond, TLS: 4 * time.Millisecond,
			FirstByte: 5 * time.Millisecond, Total: 6 * time.Millisecond, Outcome: "no-such-host", Error: "lookup a.example.com: no such host",
		}}
		for _, stored := range e.events {
			stored.Matches[0].Delivery = *r
		}
	})
	first := func(a answer, list string) map[string]any {
		require.Equal(t, http.StatusOK, a.status, a.body)
		return a.json(t)[list].([]any)[0].(map[string]any)
	}
	ended := "2025-11-22T22:00:01.000Z"
	listed := first(e.call(t, "GET", "/api/v1/webhooks/"+webhook+"/deliveries", ""), "data")
	require.Equal(t, ended, listed["endedAt"])
	one := e.call(t, "GET", "/api/v1/webhooks/"+webhook+"/deliveries/"+listed["id"].(string), "")
	require.Equal(t, http.StatusOK, one.status, one.body)
	require.Equal(t, ended, one.json(t)["endedAt"])
	require.Equal(t, map[string]any{
		"number": 1.0, "startedAt": "2025-11-22T22:00:00.000Z", "outcome": "no-such-host", "error": "lookup a.example.com: no such host",
		"waitedMs": 1.0, "dnsMs": 2.0, "connectMs": 3.0, "tlsMs": 4.0, "firstByteMs": 5.0, "totalMs": 6.0,
	}, first(one, "attemptLog"))

	record := e.call(t, "GET", "/api/v1/events/"+event, "")
	found := first(e.call(t, "GET", "/api/v1/events?eventId=e-1", ""), "data")
	for _, shown := range []map[string]any{record.json(t), found} {
		require.Equal(t, "e-1", shown["eventId"])
		require.Equal(t, "https://a.example.com/", shown["source"])
		match := shown["matches"].([]any)[0].(map[string]any)["delivery"].(map[string]any)
		require.Equal(t, ended, match["endedAt"])
		require.Equal(t, "2025-11-22T22:00:00.000Z", match["lastAttemptAt"])
	}
}

// TestMatchIsBounded asks about more webhooks than one dry run explains.
func TestMatchIsBounded(t *testing.T) {
	e := newEdge(t)
	e.limit = 2000
	for n := range 1001 {
		w := &triggers.Webhook{Tenant: 1, Name: fmt.Sprint("webhook ", n), URL: "https://a.example.com/"}
		copy(w.ID[:], fmt.Sprintf("%016d", n))
		require.NoError(t, e.Create(t.Context(), w))
	}
	a := e.call(t, "POST", "/api/v1/match", `{"uri":"`+shareURI+`"}`)
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, true, a.json(t)["truncated"])
	require.Len(t, a.json(t)["others"], 1000)
}

// TestRefusalsOfActions asks for what cannot be done now, or not by that name.
func TestRefusalsOfActions(t *testing.T) {
	s := newStage(t)
	nowhere := "?tenant=nowhere"
	webhook := "/api/v1/webhooks/" + s.named["webhook"]
	resend := webhook + "/deliveries/" + s.named["delivery"] + "/actions/resend"
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		code               string
	}{
		"key of a tenant that is not":      {"GET", "/api/v1/api-keys/" + viewerKey + nowhere, "", 400, "OUT_OF_RANGE"},
		"key of no tenant revoked":         {"DELETE", "/api/v1/api-keys/" + viewerKey + nowhere, "", 400, "OUT_OF_RANGE"},
		"tenants by a bad limit":           {"GET", "/api/v1/tenants?limit=0", "", 400, "OUT_OF_RANGE"},
		"tenant that is not":               {"PATCH", "/api/v1/tenants/nowhere", `{"portalUrl":"https://a.example.com/"}`, 404, "NOT_FOUND"},
		"switched off with a body":         {"POST", webhook + "/actions/disable", `{"why":1}`, 400, "UNKNOWN_FIELD"},
		"sent again with a body":           {"POST", resend, `{"why":1}`, 400, "UNKNOWN_FIELD"},
		"sent again while too much waits":  {"POST", resend, "", 429, "OVERLOADED"},
		"events told while too much waits": {"POST", "/api/v1/events", share, 429, "OVERLOADED"},
	} {
		t.Run(name, func(t *testing.T) {
			if s.failure = nil; test.status == 429 {
				s.failure = &delivery.Overload{Status: 429, RetryAfter: 2 * time.Second}
			}
			a := s.as(t, operatorKey, test.method, test.path, test.body)
			require.Equal(t, test.status, a.status, a.body)
			require.Equal(t, test.code, a.problem(t)["code"])
		})
	}
}
