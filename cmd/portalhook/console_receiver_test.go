package main_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// An integrator makes a receiver, has a webhook send to it, watches what arrives and whether it verifies, and lets it answer otherwise.
func TestConsoleReceiver(t *testing.T) {
	server := startServer(t)
	b := openBrowser(t, server, "en")
	b.signIn(server.key)
	b.press("Receivers")
	b.sees("main", "There are no receivers yet")
	b.accessible("no receivers")
	b.press("New receiver")
	b.sees("#pane", "It is given a URL")
	b.fill("Name", "Trying out")
	b.fill("Delay in milliseconds", "99999")
	b.press("Create")
	b.sees("#pane .field-error", "10000")
	b.accessible("a receiver's form with an error")
	b.fill("Delay in milliseconds", "0")
	b.press("Create")
	b.sees("#pane", "Receiver created")
	secret := strings.TrimSpace(b.text("#pane .code:last-of-type pre"))
	require.True(t, strings.HasPrefix(secret, "whsec_"), secret)
	b.accessible("the receiver's secret")
	b.press("Watch what arrives")
	b.sees("h1", "Trying out")
	b.sees(".arrivals", "Nothing has arrived yet")
	b.accessible("nothing has arrived")

	// A webhook to it, with its secret.
	b.press("Webhook to it")
	b.sees("#pane", "Create webhook")
	b.fill("Name", "Shares")
	b.fill("Chosen triggers", "/items/*/share")
	b.press("Use one of my own")
	b.fill("Use one of my own", secret)
	b.press("Create")
	b.sees("#toasts", "Shares was created.")
	url := server.stored(t, "Shares")["url"].(string)
	b.visit("/receivers")
	b.press("Trying out")
	b.sees(".arrivals", "Nothing has arrived yet")

	// It is watched without anything being pressed; what is open stays open.
	share := func(id string) {
		server.accept(t, map[string]any{"uri": "/items/" + id + "/share", "username": "jdoe", "properties": map[string]any{"sharedToGroups": []string{"Everyone"}}})
	}
	share("first")
	b.sees(".arrivals", "Verifies")
	b.press("1 POST")
	b.sees(".arrivals", `"operation": "share"`)
	b.sees(".arrivals", "Webhook-Signature")
	b.sees(".signatures", "Holds")
	share("second")
	b.sees(".arrivals", "2 requests have arrived")
	b.truth("document.querySelector('#arrival-1').open")
	b.truth("document.querySelector('.arrival').id === 'arrival-2'")
	b.truth("!document.querySelector('#progress').classList.contains('on')")
	b.accessible("what arrived")

	// From outside, unsigned, and with a signature that does not hold; what a body holds is text.
	send := func(header http.Header, body string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(body))
		require.NoError(t, err)
		request.Header = header
		response, err := http.DefaultClient.Do(request) //nolint:forbidigo // loopback, in a test
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	send(http.Header{}, "<script>alert(1)</script>")
	b.sees("#arrival-3", "Not signed")
	b.press("3 PUT")
	b.sees("#arrival-3", "<script>alert(1)</script>")
	send(http.Header{"Qlik-Signature": {"00"}}, "{}")
	b.sees("#arrival-4", "Does not verify")
	b.press("4 PUT")
	b.sees("#arrival-4 .signatures", "Does not hold")
	b.truth("document.querySelector('#arrival-4 .bad-text').innerText.length > 5")

	// It answers errors on purpose, and checks by another secret.
	b.fill("Status to answer", "503")
	b.fill("Secret", strings.Repeat("x", 32))
	b.press("Save")
	b.sees("#toasts", "The receiver answers so from now on.")
	share("third")
	b.sees("#arrival-5", "answered 503 Service Unavailable")
	b.sees("#arrival-5", "Does not verify")
	b.fill("Status to answer", "42")
	b.press("Save")
	b.sees(".receiver-sides .field-error", "200")
	b.resize(narrow)
	b.accessible("a receiver, narrow")
	b.visit("/receivers")
	b.accessible("receivers, narrow")
	b.resize(wide)

	b.press("Trying out")
	b.sees("h1", "Trying out")
	b.tabTo("Delete")
	b.keys("\r")
	b.sees("#dialog", "Delete Trying out?")
	b.accessible("deleting a receiver")
	b.press("Delete")
	b.sees("#toasts", "The receiver was deleted.")
	b.sees("main", "There are no receivers yet")
	b.keys(kb.Tab)
}

// Who watches a receiver that goes is told so.
func TestConsoleReceiverGoes(t *testing.T) {
	server := startServer(t)
	var made struct{ Token string }
	server.call(t, http.MethodPost, "/api/v1/receivers", map[string]any{}, &made, http.StatusCreated)
	b := openBrowser(t, server, "ja")
	b.visit("/")
	b.fill("API キー", server.key)
	b.keys("\r")
	b.sees("nav", "Webhook")
	b.visit("/receivers/" + made.Token)
	b.sees(".arrivals", "まだ何も届いていません")
	b.accessible("a receiver in Japanese")
	server.call(t, http.MethodDelete, "/api/v1/receivers/"+made.Token, nil, nil, http.StatusNoContent)
	b.sees(".arrivals", "消去または削除されました")
}
