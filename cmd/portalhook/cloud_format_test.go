package main_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// A webhook that asks for nothing and wants no CloudEvents gets the form that the server is set to; what must not be sent with legacy
// members is a CloudEvent in either.
func TestCloudFormat(t *testing.T) {
	t.Parallel()
	eachStore(t, testCloudFormat)
}

func testCloudFormat(t *testing.T, startServer starter) {
	t.Helper()
	const ordinary, cloud = "com.qlik.v1.app.deleted", "com.qlik.v1.di-projects.di-tasks.completed"
	url, got := newReceiver(t, http.StatusOK)
	server := startServer(t)
	server.createWebhook(t, map[string]any{
		"name": "old", "url": url, "eventTypes": []string{ordinary, cloud}, "enabled": true, "enableCloudEventDelivery": false,
	})
	type form struct{ CloudEventsVersion, SpecVersion, Type, EventType string }
	told := func(kind string) (f form) {
		server.call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": kind, "data": map[string]any{"id": "1"}}, nil, http.StatusAccepted)
		require.NoError(t, json.Unmarshal((<-got).body, &f))
		return f
	}
	asHybrid, asLegacy := form{"0.1", "1.0", ordinary, ordinary}, form{"0.1", "", "", ordinary}
	for _, run := range []struct {
		args []string
		want form
	}{{nil, asHybrid}, {[]string{"--cloud-format", "legacy"}, asLegacy}, {[]string{"--cloud-format", "hybrid"}, asHybrid}} {
		server.stop(t)
		server.args = run.args
		server.start(t)
		require.Equal(t, run.want, told(ordinary), run.args)
		require.Equal(t, form{SpecVersion: "1.0", Type: cloud}, told(cloud), run.args)
	}
}
