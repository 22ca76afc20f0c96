package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// toldReceiver is a receiver that answers what it is told to, and counts.
type toldReceiver struct {
	*httptest.Server
	status   atomic.Int64
	received atomic.Int64
}

func newTold(t *testing.T, status int64) *toldReceiver {
	t.Helper()
	m := new(toldReceiver)
	m.status.Store(status)
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		m.received.Add(1)
		w.WriteHeader(int(m.status.Load()))
	}))
	t.Cleanup(m.Close)
	return m
}

// state is what the recovery's badge says.
func (b *browser) seesRecovery(state string) {
	b.t.Helper()
	b.sees("#recovery .badge", state)
}

// Somebody recovers what a webhook did not get: looks how much it is, begins, watches, pauses, reloads, resumes, ends it, and does the rest.
func TestConsoleRecover(t *testing.T) {
	eachStore(t, testConsoleRecover)
}

func testConsoleRecover(t *testing.T, startServer starter) {
	t.Helper()
	to := newTold(t, http.StatusServiceUnavailable)
	server := startServer(t)
	server.createWebhook(t, map[string]any{
		"name": "Shares", "url": to.URL, "eventTypes": []string{"/items/*/share", "/items/*/update"}, "enabled": true, "retry": "once",
	})
	id := server.stored(t, "Shares")["id"].(string)
	events := func(operation string, n int) {
		for i := range n {
			server.accept(t, map[string]any{"uri": fmt.Sprintf("/items/%032x/%s", i, operation), "username": "jdoe", "properties": map[string]any{"sharedToGroups": []string{"Everyone"}}})
		}
		awaitNoneOpen(t, server)
	}
	events("share", 100)
	events("update", 3)
	b := openBrowser(t, server, "en")
	b.signIn(server.key)
	b.press("Shares")
	b.press("Recover many")
	b.sees("#pane", "Recover what Shares did not get")
	b.accessible("what to recover")
	b.fill("Deliveries a minute", "0")
	b.press("Preview")
	b.sees("#pane .field-error", "60000")
	b.accessible("what to recover, with an error")

	// Neither of these finds anything: what was cancelled, and what is of tomorrow.
	b.fill("Deliveries a minute", "120")
	b.tick("ran out of attempts")
	b.tick("were skipped")
	b.tick("were cancelled")
	b.press("Preview")
	b.sees("#pane", "There is nothing to recover.")
	b.misses("#pane", "Send them")
	b.press("Change")
	b.truth("document.querySelector('#f-ratePerMinute').value === '120'")
	b.tick("ran out of attempts")
	b.choose("Trigger", "/items/*/update")
	b.press("Preview")
	b.sees("#pane", "3 deliveries are to be sent.")
	b.press("Change")
	b.choose("Trigger", "All")
	b.press("Preview")
	b.sees("#pane", "103 deliveries are to be sent.")
	b.sees("#pane .tallies", "103 ran out of attempts")
	b.accessible("the preview")
	require.EqualValues(t, 103, to.received.Load(), "nothing has been sent")

	to.status.Store(http.StatusOK)
	b.press("Send them")
	b.sees("#toasts", "The recovery has begun.")
	b.seesRecovery("Running")
	b.accessible("a recovery")
	b.truth("document.querySelector('#recovery progress').value >= 2") // without anything being pressed
	b.press("Pause")
	b.seesRecovery("Paused")
	made, err := evaluate[float64](b, "document.querySelector('#recovery progress').value")
	require.NoError(t, err)
	b.visit("/webhooks/" + id)
	b.seesRecovery("Paused")
	again, err := evaluate[float64](b, "document.querySelector('#recovery progress').value")
	require.NoError(t, err)
	require.InDelta(t, made, again, 1, "what was made while it was paused")
	require.Less(t, again, 103.0)

	// One at a time.
	b.press("Recover many")
	b.press("Preview")
	b.press("Send them")
	b.sees("#pane [role=alert]", "recovery that has not ended")
	b.keys(kb.Escape)
	b.truth("!document.querySelector('#pane').open")

	b.press("Resume")
	b.seesRecovery("Running")
	b.tabTo("End it")
	b.truth(fmt.Sprintf("document.querySelector('#recovery progress').value > %g", again))
	require.Equal(t, "End it", b.focused(), "what moves does not take the focus away")
	b.keys("\r")
	b.seesRecovery("Ended")
	b.misses("#recovery", "Resume")

	// The rest of it, quickly.
	b.press("Recover many")
	b.fill("Deliveries a minute", "60000")
	b.press("Preview")
	b.press("Send them")
	b.seesRecovery("Done")
	b.resize(narrow)
	b.accessible("a recovery that is done, narrow")
	b.press("Recover many")
	b.accessible("what to recover, narrow")
	b.press("Preview")
	b.sees("#pane", "There is nothing to recover.")
}

// Events of before a webhook was made are replayed to it, and its history says so, narrowed by moments.
func TestConsoleReplay(t *testing.T) {
	eachStore(t, testConsoleReplay)
}

func testConsoleReplay(t *testing.T, startServer starter) {
	t.Helper()
	to := newTold(t, http.StatusOK)
	to.Config.SetKeepAlivesEnabled(false) // so that every attempt connects, and its time of that is shown
	server := startServer(t, "--retention", "36h")
	for i := range 4 {
		server.accept(t, map[string]any{"uri": fmt.Sprintf("/items/%032x/delete", i), "username": "jdoe"})
	}
	b := openBrowser(t, server, "en")
	b.signIn(server.key)
	b.press("Create new")
	b.sees("#pane", "Create webhook")
	b.fill("Name", "Late")
	b.fill("URL", to.URL)
	b.fill("Chosen triggers", "/items/delete")
	b.sees("#verdicts", "It would have heard 4 events of the past week.")
	b.fill("Chosen triggers", "/items/*3/delete")
	b.sees("#verdicts", "It would have heard 1 event of the past week.")
	b.fill("Chosen triggers", "/items/delete")
	b.sees("#verdicts", "4 events")
	b.press("Create")
	b.press("I have copied it")
	b.sees("h1", "Late")
	b.sees("main", "The server keeps history for 36 hours.")
	b.press("Recover many")
	b.tick("Also replay missed events")
	b.press("Preview")
	b.sees("#pane .tallies", "4 missed events")
	b.press("Send them")
	b.seesRecovery("Done")
	awaitNoneOpen(t, server)
	require.EqualValues(t, 4, to.received.Load())
	b.visit("/webhooks/" + server.stored(t, "Late")["id"].(string))
	b.truth("document.querySelectorAll('#history tbody tr:not(.detail)').length === 4")

	// Between two moments, which stay with another filter and outlast a reload.
	b.moment("From", time.Now().AddDate(0, 0, 1))
	b.sees("#history", "No delivery is like that")
	b.choose("State is", "Arrived")
	b.truth("location.search.includes('state=succeeded') && location.search.includes('from=')")
	b.sees("#history", "No delivery is like that")
	b.moment("From", time.Now().AddDate(0, 0, -1))
	b.truth("document.querySelectorAll('#history tbody tr:not(.detail)').length === 4")
	b.moment("Before", time.Now().AddDate(0, 0, -1).Add(time.Hour))
	b.sees("#history", "No delivery is like that")
	b.visit("/webhooks/" + server.stored(t, "Late")["id"].(string) + "?" + b.query())
	b.sees("#history", "No delivery is like that")
	b.press("Clear the filters")
	b.truth("document.querySelectorAll('#history tbody tr:not(.detail)').length === 4")

	// An attempt's time is split, the command that is copied sends the same again, and a resend is a delivery more.
	b.press("Show the delivery")
	b.sees("#history .phases", "first byte")
	b.sees("#history .phases", "connect")
	command, err := evaluate[string](b, "[...document.querySelectorAll('#history [data-copy]')].map(el => el.dataset.copy).find(text => text.startsWith('curl '))")
	require.NoError(t, err)
	require.Contains(t, command, "-H 'webhook-signature: v1,")
	if _, err := exec.LookPath("curl"); err != nil {
		leaveOut(t, "the copied command: curl is not installed")
	} else {
		before := to.received.Load()
		out, err := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(command, "curl ", "curl -sS --noproxy '*' ", 1)).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, before+1, to.received.Load())
	}
	b.press("Resend")
	b.sees("#toasts", "It was sent again, and arrived.")
	b.truth("document.querySelectorAll('#history tbody tr:not(.detail)').length === 5")
}
