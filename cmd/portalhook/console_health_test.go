package main_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// Somebody has a failing receiver probed, sees how far its webhook is from being switched off and that it was, and later that the server has switched it on
// again.
func TestConsoleHealth(t *testing.T) {
	eachStore(t, testConsoleHealth)
}

func testConsoleHealth(t *testing.T, startServer starter) {
	t.Helper()
	to := newTold(t, http.StatusServiceUnavailable)
	server := startServer(t, "--probe-after", "1s")
	server.createWebhook(t, map[string]any{
		"name": "Roads", "url": to.URL, "eventTypes": []string{"/items/*/delete"}, "enabled": true, "retry": "once",
		"deactivationPolicy": map[string]any{"numberOfFailures": 2, "daysInPast": 5},
	})
	id := server.stored(t, "Roads")["id"].(string)
	fail := func(uri string) {
		server.accept(t, map[string]any{"uri": uri})
		awaitNoneOpen(t, server)
	}
	b := openBrowser(t, server, "en")
	b.signIn(server.key)
	b.visit("/webhooks/" + id)
	b.misses("main", "On the way")
	fail("/items/a/delete")
	b.visit("/webhooks/" + id)
	b.sees(".health", "50 %")
	b.sees(".health", "1 failed delivery of 2 that switch the webhook off. Those of the last 5 days count.")
	b.sees(".health", "stays off until somebody switches it on")
	b.accessible("a webhook on the way to being switched off")

	b.press("Edit")
	b.press("Filter, format, retries and limits")
	b.tick("Probe the receiver")
	b.press("Save")
	b.sees(".health", "the server probes the receiver")
	require.Equal(t, true, server.stored(t, "Roads")["probe"])
	b.sees(".facts", "when the receiver answers a probe")

	fail("/items/b/delete")
	b.until(func() bool {
		health, _ := server.stored(t, "Roads")["health"].(map[string]any)
		probe, _ := health["probe"].(map[string]any)
		return probe["lastAt"] != nil
	}, "a probe")
	b.visit("/webhooks/" + id)
	b.sees(".health", "The server switched this webhook off.")
	b.sees(".health", "Too many deliveries failed")
	b.sees(".health", "Next probe:")
	b.sees(".health", "so far. The last:")
	b.sees(".health", "503")
	b.accessible("a webhook that is probed")

	to.status.Store(http.StatusOK)
	b.until(func() bool { return server.stored(t, "Roads")["enabled"] == true }, "the webhook is on again")
	b.visit("/webhooks/" + id)
	b.sees(".health", "The server switched this webhook on again.")
	b.sees(".health", "a probe was answered 200")
	b.accessible("a webhook that the server switched on again")
	b.resize(narrow)
	b.accessible("a webhook that the server switched on again, narrow")

	b.press("Edit")
	b.press("Filter, format, retries and limits")
	b.tick("Probe the receiver")
	b.press("Save")
	b.misses(".facts", "when the receiver answers a probe")
	require.Equal(t, false, server.stored(t, "Roads")["probe"])
}
