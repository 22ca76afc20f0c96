package console

import (
	"cmp"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"portalhook/triggers"
)

// A form that comes back as it was shown changes nothing but to what is stored already; what was taken out is removed.
func TestFormAndPatch(t *testing.T) {
	c := newTestConsole(t)
	stored := &webhook{
		ID: "w1", Name: "Roads", URL: "https://r.example.com/x", EventTypes: []string{"/items/share", "/users"}, Level: "user", OwnerID: "jdoe", Enabled: true,
		Headers: map[string]string{"x-env": "prod"}, EncryptedHeaders: []string{"authorization", "x~y"}, SecretKeyAdded: true, Format: "auto",
		Retry: jsontext.Value(`["0s","5s"]`), DeactivationPolicy: &deactivation{NumberOfFailures: 3, DaysInPast: 2}, TimeoutSeconds: 7,
		UpdatedAt: moment{time.Date(2026, 11, 25, 12, 0, 0, 5e6, time.UTC)},
	}
	sent := url.Values{
		"name": {"Roads"}, "description": {""}, "url": {"https://r.example.com/x"}, "eventTypes": {"/items/share\r\n\r\n  /users \r\n"}, "level": {"user"},
		"ownerId": {"jdoe"}, "enabled": {"true"}, "filter": {""}, "format": {"auto"}, "retry": {"list"}, "waits": {"0s, 5s"}, "policy": {"own"},
		"numberOfFailures": {"3"}, "daysInPast": {"2"}, "timeoutSeconds": {"7"}, "rateLimit": {""}, "secretChoice": {"keep"},
		"headerName": {"x-env", "authorization", "x~y", ""}, "headerValue": {"prod", "", "", ""}, "headerKind": {"plain", "encrypted", "encrypted", "plain"},
		"seenAt": {"2026-11-25T12:00:00.005Z"},
	}
	read := func() []operation {
		v := c.visit(httptest.NewRecorder(), httptest.NewRequest("POST", "/console/webhooks/w1", nil))
		v.r.PostForm = sent
		v.session.sealed, v.Key = true, ownKey{ID: "k", Role: triggers.RoleAdmin}
		return v.readForm(stored).patch(stored)
	}
	values := func(patch []operation) map[string]any {
		m := map[string]any{}
		for _, op := range patch {
			m[op.Op+" "+op.Path] = op.Value
		}
		return m
	}
	same := values(read())
	require.Equal(t, map[string]any{
		"test /updatedAt": "2026-11-25T12:00:00.005Z", "add /name": "Roads", "add /description": "", "add /url": "https://r.example.com/x",
		"add /eventTypes": []string{"/items/share", "/users"}, "add /level": "user", "add /ownerId": "jdoe", "add /enabled": true, "add /filter": "",
		"add /format": "auto", "add /enableCloudEventDelivery": false, "add /retry": []string{"0s", "5s"}, "add /ordered": false, "add /probe": false, "add /timeoutSeconds": 7, "add /rateLimit": 0,
		"add /headers": map[string]string{"x-env": "prod"}, "add /deactivationPolicy": map[string]any{"numberOfFailures": 3, "daysInPast": 2},
	}, same)

	sent.Set("policy", "standard")
	sent.Set("secretChoice", "remove")
	sent.Set("level", "tenant")
	sent.Set("timeoutSeconds", "soon")
	sent["headerName"], sent["headerValue"], sent["headerKind"] = []string{"X~Y", "x-new"}, []string{"other", "v"}, []string{"encrypted", "encrypted"}
	changed := values(read())
	for key, want := range map[string]any{
		"remove /deactivationPolicy": nil, "add /secret": "", "add /ownerId": "", "add /timeoutSeconds": "soon", "remove /encryptedHeaders/authorization": nil,
		"add /encryptedHeaders/X~0Y": "other", "add /encryptedHeaders/x-new": "v", "add /headers": map[string]string{},
	} {
		require.Contains(t, changed, key)
		require.Equal(t, want, changed[key], key)
	}
	require.NotContains(t, changed, "remove /encryptedHeaders/x~0y")
	require.NotContains(t, changed, "add /deactivationPolicy")
}

// The tree has one leaf for the two forms of an operation.
func TestBranches(t *testing.T) {
	tree := branchesOf([]entryOfCatalogue{
		{Name: "/", Title: "all", Resource: "portal", Scope: "any", Operation: "*"},
		{Name: "/items/share", Title: "any", Resource: "items", Scope: "any", Operation: "share", Levels: []string{"tenant", "user"}},
		{Name: "/items/*/share", Title: "one", Resource: "items", Scope: "specific", Operation: "share"},
		{Name: "com.a.b", Title: "b", Resource: "cloud", Category: "Apps", Scope: "any"},
		{Name: "com.a.c", Title: "c", Resource: "cloud", Category: "Apps", Scope: "any"},
		{Name: "com.a.d", Title: "d", Resource: "cloud", Category: "Tasks", Scope: "any"},
	})
	for i := range tree {
		for j := range tree[i].Leaves {
			leaf := &tree[i].Leaves[j]
			require.Equal(t, cmp.Or(leaf.Any, leaf.One), leaf.Entries[0].Name)
			require.Len(t, leaf.Entries, len(strings.Fields(leaf.Any+" "+leaf.One)), "an entry for each form")
			leaf.Entries = nil
		}
	}
	require.Equal(t, []branch{
		{Resource: "portal", Leaves: []leaf{{Operation: "*", Title: "all", Any: "/"}}},
		{Resource: "items", ByID: true, Leaves: []leaf{{Operation: "share", Title: "any", Any: "/items/share", One: "/items/*/share", UserLevel: true}}},
		{Resource: "cloud", Category: "Apps", Leaves: []leaf{{Title: "b", Any: "com.a.b"}, {Title: "c", Any: "com.a.c"}}},
		{Resource: "cloud", Category: "Tasks", Leaves: []leaf{{Title: "d", Any: "com.a.d"}}},
	}, tree)
}

func TestCurl(t *testing.T) {
	var e exchange
	e.Request.URL = "https://r.example.com/it's"
	e.Request.Headers = map[string]string{"x-b": "2", "x-a": "$1"}
	e.Request.Body = jsontext.Value(`{"a":"it's"}`)
	require.Equal(t, `curl -X POST 'https://r.example.com/it'\''s' \
  -H 'x-a: $1' \
  -H 'x-b: 2' \
  --data-raw '{"a":"it'\''s"}'`, e.Curl())
}

func TestPhases(t *testing.T) {
	a := attempt{DNS: 1, Connect: 3, FirstByte: 10, Total: 12}
	require.Equal(t, []phase{
		{"dns", 0, time.Millisecond},
		{"connect", time.Millisecond, 2 * time.Millisecond},
		{"first", 3 * time.Millisecond, 7 * time.Millisecond},
		{"body", 10 * time.Millisecond, 2 * time.Millisecond},
	}, a.Phases())
	require.Empty(t, attempt{}.Phases())
}

// The date that an edit goes by is the API's text, zeros at its end included: a patch's test compares texts.
func TestFormRemembersTheDateAsItIsWritten(t *testing.T) {
	c := newTestConsole(t)
	v := c.visit(httptest.NewRecorder(), httptest.NewRequest("GET", "/console/webhooks/w1/edit", nil))
	v.session.sealed, v.Key = true, ownKey{ID: "k", Role: triggers.RoleAdmin}
	for ms, text := range map[int]string{100: "2026-11-25T12:00:00.100Z", 0: "2026-11-25T12:00:00.000Z", 7: "2026-11-25T12:00:00.007Z"} {
		w := &webhook{ID: "w1", UpdatedAt: moment{time.Date(2026, 11, 25, 12, 0, 0, ms*1e6, time.UTC)}}
		require.Equal(t, text, v.formOf(w).SeenAt)
	}
}
