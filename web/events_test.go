package web_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
)

const (
	itemID   = "4adc30bb03054812a846fa592de105de"
	shareURI = "/items/" + itemID + "/share"
	share    = `{"uri":"` + shareURI + `","username":"jdoe","when":1543192196521,"properties":{"sharedToGroups":["Everyone"]}}`
	hook     = `{"name":"Shares","url":"https://receiver.example.com/hook","eventTypes":["/items/share"],"enabled":true}`
)

func TestPostOneEvent(t *testing.T) {
	e := newEdge(t)
	e.create(t, hook)

	a := e.do(t, request{method: "POST", path: "/api/v1/events", key: emitterKey, body: share})
	require.Equal(t, http.StatusAccepted, a.status, a.body)
	require.Regexp(t, `^\{"id":"evt_[0-9a-v]{13}","matched":1\}$`, a.body)
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))

	named := strings.Replace(share, "{", `{"eventId":"e \"1\" <&>",`, 1)
	first := e.call(t, "POST", "/api/v1/events", named)
	require.Regexp(t, `^\{"id":"evt_[0-9a-v]{13}","eventId":"e \\"1\\" <&>","matched":1\}$`, first.body)
	second := e.call(t, "POST", "/api/v1/events", named)
	require.Equal(t, http.StatusAccepted, second.status)
	require.Equal(t, strings.TrimSuffix(first.body, "}")+`,"duplicate":true}`, second.body)
}

func TestPostManyEvents(t *testing.T) {
	e := newEdge(t)
	e.create(t, hook)
	other := `{"uri":"/users/jdoe/signIn"}`
	want := `^\{"events":\[\{"id":"evt_[0-9a-v]{13}","matched":1\},\{"id":"evt_[0-9a-v]{13}","matched":0\}\]\}$`

	a := e.call(t, "POST", "/api/v1/events", "["+share+","+other+"]")
	require.Equal(t, http.StatusAccepted, a.status, a.body)
	require.Regexp(t, want, a.body)

	a = e.do(t, request{method: "POST", path: "/api/v1/events", key: adminKey, contentType: "application/x-ndjson", body: share + "\n\n" + other + "\n"})
	require.Equal(t, http.StatusAccepted, a.status, a.body)
	require.Regexp(t, want, a.body)

	a = e.call(t, "POST", "/api/v1/events", "["+other+"]")
	require.Regexp(t, `^\{"events":\[\{"id":"evt_[0-9a-v]{13}","matched":0\}\]\}$`, a.body)
}

func TestGetEvent(t *testing.T) {
	e := newEdge(t)
	webhook := e.create(t, hook)
	id := e.post(t, share)

	a := e.call(t, "GET", "/api/v1/events/"+id, "")
	require.Equal(t, http.StatusOK, a.status, a.body)
	event := a.json(t)
	require.Equal(t, id, event["id"])
	require.Equal(t, shareURI, event["uri"])
	require.Equal(t, "jdoe", event["username"])
	require.Equal(t, "2018-11-26T00:29:56.521Z", event["when"])
	require.EqualValues(t, 1, event["matched"])
	match := event["matches"].([]any)[0].(map[string]any)
	require.Equal(t, webhook, match["webhookId"])
	require.Equal(t, "Shares", match["webhookName"])
	require.Equal(t, "/items/share", match["trigger"])
	deliveryOf := match["delivery"].(map[string]any)
	require.Equal(t, "waiting", deliveryOf["state"])
	require.EqualValues(t, 0, deliveryOf["attempts"])
	require.Contains(t, deliveryOf, "nextAttemptAt")

	unmatched := e.post(t, `{"uri":"/users/jdoe/signIn"}`)
	a = e.call(t, "GET", "/api/v1/events/"+unmatched, "")
	require.Equal(t, []any{}, a.json(t)["matches"])

	for name, r := range map[string]request{
		"another tenant's": {method: "GET", path: "/api/v1/events/" + id, key: otherKey},
		"none":             {method: "GET", path: "/api/v1/events/evt_0000000000002", key: adminKey},
		"no id":            {method: "GET", path: "/api/v1/events/" + strings.ToUpper(id), key: adminKey},
	} {
		t.Run(name, func(t *testing.T) {
			a := e.do(t, r)
			require.Equal(t, http.StatusNotFound, a.status)
			require.Equal(t, "NOT_FOUND", a.problem(t)["code"])
		})
	}
}

func TestEventsThatAreNotTaken(t *testing.T) {
	secret := errors.New("disk /var/lib/x is broken")
	for name, c := range map[string]struct {
		failure error
		status  int
		code    string
		detail  string
		retry   string
	}{
		"too much waiting": {&delivery.Overload{Status: 429, RetryAfter: 2500 * time.Millisecond, Err: secret}, 429, "OVERLOADED", "nothing was stored", "3"},
		"disk full":        {&delivery.Overload{Status: 503, Err: secret}, 503, "OVERLOADED", "nothing was stored", "1"},
		"commit failed":    {&delivery.Overload{Status: 503, Unknown: true, RetryAfter: 2 * time.Second, Err: secret}, 503, "OUTCOME_UNKNOWN", "the same eventId", "2"},
		"anything else":    {secret, 503, "OUTCOME_UNKNOWN", "its outcome is unknown", "1"},
		"too many":         {delivery.ErrTooMany, 413, "TOO_MANY_DELIVERIES", "smaller parts", ""},
		"another content":  {&delivery.ConflictError{Index: 0}, 409, "EVENT_CONFLICT", "other content", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			e.failure = c.failure
			a := e.call(t, "POST", "/api/v1/events", share)
			require.Equal(t, c.status, a.status)
			p := a.problem(t)
			require.Equal(t, c.code, p["code"])
			require.Contains(t, p["detail"], c.detail)
			require.NotContains(t, p, "index")
			require.Equal(t, c.retry, a.header.Get("Retry-After"))
			require.NotContains(t, a.body, "/var/lib")
			if c.code == "OUTCOME_UNKNOWN" {
				require.Contains(t, e.log.String(), "/var/lib/x is broken")
				require.Contains(t, e.log.String(), a.json(t)["traceId"])
			}
		})
	}
	t.Run("in a batch", func(t *testing.T) {
		e := newEdge(t)
		e.failure = &delivery.ConflictError{Index: 1}
		a := e.call(t, "POST", "/api/v1/events", "["+share+","+share+"]")
		require.EqualValues(t, 1, a.problem(t)["index"])
	})
}

// TestBadEventInBatch names the position of the bad one, whoever finds it, and stores none.
func TestBadEventInBatch(t *testing.T) {
	for name, c := range map[string]struct{ bad, code, field string }{
		"found by the parser":  {`{"uri":"/items/x/shar"}`, "BAD_URI", "uri"},
		"found by the payload": {eventWith(`{}`), "MISSING_PROPERTY", "properties.sharedToGroups"},
		"not an event":         {`7`, "WRONG_TYPE", ""},
	} {
		for form, r := range map[string]request{
			"array": {body: "[" + share + "," + c.bad + "," + share + "]"},
			"lines": {body: share + "\n\n" + c.bad + "\n" + share, contentType: "application/x-ndjson"},
		} {
			t.Run(name+" in "+form, func(t *testing.T) {
				e := newEdge(t)
				r.method, r.path, r.key = "POST", "/api/v1/events", adminKey
				a := e.do(t, r)
				require.Equal(t, http.StatusBadRequest, a.status, a.body)
				p := a.problem(t)
				require.Equal(t, c.code, p["code"])
				require.EqualValues(t, 1, p["index"])
				if c.field != "" {
					require.Equal(t, c.field, p["field"])
				}
				require.Zero(t, e.stored())
			})
		}
	}
}

// TestBuffersAreNotShared posts from many clients at once: what is stored is what each one sent.
func TestBuffersAreNotShared(t *testing.T) {
	e := newEdge(t)
	var clients sync.WaitGroup
	for client := range 8 {
		clients.Go(func() {
			for i := range 50 {
				body := fmt.Sprintf(`{"uri":"/users/%d-%d/signIn","username":"%s"}`, client, i, strings.Repeat(string(rune('a'+client)), 10+i*4))
				w := httptest.NewRecorder()
				r := httptest.NewRequest(http.MethodPost, "/api/v1/events", strings.NewReader(body))
				r.Header.Set("Authorization", "Bearer "+adminKey)
				r.Header.Set("Content-Type", "application/json")
				e.handler.ServeHTTP(w, r)
			}
		})
	}
	clients.Wait()
	require.Len(t, e.events, 400)
	for _, ev := range e.events {
		var client, i int
		_, err := fmt.Sscanf(ev.URI, "/users/%d-%d/signIn", &client, &i)
		require.NoError(t, err, ev.URI)
		require.Equal(t, strings.Repeat(string(rune('a'+client)), 10+i*4), ev.Username)
	}
}
