package web_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each trigger is judged as a webhook's would be, in its order.
func TestCheckTriggers(t *testing.T) {
	e := newEdge(t)
	a := e.call(t, "POST", "/api/v1/triggers/check", `{"eventTypes":["/ITEMS/*/Share","/itemz/share","/users","/items/<itemID>/share","","com.qlik.v1.app.created","com.qlik.v1.app.*"]}`)
	require.Equal(t, http.StatusOK, a.status, a.body)
	said := a.json(t)["data"].([]any)
	require.Len(t, said, 7)
	for i, want := range []map[string]any{
		{"given": "/ITEMS/*/Share", "valid": true, "trigger": "/items/*/share", "title": "One item is shared", "levels": []any{"tenant", "user"}},
		{"given": "/itemz/share", "valid": false, "code": "UNKNOWN_TRIGGER", "suggestion": "/items/share"},
		{"given": "/users", "valid": true, "trigger": "/users", "levels": []any{"tenant"}},
		{"given": "/items/<itemID>/share", "valid": false, "code": "PLACEHOLDER"},
		{"given": "", "valid": false},
		{"given": "com.qlik.v1.app.created", "valid": true, "title": "App created"},
		{"given": "com.qlik.v1.app.*", "valid": true, "trigger": "com.qlik.v1.app.*"},
	} {
		got := said[i].(map[string]any)
		for name, value := range want {
			require.Equal(t, value, got[name], "%d: %s", i, name)
		}
		require.Equal(t, want["valid"] == false, got["detail"] != nil)
	}
	require.NotContains(t, said[6], "title")
	require.JSONEq(t, `{"data":[]}`, e.call(t, "POST", "/api/v1/triggers/check", `{"eventTypes":[]}`).body)
}

// The list of webhooks by a part of a trigger, and sorted by every column.
func TestWebhooksByTriggerPart(t *testing.T) {
	e := newEdge(t)
	e.create(t, `{"name":"b","url":"https://a.example.com/","eventTypes":["/items/share"],"enabled":true}`)
	e.create(t, `{"name":"a","url":"https://a.example.com/","eventTypes":["/users/signIn"],"level":"tenant"}`)
	e.create(t, `{"name":"c","url":"https://a.example.com/","eventTypes":["/groups"],"level":"user","ownerId":"ann"}`)
	for query, want := range map[string][]string{
		"?trigger=SHARE": {"b"}, "?trigger=s/&sort=name": {"a", "b"}, "?trigger=*": nil, "?sort=level&trigger=/": {"b", "a", "c"}, "?sort=-ownerId": {"c", "a", "b"},
		"?sort=-enabled": {"b", "c", "a"},
	} {
		require.Equal(t, want, e.list(t, adminKey, "/api/v1/webhooks"+query).names("name"), query)
	}
}
