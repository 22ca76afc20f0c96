package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What real clients do oddly, and what their users must not notice. The clients themselves are run in cmd/portalhook.

// TestDoubledSlash is how qlik-saas-api patches.
func TestDoubledSlash(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, hook)
	a := e.call(t, "PATCH", "/api/v1//webhooks/"+id, `[{"op":"replace","path":"/description","value":"patched"}]`)
	require.Equal(t, http.StatusNoContent, a.status, "answered itself, not by a redirect: %s", a.body)
	require.Empty(t, a.body)
	require.Equal(t, "patched", e.only(t).Description)
}

// TestOddRequests are requests as the clients send them: with headers and parameters that mean nothing here, and the type of a body
// where there is none.
func TestOddRequests(t *testing.T) {
	e := newEdge(t)
	path := "/api/v1/webhooks/" + e.create(t, hook)
	odd := http.Header{
		"Content-Type": {"application/json"}, "Qlik-Api-Version": {"2026-08"}, "X-Qlik-Xrfkey": {"abcdefghijklmnop"},
		"Accept": {"application/json, text/plain, */*"}, "Sec-Fetch-Mode": {"cors"},
	}
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/api/v1/webhooks?limit=50&xrfkey=abcdefghijklmnop", "", 200},
		{"GET", "/api/v1/webhooks/event-types?xrfkey=abcdefghijklmnop", "", 200},
		{"POST", "/api/v1/webhooks?xrfkey=abcdefghijklmnop", hook, 201},
		{"GET", path + "?xrfkey=abcdefghijklmnop", "", 200},
		{"PUT", path + "?xrfkey=abcdefghijklmnop", hook, 200},
		{"DELETE", path + "?xrfkey=abcdefghijklmnop", "", 204},
	} {
		a := e.do(t, request{method: c.method, path: c.path, key: adminKey, header: odd, body: c.body})
		require.Equal(t, c.status, a.status, "%s %s: %s", c.method, c.path, a.body)
		require.Empty(t, a.header.Get("Location"), "qlik-saas-api takes an answer with it for another one")
	}
}

// TestAppendedToNext is how @qlik/sdk asks for the next page: it appends a limit and its query, unescaped, to the link.
func TestAppendedToNext(t *testing.T) {
	e := newEdge(t)
	for i := range 5 {
		e.create(t, fmt.Sprintf(`{"name":"Hook %d","url":"https://a.example.com/"}`, i))
	}
	page := e.call(t, "GET", "/api/v1/webhooks?limit=2&sort=%2Bname&name=hook", "")
	found, longest := names(t, page), 0
	for next := href(t, page, "next"); next != ""; next = href(t, page, "next") {
		longest = max(longest, len(next))
		page = e.follow(t, next+"&limit=2&sort=+name&name=hook")
		found = append(found, names(t, page)...)
	}
	require.Equal(t, []string{"Hook 0", "Hook 1", "Hook 2", "Hook 3", "Hook 4"}, found)
	require.Less(t, longest, len(e.url)+200, "links do not grow")
}

// TestValuelessPatch is what qlik-saas-api makes of a value that is false or empty.
func TestValuelessPatch(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, fullWebhook)
	before := e.call(t, "GET", "/api/v1/webhooks/"+id, "").body
	a := e.call(t, "PATCH", "/api/v1//webhooks/"+id, `[{"op":"replace","path":"/enabled"}]`)
	require.Equal(t, http.StatusBadRequest, a.status)
	p := a.problem(t)
	require.Equal(t, "REQUIRED", p["code"])
	require.Equal(t, "[0].value", p["field"])
	require.Equal(t, "400", p["status"], "@qlik/api prints it from here")
	require.Equal(t, before, e.call(t, "GET", "/api/v1/webhooks/"+id, "").body)
}

// TestPutWhatWasRead puts back what was read a while ago, as clients do that keep a webhook as an object: what the server has moved
// since is passed over, whatever else it may say of what only the server sets is not.
func TestPutWhatWasRead(t *testing.T) {
	const reason = `"disabledReason":"","disabledReasonCode":""`
	for name, c := range map[string]struct {
		// since is what happened after the reading, and change what the client wrote into it.
		since    func(t *testing.T, e *edge, path string)
		old, new string
		status   int
		field    string
	}{
		"updated since":                {patchedSince, "", "", 200, ""},
		"switched off since":           {switchedOffSince, "", "", 200, ""},
		"switched off, then updated":   {bothSince, "", "", 200, ""},
		"a reason of one's own":        {switchedOffSince, reason, `"disabledReason":"mine","disabledReasonCode":""`, 409, "disabledReason"},
		"a date before the creation":   {patchedSince, `"updatedAt":"2`, `"updatedAt":"1`, 409, "updatedAt"},
		"a date to come":               {patchedSince, `"updatedAt":"2`, `"updatedAt":"3`, 409, "updatedAt"},
		"not a date":                   {patchedSince, `"updatedAt":"2`, `"updatedAt":"x`, 409, "updatedAt"},
		"another creator, read before": {patchedSince, `"createdByUserId":"`, `"createdByUserId":"x`, 409, "createdByUserId"},
		"another id, read before":      {patchedSince, `"id":"`, `"id":"x`, 409, "id"},
		"another last author":          {func(*testing.T, *edge, string) {}, `"updatedByUserId":"`, `"updatedByUserId":"x`, 409, "updatedByUserId"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			path := "/api/v1/webhooks/" + e.create(t, fullWebhook)
			read := e.call(t, "GET", path, "").body
			require.Contains(t, read, c.old)
			c.since(t, e, path)
			now := e.call(t, "GET", path, "").body
			a := e.call(t, "PUT", path, strings.Replace(read, c.old, c.new, 1))
			require.Equal(t, c.status, a.status, a.body)
			if c.status != http.StatusOK {
				require.Equal(t, "READ_ONLY", a.problem(t)["code"])
				require.Equal(t, c.field, a.problem(t)["field"])
				require.Equal(t, now, e.call(t, "GET", path, "").body, "nothing has changed")
				return
			}
			require.NotEqual(t, "patched since", a.json(t)["description"], "a PUT replaces")
			require.Equal(t, true, a.json(t)["enabled"])
			require.Empty(t, a.json(t)["disabledReason"], "switched on again")
			require.Equal(t, "u-admin-key", a.json(t)["updatedByUserId"])
		})
	}
}

// patchedSince lets another update the webhook, a second after its creation.
func patchedSince(t *testing.T, e *edge, path string) {
	t.Helper()
	a := e.call(t, "PATCH", path, `[{"op":"replace","path":"/description","value":"patched since"}]`)
	require.Equal(t, http.StatusNoContent, a.status, a.body)
	w := e.only(t)
	w.UpdatedAt, w.UpdatedBy = w.CreatedAt.Add(time.Second), "another"
}

func switchedOffSince(t *testing.T, e *edge, _ string) {
	t.Helper()
	w := e.only(t)
	w.Enabled, w.DisabledReason, w.DisabledReasonCode, w.DisabledAt = false, "the receiver answered 410 Gone", "GONE", w.CreatedAt
}

func bothSince(t *testing.T, e *edge, path string) {
	t.Helper()
	switchedOffSince(t, e, path)
	patchedSince(t, e, path)
}

// TestPageThatBecameEmpty goes back from a page whose webhooks were deleted after its link was given.
func TestPageThatBecameEmpty(t *testing.T) {
	for _, order := range []string{"%2Bname", "-name", "%2BcreatedAt", "-createdAt"} {
		e := newEdge(t)
		made := map[string]string{}
		for _, name := range []string{"a", "b", "b", "c"} {
			made[name] = e.create(t, `{"name":"`+name+`","url":"https://a.example.com/"}`)
		}
		first := e.call(t, "GET", "/api/v1/webhooks?limit=3&sort="+order, "")
		last := e.follow(t, href(t, first, "next"))
		require.Len(t, names(t, last), 1)
		e.call(t, "DELETE", "/api/v1/webhooks/"+made[names(t, last)[0]], "")

		empty := e.follow(t, href(t, first, "next"))
		require.Empty(t, names(t, empty))
		require.Empty(t, href(t, empty, "next"))
		require.Equal(t, names(t, first), names(t, e.follow(t, href(t, empty, "prev"))), order)

		// And at the other end.
		top := e.follow(t, strings.Replace(href(t, first, "self"), "limit=3", "limit=1", 1))
		second := e.follow(t, href(t, top, "next"))
		e.call(t, "DELETE", "/api/v1/webhooks/"+made[names(t, top)[0]], "")
		empty = e.follow(t, href(t, second, "prev"))
		require.Empty(t, names(t, empty))
		require.Empty(t, href(t, empty, "prev"))
		require.Equal(t, names(t, second), names(t, e.follow(t, href(t, empty, "next"))), order)
	}
}

// TestMergePatch tells who sends a plain object what a patch is here.
func TestMergePatch(t *testing.T) {
	e := newEdge(t)
	a := e.call(t, "PATCH", "/api/v1/webhooks/"+e.create(t, hook), `{"enabled":false}`)
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Equal(t, "WRONG_TYPE", a.problem(t)["code"])
	require.Contains(t, a.problem(t)["detail"], `[{"op":"replace","path":"/enabled","value":true}]`)
}
