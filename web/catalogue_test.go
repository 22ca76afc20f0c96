package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"portalhook/triggers"
)

func TestTriggers(t *testing.T) {
	e := newEdge(t)
	a := e.do(t, request{method: "GET", path: "/api/v1/triggers", key: emitterKey})
	require.Equal(t, http.StatusOK, a.status)
	rows := a.json(t)["data"].([]any)
	require.Len(t, rows, len(triggers.Default().Entries()))
	for _, row := range rows {
		entry := row.(map[string]any)
		for _, name := range []string{"trigger", "name", "title", "category", "resource", "scope", "operation", "properties", "levels", "sampleEvent"} {
			require.Contains(t, entry, name, entry["trigger"])
		}
		event, err := json.Marshal(entry["sampleEvent"])
		require.NoError(t, err)
		form := "info"
		switch entry["resource"] {
		case "services":
			form = "serviceType"
		case "cloud":
			form = "specversion"
		}
		require.Contains(t, entry["samplePayload"], form, entry["trigger"])
		require.Equal(t, http.StatusAccepted, e.call(t, "POST", "/api/v1/events", string(event)).status, "%s", event)
	}
}

func TestEventTypes(t *testing.T) {
	e := newEdge(t)
	for _, prefix := range []string{"v1", "core"} {
		a := e.call(t, "GET", "/api/"+prefix+"/webhooks/event-types", "")
		require.Equal(t, http.StatusOK, a.status)
		object := a.json(t)
		require.Len(t, object, 1, "no links")
		cloud := true
		for i, row := range object["data"].([]any) {
			entry := row.(map[string]any)
			name := entry["name"].(string)
			require.NotContains(t, name, "<")
			require.NotEmpty(t, entry["title"], name)
			require.NotEmpty(t, entry["category"], name)
			require.NotEmpty(t, entry["levels"], name)
			if strings.HasPrefix(name, "/") {
				cloud = false
			} else {
				require.True(t, cloud, "cloud types come first: %d %s", i, name)
			}
			w := e.call(t, "POST", "/api/v1/webhooks", `{"name":"a","url":"https://a.example.com/","eventTypes":[`+quote(t, name)+`]}`)
			if w.status != http.StatusForbidden { // the limit
				require.Equal(t, http.StatusCreated, w.status, "%s: %s", name, w.body)
				require.Equal(t, []any{name}, w.json(t)["eventTypes"])
			}
		}
	}
}

func quote(t *testing.T, text string) string {
	t.Helper()
	quoted, err := json.Marshal(text)
	require.NoError(t, err)
	return string(quoted)
}
