package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// widest is a large screen, where the tail stands beside the charts.
var widest = [2]int64{1920, 1080}

// takeAll is a receiver that takes all there is.
func takeAll(t *testing.T) (url string) {
	t.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	return receiver.URL
}

// share is an event about one item.
func share(item string) map[string]any {
	return map[string]any{"uri": "/items/" + item + "/share", "username": "jdoe", "properties": map[string]any{"sharedToGroups": []string{"Everyone"}}}
}

// Who is new is told what to do first; who is not sees how things stand, while they change.
func TestConsoleOverview(t *testing.T) {
	eachStore(t, testConsoleOverview)
}

func testConsoleOverview(t *testing.T, startServer starter) {
	t.Helper()
	server := startServer(t)
	b := openBrowser(t, server, "en")
	b.visit("/")
	b.fill("API key", server.key)
	b.press("Sign in")
	b.sees("h1", "Overview")
	b.sees("main", "Three steps to the first delivery")
	b.sees("#chart-events", "0")
	b.accessible("a new portal")
	b.press("Create webhook")
	b.sees("h1", "Create webhook")

	bad, _ := newReceiver(t, http.StatusServiceUnavailable)
	gone, _ := newReceiver(t, http.StatusGone)
	server.createWebhook(t, map[string]any{"name": "Map team", "url": takeAll(t), "eventTypes": []string{"/items/*/share"}, "enabled": true})
	server.createWebhook(t, map[string]any{"name": "Moved collector", "url": bad, "eventTypes": []string{"/items/*/share"}, "enabled": true, "retry": "once"})
	server.createWebhook(t, map[string]any{"name": "Gone for good", "url": gone, "eventTypes": []string{"/groups"}, "enabled": true})
	server.createWebhook(t, map[string]any{"name": "Asleep", "url": gone, "eventTypes": []string{"/users"}})
	b.press("Overview")
	b.sees("main", "Send a sample")
	b.sees(".start", "Done:")
	b.sees("#overview", "No attempt has failed.")
	b.press("Show the numbers")

	// The page fetches itself what has changed, and leaves open what is.
	for i := range 3 {
		server.accept(t, share(fmt.Sprintf("%032x", i)))
	}
	server.accept(t, map[string]any{"uri": "/groups/roads/update", "username": "mia"})
	server.accept(t, map[string]any{"uri": "/users/ann/signIn", "username": "ann"})
	awaitNoneOpen(t, server)
	b.sees("#overview", "3 of 7")
	b.truth("document.querySelector('#chart-events-table').open")
	// The server itself tells of four deliveries that ran out and of the webhook that it switched off.
	b.sees(".numbers", "6 without a webhook")
	b.sees(".numbers", "1 off, 1 stopped")
	b.truth("document.querySelectorAll('.start .done').length === 3")
	// When the hour has changed meanwhile they are of the one before.
	last, err := evaluate[string](b, "[...document.querySelectorAll('#chart-events tbody tr:nth-last-child(-n+2) :is(th, td)')].map(el => el.innerText).join(' | ')")
	require.NoError(t, err)
	rome, err := time.LoadLocation("Europe/Rome")
	require.NoError(t, err)
	require.Contains(t, last, time.Now().In(rome).Truncate(time.Hour).Format("3:04"), "the hour of the reader's zone")
	require.Contains(t, last, "| 4 | 6")
	b.sees("section:has(> * > #stopped-title)", "The receiver said that it is gone for good")
	b.sees("section:has(> * > #failing-title)", "3 of 3")
	b.sees("section:has(> * > #slowest-title)", "Map team")
	b.truth("document.querySelectorAll('#chart-events .chart-axis time:not(:empty)').length === 4")
	b.accessible("the overview")
	b.resize(widest)
	b.accessible("the overview on a large screen")

	b.press("7 days")
	b.misses("main", "Three steps to the first delivery")
	b.sees(".choice [aria-current]", "7 days")
	b.sees("#overview", "3 of 7")
	b.truth("document.querySelectorAll('#chart-latency tbody tr').length === 56 && [6, 7].includes(document.querySelectorAll('#chart-latency .chart-axis time:not(:empty)').length)")
	b.press("30 days")
	b.sees(".choice [aria-current]", "30 days")
	b.sees("#overview", "3 of 7")

	// Held still, it is not fetched.
	b.press("Hold still")
	told := b.text("#overview .numbers")
	server.accept(t, map[string]any{"uri": "/users/ann/signOut", "username": "ann"})
	require.Equal(t, told, b.text("#overview .numbers"))
	b.press("Hold still")
	b.sees(".numbers", "7 without a webhook")

	b.resize(narrow)
	b.accessible("the overview in a narrow window")
	b.tabTo("Moved collector")
	b.keys(kb.Enter)
	b.sees("h1", "Moved collector")
}

// offline takes the browser off the network, and puts it on again.
func (b *browser) offline(is bool) {
	b.t.Helper()
	type conditions struct {
		Offline            bool    `json:"offline"`
		Latency            float64 `json:"latency"`
		DownloadThroughput float64 `json:"downloadThroughput"`
		UploadThroughput   float64 `json:"uploadThroughput"`
	}
	// Chromium has it by this name since long ago; the one that is to replace it is too new for those that distributions have.
	emulate := cdp.Command[conditions, cdp.Empty]{Method: "Network.emulateNetworkConditions"}
	b.do(command(emulate, conditions{Offline: is, DownloadThroughput: -1, UploadThroughput: -1}))
}

// tailRows is how many rows the tail shows.
func (b *browser) tailRows() int {
	n, _ := evaluate[int](b, "document.querySelectorAll('.tail-row').length")
	return n
}

// What happens is seen while it happens; one can stop it, and narrow it down.
func TestConsoleTail(t *testing.T) {
	eachStore(t, testConsoleTail)
}

func testConsoleTail(t *testing.T, startServer starter) {
	t.Helper()
	bad, _ := newReceiver(t, http.StatusServiceUnavailable)
	server := startServer(t)
	server.createWebhook(t, map[string]any{"name": "Map team", "url": takeAll(t), "eventTypes": []string{"/items/*/share"}, "enabled": true})
	server.createWebhook(t, map[string]any{"name": "Moved collector", "url": bad, "eventTypes": []string{"/users"}, "enabled": true, "retry": []string{"0s", "24h"}})
	b := openBrowser(t, server, "en")
	b.signIn(server.key)
	b.press("Overview")
	b.sees("#tail", "Listening")
	server.accept(t, share("roads"))
	b.sees("[data-tail-rows]", "Map team")
	b.sees("[data-tail-rows] li", "Arrived")
	b.until(func() bool { return b.tailRows() == 2 }, "an event and its delivery, each once")
	server.accept(t, map[string]any{"uri": "/users/ann/signIn", "username": "ann"})
	b.sees("[data-tail-rows]", "503")
	b.sees("[data-tail-rows]", "Will retry")
	b.sees("[data-tail-rows]", "next attempt in 1 day")
	b.accessible("the tail")

	b.fill("URI contains", "USERS")
	b.until(func() bool { return b.tailRows() == 2 }, "what is about users")
	b.misses("[data-tail-rows]", "/items/")
	b.choose("Outcome", "Will retry")
	b.until(func() bool { return b.tailRows() == 1 }, "the failed attempt")
	b.choose("Outcome", "Everything")
	b.fill("URI contains", "")
	b.fill("Webhook's name contains", "map")
	b.until(func() bool { return b.tailRows() == 1 }, "what went to the map team")
	b.fill("Webhook's name contains", "")
	b.until(func() bool { return b.tailRows() == 4 }, "everything again")

	// With the keyboard alone: stop, see how much comes, and go on.
	b.tabTo("Show the numbers")
	b.tabTo("Pause")
	b.keys(kb.Enter)
	b.sees("#tail", "Paused")
	for i := range 3 {
		server.accept(t, share(fmt.Sprintf("paths-%d", i)))
	}
	b.sees("#tail button", "+6")
	b.misses("[data-tail-rows]", "paths")
	b.sees("[data-tail-news]", "Arrived meanwhile: 6")
	b.keys(kb.Enter)
	b.sees("[data-tail-rows]", "/items/paths-2/share")
	b.until(func() bool { return b.tailRows() == 10 }, "what came meanwhile")
	b.misses("#tail button", "+")

	// More than anybody can read: the newest stand on top, and no more than 200.
	many := make([]map[string]any, 500)
	for i := range many {
		many[i] = share(fmt.Sprintf("many-%d", i))
	}
	server.call(t, http.MethodPost, "/api/v1/events", many, nil, http.StatusAccepted)
	b.until(func() bool { return b.tailRows() == 200 }, "200 rows")
	b.sees("[data-tail-news]", "Events:")

	// A break: what happened meanwhile is told.
	server.accept(t, share("before"))
	b.sees("[data-tail-rows]", "/items/before/share")
	b.offline(true)
	server.kill()
	b.sees("#tail", "Connection lost")
	elsewhere := server.second(t) // which the browser does not know of, however soon it tries again
	for i := range 3 {
		elsewhere.accept(t, share(fmt.Sprintf("meanwhile-%d", i)))
	}
	elsewhere.stop(t)
	server.start(t)
	b.offline(false)
	b.sees("#tail", "Listening")
	b.sees(".tail-gap", "3 events came meanwhile")
	server.accept(t, share("afterwards"))
	b.sees("[data-tail-rows]", "/items/afterwards/share")
	b.misses("[data-tail-rows]", "meanwhile-")
	b.accessible("the tail after a break")
	b.press("3 events came meanwhile")
	b.sees("#events", "/items/meanwhile-0/share")
	b.misses("#events", "before")
	b.misses("#events", "afterwards")

	// From a row to what it tells of.
	b.resize(narrow)
	b.visit("/overview")
	b.sees("#tail", "Listening")
	server.accept(t, share("last"))
	b.sees("[data-tail-rows]", "200")
	b.accessible("the tail in a narrow window")
	b.press("200 OK")
	b.sees("h1", "Delivery")
	b.visit("/overview")
	b.sees("#tail", "Listening")
	server.accept(t, share("last"))
	b.press("/items/last/share")
	b.sees("h1", "/items/last/share")
}

// The overview speaks the reader's language, and is not for those who may not see the whole tenant.
func TestConsoleOverviewForOthers(t *testing.T) {
	server := startServer(t)
	b := openBrowser(t, server, "it")
	b.visit("/")
	b.fill("Chiave API", server.key)
	b.press("Accedi")
	b.sees("h1", "Panoramica")
	b.sees("main", "Tre passi fino alla prima consegna")
	b.sees("#tail", "In ascolto")
	server.accept(t, share("strade"))
	b.sees("[data-tail-rows]", "/items/strade/share")
	b.press("Pausa")
	b.sees("#tail", "In pausa")
	b.press("7 giorni")
	b.sees("#overview", "Fermati dal server")
	b.accessible("the overview in Italian")

	var made struct {
		Key string `json:"key"`
	}
	server.call(t, http.MethodPost, "/api/v1/api-keys", map[string]any{"name": "ann", "role": "user", "userId": "ann"}, &made, http.StatusCreated)
	other := openBrowser(t, server, "en")
	other.visit("/")
	other.fill("API key", made.Key)
	other.press("Sign in")
	other.sees("h1", "Webhooks")
	other.misses("nav", "Overview")
}
