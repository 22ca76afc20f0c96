package main_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// cloudEventsSDK is the CloudEvents project's own JavaScript SDK.
var cloudEventsSDK = newNpmProject("cloudevents", "cloudevents@10.0.0")

// The official JavaScript SDK emits in all three HTTP modes, and what it said arrives.
func TestCloudEventsFromJavaScript(t *testing.T) {
	t.Parallel()
	eachStore(t, testCloudEventsFromJavaScript)
}

func testCloudEventsFromJavaScript(t *testing.T, startServer starter) {
	t.Helper()
	dir, ok := cloudEventsSDK.folder(t)
	if !ok {
		return
	}
	url, got := newReceiver(t, http.StatusOK)
	server := startServer(t)
	for _, w := range []struct{ name, trigger string }{{"portal", "/items/*/share"}, {"cloud", "com.qlik.v1.app.created"}} {
		server.createWebhook(t, map[string]any{
			"name": w.name, "url": url, "eventTypes": []string{w.trigger}, "enabled": true, "format": "cloudevents",
		})
	}
	out := node(t, dir, "emit.mjs", server.url+"/api/v1/events", server.key)
	require.Equal(t, "binary 202\nstructured 202\nbatch 202\n", out)

	// In each mode one event of either family.
	type told struct {
		ID   string         `json:"id"`
		Data map[string]any `json:"data"`
	}
	arrived := map[string]told{}
	for range 6 {
		var event told
		require.NoError(t, json.Unmarshal((<-got).body, &event))
		arrived[event.ID] = event
	}
	require.Len(t, arrived, 6)
	for _, mode := range []string{"binary", "structured", "batch"} {
		cloud, ok := arrived[mode+"-cloud"]
		require.True(t, ok, mode)
		require.Equal(t, map[string]any{"mode": mode, "text": "é ☃", "number": 1.5}, cloud.Data)
		portal, ok := arrived[mode+"-portal"]
		require.True(t, ok, mode)
		require.Equal(t, map[string]any{"sharedToGroups": []any{"Everyone"}}, portal.Data["properties"], portal)
	}
	awaitNoneOpen(t, server)
}
