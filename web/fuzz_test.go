package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// bodied are the routes that read a body; {id} stands for a webhook that exists.
var bodied = []struct{ method, path string }{
	{"POST", "/api/v1/events"},
	{"POST", "/api/v1/match"},
	{"POST", "/api/v1/webhooks"},
	{"PUT", "/api/v1/webhooks/{id}"},
	{"PATCH", "/api/v1/webhooks/{id}"},
	{"POST", "/api/v1/webhooks/{id}/actions/enable"},
	{"POST", "/api/v1/webhooks/{id}/actions/recover"},
}

var contentTypes = []string{"application/json", "application/x-ndjson", "application/json-patch+json"}

// FuzzBodies sends any body to every route that reads one. Whatever it is, the answer is a clear one and never our fault.
func FuzzBodies(f *testing.F) {
	for i, body := range []string{
		share, `{"uri":"` + shareURI + `","draft":{"eventTypes":["/items/*/share"],"filter":"username eq \"ann\""},"past":{"from":1,"to":"2026-11-22T03:00:00Z"}}`, fullWebhook, hook,
		`[{"op":"add","path":"/eventTypes/0","value":"/items"},{"op":"remove","path":"/headers/x-env"},{"op":"test","path":"/deactivationPolicy/daysInPast","value":2}]`,
		"{}", "[]", "", "null", `{"event":` + share + `}`, `[{"op":"replace","path":"/encryptedHeaders/authorization","value":{"a":[1e999]}}]`,
		`[{"op":"add","path":"/headers/a~1b~0","value":""},{"op":"add","path":"/retry/-","value":"1h"}]`, "{\"name\":\"\xff\"}",
		`{"from":"2026-11-22T03:00:00Z","to":1795489200000,"states":["skipped"],"trigger":"/items/*/share","missed":true,"ratePerMinute":60,"dryRun":true}`,
	} {
		f.Add(uint8(i%len(bodied)), uint8(0), body)
	}
	f.Fuzz(func(t *testing.T, route, contentType uint8, body string) {
		e := newBareEdge(t)
		to := bodied[int(route)%len(bodied)]
		path := strings.Replace(to.path, "{id}", e.create(t, fullWebhook), 1)
		before := e.stored()
		got := e.do(t, request{
			method: to.method, path: path, key: adminKey, contentType: contentTypes[int(contentType)%len(contentTypes)], body: body,
		})
		require.Less(t, got.status, http.StatusInternalServerError, "%s\n%s", got.body, e.log)
		require.NotContains(t, got.body, "kept-")
		if got.status >= http.StatusBadRequest {
			p := got.problem(t)
			require.NotEmpty(t, p["code"])
			require.NotEmpty(t, p["detail"])
			require.Equal(t, before, e.stored(), "nothing is stored")
			return
		}
		// What was taken can be shown again, and sent back as it is shown.
		if strings.Contains(path, "/webhooks/") && e.only(t).Secret.IsZero() {
			shown := e.call(t, "GET", "/api/v1/webhooks/"+e.only(t).ID.String(), "")
			require.Equal(t, http.StatusOK, e.call(t, "PUT", "/api/v1/webhooks/"+e.only(t).ID.String(), shown.body).status, shown.body)
		}
	})
}

// FuzzQueries asks lists with any query.
func FuzzQueries(f *testing.F) {
	for _, query := range []string{
		"", "limit=1&sort=-name&name=x", "next=Kw", "prev=LWNyZWF0ZWRBdAAxIDAg", "eventTypes=/items/{share,unshare},/", "sort=%2B%2B", "status=fail&sort=status",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		e := newBareEdge(t)
		for _, path := range []string{"/api/v1/webhooks", "/api/v1/webhooks/" + e.create(t, fullWebhook) + "/deliveries", "/api/v1/webhooks/" + e.create(t, hook) + "/recoveries"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.URL = &url.URL{Path: path, RawQuery: query}
			r.Header.Set("Authorization", "Bearer "+adminKey)
			w := httptest.NewRecorder()
			e.handler.ServeHTTP(w, r)
			require.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, w.Code, w.Body)
		}
	})
}
