package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// branches are the names of the branches that the tree shows, those first that stand on top, each with a dot for every level it lies deep.
func (b *browser) branches() string {
	names, _ := evaluate[[]string](b, `[...document.querySelectorAll('[data-tree] [role=treeitem]')].filter(el => el.checkVisibility()).map(el => {
		let deep = 0;
		for (let at = el; at = at.parentElement.closest('[role=group]'); ) deep++;
		return '.'.repeat(deep) + (el.querySelector('.route-name, .name') ?? el).innerText;
	})`)
	return strings.Join(names, " ")
}

func (b *browser) seesBranches(names string) {
	b.t.Helper()
	b.until(func() bool { return b.branches() == names }, "the branches %s; there are %s", names, b.branches())
}

// marked are the branches with a mark, and the mark.
func (b *browser) marked() string {
	names, _ := evaluate[[]string](b, `[...document.querySelectorAll('[data-tree] .route-mark')].map(el => el.parentElement.querySelector('.route-name').innerText + ': ' + el.innerText.trim())`)
	return strings.Join(names, ", ")
}

func (b *browser) seesMarked(marks string) {
	b.t.Helper()
	b.until(func() bool { return b.marked() == marks }, "the marks %s; there are %s", marks, b.marked())
}

// Somebody opens the tree of triggers and sees which way an event takes, which webhooks get it, and which nearly do.
func TestConsoleRoutes(t *testing.T) {
	server := startServer(t)
	b := openBrowser(t, server, "en")
	b.signIn(server.key)
	b.press("Routes")
	b.sees("main", "No trigger is in force yet")
	b.accessible("no triggers")

	webhook := func(name string, enabled bool, filter string, types ...string) {
		server.createWebhook(t, map[string]any{"name": name, "url": "http://127.0.0.1:9/x", "eventTypes": types, "enabled": enabled, "filter": filter})
	}
	webhook("Everything", true, "", "/")
	webhook("Map team", true, "", "/items/share", "/items/*/unshare")
	webhook("Only ann", true, `username eq "ann"`, "/items/*/share")
	webhook("Asleep", false, "", "/items/share")
	webhook("Deletions", true, "", "/items/delete")
	webhook("Sign-ins", true, "", "/users/*/signIn")
	webhook("Reloads", true, "", "com.qlik.v1.app.reload.finished")
	for i := range 60 {
		webhook(fmt.Sprintf("Item %02d", i), true, "", fmt.Sprintf("/items/%032x/share", i))
	}

	// By the mouse. A branch brings its webhooks and fifty branches; more when they are wanted.
	b.visit("/routes")
	b.seesBranches("/ .Everything .cloud .items .users")
	b.click(".route-row", "users")
	b.seesBranches("/ .Everything .cloud .items .users ..*")
	b.click(".route-row", "users")
	b.seesBranches("/ .Everything .cloud .items .users")
	b.click(".route-row", "items")
	b.sees("[data-tree]", "Show more")
	b.truth("document.querySelectorAll('[data-tree] [role=treeitem]').length === 57")
	b.accessible("a branch open")
	b.click(".route-row", "Show more")
	b.truth("document.querySelectorAll('[data-tree] [role=treeitem]').length === 69")
	b.misses("[data-tree]", "Show more")
	b.click(".route-row", "share")
	b.press("Map team")
	b.sees("h1", "Map team")

	// By the keyboard alone.
	b.visit("/routes")
	b.tabTo("com.qlik.v1")
	b.keys(kb.Tab, kb.ArrowDown, kb.ArrowDown, kb.ArrowRight)
	b.seesBranches("/ .Everything .cloud ..com .items .users")
	b.keys(kb.ArrowRight, kb.ArrowRight)
	b.seesBranches("/ .Everything .cloud ..com ...qlik .items .users")
	b.keys(kb.ArrowLeft, kb.ArrowLeft, kb.ArrowLeft)
	b.seesBranches("/ .Everything .cloud .items .users")
	b.keys("u", kb.ArrowRight)
	b.seesBranches("/ .Everything .cloud .items .users ..*")
	b.keys(kb.End, kb.Enter)
	b.sees("[data-tree]", "signIn")
	b.keys(kb.ArrowDown, kb.Enter)
	b.sees("[data-tree]", "Sign-ins")
	one, err := evaluate[int](b, "document.querySelectorAll('[data-tree] [role=treeitem][tabindex=\"0\"]').length")
	require.NoError(t, err)
	require.Equal(t, 1, one, "Tab reaches one item")
	b.keys(kb.ArrowDown, kb.Enter)
	b.sees("h1", "Sign-ins")

	// The way of an event lights up while its URI is typed: matches, what is held back, and where others fail.
	b.visit("/routes")
	b.fill("An event's URI", "/items/"+fmt.Sprintf("%032x", 59)+"/share")
	b.sees("#answer-title", "3 webhooks would get it")
	b.sees(".routes-answer", "Everything")
	b.sees(".routes-answer", "Item 59")
	b.sees("[data-tree] .heard", "share")
	b.truth(`[...document.querySelectorAll('[data-tree] .passed > .route-row .route-name')].some(el => el.innerText.endsWith('3b'))`)
	b.truth(`document.querySelector('[data-tree] .held > .route-row .route-mark').innerText.includes('held back')`)
	b.accessible("the way of an event")
	b.press("Only ann")
	b.sees(".routes-answer", "filter does not hold")
	b.press("Asleep")
	b.sees(".routes-answer", "The webhook is switched off")
	b.sees(".routes-answer", "webhooks are about something else")

	// A pasted event tells more than its URI.
	b.fill("An event's URI", `{"uri":"/items/x/share","username":"ann","properties":{"sharedToGroups":["Everyone"]}`)
	b.sees("#routes", "This begins like JSON")
	b.keys("}")
	b.sees("#answer-title", "3 webhooks would get it")
	b.sees(".routes-answer .other[open]", "Everything")
	b.until(func() bool {
		return strings.HasPrefix(b.marked(), "/: ends here, heard, items: on the way, delete: fails here, share: ends here, heard, *: on the way, share: ends here, heard, 0000")
	}, "the way of the event; there is %s", b.marked())
	require.Equal(t, 19, strings.Count(b.marked(), "fails here"), "of the near misses those that are shown")
	b.fill("An event's URI", "/itemz/x/share")
	b.sees("#routes .notice", "itemz")
	b.fill("An event's URI", "")
	b.misses("#routes", "itemz")

	b.press("com.qlik.v1.app.reload.finished")
	b.sees("#answer-title", "1 webhook would get it")
	b.seesMarked("/: on the way, cloud: on the way, com: on the way, qlik: on the way, v1: on the way, app: on the way, reload: on the way, finished: ends here, heard")
	b.resize(narrow)
	b.accessible("the way of an event in a narrow window")
	b.resize(widest)
	b.accessible("the way of an event on a large screen")
	b.press("/groups/roads/update")
	b.sees(".routes-answer", "No other webhook came near.")
}

// The tree speaks the reader's language; who may not see the whole tenant sees the triggers of own webhooks, and asks about no event.
func TestConsoleRoutesForOthers(t *testing.T) {
	server := startServer(t)
	server.createWebhook(t, map[string]any{"name": "Map team", "url": "http://127.0.0.1:9/x", "eventTypes": []string{"/items/share"}, "enabled": true})
	server.createWebhook(t, map[string]any{"name": "Of ann", "url": "http://127.0.0.1:9/x", "eventTypes": []string{"/items/*/update"}, "enabled": true, "level": "user", "ownerId": "ann"})
	b := openBrowser(t, server, "ja")
	b.visit("/routes")
	b.fill("API キー", server.key)
	b.press("サインイン")
	b.sees("h1", "ルート")
	b.press("/items/4adc")
	b.sees("#answer-title", "1 件の Webhook に届きます")
	b.accessible("the way of an event in Japanese")

	var made struct {
		Key string `json:"key"`
	}
	server.call(t, http.MethodPost, "/api/v1/api-keys", map[string]any{"name": "ann", "role": "user", "userId": "ann"}, &made, http.StatusCreated)
	other := openBrowser(t, server, "en")
	other.signIn(made.Key)
	other.press("Routes")
	other.sees("#routes", "1 webhook")
	other.misses("main", "An event's URI")
	other.click(".route-row", "items")
	other.seesBranches("/ .items ..*")
	other.accessible("the routes of a user")
}
