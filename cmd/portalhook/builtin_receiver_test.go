package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOwnPortStaysClosed has webhooks to our own port, which the allow-list admits when they are saved: to a built-in receiver the delivery is handed
// over, and everything else is stopped at the dial.
func TestOwnPortStaysClosed(t *testing.T) {
	f := newFullServer(t)
	var answer struct {
		ID, URL, Outcome string
	}
	ask := func(path string, in any, want int) {
		t.Helper()
		status, _, body := f.call(t, http.MethodPost, path, in)
		require.Equal(t, want, status, body)
		require.NoError(t, json.Unmarshal([]byte(body), &answer))
	}
	ask("/api/v1/receivers", struct{}{}, http.StatusCreated)
	inside := answer.URL
	require.True(t, strings.HasPrefix(inside, f.url+"/receiver/"))
	for target, outcome := range map[string]string{
		inside: "delivered",
		f.url + "/receiver/" + strings.Repeat("a", 26): "blocked",
		f.url + "/healthz": "blocked",
		inside + "/..":     "blocked",
		inside + "?":       "blocked",
	} {
		ask(webhooksPath, newWebhook{Name: "own", URL: target, EventTypes: []string{"/items/update"}}, http.StatusCreated)
		ask(webhooksPath+"/"+answer.ID+"/actions/test", struct{}{}, http.StatusOK)
		require.Equal(t, outcome, answer.Outcome, target)
	}
}
