package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
)

func TestListEvents(t *testing.T) {
	e := newEdge(t)
	e.create(t, `{"name":"items","url":"https://a.example.com/","eventTypes":["/items"],"enabled":true}`)
	e.create(t, `{"name":"all","url":"https://a.example.com/","eventTypes":["/"],"enabled":true}`)
	var oldest []string
	for i := range 9 {
		oldest = append(oldest, e.post(t, []string{
			fmt.Sprintf(`{"uri":"/items/A/share","username":"ann","eventId":"e%d","properties":{"sharedToGroups":["Everyone"]}}`, i),
			`{"uri":"/users/Bob/signIn","username":"Bob"}`, `{"uri":"com.qlik.v1.app.created","data":{}}`,
		}[i%3]))
	}
	e.mu.Lock()
	for _, ev := range e.events {
		for i := range ev.Matches {
			r := &ev.Matches[i].Delivery
			if r.State = delivery.Succeeded; i == 1 && ev.EventID == "e3" {
				r.State, r.Reason, r.Tries, r.StatusCode = delivery.Exhausted, "500 Internal Server Error", 10, 500
			}
		}
	}
	e.mu.Unlock()
	pick := func(at ...int) (picked []string) {
		for _, i := range at {
			picked = append(picked, oldest[i])
		}
		return picked
	}
	list := func(query string) answer { return e.call(t, "GET", "/api/v1/events?"+query, "") }
	for query, want := range map[string][]string{
		"":                               pick(8, 7, 6, 5, 4, 3, 2, 1, 0),
		"sort=acceptedAt":                pick(0, 1, 2, 3, 4, 5, 6, 7, 8),
		"uri=/items/a/share":             pick(6, 3, 0),
		"uri=/items/share":               pick(6, 3, 0),
		"uri=/Items/A":                   pick(6, 3, 0),
		"uri=/items/a/add":               nil,
		"uri=/items/update":              nil,
		"uri=/users/bob":                 pick(7, 4, 1),
		"uri=/users/signin":              pick(7, 4, 1),
		"uri=com.qlik.v1.app.created":    pick(8, 5, 2),
		"eventId=e3":                     pick(3),
		"username=BOB":                   pick(7, 4, 1),
		"outcome=failed":                 pick(3),
		"outcome=unmatched":              pick(8, 5, 2),
		"outcome=delivered&uri=/items/a": pick(6, 0),
		"to=2000":                        nil,
		"from=2025-11-22T00:00:00Z&to=2025-11-23T00:00:00Z&username=ann": pick(6, 3, 0),
	} {
		require.Equal(t, want, ids(t, list(query)), query)
		for limit := 1; limit < 5; limit++ {
			page := list(fmt.Sprintf("limit=%d&%s", limit, query))
			forth := ids(t, page)
			for next := href(t, page, "next"); next != ""; next = href(t, page, "next") {
				page = e.follow(t, next)
				forth = append(forth, ids(t, page)...)
			}
			require.Equal(t, want, forth, "%s by %d", query, limit)
			back := ids(t, page)
			for prev := href(t, page, "prev"); prev != ""; prev = href(t, page, "prev") {
				page = e.follow(t, prev)
				back = slices.Concat(ids(t, page), back)
			}
			require.Equal(t, want, back, "%s by %d, backwards", query, limit)
		}
	}
	row := list("eventId=e3").json(t)["data"].([]any)[0].(map[string]any)
	require.Equal(t, "failed", row["outcome"])
	require.Equal(t, map[string]any{"succeeded": 1.0, "exhausted": 1.0}, row["deliveries"])
	first := row["matches"].([]any)[0].(map[string]any)["delivery"].(map[string]any)
	require.Equal(t, "exhausted", first["state"], "what was not delivered comes first")
	require.Equal(t, "500 Internal Server Error", first["reason"])

	page := list("limit=3")
	e.post(t, `{"uri":"/users/bob/signIn"}`)
	require.Equal(t, pick(5, 4, 3), ids(t, e.follow(t, href(t, page, "next"))), "what arrives meanwhile moves nothing")
}

func TestListEventsRefuses(t *testing.T) {
	e := newEdge(t)
	for query, field := range map[string]string{
		"outcome=lost": "outcome", "sort=uri": "sort", "limit=101": "limit", "from=x": "from", "to=1&from=2": "to", "next=x": "next",
		"uri=/itemz/share": "uri", "uri=/items": "uri", "uri=/items/*/share&uri=/": "", "uri=/": "uri",
		"uri=/users/ann/%7BsignIn,signOut%7D": "uri",
	} {
		a := e.call(t, "GET", "/api/v1/events?"+query, "")
		if field == "" {
			require.Equal(t, http.StatusOK, a.status, query)
			continue
		}
		require.Equal(t, http.StatusBadRequest, a.status, query)
		require.Equal(t, field, a.problem(t)["field"], query)
	}
	foreign := e.call(t, "GET", "/api/v1/events?next="+url.QueryEscape("LWNyZWF0ZWRBdAB4"), "")
	require.Equal(t, http.StatusBadRequest, foreign.status)
}
