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
			{"pattern":"{share,unshare}","event":"share","matched":true}]},
		{"webhookId":"`+anyID+`","name":"B any","enabled":true,"trigger":"/items/share","segments":[
			{"pattern":"items","event":"items","matched":true},{"pattern":"share","event":"share","matched":true}]}],
	"others":[
		{"webhookId":"`+off+`","name":"C off","enabled":false,"why":"the webhook is disabled","matched":true,"triggers":[
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
