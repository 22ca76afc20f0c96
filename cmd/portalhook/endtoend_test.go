package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"
)

// attempt is one request that a receiver got.
type attempt struct {
	id   string
	body []byte
}

// newReceiver answers with the statuses in turn, the last one for ever, and hands on what it got.
func newReceiver(t *testing.T, statuses ...int) (url string, got <-chan attempt) {
	t.Helper()
	attempts := make(chan attempt, 100)
	answers := make(chan int, len(statuses))
	for _, status := range statuses {
		answers <- status
	}
	last := statuses[len(statuses)-1]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		status := last
		select {
		case status = <-answers:
		default:
		}
		w.WriteHeader(status)
		attempts <- attempt{id: r.Header.Get("webhook-id"), body: body}
	}))
	t.Cleanup(server.Close)
	return server.URL, attempts
}

// stop asks the server to stop, as an operator or an orchestrator does, and waits until it has done so in good order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.cmd.Wait(), "a server that is asked to stop ends with status 0: %s", p.log)
	p.cmd = nil
}

// A delivery that has failed when the server stops is tried again after the next start: under the same id, with the same bytes.
func TestRestartGoesOn(t *testing.T) {
	t.Parallel()
	eachStore(t, testRestartGoesOn)
}

func testRestartGoesOn(t *testing.T, startServer starter) {
	t.Helper()
	url, got := newReceiver(t, http.StatusInternalServerError, http.StatusOK)
	server := startServer(t)
	server.createWebhook(t, map[string]any{
		"name": "again", "url": url, "eventTypes": []string{"/items"}, "enabled": true, "retry": []string{"0s", "1s"},
	})
	var event struct {
		ID string `json:"id"`
	}
	server.call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": "/items/a/delete"}, &event, http.StatusAccepted)
	first := <-got
	server.stop(t)
	server.start(t)
	second := <-got
	require.Equal(t, first, second)
	awaitNoneOpen(t, server)
	var ledger struct {
		Matches []struct {
			Delivery struct {
				ID    string `json:"id"`
				State string `json:"state"`
			} `json:"delivery"`
		} `json:"matches"`
	}
	server.call(t, http.MethodGet, "/api/v1/events/"+event.ID, nil, &ledger, http.StatusOK)
	require.Len(t, ledger.Matches, 1)
	require.Equal(t, first.id, ledger.Matches[0].Delivery.ID)
	require.Equal(t, "succeeded", ledger.Matches[0].Delivery.State)
}

// The first signal lets an attempt under way finish, however long the receiver takes; the second does not wait for it.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	asked, release := make(chan struct{}, 1), make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	}))
	defer hanging.Close()
	defer close(release)

	path, err := binary()
	require.NoError(t, err)
	cmd := exec.Command(path, "serve", "--listen", "127.0.0.1:0", "--store", "sqlite:"+filepath.Join(t.TempDir(), "portalhook.db"),
		"--admin-key", processKey, "--log-format", "json", "--allow-http", "--allow-target", "127.0.0.0/8")
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()
	lines := bufio.NewScanner(stderr)
	server := &process{key: processKey, url: "http://" + logged(t, lines, "listening").Address}
	server.createWebhook(t, map[string]any{"name": "hangs", "url": hanging.URL, "eventTypes": []string{"/items"}, "enabled": true})
	server.call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": "/items/a/delete"}, nil, http.StatusAccepted)
	<-asked
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	logged(t, lines, "stopping")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	_, _ = io.Copy(io.Discard, stderr)
	_ = cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.True(t, status.Signaled(), "ended by the signal, not by itself: %v", cmd.ProcessState)
}

type logLine struct {
	Message string `json:"msg"`
	Address string `json:"address"`
}

// logged reads a log in JSON up to a message.
func logged(t *testing.T, lines *bufio.Scanner, message string) logLine {
	t.Helper()
	for lines.Scan() {
		var line logLine
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == message {
			return line
		}
	}
	t.Fatalf("the log ended without %q", message)
	return logLine{}
}

// What is refused at the door of the real server is refused with this status and this code, and leaves nothing behind.
func TestBadInput(t *testing.T) {
	t.Parallel()
	eachStore(t, testBadInput)
}

func testBadInput(t *testing.T, startServer starter) {
	t.Helper()
	const asJSON = "application/json"
	strict := startServer(t, "--allow-http=false")
	webhook := func(member string) string {
		return `{"name":"w","url":"https://hooks.example.com/x","eventTypes":["/items"],` + member + `}`
	}
	withURL := func(url string) string { return `{"name":"w","eventTypes":["/items"],"url":"` + url + `"}` }
	for name, test := range map[string]struct {
		path, contentType, key, body string
		status                       int
		code                         string
	}{
		"no key":                   {"events", asJSON, "", `{"uri":"/items/a/delete"}`, 401, "UNAUTHORIZED"},
		"wrong key":                {"events", asJSON, "wrong-key-0123456789", `{"uri":"/items/a/delete"}`, 401, "UNAUTHORIZED"},
		"not JSON":                 {"events", asJSON, processKey, `{"uri":`, 400, "NOT_JSON"},
		"duplicate keys":           {"events", asJSON, processKey, `{"uri":"/items/a/delete","uri":"/items/b/delete"}`, 400, "DUPLICATE_KEY"},
		"wrong content type":       {"events", "text/plain", processKey, `{"uri":"/items/a/delete"}`, 415, "UNSUPPORTED_MEDIA_TYPE"},
		"unknown operation":        {"events", asJSON, processKey, `{"uri":"/items/a/shared"}`, 400, "BAD_URI"},
		"property missing":         {"events", asJSON, processKey, `{"uri":"/items/a/share"}`, 400, "MISSING_PROPERTY"},
		"property of wrong type":   {"events", asJSON, processKey, `{"uri":"/items/a/share","properties":{"sharedToGroups":7}}`, 400, "WRONG_TYPE"},
		"event too large":          {"events", asJSON, processKey, `{"uri":"/items/a/delete","properties":{"x":"` + strings.Repeat("x", 256<<10) + `"}}`, 413, "TOO_LARGE"},
		"body too large":           {"events", asJSON, processKey, "[" + strings.Repeat(" ", 9<<20) + "]", 413, "TOO_LARGE"},
		"one bad event of a batch": {"events", asJSON, processKey, `[{"uri":"/items/a/delete"},{"uri":"/items/b/share"}]`, 400, "MISSING_PROPERTY"},
		"unknown trigger":          {"webhooks", asJSON, processKey, `{"name":"w","url":"https://hooks.example.com/x","eventTypes":["/itemz/share"]}`, 400, "UNKNOWN_TRIGGER"},
		"placeholder left in":      {"webhooks", asJSON, processKey, `{"name":"w","url":"https://hooks.example.com/x","eventTypes":["/items/<itemID>/share"]}`, 400, "PLACEHOLDER"},
		"unknown field":            {"webhooks", asJSON, processKey, webhook(`"colour":"red"`), 400, "UNKNOWN_FIELD"},
		"secret too short":         {"webhooks", asJSON, processKey, webhook(`"secret":"short"`), 400, "OUT_OF_RANGE"},
		"http where not allowed":   {"webhooks", asJSON, processKey, withURL("http://hooks.example.com/x"), 400, "NOT_ALLOWED"},
		"IP literal":               {"webhooks", asJSON, processKey, withURL("https://10.0.0.1/x"), 400, "NOT_ALLOWED"},
		"one-label name":           {"webhooks", asJSON, processKey, withURL("https://intranet/x"), 400, "NOT_ALLOWED"},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strict.url+"/api/v1/"+test.path, bytes.NewReader([]byte(test.body)))
			require.NoError(t, err)
			request.Header.Set("Content-Type", test.contentType)
			if test.key != "" {
				request.Header.Set("Authorization", "Bearer "+test.key)
			}
			response, err := http.DefaultTransport.RoundTrip(request)
			require.NoError(t, err)
			defer response.Body.Close()
			var refusal struct {
				Errors []struct {
					Code, Detail string
				} `json:"errors"`
			}
			require.NoError(t, json.NewDecoder(response.Body).Decode(&refusal))
			require.Equal(t, test.status, response.StatusCode, refusal)
			require.Len(t, refusal.Errors, 1)
			require.Equal(t, test.code, refusal.Errors[0].Code, refusal)
			require.NotEmpty(t, refusal.Errors[0].Detail)
		})
	}
	require.Zero(t, strict.metric(t, "portalhook_events_accepted_total"))
	var list struct {
		Data []json.RawMessage `json:"data"`
	}
	strict.call(t, http.MethodGet, "/api/v1/webhooks", nil, &list, http.StatusOK)
	require.Empty(t, list.Data)
}

// Every metric that the server shows has a conventional name with its unit, and a help text.
func TestMetricsAreConventional(t *testing.T) {
	t.Parallel()
	eachStore(t, testMetricsAreConventional)
}

func testMetricsAreConventional(t *testing.T, startServer starter) {
	t.Helper()
	server := startServer(t)
	response, err := http.Get(server.url + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), "\nportalhook_open_deliveries 0\n")
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
}
