package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
)

// An event of many webhooks is read a part at a time: its summary, and its matches page by page, filtered.
func TestEventMatches(t *testing.T) {
	e := newEdge(t)
	var names []string
	for i := range 30 {
		name := fmt.Sprintf("Hook %02d", i)
		e.create(t, `{"name":"`+name+`","url":"https://a.example.com/","eventTypes":["/items"],"enabled":true}`)
		names = append(names, name)
	}
	id := e.post(t, share)
	path := "/api/v1/events/" + id
	e.mu.Lock()
	for _, ev := range e.events {
		for i := range ev.Matches {
			ev.Matches[i].Delivery.State = delivery.Succeeded
		}
		ev.Matches[7].Delivery.State, ev.Matches[28].Delivery.State = delivery.Exhausted, delivery.Skipped
	}
	e.mu.Unlock()
	named := func(matches any) (list []string) {
		for _, m := range matches.([]any) {
			list = append(list, m.(map[string]any)["webhookName"].(string))
		}
		return list
	}

	whole := e.call(t, "GET", path, "").json(t)
	require.Equal(t, names, named(whole["matches"]))
	require.Equal(t, "failed", whole["outcome"])
	require.Equal(t, map[string]any{"succeeded": 28., "exhausted": 1., "skipped": 1.}, whole["deliveries"])
	listed := e.call(t, "GET", path+"?matches=listed", "").json(t)
	require.Equal(t, slices.Concat([]string{"Hook 07", "Hook 28"}, names[:7], names[8:19]), named(listed["matches"]))
	listed["matches"] = whole["matches"]
	require.Equal(t, whole, listed, "nothing else differs")
	require.Equal(t, http.StatusBadRequest, e.call(t, "GET", path+"?matches=some", "").status)

	reversed := slices.Clone(names)
	slices.Reverse(reversed)
	for _, looks := range []int{0, 4} { // the store may give up on the way
		e.looks = looks
		for query, want := range map[string][]string{
			"":                        names,
			"sort=-place":             reversed,
			"webhookName=HOOK+1":      names[10:20],
			"state=exhausted,skipped": {"Hook 07", "Hook 28"},
			"state=skipped&webhookName=7&sort=-place": nil,
		} {
			for _, limit := range []int{1, 7, 30, 100} {
				page := e.call(t, "GET", fmt.Sprintf("%s/matches?limit=%d&%s", path, limit, query), "")
				forth := named(page.json(t)["data"])
				for next := href(t, page, "next"); next != ""; next = href(t, page, "next") {
					page = e.follow(t, next)
					forth = append(forth, named(page.json(t)["data"])...)
				}
				require.Equal(t, want, forth, "%s by %d", query, limit)
				if looks != 0 {
					continue // behind an empty page there is no way back
				}
				back := named(page.json(t)["data"])
				for prev := href(t, page, "prev"); prev != ""; prev = href(t, page, "prev") {
					page = e.follow(t, prev)
					back = slices.Concat(named(page.json(t)["data"]), back)
				}
				require.Equal(t, want, back, "%s by %d, backwards", query, limit)
			}
		}
	}
	require.Equal(t, http.StatusNotFound, e.as(t, otherKey, "GET", path+"/matches", "").status)
	require.Equal(t, http.StatusNotFound, e.call(t, "GET", "/api/v1/events/evt_0000000000000/matches", "").status)

	first := e.call(t, "GET", path+"/matches?limit=1", "").json(t)["data"].([]any)[0].(map[string]any)
	require.NotContains(t, first, "webhookDeleted")
	require.Equal(t, http.StatusNoContent, e.call(t, "DELETE", "/api/v1/webhooks/"+first["webhookId"].(string), "").status)
	first = e.call(t, "GET", path+"/matches?limit=1", "").json(t)["data"].([]any)[0].(map[string]any)
	require.Equal(t, true, first["webhookDeleted"])
}
