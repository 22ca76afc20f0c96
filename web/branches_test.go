package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBranches(t *testing.T) {
	e := newEdge(t)
	for i := range 25 {
		e.create(t, fmt.Sprintf(`{"name":"w%02d","url":"https://a.example.com/","eventTypes":["/items/id%02d/share"],"enabled":true}`, i, i))
	}
	for i := range 22 {
		e.create(t, fmt.Sprintf(`{"name":"s%02d","url":"https://a.example.com/","eventTypes":["/items/share"],"enabled":true}`, i))
	}
	e.create(t, `{"name":"off","url":"https://a.example.com/","eventTypes":["/items/share"]}`)
	own := e.do(t, request{method: "POST", path: "/api/v1/webhooks", key: userKey, body: `{"name":"mine","url":"https://a.example.com/","eventTypes":["/groups"],"enabled":true}`})
	require.Equal(t, http.StatusCreated, own.status)

	root := e.call(t, "GET", "/api/v1/routes", "")
	require.Equal(t, http.StatusOK, root.status, root.body)
	require.JSONEq(t, `[{"name":"groups","path":"/groups","kind":"family","webhooks":1,"here":1,"leaf":true},
	  {"name":"items","path":"/items","kind":"family","webhooks":47,"here":0,"leaf":false}]`, text(t, root.json(t)["data"]))
	require.EqualValues(t, 48, root.json(t)["webhooks"])

	var names []string
	page := e.call(t, "GET", "/api/v1/routes?limit=10&path=%2Fitems", "")
	for pages := 1; ; pages++ {
		one := page.json(t)
		require.EqualValues(t, 47, one["webhooks"])
		for _, row := range one["data"].([]any) {
			names = append(names, row.(map[string]any)["name"].(string))
		}
		next := href(t, page, "next")
		if next == "" {
			require.Equal(t, 3, pages)
			break
		}
		page = e.follow(t, next)
	}
	require.Len(t, names, 26)
	require.Equal(t, []string{"share", "id00", "id01"}, names[:3])

	leaf := e.call(t, "GET", "/api/v1/routes?path="+url.QueryEscape("/items/share"), "").json(t)
	require.EqualValues(t, 22, leaf["here"])
	require.Len(t, leaf["subscribers"], 20)
	require.Equal(t, "s00", leaf["subscribers"].([]any)[0].(map[string]any)["name"])
	require.Empty(t, leaf["data"])

	mine := e.do(t, request{method: "GET", path: "/api/v1/routes", key: userKey})
	require.EqualValues(t, 1, mine.json(t)["webhooks"], "a user sees his own")
	foreign := e.do(t, request{method: "GET", path: "/api/v1/routes", key: otherKey})
	require.EqualValues(t, 0, foreign.json(t)["webhooks"])

	for query, field := range map[string]string{
		"?path=items": "path", "?sort=-name": "sort", "?limit=0": "limit", "?next=x": "next", "?prev=K25hbWUAMXNoYXJl": "prev",
	} {
		a := e.call(t, "GET", "/api/v1/routes"+query, "")
		require.Equal(t, http.StatusBadRequest, a.status, query)
		require.Equal(t, field, a.problem(t)["field"], query)
	}
}
