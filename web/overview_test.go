package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/storage/storagetest"
	"portalhook/triggers"
	"portalhook/web"
)

func TestOverview(t *testing.T) {
	e := newEdge(t)
	on := e.create(t, `{"name":"on","url":"https://a.example.com/","eventTypes":["/"],"enabled":true}`)
	off := e.create(t, `{"name":"off","url":"https://b.example.com/","eventTypes":["/"]}`)
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	first := delivery.TenantHour{
		HourCounts: delivery.HourCounts{Hour: noon, Attempts: 4, Succeeded: 2, Failed: 2, Exhausted: 1, Took: 8 * time.Millisecond},
		Events:     5, Unmatched: 1, Planned: 6, Skipped: 1, Cancelled: 1,
	}
	first.Latency[0], first.Latency[14] = 3, 1
	second := delivery.TenantHour{HourCounts: delivery.HourCounts{Hour: noon.Add(time.Hour)}, Events: 2, Planned: 2}
	e.tenantHours = []delivery.TenantHour{first, second}
	e.hours = []delivery.HourCounts{first.HourCounts}
	e.totals = []delivery.WebhookTotal{
		{Webhook: 1, HourCounts: delivery.HourCounts{Attempts: 4, Succeeded: 2, Failed: 2, Exhausted: 1, Took: 8 * time.Millisecond}},
		{Webhook: 2, HourCounts: delivery.HourCounts{Attempts: 1, Succeeded: 1, Took: 9 * time.Millisecond}},
		{Webhook: 99, HourCounts: delivery.HourCounts{Attempts: 1, Failed: 9, Took: time.Second}}, // deleted meanwhile
	}
	e.open = delivery.OpenWork{Waiting: 3, Sending: 1, Oldest: noon}
	e.breakers = []delivery.Breaker{{Host: "https://a.example.com:443", Until: noon, Webhooks: 1}}

	a := e.call(t, "GET", "/api/v1/stats?from=2026-11-20T12:30:00Z&to=2026-11-22T14:00:00Z", "")
	require.Equal(t, http.StatusOK, a.status, a.body)
	one := a.json(t)
	counts := `"attempts":4,"succeeded":2,"failed":2,"exhausted":1,"latencyMs":{"p50":0.666,"p95":30000,"p99":30000}`
	require.JSONEq(t, `{"events":7,"unmatched":1,"planned":8,"skipped":1,"cancelled":1,`+counts+`}`, text(t, one["total"]))
	require.JSONEq(t, `[{"hour":"2026-11-22T12:00:00.000Z","events":5,"unmatched":1,"planned":6,"skipped":1,"cancelled":1,`+counts+`},
	  {"hour":"2026-11-22T13:00:00.000Z","events":2,"unmatched":0,"planned":2,"skipped":0,"cancelled":0,"attempts":0,"succeeded":0,"failed":0,"exhausted":0}]`,
		text(t, one["data"]))
	ranked := one["ranking"].(map[string]any)
	require.Equal(t, "2026-11-21T14:00:00.000Z", ranked["from"], "the last 24 hours")
	require.JSONEq(t, `[{"webhookId":"`+on+`","name":"on","enabled":true,`+counts+`,"meanMs":2}]`, text(t, ranked["failing"]))
	require.Len(t, ranked["slowest"], 2)
	require.Equal(t, off, ranked["slowest"].([]any)[0].(map[string]any)["webhookId"])
	now := one["now"].(map[string]any)
	require.JSONEq(t, `{"enabled":1,"disabled":1,"switchedOff":0}`, text(t, now["webhooks"]))
	require.JSONEq(t, `[{"host":"https://a.example.com:443","until":"2026-11-22T12:00:00.000Z","webhooks":1}]`, text(t, now["breakers"]))
	require.Equal(t, "2026-11-22T12:00:00.000Z", now["open"].(map[string]any)["oldestAt"])

	e.open = delivery.OpenWork{}
	require.JSONEq(t, `{"waiting":0,"sending":0}`, text(t, e.call(t, "GET", "/api/v1/stats", "").json(t)["now"].(map[string]any)["open"]))
	for query, field := range map[string]string{"?from=yesterday": "from", "?to=-5": "to", "?from=1": "from", "?step=5": "step", "?step=x": "step"} {
		a := e.call(t, "GET", "/api/v1/stats"+query, "")
		require.Equal(t, http.StatusBadRequest, a.status, query)
		require.Equal(t, field, a.problem(t)["field"], query)
	}
}

// The hours of a step are added up, histograms included: percentiles of a step are those of all its attempts.
func TestOverviewSteps(t *testing.T) {
	e := newEdge(t)
	at := func(day, hour int, events, fast, slow int64) delivery.TenantHour {
		h := delivery.TenantHour{HourCounts: delivery.HourCounts{Hour: time.Date(2026, 11, day, hour, 0, 0, 0, time.UTC), Attempts: fast + slow, Succeeded: fast + slow}, Events: events}
		h.Latency[0], h.Latency[14] = fast, slow
		return h
	}
	e.tenantHours = []delivery.TenantHour{at(21, 23, 1, 0, 1), at(22, 0, 2, 3, 0), at(22, 2, 4, 0, 1), at(22, 3, 8, 1, 0), at(22, 18, 16, 1, 0)}
	rows := func(step string) (told []string) {
		a := e.call(t, "GET", "/api/v1/stats?from=2026-11-20T00:00:00Z&to=2026-11-23T00:00:00Z&step="+step, "").json(t)
		for _, row := range a["data"].([]any) {
			row := row.(map[string]any)
			told = append(told, fmt.Sprintf("%.13s %v %v", row["hour"], row["events"], row["latencyMs"].(map[string]any)["p50"]))
		}
		require.EqualValues(t, 31, a["total"].(map[string]any)["events"])
		return told
	}
	require.Len(t, rows("1"), 5)
	require.Equal(t, rows("1"), rows(""))
	require.Equal(t, []string{"2026-11-21T21 1 30000", "2026-11-22T00 6 0.666", "2026-11-22T03 8 0.5", "2026-11-22T18 16 0.5"}, rows("3"))
	require.Equal(t, []string{"2026-11-21T00 1 30000", "2026-11-22T00 30 0.6"}, rows("24"))
}

// The webhooks that the server switched off are named with the reason, those first that were switched off last, ten at most.
func TestOverviewNamesTheStopped(t *testing.T) {
	e := newEdge(t)
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for i := range 12 {
		id, ok := triggers.ParseWebhookID(e.create(t, fmt.Sprintf(`{"name":"w%d","url":"https://a.example.com/","eventTypes":["/"],"enabled":true}`, i)))
		require.True(t, ok)
		w, err := e.ByID(1, id)
		require.NoError(t, err)
		w.Enabled, w.DisabledReason, w.DisabledReasonCode, w.DisabledAt = false, "the receiver is gone", "GONE", noon.Add(time.Duration(i%7)*time.Minute)
	}
	now := e.call(t, "GET", "/api/v1/stats", "").json(t)["now"].(map[string]any)
	require.EqualValues(t, 12, now["webhooks"].(map[string]any)["switchedOff"])
	var names []string
	for _, row := range now["stopped"].([]any) {
		names = append(names, row.(map[string]any)["name"].(string))
	}
	require.Equal(t, []string{"w6", "w5", "w4", "w11", "w3", "w10", "w2", "w9", "w1", "w8"}, names)
	first := now["stopped"].([]any)[0].(map[string]any)
	require.Equal(t, []any{"the receiver is gone", "GONE", "2026-11-22T12:06:00.000Z", false}, []any{first["disabledReason"], first["disabledReasonCode"], first["disabledAt"], first["enabled"]})
}

func TestWebhookSummaries(t *testing.T) {
	e := newEdge(t)
	e.create(t, `{"name":"busy","url":"https://a.example.com/","eventTypes":["/"]}`)
	e.create(t, `{"name":"idle","url":"https://b.example.com/","eventTypes":["/"]}`)
	e.totals = []delivery.WebhookTotal{{Webhook: 1, HourCounts: delivery.HourCounts{Attempts: 3, Succeeded: 2, Failed: 1}}}
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	e.last = map[uint32]*delivery.LastAttempt{1: {Delivery: triggers.ID(at.UnixMilli() << triggers.IDSequenceBits), At: at, State: delivery.Waiting, StatusCode: 503}}

	plain := e.call(t, "GET", "/api/v1/webhooks?sort=name", "")
	require.NotContains(t, plain.body, "summary")
	a := e.call(t, "GET", "/api/v1/webhooks?sort=name&limit=1&include=summary", "")
	require.Equal(t, http.StatusOK, a.status, a.body)
	busy := a.json(t)["data"].([]any)[0].(map[string]any)
	require.JSONEq(t, fmt.Sprintf(`{"attempts":3,"succeeded":2,"failed":1,"exhausted":0,"successShare":0.6667,
	  "lastDelivery":{"id":%q,"state":"waiting","statusCode":503,"at":"2026-11-22T12:00:00.000Z"}}`, e.last[1].Delivery.Delivery()), text(t, busy["summary"]))
	next := e.follow(t, href(t, a, "next"))
	require.JSONEq(t, `{"attempts":0,"succeeded":0,"failed":0,"exhausted":0}`, text(t, next.json(t)["data"].([]any)[0].(map[string]any)["summary"]), "links keep it")

	a = e.call(t, "GET", "/api/v1/webhooks?include=everything", "")
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Equal(t, "include", a.problem(t)["field"])
}

// TestWebhooksByFate sorts and filters by what summaries tell, page by page.
func TestWebhooksByFate(t *testing.T) {
	e := newEdge(t, func(c *web.Config) { c.Retention = 36 * time.Hour })
	for _, name := range []string{"idle", "good", "poor", "bad"} {
		e.create(t, `{"name":"`+name+`","url":"https://a.example.com/`+name+`","eventTypes":["/items/`+name+`","/"]}`)
	}
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	e.last = map[uint32]*delivery.LastAttempt{
		2: {At: at, State: delivery.Succeeded}, 3: {At: at.Add(time.Minute), State: delivery.Waiting}, 4: {At: at.Add(-time.Minute), State: delivery.Exhausted},
	}
	e.totals = []delivery.WebhookTotal{
		{Webhook: 2, HourCounts: delivery.HourCounts{Attempts: 2, Succeeded: 2}},
		{Webhook: 3, HourCounts: delivery.HourCounts{Attempts: 10, Succeeded: 9, Failed: 1}},
		{Webhook: 4, HourCounts: delivery.HourCounts{Attempts: 2, Failed: 2}},
	}
	for query, want := range map[string]string{
		"sort=lastDelivery":                              "idle bad good poor",
		"sort=-lastDelivery":                             "poor good bad idle",
		"sort=successShare":                              "idle bad poor good",
		"sort=-successShare":                             "good poor bad idle",
		"sort=trigger":                                   "bad good idle poor",
		"sort=name&lastDelivery=never,waiting":           "idle poor",
		"sort=name&minSuccessShare=0.9":                  "good poor",
		"sort=name&maxSuccessShare=0.9":                  "bad poor",
		"sort=name&maxSuccessShare=1&name=oo":            "good poor",
		"sort=-lastDelivery&nameIs=GOOD":                 "good",
		"sort=name&nameIs=goo":                           "",
		"sort=name&urlIs=https://A.example.com/bad":      "bad",
		"sort=name&switchedOff=true":                     "",
		"sort=name&createdFrom=2099-01-01T00:00:00Z":     "",
		"sort=name&createdTo=2099-01-01T00:00:00Z":       "bad good idle poor",
		"sort=-successShare&createdTo=2020-01-01T00:00Z": "400",
	} {
		var names []string
		back := ""
		for a := e.call(t, "GET", "/api/v1/webhooks?limit=1&"+query, ""); ; a = e.follow(t, back) {
			if a.status != http.StatusOK {
				names = append(names, fmt.Sprint(a.status))
				break
			}
			for _, row := range a.json(t)["data"].([]any) {
				names = append(names, row.(map[string]any)["name"].(string))
				require.NotContains(t, row, "summary")
			}
			if !strings.Contains(a.body, `"next"`) {
				break
			}
			if len(names) == 2 {
				first := e.follow(t, href(t, a, "prev"))
				require.Equal(t, names[0], first.json(t)["data"].([]any)[0].(map[string]any)["name"], query)
			}
			back = href(t, a, "next")
		}
		require.Equal(t, want, strings.Join(names, " "), query)
	}
	require.JSONEq(t, `{"retentionSeconds":129600,"maxWebhooks":100,"maxWebhooksPerOwner":150}`, e.call(t, "GET", "/api/v1/settings", "").body)
}

// text is a part of an answer as JSON again.
func text(t *testing.T, value any) string {
	t.Helper()
	raw, err := json.Marshal(value)
	require.NoError(t, err)
	return string(raw)
}

// TestWholeOverview sees that the real parts count what they do.
func TestWholeOverview(t *testing.T) { storagetest.OnEach(t, testWholeOverview) }

func testWholeOverview(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	w := newWhole(t, place(t), newReceiver(t))
	webhook := w.subscribe(t, `"eventTypes":["/items/share"]`)
	event := w.post(t, share)
	w.receiver.next(t)
	last := w.delivered(t, event)
	w.post(t, `{"uri":"/groups/g1/update"}`)

	a := w.call(t, "GET", "/api/v1/stats", "").json(t)
	total := a["total"].(map[string]any)
	for name, want := range map[string]int{"events": 2, "unmatched": 1, "planned": 1, "attempts": 1, "succeeded": 1, "failed": 0, "exhausted": 0} {
		require.EqualValues(t, want, total[name], name)
	}
	require.Contains(t, total, "latencyMs")
	require.Len(t, a["ranking"].(map[string]any)["slowest"], 1)
	require.Empty(t, a["ranking"].(map[string]any)["failing"])
	require.JSONEq(t, `{"open":{"waiting":0,"sending":0},"webhooks":{"enabled":1,"disabled":0,"switchedOff":0},"stopped":[],"breakers":[]}`, text(t, a["now"]))

	row := w.call(t, "GET", "/api/v1/webhooks?include=summary", "").json(t)["data"].([]any)[0].(map[string]any)
	require.Equal(t, webhook, row["id"])
	require.EqualValues(t, 1, row["summary"].(map[string]any)["successShare"])
	require.Equal(t, last["id"], row["summary"].(map[string]any)["lastDelivery"].(map[string]any)["id"])
}
