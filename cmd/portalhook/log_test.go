package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A receiver that sends what nobody has asked for writes nothing into the log, least of all a line that is not JSON.
func TestReceiversDoNotWriteTheLog(t *testing.T) {
	const unasked = "HTTP/1.1 500 the secret that was sent\r\nContent-Length: 0\r\n\r\n"
	receiver, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = receiver.Close() })
	dropped := make(chan struct{}, 1)
	go func() {
		conn, err := receiver.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 64<<10))
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"+unasked)
		_, _ = io.Copy(io.Discard, conn)
		dropped <- struct{}{}
	}()

	program, err := binary()
	require.NoError(t, err)
	dir := t.TempDir()
	written, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	defer written.Close()
	p := &process{key: processKey}
	p.cmd = exec.Command(program, "serve", "--listen", "127.0.0.1:0", "--store", "sqlite:"+filepath.Join(dir, "portalhook.db"), "--admin-key", p.key,
		"--log-format", "json", "--log-level", "debug", "--allow-http", "--allow-target", "127.0.0.0/8")
	p.cmd.Stderr = written
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)
	lines := func() (lines []string) {
		text, err := os.ReadFile(written.Name())
		require.NoError(t, err)
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
	require.Eventually(t, func() bool {
		for _, line := range lines() {
			var listening struct {
				Address string `json:"address"`
			}
			if json.Unmarshal([]byte(line), &listening) == nil && listening.Address != "" {
				p.url = "http://" + listening.Address
			}
		}
		return p.url != ""
	}, time.Minute, 5*time.Millisecond)

	p.createWebhook(t, map[string]any{
		"name": "Unasked", "url": fmt.Sprintf("http://%s/", receiver.Addr()), "eventTypes": []string{"/items"}, "enabled": true,
	})
	p.call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": "/items/6cd80cb32d4a4b4d858a020e57fba7b1/share", "properties": map[string]any{
		"sharedToGroups": []string{"Everyone"},
	}}, nil, http.StatusAccepted)
	select {
	case <-dropped: // what is said of it has been said before
	case <-time.After(time.Minute):
		require.Fail(t, "the connection is kept")
	}
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.cmd.Wait())
	for _, line := range lines() {
		require.True(t, json.Valid([]byte(line)), "%s", line)
		require.NotContains(t, line, "the secret that was sent")
	}
}
