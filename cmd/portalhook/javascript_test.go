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
	dir, reason := installPackages(t, "emit.mjs", emitJS, sdkPackage)
	if reason != "" {
		leaveOut(t, "CloudEvents from the JavaScript SDK: "+reason)
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

// leaveOut says in one visible line what was not tested, and why.
func leaveOut(t *testing.T, what string) {
	t.Helper()
	left := "LEFT OUT: " + what
	t.Log(left)
	fmt.Fprintln(os.Stderr, left)
}

// installPackages gives a folder that holds a program and packages from the npm registry, or why it could not be made.
func installPackages(t *testing.T, program string, source []byte, packages ...string) (dir, reason string) {
	t.Helper()
	for _, needed := range []string{"npm", "node"} {
		if _, err := exec.LookPath(needed); err != nil {
			return "", needed + " is not installed"
		}
	}
	dir = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"private":true}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, program), source, 0o600))
	bounded, cancel := context.WithTimeout(t.Context(), installTimeout)
	defer cancel()
	install := exec.CommandContext(bounded, "npm", append([]string{
		"install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0",
	}, packages...)...)
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		last := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
		return "", fmt.Sprintf("npm install: %v: %s", err, last[0])
	}
	return dir, ""
}
