package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/triggers"
)

// settle gives every recorded delivery what finish makes of it; i counts from the oldest.
func (e *edge) settle(finish func(i int, r *delivery.Record)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.records {
		finish(i, &e.records[i])
	}
}

func ids(t *testing.T, a answer) (list []string) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.body)
	for _, row := range a.json(t)["data"].([]any) {
		list = append(list, row.(map[string]any)["id"].(string))
	}
	return list
}

func TestListDeliveries(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, `{"name":"all","url":"https://a.example.com/","eventTypes":["/"],"enabled":true}`)
	for i := range 9 {
		e.post(t, []string{share, `{"uri":"/users/jdoe/signIn"}`}[i%2])
	}
	list := func(query string) answer { return e.call(t, "GET", "/api/v1/webhooks/"+id+"/deliveries"+query, "") }
	require.Empty(t, ids(t, list("")), "without a finished attempt there is nothing to show")
	require.Len(t, ids(t, list("?state=waiting")), 9, "but to those who ask for what waits")

	e.settle(func(i int, r *delivery.Record) {
		r.Tries = 1
		if i%3 == 0 {
			r.State = delivery.Succeeded
		}
	})
	oldest := make([]string, 9)
	e.settle(func(i int, r *delivery.Record) { oldest[i] = r.ID.Delivery() })
	newest := slices.Clone(oldest)
	slices.Reverse(newest)
	pick := func(from []string, at ...int) (picked []string) {
		for _, i := range at {
			picked = append(picked, from[i])
		}
		return picked
	}
	success, fail := pick(oldest, 6, 3, 0), pick(oldest, 8, 7, 5, 4, 2, 1)

	for query, want := range map[string][]string{
		"":                                     newest,
		"?sort=triggeredAt":                    oldest,
		"?status=success":                      success,
		"?status=fail":                         fail,
		"?sort=status":                         slices.Concat(fail, success),
		"?sort=-status":                        slices.Concat(success, fail),
		"?sort=-status&status=fail":            fail,
		"?eventType=/users/signin":             pick(oldest, 7, 5, 3, 1),
		"?eventType=/USERS/signIn":             pick(oldest, 7, 5, 3, 1),
		"?eventType=/":                         newest,
		"?eventType=/users/signin&sort=status": pick(oldest, 7, 5, 1, 3),
		"?eventType=/groups/add":               nil,
		"?state=succeeded":                     success,
		"?state=waiting":                       fail,
		"?state=succeeded,waiting":             newest,
		"?state=waiting&status=success":        nil,
		"?state=succeeded&sort=status":         success,
		"?state=exhausted":                     nil,
		"?from=2099-01-01T00:00:00Z":           nil,
		"?to=1":                                nil,
		"?from=1&to=2099-01-01T00:00:00Z":      newest,
	} {
		require.Equal(t, want, ids(t, list(query)), query)
		for _, limit := range []string{"limit=1", "limit=2", "limit=5"} {
			page := list(strings.Replace("?"+limit+"&"+strings.TrimPrefix(query, "?"), "&&", "&", 1))
			var forth, back []string
			for {
				forth = append(forth, ids(t, page)...)
				next := href(t, page, "next")
				if next == "" {
					break
				}
				page = e.follow(t, next)
			}
			require.Equal(t, want, forth, "%s by %s", query, limit)
			for {
				back = append(ids(t, page), back...)
				prev := href(t, page, "prev")
				if prev == "" {
					break
				}
				page = e.follow(t, prev)
			}
			require.Equal(t, want, back, "%s by %s, backwards", query, limit)
		}
	}
	for query, field := range map[string]string{"?status=open": "status", "?state=waiting,open": "state", "?from=soon": "from", "?sort=name": "sort", "?next=x": "next", "?limit=101": "limit"} {
		a := list(query)
		require.Equal(t, http.StatusBadRequest, a.status)
		require.Equal(t, field, a.problem(t)["field"])
	}
}

// TestStoppedPages follows lists whose pages end before they are full, as those do for which the store has looked at much in vain.
func TestStoppedPages(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, `{"name":"all","url":"https://a.example.com/","eventTypes":["/"],"enabled":true}`)
	for i := range 40 {
		e.post(t, []string{`{"uri":"/users/jdoe/signIn"}`, share}[i/39])
	}
	e.settle(func(i int, r *delivery.Record) {
		if r.Tries = 1; i%2 == 0 {
			r.State = delivery.Succeeded
		}
	})
	for _, query := range []string{"", "?eventType=/items/share", "?eventType=/users/signin&limit=3", "?sort=-status&eventType=/users/signin", "?sort=status&eventType=/items/share&limit=1"} {
		e.looks = 0
		var want []string
		page := e.call(t, "GET", "/api/v1/webhooks/"+id+"/deliveries"+query, "")
		for next := "first"; next != ""; {
			want = append(want, ids(t, page)...)
			if next = href(t, page, "next"); next != "" {
				page = e.follow(t, next)
			}
		}
		require.NotEmpty(t, want)
		for e.looks = range 7 {
			var got []string
			empty := 0
			page := e.call(t, "GET", "/api/v1/webhooks/"+id+"/deliveries"+query, "")
			for next := "first"; next != ""; {
				rows := ids(t, page)
				if got = append(got, rows...); len(rows) == 0 {
					empty++
				}
				if next = href(t, page, "next"); next != "" {
					page = e.follow(t, next)
				}
			}
			require.Equal(t, want, got, "%s, looking at %d", query, e.looks)
			require.True(t, e.looks == 0 || len(want) > 1 || empty > 0, "some pages are empty")
		}
	}
}

func TestGetDelivery(t *testing.T) {
	e := newEdge(t)
	webhook := e.create(t, hook)
	other := e.create(t, strings.Replace(hook, "/items/share", "/groups", 1))
	event := e.post(t, share)
	at := time.UnixMilli(1763848800000).UTC()
	e.settle(func(_ int, r *delivery.Record) {
		hookID, _ := triggers.ParseWebhookID(webhook)
		r.State, r.Tries, r.StatusCode, r.StartedAt, r.DueAt = delivery.Waiting, 1, 500, at, at.Add(5*time.Second)
		r.Reason = "500 Internal Server Error"
		r.BuiltAt = at
		r.Revision = payload.Revision{
			Builder: payload.Version, WebhookID: hookID, WebhookName: "Shares", PortalURL: "https://portal.example.com/", Format: triggers.FormatAuto,
			URL: "https://receiver.example.com/hook", Headers: [][2]string{{"x-env", "prod"}, {"authorization", "**OMITTED**"}},
		}
		r.Events = []payload.Event{{ID: r.EventID, URI: triggers.URI{Resource: triggers.Items}, Body: []byte(`{"username":"<jdoe>","when":12345678901234567890}`)}}
		r.Attempts = []delivery.Attempt{{
			Number: 1, StartedAt: at, Total: 1500 * time.Microsecond, Outcome: "rejected", StatusCode: 500,
			Signed:          [][2]string{{"webhook-id", r.ID.Delivery()}},
			ResponseHeaders: [][2]string{{"Set-Cookie", "a"}, {"X-A", "1"}, {"set-cookie", "b"}}, ResponseBody: []byte("no \xff luck"), Truncated: true,
		}}
	})
	list := e.call(t, "GET", "/api/v1/webhooks/"+webhook+"/deliveries", "")
	id := ids(t, list)[0]
	require.NotContains(t, list.body, "null")
	require.Contains(t, list.body, `"response":{"statusCode":500}`)

	path := "/api/core/webhooks/" + webhook + "/deliveries/" + id
	a := e.call(t, "GET", path, "")
	require.Equal(t, http.StatusOK, a.status, e.log)
	require.Equal(t, `{"id":"`+id+`","webhookId":"`+webhook+`","eventId":"`+event+`","eventType":"/items/share","uri":"`+shareURI+`",`+
		`"trigger":"/items/share","status":"fail",`+
		`"statusMessage":"attempt 1: 500 Internal Server Error; the next attempt is due 2025-11-22T22:00:05.000Z",`+
		`"triggeredAt":"2025-11-22T22:00:00.000Z","state":"waiting","attempts":1,"statusCode":500,"lastAttemptAt":"2025-11-22T22:00:00.000Z",`+
		`"nextAttemptAt":"2025-11-22T22:00:05.000Z","reason":"500 Internal Server Error",`+
		`"request":{"url":"https://receiver.example.com/hook","headers":{"Content-Type":"application/json","x-env":"prod",`+
		`"authorization":"**OMITTED**","webhook-id":"`+id+`"},"body":{"info":{"webhookName":"Shares","webhookId":"`+webhook+`",`+
		`"portalURL":"https://portal.example.com/","when":1763848800000},"events":[{"username":"<jdoe>","when":12345678901234567890}],"properties":{}}},`+
		`"response":{"statusCode":500,"headers":{"Set-Cookie":"a, b","X-A":"1"},"body":"no `+"\uFFFD"+` luck","truncated":true},`+
		`"attemptLog":[{"number":1,"startedAt":"2025-11-22T22:00:00.000Z","outcome":"rejected","statusCode":500,"totalMs":1.5}]}`, a.body)

	again := e.call(t, "POST", path+"/actions/resend", "")
	require.Equal(t, http.StatusCreated, again.status, again.body)
	require.NotEqual(t, id, again.json(t)["id"])
	require.Equal(t, "/items/share", again.json(t)["trigger"])
	require.Equal(t, http.StatusCreated, e.call(t, "POST", path+"/actions/resend", "{}").status, "one client sends an empty object")
	rows := e.call(t, "GET", "/api/v1/audit?action=webhook.resend&sort=at", "").json(t)["data"].([]any)
	require.Len(t, rows, 2)
	told := rows[0].(map[string]any)["after"].(map[string]any)
	require.Equal(t, path[strings.LastIndexByte(path, '/')+1:], told["deliveryId"])
	require.Equal(t, again.json(t)["id"], told["resentAs"])

	for name, path := range map[string]string{
		"of another webhook": "/api/v1/webhooks/" + other + "/deliveries/" + id,
		"no such delivery":   "/api/v1/webhooks/" + webhook + "/deliveries/dlv_0000000000002",
		"an event's id":      "/api/v1/webhooks/" + webhook + "/deliveries/" + event,
	} {
		for _, r := range []request{{method: "GET", path: path, key: adminKey}, {method: "POST", path: path + "/actions/resend", key: adminKey}} {
			a := e.do(t, r)
			require.Equal(t, http.StatusNotFound, a.status, name)
			require.Equal(t, "this webhook has no such delivery, or its history is past", a.problem(t)["detail"], name)
		}
	}
	require.Equal(t, http.StatusNotFound, e.do(t, request{method: "GET", path: path, key: otherKey}).status)
}

// TestStatusMessage holds the sentence that tells how a delivery stands, whatever its state.
func TestStatusMessage(t *testing.T) {
	due := time.UnixMilli(1763848800000)
	for want, r := range map[string]delivery.Record{
		"attempt 1: 200 OK": {State: delivery.Succeeded, Tries: 1, Reason: "200 OK"},
		"attempt 2: connection refused; the next attempt is due 2025-11-22T22:00:00.000Z": {State: delivery.Waiting, Tries: 2, Reason: "connection refused", DueAt: due},
		"attempt 2: connection refused; attempt 3 is under way":                           {State: delivery.Sending, Tries: 2, Reason: "connection refused"},
		"attempt 10: 500 Internal Server Error; no attempt is left":                       {State: delivery.Exhausted, Tries: 10, Reason: "500 Internal Server Error"},
		"cancelled: the webhook was deleted":                                              {State: delivery.Cancelled, Tries: 1, Reason: "the webhook was deleted"},
	} {
		t.Run(fmt.Sprint(r.State), func(t *testing.T) {
			e := newEdge(t)
			webhook := e.create(t, hook)
			e.post(t, share)
			e.settle(func(_ int, stored *delivery.Record) {
				stored.State, stored.Tries, stored.Reason, stored.DueAt = r.State, r.Tries, r.Reason, r.DueAt
			})
			a := e.call(t, "GET", "/api/v1/webhooks/"+webhook+"/deliveries", "")
			require.Contains(t, a.body, `"statusMessage":"`+want+`"`)
			require.Equal(t, r.State == delivery.Succeeded, strings.Contains(a.body, `"status":"success"`))
			require.Equal(t, r.State == delivery.Waiting, strings.Contains(a.body, `"nextAttemptAt"`))
		})
	}
}
