package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// late is a server with a webhook that did not get two events.
func late(t *testing.T) (e *edge, webhook string) {
	t.Helper()
	e = newEdge(t)
	id := e.create(t, `{"name":"Late","url":"https://a.example.com/","eventTypes":["/items/share"],"enabled":true}`)
	e.post(t, share)
	e.records[0].State = delivery.Exhausted
	skipped := e.records[0]
	skipped.State = delivery.Skipped
	e.records = append(e.records, skipped)
	return e, "/api/v1/webhooks/" + id
}

func TestRecover(t *testing.T) {
	e, webhook := late(t)
	a := e.call(t, "POST", webhook+"/actions/recover", `{"dryRun":true,"from":"2026-11-22T03:00:00Z","to":1795489200000}`)
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.JSONEq(t, `{"webhookId":"`+webhook[len("/api/v1/webhooks/"):]+`","states":["exhausted","skipped"],"missed":false,"ratePerMinute":600,
		"from":"2026-11-22T03:00:00.000Z","to":"2026-11-24T03:00:00.000Z",
		"counted":{"total":2,"exhausted":1,"skipped":1,"cancelled":0,"missed":0,"complete":true}}`, a.body)
	require.Empty(t, e.recoveries)
	require.Empty(t, auditActions(e, "recovery"))

	a = e.call(t, "POST", webhook+"/actions/recover", `{"states":["exhausted"],"trigger":"/ITEMS/share","missed":true,"ratePerMinute":60000}`)
	require.Equal(t, http.StatusAccepted, a.status, a.body)
	made := e.recoveries[0]
	require.Equal(t, []delivery.State{delivery.Exhausted}, made.States)
	require.Equal(t, "/items/share", made.Trigger)
	require.True(t, made.Missed)
	require.Equal(t, 60_000, made.RatePerMinute)
	id := made.ID.Recovery()
	require.Equal(t, id, a.json(t)["id"])
	require.Equal(t, "running", a.json(t)["state"])

	a = e.call(t, "POST", webhook+"/actions/recover", "")
	require.Equal(t, http.StatusConflict, a.status)
	require.Equal(t, "RECOVERY_OPEN", a.problem(t)["code"])
	for _, step := range []struct{ verb, state string }{{"pause", "paused"}, {"resume", "running"}, {"cancel", "cancelled"}} {
		a = e.call(t, "POST", webhook+"/recoveries/"+id+"/actions/"+step.verb, "")
		require.Equal(t, http.StatusOK, a.status, a.body)
		require.Equal(t, step.state, a.json(t)["state"])
		require.Equal(t, step.state, e.call(t, "GET", webhook+"/recoveries/"+id, "").json(t)["state"])
	}
	a = e.call(t, "POST", webhook+"/recoveries/"+id+"/actions/resume", "")
	require.Equal(t, http.StatusConflict, a.status)
	require.Equal(t, "RECOVERY_ENDED", a.problem(t)["code"])
	require.Equal(t, []string{"recovery.create", "recovery.pause", "recovery.resume", "recovery.cancel"}, auditActions(e, "recovery"))

	a = e.call(t, "POST", webhook+"/actions/recover", "")
	require.Equal(t, http.StatusAccepted, a.status, "without a body: %s", a.body)
	list := func(query string) (ids []string) {
		for _, row := range e.call(t, "GET", webhook+"/recoveries"+query, "").json(t)["data"].([]any) {
			ids = append(ids, row.(map[string]any)["id"].(string))
		}
		return ids
	}
	second := e.recoveries[1].ID.Recovery()
	require.Equal(t, []string{second, id}, list(""))
	require.Equal(t, []string{id, second}, list("?sort=createdAt"))
	a = e.call(t, "GET", webhook+"/recoveries?limit=1", "")
	next := a.json(t)["links"].(map[string]any)["next"].(map[string]any)["href"].(string)
	require.Equal(t, []string{id}, list(next[strings.Index(next, "?"):]))
}

// auditActions are what the audit tells of objects of a kind, the oldest first.
func auditActions(e *edge, kind string) (actions []string) {
	for _, change := range e.audit {
		if change.Object == kind && change.ObjectID != "" {
			actions = append(actions, change.Action)
		}
	}
	return actions
}

func TestRecoverRefuses(t *testing.T) {
	e, webhook := late(t)
	for _, test := range []struct{ body, code, field string }{
		{`[]`, "WRONG_TYPE", ""},
		{`{"form":1}`, "UNKNOWN_FIELD", "form"},
		{`{"from":"yesterday"}`, "OUT_OF_RANGE", "from"},
		{`{"from":""}`, "REQUIRED", "from"},
		{`{"to":true}`, "WRONG_TYPE", "to"},
		{`{"to":1.5}`, "WRONG_TYPE", "to"},
		{`{"from":"2026-11-22T03:00:00Z","to":"2026-11-22T02:00:00Z"}`, "OUT_OF_RANGE", "to"},
		{`{"states":"exhausted"}`, "WRONG_TYPE", "states"},
		{`{"states":["exhausted","succeeded"]}`, "OUT_OF_RANGE", "states[1]"},
		{`{"states":[]}`, "REQUIRED", "states"},
		{`{"trigger":"/itemz/share"}`, "UNKNOWN_TRIGGER", "trigger"},
		{`{"trigger":1}`, "WRONG_TYPE", "trigger"},
		{`{"missed":"yes"}`, "WRONG_TYPE", "missed"},
		{`{"dryRun":1}`, "WRONG_TYPE", "dryRun"},
		{`{"ratePerMinute":0}`, "OUT_OF_RANGE", "ratePerMinute"},
		{`{"ratePerMinute":60001}`, "OUT_OF_RANGE", "ratePerMinute"},
		{`{"ratePerMinute":"1"}`, "WRONG_TYPE", "ratePerMinute"},
		{`{"missed":true,"missed":true}`, "DUPLICATE_KEY", "missed"},
	} {
		a := e.call(t, "POST", webhook+"/actions/recover", test.body)
		require.Equal(t, http.StatusBadRequest, a.status, test.body)
		require.Equal(t, test.code, a.problem(t)["code"], test.body)
		if test.field != "" {
			require.Equal(t, test.field, a.problem(t)["field"], test.body)
		}
	}
	require.Empty(t, e.recoveries)
	require.Equal(t, http.StatusAccepted, e.call(t, "POST", webhook+"/actions/recover", `{"states":[],"missed":true}`).status)

	id := e.recoveries[0].ID
	other := e.create(t, `{"name":"Other","url":"https://a.example.com/"}`)
	for _, path := range []string{
		webhook + "/recoveries/" + (id + 1).Recovery(), webhook + "/recoveries/x", "/api/v1/webhooks/" + other + "/recoveries/" + id.Recovery(),
		webhook + "/recoveries/" + id.Delivery(),
	} {
		require.Equal(t, http.StatusNotFound, e.call(t, "GET", path, "").status, path)
		require.Equal(t, http.StatusNotFound, e.call(t, "POST", path+"/actions/pause", "").status, path)
	}
	// Another tenant's, and another user's, do not exist.
	for _, key := range []string{otherKey, userKey} {
		for method, path := range map[string]string{"POST": webhook + "/actions/recover", "GET": webhook + "/recoveries"} {
			require.Equal(t, http.StatusNotFound, e.do(t, request{method: method, path: path, key: key, body: "{}"}).status, "%s as %s", path, key)
		}
	}
}

func TestRecoverOwn(t *testing.T) {
	e := newEdge(t)
	a := e.do(t, request{method: "POST", path: "/api/v1/webhooks", key: userKey, body: `{"name":"Mine","url":"https://a.example.com/","eventTypes":["/items"],"enabled":true}`})
	require.Equal(t, http.StatusCreated, a.status, a.body)
	a = e.do(t, request{method: "POST", path: "/api/core/webhooks/" + a.json(t)["id"].(string) + "/actions/recover", key: userKey, body: "{}"})
	require.Equal(t, http.StatusAccepted, a.status, a.body)
	require.Equal(t, triggers.UserLevel, e.only(t).Level)
}

func TestMatchPast(t *testing.T) {
	e := newEdge(t)
	e.post(t, share)
	ask := func(body string) map[string]any {
		a := e.call(t, "POST", "/api/v1/match", body)
		require.Equal(t, http.StatusOK, a.status, a.body)
		return a.json(t)
	}
	answer := ask(`{"draft":{"eventTypes":["/items/share"]},"past":{}}`)
	require.Len(t, answer, 1, "without an event, only the past is told of")
	past := answer["past"].(map[string]any)
	require.InDelta(t, 1, past["caught"], 0)
	require.Equal(t, true, past["complete"])
	sample := past["samples"].([]any)[0].(map[string]any)
	require.Equal(t, "/items/share", sample["trigger"])
	require.Equal(t, shareURI, sample["uri"])

	answer = ask(`{"uri":"` + shareURI + `","draft":{"eventTypes":["/items/share"],"filter":"username eq \"bot\""},"past":{"from":"2026-11-22T03:00:00Z","to":1795489200000}}`)
	require.InDelta(t, 0, answer["past"].(map[string]any)["caught"], 0)
	require.Equal(t, "2026-11-22T03:00:00.000Z", answer["past"].(map[string]any)["from"])
	require.Equal(t, "filter", answer["draft"].(map[string]any)["heldBy"])
	require.Equal(t, true, answer["draft"].(map[string]any)["matched"])

	e.post(t, share)
	past = ask(`{"draft":{"eventTypes":["/items/share"]},"past":{"limit":1}}`)["past"].(map[string]any)
	require.Equal(t, []any{1.0, false}, []any{past["caught"], past["complete"]})

	for _, test := range []struct{ body, code, field string }{
		{`{"past":{}}`, "REQUIRED", "draft.eventTypes"},
		{`{"draft":{"eventTypes":["/items"]},"past":{"limit":0}}`, "OUT_OF_RANGE", "past.limit"},
		{`{"draft":{"eventTypes":["/items"]},"past":{"limit":50001}}`, "OUT_OF_RANGE", "past.limit"},
		{`{"draft":{},"past":{}}`, "REQUIRED", "draft.eventTypes"},
		{`{"draft":{"eventTypes":["/items"]}}`, "REQUIRED", "uri"},
		{`{"draft":{"eventTypes":["/items"],"level":"user"},"past":{}}`, "REQUIRED", "draft.ownerId"},
		{`{"draft":{"eventTypes":["/users"],"level":"user","ownerId":"ann"},"past":{}}`, "NOT_ALLOWED", "draft.eventTypes[0]"},
		{`{"draft":{"eventTypes":["/items"],"level":"all"},"past":{}}`, "OUT_OF_RANGE", "draft.level"},
		{`{"draft":{"eventTypes":["/items"],"filter":"nothing"},"past":{}}`, "FILTER", "draft.filter"},
		{`{"draft":{"eventTypes":["/items"],"filter":"spaceId eq \"1\""},"past":{}}`, "FILTER", "draft.filter"},
		{`{"draft":{"eventTypes":["/items"],"url":"https://a.example.com"},"past":{}}`, "UNKNOWN_FIELD", "draft.url"},
		{`{"draft":{"eventTypes":["/items"]},"past":{"since":1}}`, "UNKNOWN_FIELD", "past.since"},
		{`{"draft":{"eventTypes":["/items"]},"past":{"from":"soon"}}`, "OUT_OF_RANGE", "past.from"},
		{`{"draft":{"eventTypes":["/items"]},"past":{"from":"2026-11-22T03:00:00Z","to":"2026-11-21T03:00:00Z"}}`, "OUT_OF_RANGE", "past.to"},
		{`{"draft":{"eventTypes":["/items"]},"past":[]}`, "WRONG_TYPE", "past"},
	} {
		a := e.call(t, "POST", "/api/v1/match", test.body)
		require.Equal(t, http.StatusBadRequest, a.status, test.body)
		require.Equal(t, test.code, a.problem(t)["code"], test.body)
		require.Equal(t, test.field, a.problem(t)["field"], test.body)
	}
}

// TestRecoveryInFull shows a recovery of two times, the beginning of which was forgotten before its turn, and what can still be asked of it.
func TestRecoveryInFull(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, hook)
	recovery := e.recover(t, id)
	path := "/api/v1/webhooks/" + id + "/recoveries/" + recovery
	at := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	span := delivery.Span{From: at, To: at.Add(time.Hour)}
	e.mu.Lock()
	r := e.recoveries[0]
	r.Spans, r.Lost = []delivery.Span{span, {From: at.Add(2 * time.Hour), To: at.Add(3 * time.Hour)}}, span
	r.Counts.Complete, r.State, r.Reason = false, delivery.RecoveryCounting, "as it is"
	r.CountedTo, r.Position = triggers.ID(at.UnixMilli())<<21, triggers.ID(at.UnixMilli())<<21
	e.mu.Unlock()
	a := e.call(t, "GET", path, "")
	require.Equal(t, http.StatusOK, a.status, a.body)
	told := a.json(t)
	interval := map[string]any{"from": "2026-11-22T03:00:00.000Z", "to": "2026-11-22T04:00:00.000Z"}
	require.Equal(t, interval, told["forgotten"])
	require.Equal(t, []any{interval, map[string]any{"from": "2026-11-22T05:00:00.000Z", "to": "2026-11-22T06:00:00.000Z"}}, told["intervals"])
	require.Equal(t, "2026-11-22T03:00:00.000Z", told["from"])
	require.Equal(t, "2026-11-22T06:00:00.000Z", told["to"])
	require.Equal(t, "as it is", told["reason"])
	require.Equal(t, "2026-11-22T03:00:00.000Z", told["position"])
	require.Equal(t, "2026-11-22T03:00:00.000Z", told["counted"].(map[string]any)["to"])

	a = e.call(t, "POST", "/api/v1/webhooks/"+id+"/actions/recover", `{"trigger":"`+uncounted+`","dryRun":true}`)
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Len(t, a.json(t)["intervals"], 2)
	require.NotEmpty(t, a.json(t)["counted"].(map[string]any)["to"])

	require.Equal(t, http.StatusOK, e.call(t, "POST", path+"/actions/cancel", "").status)
	require.NotEmpty(t, e.call(t, "GET", path, "").json(t)["endedAt"])
	for _, action := range []string{"pause", "resume", "cancel"} {
		a := e.call(t, "POST", path+"/actions/"+action, "")
		require.Equal(t, http.StatusConflict, a.status, a.body)
		require.Equal(t, "RECOVERY_ENDED", a.problem(t)["code"])
	}
}
