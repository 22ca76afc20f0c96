package main_test

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// Somebody finds a trigger, sees what it makes, subscribes to it, and has a sample sent where he watches it arrive.
func TestConsoleCatalogue(t *testing.T) {
	server := startServer(t)
	b := openBrowser(t, server, "en")
	b.signIn(server.key)
	b.press("Catalogue")
	b.sees("h1", "Catalogue")
	for _, group := range []string{"The whole portal", "Items", "Groups", "Users", "Roles", "Services", "Automations", "Webhooks of this server"} {
		b.sees("#catalogue", group)
	}
	b.accessible("the catalogue")

	b.fill("Find a trigger", "ANY item is unshared")
	b.sees("#catalogue [role=status]", "2 triggers")
	b.misses("#catalogue", "addUsers")
	b.truth(`location.search.includes('q=ANY')`)
	b.truth("document.activeElement.id === 'f-q'")
	b.press("unshare Any item")
	b.sees("#catalogue", "/items/<itemID>/unshare")
	b.sees("#catalogue", "unsharedFromGroups")
	b.sees("#catalogue", `"webhookName": "Example"`)
	b.press("As it is sent")
	b.sees("#catalogue details[open] pre", `{"info":{"webhookName":"Example"`)
	b.accessible("a trigger")
	b.press("Subscribe to /items/*/unshare")
	b.sees("#pane", "Create webhook")
	b.truth("document.querySelector('#f-eventTypes').value === '/items/*/unshare'")
	b.keys(kb.Escape)
	b.truth("!document.querySelector('#pane').open")

	// To a receiver that is made for it, and then again to the same.
	b.press("Send sample")
	b.sees("#dialog", "A new one")
	b.accessible("sending a sample")
	b.press("Send")
	b.sees("#toasts", "A sample of /items/unshare was sent.")
	b.sees("h1", "Samples")
	b.sees(".arrivals", "Verifies")
	b.visit("/catalogue?family=cloud")
	b.misses("#catalogue", "/items")
	b.press("com.qlik.v1.app.created")
	b.press("Send sample")
	b.truth("document.querySelector('#dialog select').options[0].text === 'Samples'")
	b.press("Send")
	b.sees(".arrivals", "2 requests have arrived")

	b.visit("/catalogue")
	b.choose("Family", "Services")
	b.sees("#catalogue", "FeaturesCreated")
	b.misses("#catalogue", "Automations")
	b.fill("Find a trigger", "nothing like that")
	b.sees("#catalogue", "No trigger is like that")

	// By the keyboard, in a narrow window, and by address.
	b.resize(narrow)
	b.visit("/catalogue?q=signin")
	b.tabTo("signIn")
	b.keys("\r")
	b.sees("#catalogue", "Sample event")
	b.accessible("a trigger, narrow")
	b.visit("/catalogue/trigger?trigger=/items/share")
	b.sees("h1", "/items/share")
	b.sees("main", "sharedToGroups")
	b.accessible("a trigger's page, narrow")
}

// A viewer reads the catalogue and is offered nothing to do.
func TestConsoleCatalogueOfViewers(t *testing.T) {
	server := startServer(t)
	var made struct{ Key string }
	server.call(t, http.MethodPost, "/api/v1/api-keys", map[string]any{"name": "viewer", "role": "viewer"}, &made, http.StatusCreated)
	b := openBrowser(t, server, "en")
	b.signIn(made.Key)
	require.NotContains(t, b.text("nav"), "Receivers")
	b.visit("/catalogue?q=any+item+is+unshared")
	b.press("unshare Any item")
	b.sees("#catalogue", "Sample event")
	require.NotContains(t, b.text("#catalogue"), "Subscribe")
	require.NotContains(t, b.text("#catalogue"), "Send sample")
	b.visit("/receivers")
	b.sees("[role=alert]", "Your key's role may not do this.")
}
