package main_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// Somebody makes a key, copies it, signs in with it, and takes it away again.
func TestConsoleKeys(t *testing.T) {
	server := startServer(t)
	b := openBrowser(t, server, "en")
	b.signIn(server.key)
	b.press("API keys")
	b.sees("#keys", "admin")
	b.press("Create key")
	b.sees("#pane", "Create API key")
	b.accessible("a new key")
	b.fill("Name", "Map team")
	b.choose("Role", "User")
	b.press("Create")
	b.sees("#pane .field-error", "userId")
	b.fill("User id", "ann")
	b.choose("Expires", "In 30 days")
	b.press("Create")
	b.sees("#pane", "Copy the key")
	b.accessible("a key made")
	text := b.text("#pane code")
	require.True(t, strings.HasPrefix(text, "phk_"), text)
	b.press("Copy")
	b.press("I have copied it")
	b.sees("#keys", "Map team")
	b.misses("#keys", text)
	b.sees("#keys", "in 29 days")
	b.choose("Role is", "User")
	b.misses("#keys", "operator")
	b.accessible("keys")
	b.resize(narrow)
	b.accessible("keys, narrow")
	b.resize(wide)

	// The key opens the console, for what its role may.
	other := openBrowser(t, server, "en")
	other.signIn(text)
	other.misses("nav", "Audit log")
	other.misses("nav", "Events")
	other.misses("nav", "API keys")
	other.press("Settings")
	other.sees("main", "Manages the webhooks of its user")
	other.misses("main", "Create tenant")
	other.accessible("settings of a user")

	b.press("Revoke Map team")
	b.sees("#dialog", "Revoke Map team?")
	b.accessible("to revoke a key")
	b.press("Cancel")
	b.truth("!document.querySelector('#dialog').open")
	b.press("Revoke Map team")
	b.sees("#dialog", "Revoke Map team?")
	b.press("Revoke")
	b.sees("#toasts", "The key was revoked")
	b.choose("State is", "Not revoked")
	b.misses("#keys", "Map team")
	other.visit("/settings")
	other.sees("main", "API key")
	other.sees("h1", "Sign in")

	// The last administrator's key stays.
	b.press("Revoke admin")
	b.sees("#dialog", "the key that you are signed in with")
	b.excused = []int64{http.StatusConflict}
	b.press("Revoke")
	b.sees("#dialog [role=alert]", "last admin key")
}

// A viewer sees keys and changes, and may change nothing.
func TestConsoleViewer(t *testing.T) {
	server := startServer(t)
	var made struct{ Key string }
	server.call(t, http.MethodPost, "/api/v1/api-keys", map[string]any{"name": "Looker", "role": "viewer"}, &made, http.StatusCreated)
	b := openBrowser(t, server, "en")
	b.signIn(made.Key)
	b.press("API keys")
	b.sees("#keys", "Looker")
	b.misses("main", "Create key")
	require.NotContains(t, b.text("#keys tbody"), "Revoke")
	b.press("Audit log")
	b.sees("#audit", "Created an API key")
	b.accessible("audit of a viewer")
	b.visit("/keys/new")
	b.sees("main", "role may not do this")
}

// An operator changes a portal's addresses, makes another portal, and chooses language and theme.
func TestConsoleSettings(t *testing.T) {
	server := startServer(t)
	b := openBrowser(t, server, "en")
	b.signIn(server.key)
	b.press("Settings")
	b.sees("#tenants", "default")
	b.accessible("settings")
	b.press("Edit default")
	b.sees("#pane", "Edit default")
	b.fill("Portal URL", "https://gis.example.com/portal?x=1")
	b.press("Save")
	b.sees("#pane .field-error", "query")
	b.accessible("a tenant refused")
	b.fill("Portal URL", "https://gis.example.com/portal")
	b.fill("Server URL", "https://gis.example.com/server/")
	b.press("Save")
	b.sees("#toasts", "default was saved")
	b.sees("#tenants", "https://gis.example.com/server/")

	// What webhooks go by.
	b.press("Edit default")
	b.choose("Names of sources", "item, group, user")
	b.press("Attempts of the portal's webhooks")
	b.fill("Attempts", "4")
	b.fill("Time limit in seconds", "7")
	b.press("Attempts of services' webhooks")
	b.fill("Within days", "99")
	b.accessible("the settings of a tenant")
	b.press("Save")
	b.sees("#pane details[open] .field-error", "from 1 to 30")
	b.truth("document.activeElement.name === 'serviceSettings.daysInPast'")
	b.fill("Within days", "9")
	b.press("Save")
	b.sees("#toasts", "default was saved")
	var tenant struct {
		PortalURL, SourceNaming         string
		PortalSettings, ServiceSettings map[string]int
	}
	server.call(t, http.MethodGet, "/api/v1/tenants/default", nil, &tenant, http.StatusOK)
	require.Equal(t, "item", tenant.SourceNaming)
	require.Equal(t, "https://gis.example.com/portal/", tenant.PortalURL)
	require.Equal(t, map[string]int{
		"notificationAttempts": 4, "notificationTimeOutInSeconds": 7, "notificationElapsedTimeInSeconds": 5, "featureServerMetricIntervalInMinutes": 10,
	}, tenant.PortalSettings)
	require.Equal(t, 9, tenant.ServiceSettings["daysInPast"])

	b.press("Create tenant")
	b.fill("Name", "harbour")
	b.fill("Portal URL", "https://gis.harbour.example.com/portal/")
	b.press("Create")
	b.sees("#tenants", "harbour")
	server.call(t, http.MethodGet, "/api/v1/tenants/harbour", nil, &tenant, http.StatusOK)
	require.Equal(t, "items", tenant.SourceNaming)
	require.Equal(t, 3, tenant.PortalSettings["notificationAttempts"], "what was left empty is the server's own")

	// Keys of the other portal are made and seen by the operator.
	b.visit("/keys")
	b.press("Create key")
	b.fill("Name", "harbour backend")
	b.choose("Tenant", "harbour")
	b.choose("Expires", "Never")
	b.press("Create")
	b.sees("#pane", "phk_")
	b.visit("/keys")
	b.misses("#keys", "harbour backend")
	b.choose("Tenant", "harbour")
	b.sees("#keys", "harbour backend")
	b.press("Revoke harbour backend")
	b.sees("#dialog", "Revoke harbour backend?")
	b.press("Revoke")
	b.sees("#keys tbody", "Revoked")
	b.visit("/audit")
	b.misses("#audit", "harbour backend")
	b.choose("Tenant", "harbour")
	b.sees("#audit", "harbour backend")

	b.press("Settings")
	b.press("Dark")
	b.truth("document.documentElement.dataset.theme === 'dark'")
	b.press("As the system")
	b.truth("document.documentElement.dataset.theme === 'auto'")
	b.press("日本語")
	b.sees("h1", "設定")
	b.accessible("settings in Japanese")
	b.press("監査ログ")
	b.sees("#audit", "テナントを変更")
	b.press("API キー")
	b.sees("#keys", "管理者")
	b.resize(narrow)
	b.visit("/settings")
	b.press("Italiano")
	b.sees("h1", "Impostazioni")
	b.accessible("settings in Italian, narrow")
}

// Somebody finds who changed a webhook, and how it was before.
func TestConsoleAudit(t *testing.T) {
	url, _ := newReceiver(t, http.StatusOK)
	server := startServer(t)
	var made struct{ ID string }
	server.call(t, http.MethodPost, "/api/v1/webhooks", map[string]any{
		"name": "Shares", "url": url, "eventTypes": []string{"/items/share", "/items/unshare"}, "enabled": true, "headers": map[string]string{"x-env": "test"},
	}, &made, http.StatusCreated)
	server.call(t, http.MethodPatch, "/api/v1/webhooks/"+made.ID, []map[string]any{
		{"op": "replace", "path": "/name", "value": "Shares of items"},
		{"op": "replace", "path": "/eventTypes", "value": []string{"/items/share", "/items/delete"}},
		{"op": "replace", "path": "/headers", "value": map[string]string{"x-env": "prod"}},
	}, nil, http.StatusNoContent)
	server.call(t, http.MethodPost, "/api/v1/webhooks/"+made.ID+"/actions/disable", nil, nil, http.StatusOK)
	b := openBrowser(t, server, "en")
	b.signIn(server.key)
	b.visit("/audit")
	b.sees("#audit", "Disabled a webhook")
	b.sees("#audit", "The server itself")
	b.accessible("audit")
	b.choose("Action", "Changed a webhook")
	b.misses("#audit", "Disabled a webhook")
	b.press("Name, Triggers, Header")
	for place, text := range map[string]string{".was": "Shares", ".is": "Shares of items"} {
		b.sees(".difference "+place, text)
	}
	whole := b.text(".difference")
	for _, text := range []string{"/items/unshare", "/items/delete", "x-env", "test", "prod"} {
		require.Contains(t, whole, text)
	}
	require.NotContains(t, whole, "/items/share", "what stayed is not told")
	b.press("As JSON")
	b.accessible("a change")
	b.resize(narrow)
	b.accessible("a change, narrow")
	b.resize(wide)
	b.press("Shares of items")
	b.sees("h1", "Shares of items")
	b.visit("/audit")
	b.fill("Id of the object", made.ID)
	b.keys(kb.Enter)
	b.sees("#audit [role=alert]", "needs the object")
	b.choose("Object", "Webhook")
	b.sees("#audit", "Created a webhook")
	b.misses("#audit", "The server itself")
	b.press("As it was made")
	b.sees("#audit details[open] .difference", "Triggers")
	b.moment("From", time.Now().Add(30*time.Minute))
	b.sees("#audit", "No change is like that")
	b.clear()
	b.tabTo("Enabled")
	b.keys(kb.Enter)
	b.sees("details[open] .difference", "yes")
}
