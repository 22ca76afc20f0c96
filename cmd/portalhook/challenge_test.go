package main_test

import (
	"bufio"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// listen starts the program's own receiver, and gives its URL.
func listen(t *testing.T, args ...string) string {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), path, append([]string{"listen", "--addr", "127.0.0.1:0"}, args...)...)
	cmd.Stdout = io.Discard
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(stderr)
	require.True(t, lines.Scan())
	url, ok := strings.CutPrefix(lines.Text(), "listening on ")
	require.True(t, ok, lines.Text())
	return url
}

// The program's own receiver answers the challenge of its own server; one that has another secret is found out, and nothing is stored.
func TestListenProvesThatItHasTheSecret(t *testing.T) {
	t.Parallel()
	eachStore(t, testListenProvesThatItHasTheSecret)
}

func testListenProvesThatItHasTheSecret(t *testing.T, startServer starter) {
	t.Helper()
	const secret = "0123456789abcdef0123456789abcdef"
	server := startServer(t)
	for _, c := range []struct {
		url    string
		status int
	}{
		{listen(t, "--secret", secret), http.StatusCreated},
		{listen(t, "--secret", strings.ToUpper(secret)), http.StatusBadRequest},
		{listen(t), http.StatusBadRequest},
	} {
		var answer struct {
			Enabled bool `json:"enabled"`
			Errors  []struct {
				Code  string `json:"code"`
				Field string `json:"field"`
			} `json:"errors"`
		}
		server.call(t, http.MethodPost, "/api/v1/webhooks", map[string]any{
			"name": "w", "url": c.url + "/hook?a=b", "eventTypes": []string{"/items"}, "enabled": true, "secret": secret, "crcCheck": true,
		}, &answer, c.status)
		if c.status == http.StatusCreated {
			require.True(t, answer.Enabled)
			continue
		}
		require.Equal(t, "CHALLENGE_FAILED", answer.Errors[0].Code)
		require.Equal(t, "url", answer.Errors[0].Field)
	}
	var list struct {
		Data []any `json:"data"`
	}
	server.call(t, http.MethodGet, "/api/v1/webhooks", nil, &list, http.StatusOK)
	require.Len(t, list.Data, 1)
}
