package main_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// shown are the names of the webhooks that the table shows, from the top.
func (b *browser) shown() string {
	names, _ := evaluate[[]string](b, `[...document.querySelectorAll('#webhooks tbody .name')].map(el => el.innerText)`)
	return strings.Join(names, ", ")
}

func (b *browser) seesRows(names string) {
	b.t.Helper()
	b.until(func() bool { return b.shown() == names }, "the rows %s; there are %s", names, b.shown())
}

// stored is a webhook as the API shows it, found by its name.
func (p *process) stored(t *testing.T, name string) map[string]any {
	t.Helper()
	var list struct {
		Data []map[string]any `json:"data"`
	}
	p.call(t, http.MethodGet, "/api/v1/webhooks?limit=100", nil, &list, http.StatusOK)
	for _, w := range list.Data {
		if w["name"] == name {
			return w
		}
	}
	return nil
}

// A webhook is made with triggers from the tree and from the keyboard, sees what is wrong with one, is changed, and its secret shown once.
func TestConsoleCreatesAndEdits(t *testing.T) {
	url, got := newReceiver(t, http.StatusOK)
	server := startServer(t)
	b := openBrowser(t, server, "en")
	b.signIn(server.key)
	b.press("Create new")
	b.sees("#pane", "Create webhook")
	b.accessible("the form")

	// What the API refuses stands beside its field, and what was written is still there.
	b.fill("Name", "Roads")
	b.fill("URL", "ftp://receiver.example.com")
	b.press("Create")
	b.sees("#pane .field:has(#f-url)", "http")
	b.truth("document.querySelector('#f-url').matches('[aria-invalid=true]:focus')")
	b.truth("document.querySelector('#f-name').value === 'Roads'")
	b.accessible("the form with an error")
	b.fill("URL", url)

	// From the tree: sharing any item, and updates of one.
	b.fill("Find in the catalogue", "unshare")
	b.press("unshare Any item")
	b.sees("#verdicts", "Any item is unshared")
	b.fill("Find in the catalogue", "items")
	b.fill("Only the item with this id", "4adc30bb03054812a846fa592de105de")
	b.press("update Any item is updated")
	b.sees("#verdicts", "/items/4adc30bb03054812a846fa592de105de/update")
	// As text, with a mistake that the nearest right one is offered for.
	b.click("textarea", "Chosen triggers")
	b.keys(kb.End, "\r", "/itemz/share")
	b.sees("#verdicts", `There is no resource "itemz"`)
	b.press("Use /items/share")
	b.misses("#verdicts", "itemz")
	b.press("Remove /items/unshare")
	b.misses("#verdicts", "/items/unshare")
	value, err := evaluate[string](b, "document.querySelector('#f-eventTypes').value")
	require.NoError(t, err)
	require.Equal(t, "/items/4adc30bb03054812a846fa592de105de/update\n/items/share", value)

	b.press("Add a header")
	b.fill("Header name", "x-env")
	b.fill("Header value", "prod")
	b.press("Create")
	b.sees("#pane", "Roads was created.")
	b.sees("#pane", "whsec_")
	secret := b.text("#pane pre")
	b.accessible("the secret")
	b.press("I have copied it")
	b.sees("h1", "Roads")

	w := server.stored(t, "Roads")
	require.Equal(t, []any{"/items/4adc30bb03054812a846fa592de105de/update", "/items/share"}, w["eventTypes"])
	require.Equal(t, []any{true, "management-console", true}, []any{w["enabled"], w["origin"], w["secretKeyAdded"]})
	require.Equal(t, map[string]any{"x-env": "prod"}, w["headers"])

	// The test says what went out and what came back.
	b.press("Test")
	b.sees("#pane", "Test Roads")
	b.press("Send test")
	b.sees("#pane", "Copy as curl")
	b.sees("#pane .attempts", "Arrived")
	b.accessible("the test")
	require.Contains(t, string((<-got).body), "update")
	b.keys(kb.Escape)
	b.truth("!document.querySelector('#pane').open")

	// A change, and one that somebody else has overtaken.
	b.press("Edit")
	b.sees("#pane", "Edit Roads")
	b.fill("Name", "Roads and paths")
	b.press("Filter, format, retries and limits")
	b.choose("Retries", "Own waits")
	b.fill("Waits before the attempts", "0s, 7s")
	b.press("Save")
	b.sees("#toasts", "Roads and paths was saved.")
	w = server.stored(t, "Roads and paths")
	require.Equal(t, []any{"0s", "7s"}, w["retry"])
	require.Equal(t, true, w["secretKeyAdded"])
	b.press("Edit")
	b.sees("#pane", "Edit Roads and paths")
	server.call(t, http.MethodPost, "/api/v1/webhooks/"+w["id"].(string)+"/actions/disable", nil, nil, http.StatusOK)
	b.fill("Name", "Mine")
	b.press("Save")
	b.sees("#pane [role=alert]", "Somebody else has changed this webhook")
	require.Nil(t, server.stored(t, "Mine"))
	b.press("Cancel")

	// Another secret, shown once.
	b.press("What to do with")
	b.press("Rotate the secret")
	b.sees("#dialog", "Hours that the old secret stays valid")
	b.accessible("rotating")
	b.fill("Hours that the old secret stays valid", "999")
	b.press("Set the secret")
	b.sees("#dialog .field-error", "168")
	b.fill("Hours that the old secret stays valid", "2")
	b.press("Set the secret")
	b.sees("#dialog", "has another secret")
	require.NotEqual(t, secret, b.text("#dialog pre"))
}

// Sorting, filtering, choosing many, and deleting after a question.
func TestConsoleTable(t *testing.T) {
	eachStore(t, testConsoleTable)
}

func testConsoleTable(t *testing.T, startServer starter) {
	t.Helper()
	server := startServer(t)
	for name, w := range map[string]map[string]any{
		"Alpha": {"url": "http://127.0.0.1:9/zulu", "eventTypes": []string{"/items/share"}, "enabled": true},
		"Bravo": {"url": "http://127.0.0.1:9/yankee", "eventTypes": []string{"/users/signIn"}, "enabled": true},
		"Delta": {"url": "http://127.0.0.1:9/alfa", "eventTypes": []string{"/items"}, "level": "user", "ownerId": "jdoe"},
	} {
		w["name"] = name
		server.createWebhook(t, w)
	}
	b := openBrowser(t, server, "en")
	b.signIn(server.key)
	b.seesRows("Alpha, Bravo, Delta")
	b.press("URL")
	b.seesRows("Delta, Bravo, Alpha")
	b.press("URL")
	b.seesRows("Alpha, Bravo, Delta")
	b.truth("location.search.includes('sort=-url')")

	b.fill("Name contains", "ALP")
	b.seesRows("Alpha")
	b.truth("document.activeElement.id === 'filter-name'")
	b.fill("Name contains", "")
	b.fill("A trigger contains", "item")
	b.seesRows("Alpha, Delta")
	b.choose("Level is", "User")
	b.seesRows("Delta")
	b.press("Clear the filters")
	b.seesRows("Alpha, Bravo, Delta")

	b.tick("Select Alpha")
	b.tick("Select Bravo")
	b.sees("#bulk", "2 selected")
	b.accessible("a choice")
	b.press("Disable")
	b.sees("#toasts", "2 webhooks were disabled.")
	require.Equal(t, false, server.stored(t, "Alpha")["enabled"])
	b.press("What to do with Alpha")
	b.press("Enable webhook")
	b.sees("#toasts", "1 webhook was enabled.")
	require.Equal(t, true, server.stored(t, "Alpha")["enabled"])

	b.tick("Select all on this page")
	b.sees("#bulk", "3 selected")
	b.tick("Select Alpha")
	b.press("Delete")
	b.sees("#dialog", "Delete 2 webhooks?")
	b.accessible("the question")
	b.press("Cancel")
	b.seesRows("Alpha, Bravo, Delta")
	b.press("Delete")
	b.sees("#dialog", "Delete 2 webhooks?")
	b.press("Delete")
	b.sees("#toasts", "2 webhooks were deleted.")
	b.seesRows("Alpha")
}

// Every column sorts, and finds a part or the whole of it.
func TestConsoleColumns(t *testing.T) {
	eachStore(t, testConsoleColumns)
}

func testConsoleColumns(t *testing.T, startServer starter) {
	t.Helper()
	good, _ := newReceiver(t, http.StatusOK)
	bad, _ := newReceiver(t, http.StatusServiceUnavailable)
	gone, _ := newReceiver(t, http.StatusGone)
	server := startServer(t)
	for _, w := range []map[string]any{
		{"name": "Idle", "url": good + "/1", "eventTypes": []string{"/users/signIn"}},
		{"name": "Good", "url": good + "/2", "eventTypes": []string{"/items/add", "/items/share"}, "level": "user", "ownerId": "ann.lee", "enabled": true},
		{"name": "Bad", "url": bad + "/3", "eventTypes": []string{"/items/delete"}, "enabled": true, "retry": "once", "level": "user", "ownerId": "ann"},
		{"name": "Gone", "url": gone, "eventTypes": []string{"/groups/add"}, "enabled": true},
	} {
		server.createWebhook(t, w)
	}
	for _, uri := range []string{"/groups/1/add", "/items/1/delete", "/items/1/add"} {
		server.accept(t, map[string]any{"uri": uri, "username": "x", "audience": []string{"ann", "ann.lee"}})
		awaitNoneOpen(t, server)
	}
	b := openBrowser(t, server, "en")
	b.signIn(server.key)
	b.seesRows("Bad, Gone, Good, Idle")
	b.press("Name")
	b.seesRows("Idle, Good, Gone, Bad")
	for _, c := range []struct{ column, up, down string }{
		{"Triggers", "Gone, Good, Bad, Idle", "Idle, Bad, Good, Gone"},
		{"Owner", "Idle, Gone, Bad, Good", "Good, Bad, Gone, Idle"},
		{"Last delivery", "Idle, Gone, Bad, Good", "Good, Bad, Gone, Idle"},
		{"Arrived, 24 h", "Idle, Bad, Gone, Good", "Good, Gone, Bad, Idle"},
		{"Created", "Idle, Good, Bad, Gone", "Gone, Bad, Good, Idle"},
	} {
		b.press(c.column)
		b.seesRows(c.up)
		b.press(c.column)
		b.seesRows(c.down)
	}
	b.visit("/webhooks")
	const all = "Bad, Gone, Good, Idle"
	b.seesRows(all)
	for _, c := range []struct{ label, text, want string }{
		{"Name contains", "go", "Gone, Good"},
		{"Name contains", `"good"`, "Good"},
		{"Name contains", `"goo"`, ""},
		{"URL contains", "/3", "Bad"},
		{"URL contains", `"` + good + `/1"`, "Idle"},
		{"A trigger contains", "add", "Gone, Good"},
		{"A trigger contains", `"/items/share"`, "Good"},
		{"Owner contains", "ANN", "Bad, Good"},
		{"Owner contains", `"ann"`, "Bad"},
		{"Owner contains", "lee", "Good"},
	} {
		b.fill(c.label, c.text)
		b.seesRows(c.want)
		b.fill(c.label, "")
		b.seesRows(all)
	}
	for _, c := range []struct{ label, choice, want string }{
		{"State is", "On", "Bad, Good"},
		{"State is", "Off", "Idle"},
		{"State is", "Stopped", "Gone"},
		{"Last delivery was", "Arrived", "Good"},
		{"Last delivery was", "Failed", "Bad, Gone"},
		{"Last delivery was", "Never", "Idle"},
		{"Share that arrived", "All arrived", "Good"},
		{"Share that arrived", "Half or less", "Bad, Gone"},
		{"Created when", "In 24 hours", all},
		{"Created when", "Before that", ""},
	} {
		b.choose(c.label, c.choice)
		b.seesRows(c.want)
		b.choose(c.label, "All")
		b.seesRows(all)
	}
	// What a trigger cannot be is said.
	b.fill("A trigger contains", `"/itemz"`)
	b.sees("#webhooks [role=alert]", "itemz")
}

// The history of a webhook: filtered, opened, sent again.
func TestConsoleHistory(t *testing.T) {
	eachStore(t, testConsoleHistory)
}

func testConsoleHistory(t *testing.T, startServer starter) {
	t.Helper()
	s := setScene(t, startServer)
	b := openBrowser(t, s.server, "en")
	b.signIn(s.server.key)
	b.press("Sign-ins")
	b.sees("h1", "Sign-ins")
	b.sees("#history", "Failed")
	b.accessible("a webhook")
	b.press("Show the delivery")
	b.sees("#history", "the collector is being moved")
	b.sees("#history", "Attempt 3: 503")
	b.truth("document.querySelectorAll('#history .attempts li').length === 3")
	b.accessible("a delivery")
	b.press("Show the delivery")
	b.misses("#history", "the collector is being moved")
	b.choose("State is", "Arrived")
	b.sees("#history", "No delivery is like that")
	b.choose("State is", "All")
	b.press("Show the delivery")
	b.press("Resend")
	b.sees("#toasts", "did not arrive")
	b.truth("document.querySelectorAll('#history tbody tr:not(.detail)').length === 2")

	// The next page, by its link.
	b.visit("/webhooks/" + s.shares)
	b.truth("document.querySelectorAll('#history tbody tr:not(.detail)').length === 20")
	b.press("Next")
	b.truth("document.querySelectorAll('#history tbody tr:not(.detail)').length === 10")
	b.press("Previous")
	b.truth("document.querySelectorAll('#history tbody tr:not(.detail)').length === 20")
}

// All of it without a mouse.
func TestConsoleByKeyboard(t *testing.T) {
	server := startServer(t)
	server.createWebhook(t, map[string]any{"name": "Alpha", "url": "http://127.0.0.1:9/x", "eventTypes": []string{"/items/share"}, "enabled": true})
	b := openBrowser(t, server, "en")
	b.visit("/webhooks")
	b.until(func() bool { return b.focused() == "API key" }, "the focus on the key")
	b.keys(server.key, "\r")
	b.sees("h1", "Webhooks")
	b.keys(kb.Tab)
	require.Equal(t, "Skip to the content", b.focused())
	b.keys("\r")
	b.tabTo("Create new")
	b.keys("\r")
	b.sees("#pane", "Create webhook")
	b.tabTo("Name")
	b.keys("By hand")
	b.tabTo("URL")
	b.keys("http://127.0.0.1:9/hand")
	b.tabTo("Groups")
	b.keys("\r")
	b.tabTo("addUsers")
	b.keys(" ")
	b.sees("#verdicts", "/groups/addUsers")
	b.tabTo("Generate one")
	b.keys(kb.ArrowDown, kb.ArrowDown)
	b.tabTo("Create")
	b.keys("\r")
	b.sees("#toasts", "By hand was created.")
	require.Equal(t, []any{"/groups/addUsers"}, server.stored(t, "By hand")["eventTypes"])

	b.tabTo("What to do with Alpha")
	b.keys("\r")
	b.tabTo("Delete")
	b.keys("\r")
	b.sees("#dialog", "Delete 1 webhook?")
	b.keys(kb.Escape)
	b.truth("!document.querySelector('#dialog').open")
	require.NotNil(t, server.stored(t, "Alpha"))
}

// At 360 pixels a row is a card, and everything can still be done.
func TestConsoleNarrow(t *testing.T) {
	s := setScene(t, startServer)
	b := openBrowser(t, s.server, "en")
	b.resize(narrow)
	b.signIn(s.server.key)
	b.seesRows("App reloads, Shares to the map team, Sign-ins")
	b.accessible("webhooks, narrow")
	b.press("Filters")
	b.fill("Name contains", "reload")
	b.seesRows("App reloads")
	b.accessible("filters, narrow")
	b.press("What to do with App reloads")
	b.press("Edit")
	b.sees("#pane", "Edit App reloads")
	b.accessible("the form, narrow")
	b.fill("Name", "Reloads")
	b.press("Save")
	b.sees("h1", "Reloads")
	b.accessible("a webhook, narrow")
	b.visit("/webhooks/" + s.signIns)
	b.press("Show the delivery")
	b.sees("#history", "Copy as curl")
	b.accessible("a delivery, narrow")
}

// In the reader's language, by the browser and by the switch, and in the theme that was chosen.
func TestConsoleInOtherWords(t *testing.T) {
	server := startServer(t)
	b := openBrowser(t, server, "it-IT")
	b.visit("/webhooks")
	b.fill("Chiave API", server.key)
	b.press("Accedi")
	b.sees("main", "Non ci sono ancora webhook")
	b.truth("document.documentElement.lang === 'it'")
	b.press("Crea nuovo")
	b.sees("#pane", "Crea webhook")
	b.fill("Nome", "Strade")
	b.fill("URL", "http://127.0.0.1:9/strade")
	b.fill("Trigger scelti", "/items/<itemID>/share")
	b.sees("#verdicts", "È rimasto un segnaposto")
	b.press("Crea")
	b.sees("#pane .field-error", "È rimasto un segnaposto")
	b.fill("Trigger scelti", "/items/share")
	b.press("Crea")
	b.sees("#pane", "Strade è stato creato.")
	b.press("L'ho copiato")
	b.press("Lingua")
	b.press("日本語")
	b.sees("h1", "Strade")
	b.sees("main", "過去 24 時間")
	b.accessible("in Japanese")
	b.press("テーマ")
	b.press("ダーク")
	b.truth("document.documentElement.dataset.theme === 'dark'")
	b.sees("main", "過去 24 時間")
}

// A viewer sees all and is offered nothing, a user sees its own, and who is revoked is out at once.
func TestConsoleRoles(t *testing.T) {
	server := startServer(t)
	server.createWebhook(t, map[string]any{"name": "Everybody's", "url": "http://127.0.0.1:9/x", "eventTypes": []string{"/items/share"}, "enabled": true})
	key := func(role string) (text, id string) {
		var made struct{ Key, ID string }
		server.call(t, http.MethodPost, "/api/v1/api-keys", map[string]any{"name": role, "role": role, "userId": "u-" + role}, &made, http.StatusCreated)
		return made.Key, made.ID
	}
	b := openBrowser(t, server, "en")
	emitter, _ := key("emitter")
	b.visit("/")
	b.fill("API key", emitter)
	b.press("Sign in")
	b.sees("[role=alert]", "may emit events, and nothing else")

	viewer, viewerID := key("viewer")
	b.signIn(viewer)
	b.seesRows("Everybody's")
	require.NotContains(t, b.text("main"), "Create new")
	b.press("What to do with")
	require.NotContains(t, b.text("[popover]:popover-open"), "Delete")
	b.keys(kb.Escape)
	b.visit("/webhooks/new")
	b.sees("[role=alert]", "Your key's role may not do this.")
	server.call(t, http.MethodDelete, "/api/v1/api-keys/"+viewerID, nil, nil, http.StatusNoContent)
	b.visit("/webhooks")
	b.sees("h1", "Sign in")

	user, _ := key("user")
	b.fill("API key", user)
	b.press("Sign in")
	b.sees("main", "There are no webhooks yet")
	b.press("Create new")
	b.sees("#pane", "Create webhook")
	require.NotContains(t, b.text("#pane"), "Owner")
	b.fill("Name", "Mine")
	b.fill("URL", "http://127.0.0.1:9/mine")
	b.fill("Chosen triggers", "/items/share")
	b.press("Create")
	b.sees("#pane", "Mine was created.")
	b.press("I have copied it")
	require.Equal(t, "u-user", server.stored(t, "Mine")["ownerId"])

	b.press("Account")
	b.press("Sign out")
	b.sees("#toasts", "You are signed out.")
	b.visit("/webhooks")
	b.sees("h1", "Sign in")
}
