package main_test

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sdkPackage is the CloudEvents project's own JavaScript SDK, at the version the test was written with.
const sdkPackage = "cloudevents@10.0.0"

// installTimeout is long for a package of this size, and short for a network that swallows everything.
const installTimeout = 2 * time.Minute

// emitJS emits with the SDK; see its comment.
//
//go:embed testdata/cloudevents/emit.mjs
var emitJS []byte

// The official JavaScript SDK emits in all three HTTP modes, and what it said arrives. Where npm is not there, or cannot install, the
// test is left out, and says so.
func TestCloudEventsFromJavaScript(t *testing.T) {
	dir, reason := installSDK(t)
	if reason != "" {
		left := "LEFT OUT: CloudEvents from the JavaScript SDK: " + reason
		t.Log(left)
		fmt.Fprintln(os.Stderr, left)
		return
	}
	url, got := newReceiver(t, http.StatusOK)
	server := startServer(t)
	for _, w := range []struct{ name, trigger string }{{"portal", "/items/*/share"}, {"cloud", "com.qlik.v1.app.created"}} {
		server.createWebhook(t, map[string]any{
			"name": w.name, "url": url, "eventTypes": []string{w.trigger}, "enabled": true, "format": "cloudevents",
		})
	}
	node := exec.CommandContext(t.Context(), "node", "emit.mjs", server.url+"/api/v1/events", server.key)
	node.Dir = dir
	out, err := node.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "binary 202\nstructured 202\nbatch 202\n", string(out))

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

// installSDK gives a folder that holds the SDK and the program, or why it could not be made.
func installSDK(t *testing.T) (dir, reason string) {
	t.Helper()
	for _, program := range []string{"npm", "node"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", program + " is not installed"
		}
	}
	dir = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"private":true}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "emit.mjs"), emitJS, 0o600))
	bounded, cancel := context.WithTimeout(t.Context(), installTimeout)
	defer cancel()
	install := exec.CommandContext(bounded, "npm", "install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0",
		sdkPackage)
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		last := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
		return "", fmt.Sprintf("npm install: %v: %s", err, last[0])
	}
	return dir, ""
}
