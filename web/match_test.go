package web_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMatch(t *testing.T) {
	e := newEdge(t)
	anyID := e.create(t, `{"name":"B any","url":"https://a.example.com/","eventTypes":["/groups/add","/items/share"],"enabled":true}`)
	glob := e.create(t, `{"name":"A glob","url":"https://a.example.com/","eventTypes":["/items/4ad*/{share,unshare}"],"enabled":true}`)
	off := e.create(t, `{"name":"C off","url":"https://a.example.com/","eventTypes":["/"]}`)
	near := e.create(t, `{"name":"D near","url":"https://a.example.com/","eventTypes":["/items/unshare"],"enabled":true}`)
	empty := e.create(t, `{"name":"E empty","url":"https://a.example.com/"}`)

	a := e.do(t, request{method: "POST", path: "/api/v1/match", key: viewerKey, body: `{"uri":"` + shareURI + `"}`})
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.JSONEq(t, `{"uri":"`+shareURI+`","matched":2,"matches":[
		{"webhookId":"`+glob+`","name":"A glob","enabled":true,"trigger":"/items/4ad*/{share,unshare}","segments":[
			{"pattern":"items","event":"items","matched":true},{"pattern":"4ad*","event":"`+itemID+`","matched":true},
			{"pattern":"{share,unshare}","event":"share","matched":true}],"triggers":[
			{"trigger":"/items/4ad*/{share,unshare}","matched":true,"segments":[{"pattern":"items","event":"items","matched":true},
			{"pattern":"4ad*","event":"`+itemID+`","matched":true},{"pattern":"{share,unshare}","event":"share","matched":true}]}]},
		{"webhookId":"`+anyID+`","name":"B any","enabled":true,"trigger":"/items/share","segments":[
			{"pattern":"items","event":"items","matched":true},{"pattern":"share","event":"share","matched":true}],"triggers":[
			{"trigger":"/groups/add","matched":false,"segments":[{"pattern":"groups","event":"items","matched":false}],"reason":"the event is about items"},
			{"trigger":"/items/share","matched":true,"segments":[{"pattern":"items","event":"items","matched":true},
			{"pattern":"share","event":"share","matched":true}]}]}],
	"others":[
		{"webhookId":"`+off+`","name":"C off","enabled":false,"why":"the webhook is disabled","heldBy":"state","matched":true,"triggers":[
			{"trigger":"/","matched":true,"segments":[{"pattern":"/","event":"items","matched":true}]}]},
		{"webhookId":"`+near+`","name":"D near","enabled":true,"why":"no event type of the webhook hears the event","matched":false,"triggers":[
			{"trigger":"/items/unshare","matched":false,"segments":[{"pattern":"items","event":"items","matched":true},
			{"pattern":"unshare","event":"share","matched":false}],"reason":"the operation is share"}]},
		{"webhookId":"`+empty+`","name":"E empty","enabled":false,"why":"the webhook is disabled","matched":false,"triggers":[]}]}`, a.body)

	a = e.call(t, "POST", "/api/v1/match?explain=matches", `{"event":`+share+`,"draft":{"eventTypes":["/users","/ITEMS/SHARE"]}}`)
	require.Equal(t, http.StatusOK, a.status, a.body)
	object := a.json(t)
	require.NotContains(t, object, "others")
	require.Len(t, object["matches"], 2)
	draft := object["draft"].(map[string]any)
	require.Equal(t, true, draft["matched"])
	require.Equal(t, "/items/share", draft["triggers"].([]any)[1].(map[string]any)["trigger"])

	a = e.do(t, request{method: "POST", path: "/api/v1/match", key: otherKey, body: `{"uri":"` + shareURI + `"}`})
	require.JSONEq(t, `{"uri":"`+shareURI+`","matched":0,"matches":[],"others":[]}`, a.body)
	require.Empty(t, e.events, "a dry run stores nothing")
}

// TestMatchChosen asks about some of many webhooks.
func TestMatchChosen(t *testing.T) {
	e := newEdge(t)
	create := func(name, eventType, more string) {
		e.create(t, `{"name":"`+name+`","url":"https://a.example.com/","eventTypes":["/roles","`+eventType+`"],"enabled":true`+more+`}`)
	}
	create("A far", "/users", "")
	create("B near", "/items/unshare", "")
	create("C nearer", "/items/4*/unshare", "")
	create("E got it", "/items/share", "")
	event := e.post(t, share)
	create("D held", "/items/share", `,"filter":"username eq \"nobody\""`)
	create("F later", "/items", "")
	ask := func(query string) map[string]any {
		a := e.call(t, "POST", "/api/v1/match?"+query, `{"event":`+share+`}`)
		require.Equal(t, http.StatusOK, a.status, a.body)
		return a.json(t)
	}
	names := func(list any) (all []string) {
		for _, w := range list.([]any) {
			all = append(all, w.(map[string]any)["name"].(string))
		}
		return all
	}
	got := ask("order=nearest")
	require.Equal(t, []string{"E got it", "F later"}, names(got["matches"]))
	require.Equal(t, []string{"D held", "C nearer", "B near", "A far"}, names(got["others"]))
	require.Equal(t, []any{2., 4., 3., nil}, []any{got["matched"], got["unmatched"], got["near"], got["truncated"]})
	got = ask("order=nearest&limit=1&except=" + event)
	require.Equal(t, []string{"F later"}, names(got["matches"]))
	require.Equal(t, []string{"D held"}, names(got["others"]))
	require.Equal(t, []any{1., 4., 3., nil}, []any{got["matched"], got["unmatched"], got["near"], got["truncated"]})
	got = ask("limit=2&name=NEAR")
	require.Empty(t, got["matches"])
	require.Equal(t, []string{"B near", "C nearer"}, names(got["others"]))
	require.NotContains(t, got, "near")
	require.NotContains(t, ask("explain=matches&order=nearest"), "others")
	for query, field := range map[string]string{"order=far": "order", "limit=0": "limit", "limit=x": "limit", "except=x": "except", "except=" + otherEvent(t, e): "except"} {
		a := e.call(t, "POST", "/api/v1/match?"+query, `{"event":`+share+`}`)
		require.Equal(t, http.StatusBadRequest, a.status, query)
		require.Contains(t, a.body, field)
	}
}

// otherEvent is an event of another tenant.
func otherEvent(t *testing.T, e *edge) string {
	t.Helper()
	a := e.as(t, otherKey, "POST", "/api/v1/events", share)
	require.Equal(t, http.StatusAccepted, a.status, a.body)
	return a.json(t)["id"].(string)
}

// TestMatchHeldBack asks about webhooks that a trigger of theirs would let hear the event.
func TestMatchHeldBack(t *testing.T) {
	e := newEdge(t)
	with := func(name, more string) string {
		return e.create(t, `{"name":"`+name+`","url":"https://a.example.com/","eventTypes":["/items/share","com.qlik.v1.app.created"],"enabled":true`+more+`}`)
	}
	mine := with("A mine", `,"level":"user","ownerId":"ann"`)
	yours := with("B yours", `,"level":"user","ownerId":"bob"`)
	public := with("C public", `,"filter":"properties.sharedToGroups eq \"Everyone\""`)
	bot := with("D bot", `,"filter":"username eq \"bot\" or spaceId eq \"s1\""`)
	ask := func(question string) (matches []string, held map[string]any) {
		a := e.call(t, "POST", "/api/v1/match", question)
		require.Equal(t, http.StatusOK, a.status, a.body)
		object, held := a.json(t), map[string]any{}
		for _, m := range object["matches"].([]any) {
			matches = append(matches, m.(map[string]any)["webhookId"].(string))
		}
		require.EqualValues(t, len(matches), object["matched"])
		for _, m := range object["others"].([]any) {
			m := m.(map[string]any)
			require.NotEmpty(t, m["why"])
			require.Equal(t, true, m["matched"])
			held[m["webhookId"].(string)] = m["heldBy"]
		}
		return matches, held
	}

	matches, held := ask(`{"event":{"uri":"` + shareURI + `","ownerId":"ann","properties":{"access":"public"}}}`)
	require.Equal(t, []string{mine, public}, matches, "the filter sees what receivers would")
	require.Equal(t, map[string]any{yours: "level", bot: "filter"}, held)

	matches, held = ask(`{"event":{"specversion":"1.0","id":"1","source":"p","type":"/items/share","subject":"` + shareURI + `","audience":"bob, eve",
		"data":{"username":"bot","properties":{"access":"private"}}}}`)
	require.Equal(t, []string{yours, bot}, matches)
	require.Equal(t, map[string]any{mine: "level", public: "filter"}, held)

	matches, held = ask(`{"uri":"` + shareURI + `"}`)
	require.Empty(t, matches, "of a URI nothing more is known")
	require.Equal(t, map[string]any{mine: "level", yours: "level", public: "filter", bot: "filter"}, held)
}
