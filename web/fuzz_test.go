package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
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
}

var contentTypes = []string{"application/json", "application/x-ndjson", "application/json-patch+json"}

// FuzzBodies sends any body to every route that reads one. Whatever it is, the answer is a clear one and never our fault.
func FuzzBodies(f *testing.F) {
	for i, body := range []string{
		share, `{"uri":"` + shareURI + `","draft":{"eventTypes":["/items/*/share"]}}`, fullWebhook, hook,
		`[{"op":"add","path":"/eventTypes/0","value":"/items"},{"op":"remove","path":"/headers/x-env"},{"op":"test","path":"/deactivationPolicy/daysInPast","value":2}]`,
		"{}", "[]", "", "null", `{"event":` + share + `}`, `[{"op":"replace","path":"/encryptedHeaders/authorization","value":{"a":[1e999]}}]`,
		`[{"op":"add","path":"/headers/a~1b~0","value":""},{"op":"add","path":"/retry/-","value":"1h"}]`, "{\"name\":\"\xff\"}",
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
		for _, path := range []string{"/api/v1/webhooks", "/api/v1/webhooks/" + e.create(t, fullWebhook) + "/deliveries"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.URL = &url.URL{Path: path, RawQuery: query}
			r.Header.Set("Authorization", "Bearer "+adminKey)
			w := httptest.NewRecorder()
			e.handler.ServeHTTP(w, r)
			require.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, w.Code, w.Body)
		}
	})
}

// formed are the routes of a portal's REST API that read a form; {id} stands for a webhook that exists.
var formed = []string{
	organisation + "/createWebhook", organisation + "/{id}/update", organisation + "/settings/update", organisation, organisation + "/{id}/notificationStatus",
	"/sharing/rest/generateToken",
}

// FuzzForms sends any form to every route that reads one. Whatever it is, the answer has the status 200 and is never our fault, and a
// refusal stores nothing; what was taken can be shown and sent back as it is shown.
func FuzzForms(f *testing.F) {
	for i, form := range []string{
		"name=a&url=https://a.example.com/&changes=allChanges&f=json", "f=pjson&events=[%22/items%22,%22/users%22]&secret=**OMITTED**",
		"notificationAttempts=2&f=html", "start=2&num=3&f=json", "f=json", "password=" + adminKey,
		"config={%22deactivationPolicy%22:{%22numberOfFailures%22:0,%22daysInPast%22:%220%22},%22properties%22:null}&name=%00&f=JSON", "f=%ff&f=json&;",
	} {
		f.Add(uint8(i), false, form)
	}
	f.Add(uint8(0), true, "--x\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\njson\r\n--x--\r\n")
	f.Fuzz(func(t *testing.T, route uint8, multipart bool, form string) {
		e := newBareEdge(t)
		id := e.makeOne(t, "first", "events", "/items,/groups/*/addUsers", "secret", "s3cret")
		path := strings.Replace(formed[int(route)%len(formed)], "{id}", id, 1)
		before, tenant := *e.only(t), e.Tenant(1)
		contentType := "application/x-www-form-urlencoded"
		if multipart {
			contentType = "multipart/form-data; boundary=x"
		}
		got := e.do(t, request{method: "POST", path: path, key: adminKey, contentType: contentType, body: form})
		require.Equal(t, http.StatusOK, got.status)
		require.NotContains(t, got.body, "s3cret")
		if status := got.outcome(t); status != http.StatusOK {
			require.Less(t, status, http.StatusInternalServerError, "%s\n%s", got.body, e.log)
			require.Equal(t, before, *e.only(t))
			require.Equal(t, tenant, e.Tenant(1))
			return
		}
		shown := e.done(t, organisation+"/"+id)
		config, err := json.Marshal(shown["config"])
		require.NoError(t, err)
		events, err := json.Marshal(shown["events"])
		require.NoError(t, err)
		e.done(t, organisation+"/"+id+"/update", "name", shown["name"].(string), "url", shown["payloadUrl"].(string),
			"secret", shown["secret"].(string), "config", string(config), "events", string(events))
		require.Equal(t, shown["config"], e.done(t, organisation+"/"+id)["config"])
	})
}
