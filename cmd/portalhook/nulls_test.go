package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// noText are values that no store need hold, as they stand in an address.
var noText = []string{"%00", "a%00b", "%FF"}

// ask sends a request as it is and gives the status and the first error of the answer.
func (p *process) ask(tb testing.TB, method, target, contentType, body string) (status int, field, code string) {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), method, p.url+"/", strings.NewReader(body))
	require.NoError(tb, err)
	address, err := url.Parse(p.url + target)
	require.NoError(tb, err, target)
	request.URL = address
	request.Header.Set("Authorization", "Bearer "+p.key)
	if body != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := http.DefaultClient.Do(request) //nolint:forbidigo // loopback, in a test
	require.NoError(tb, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(tb, err)
	var told struct {
		Errors []struct{ Field, Code string } `json:"errors"`
	}
	if json.Unmarshal(answer, &told) == nil && len(told.Errors) > 0 {
		field, code = told.Errors[0].Field, told.Errors[0].Code
	}
	return response.StatusCode, field, code
}

// What is no text, the character U+0000 in it or bytes that are no UTF-8, is refused alike on both stores wherever text is given, and the error names the
// field: in every parameter and id of an address that the specification knows, in forms, and in every text of a body. Properties are JSON, not
// text, and arrive as they were sent.
func TestNoTextIsRefused(t *testing.T) {
	bodies := make(chan []byte, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			bodies <- body
		}
	}))
	defer server.Close()
	receiver := server.URL
	eachStore(t, func(t *testing.T, start starter) {
		t.Helper()
		p := start(t)
		var specification struct {
			Paths      map[string]map[string]json.RawMessage
			Components struct{ Parameters map[string]parameter }
		}
		p.call(t, http.MethodGet, "/api/openapi.json", nil, &specification, http.StatusOK)
		asked := 0
		for path, item := range specification.Paths {
			for method := range item {
				if method != "get" && method != "post" && method != "patch" && method != "delete" && method != "put" {
					continue
				}
				for _, bad := range noText {
					for at := strings.Index(path, "{"); at >= 0; at = -1 {
						name := path[at : strings.Index(path, "}")+1]
						target := "/api/v1" + strings.ReplaceAll(strings.NewReplacer(name, bad).Replace(path), "{", "")
						target = strings.ReplaceAll(target, "}", "")
						status, _, _ := p.ask(t, strings.ToUpper(method), target, "application/json", "")
						require.Equal(t, http.StatusNotFound, status, "%s %s", method, target)
						asked++
					}
				}
			}
			for _, name := range parametersIn(item["get"], specification.Components.Parameters) {
				for _, bad := range noText {
					target := "/api/v1" + strings.NewReplacer("{event}", "evt_1", "{webhook}", "1", "{delivery}", "dlv_1", "{recovery}", "rec_1",
						"{receiver}", "x", "{key}", "x", "{tenant}", "x").Replace(path) + "?" + name + "=" + bad
					status, field, code := p.ask(t, http.MethodGet, target, "", "")
					require.Equal(t, http.StatusBadRequest, status, target)
					require.Equal(t, [2]string{name, "NOT_ALLOWED"}, [2]string{field, code}, target)
					asked++
				}
			}
		}
		require.Greater(t, asked, 100)

		const zero = `a\u0000b`
		hook := func(member, value string) string {
			w := map[string]string{
				"name": `"n"`, "url": fmt.Sprintf("%q", receiver), "eventTypes": `["/items"]`, "enabled": "true", member: value,
			}
			var list []string
			for name, value := range w {
				list = append(list, fmt.Sprintf("%q:%s", name, value))
			}
			return "{" + strings.Join(list, ",") + "}"
		}
		event := func(member, value string) string {
			return fmt.Sprintf(`{"uri":"/items/a/update",%q:%s}`, member, value)
		}
		text := `"` + zero + `"`
		for _, test := range []struct{ path, body, field string }{
			{"/api/v1/webhooks", hook("name", text), "name"},
			{"/api/v1/webhooks", hook("description", text), "description"},
			{"/api/v1/webhooks", hook("url", `"https://a.example.com/\u0000"`), "url"},
			{"/api/v1/webhooks", hook("eventTypes", `["/items/`+zero+`/share"]`), "eventTypes[0]"},
			{"/api/v1/webhooks", hook("filter", `"username eq \"a\u0000\""`), "filter"},
			{"/api/v1/webhooks", hook("secret", `"`+strings.Repeat("s", 40)+`\u0000"`), "secret"},
			{"/api/v1/webhooks", hook("headers", `{"x-a":`+text+`}`), "headers.x-a"},
			{"/api/v1/webhooks", hook("ownerId", text), "ownerId"},
			{"/api/v1/api-keys", `{"name":` + text + `,"role":"viewer"}`, "name"},
			{"/api/v1/api-keys", `{"name":"n","role":"user","userId":` + text + `}`, "userId"},
			{"/api/v1/tenants", `{"name":` + text + `,"portalId":"p"}`, "name"},
			{"/api/v1/receivers", `{"name":` + text + `}`, "name"},
			{"/api/v1/events", event("eventId", text), "eventId"},
			{"/api/v1/events", event("username", text), "username"},
			{"/api/v1/events", event("userId", text), "userId"},
			{"/api/v1/events", event("ownerId", text), "ownerId"},
			{"/api/v1/events", event("audience", `["u",`+text+`]`), "audience[1]"},
			{"/api/v1/events", `{"uri":"/items/` + zero + `/update"}`, "uri"},
			{"/api/v1/events", `{"uri":"/items/a/update%00"}`, "uri"},
			{"/api/v1/events", `{"specversion":"1.0","id":` + text + `,"source":"s","type":"com.qlik.v1.app.created"}`, "id"},
			{"/api/v1/events", `{"specversion":"1.0","id":"1","source":"s","type":"com.qlik.v1.app.created","userid":` + text + `}`, "userid"},
			{"/api/v1/events", `{"specversion":"1.0","id":"1","source":"s","type":"com.qlik.v1.app.created","audience":` + text + `}`, "audience"},
			{"/api/v1/match", `{"uri":"/items/` + zero + `/update"}`, "uri"},
		} {
			status, field, code := p.ask(t, http.MethodPost, test.path, "application/json", test.body)
			require.Equal(t, http.StatusBadRequest, status, test.body)
			require.Equal(t, test.field, field, "%s: %s", test.body, code)
			invalid := strings.ReplaceAll(test.body, `\u0000`, "\xff")
			if invalid == test.body {
				continue
			}
			status, field, code = p.ask(t, http.MethodPost, test.path, "application/json", invalid)
			require.Equal(t, http.StatusBadRequest, status, test.body)
			require.Equal(t, [2]string{"", "NOT_JSON"}, [2]string{field, code}, test.body)
		}
		var empty struct{ Data []any }
		p.call(t, http.MethodGet, "/api/v1/webhooks", nil, &empty, http.StatusOK)
		require.Empty(t, empty.Data, "nothing is stored of what is refused")

		// What is no text in a form of a portal's client.
		form := "f=json&name=a%00b&url=" + url.QueryEscape(receiver) + "&events=/items&token=" + p.key
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/sharing/rest/portals/self/webhooks/createWebhook", strings.NewReader(form))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := http.DefaultClient.Do(request) //nolint:forbidigo // loopback, in a test
		require.NoError(t, err)
		told, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.True(t, strings.HasPrefix(string(told), "{"), "as f asks for: %s", told)
		require.Contains(t, string(told), "U+0000")

		// Properties.
		p.createWebhook(t, map[string]any{"name": "all", "url": receiver, "eventTypes": []string{"/items"}, "enabled": true})
		var accepted emitted
		p.call(t, http.MethodPost, "/api/v1/events", json.RawMessage(event("properties", `{"note":`+text+`}`)), &accepted, http.StatusAccepted)
		require.Equal(t, 1, accepted.Matched)
		require.True(t, bytes.Contains(<-bodies, []byte(`"note":`+text)))
		var shown struct{ Event json.RawMessage }
		p.call(t, http.MethodGet, "/api/v1/events/"+accepted.ID, nil, &shown, http.StatusOK)
		require.Contains(t, string(shown.Event), `"note":`+text)
	})
}

// parameter is one of the specification's.
type parameter struct {
	Name, In string
	Ref      string `json:"$ref"`
}

// parametersIn are the names of an operation's parameters in the query.
func parametersIn(operation json.RawMessage, named map[string]parameter) (names []string) {
	var of struct{ Parameters []parameter }
	if operation == nil || json.Unmarshal(operation, &of) != nil {
		return nil
	}
	for _, one := range of.Parameters {
		if one.Ref != "" {
			one = named[strings.TrimPrefix(one.Ref, "#/components/parameters/")]
		}
		if one.In == "query" {
			names = append(names, one.Name)
		}
	}
	return names
}
