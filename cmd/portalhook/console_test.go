package main_test

import (
	"net/http"
	"testing"
)

// Who has a key comes in, and who has none does not; what the key may do decides what is shown.
func TestConsoleDoor(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	b := openBrowser(t, server, "en")
	b.visit("/webhooks")
	b.accessible("sign-in")
	b.fill("API key", "not-a-key-of-this-server")
	b.press("Sign in")
	b.sees("[role=alert]", "This API key is not known")
	b.fill("API key", server.key)
	b.press("Sign in")
	b.sees("h1", "Webhooks")
	b.accessible("no webhooks")
	server.createWebhook(t, map[string]any{"name": "Shares", "url": "http://127.0.0.1:9/x", "eventTypes": []string{"/items/share"}, "enabled": true})
	b.visit("/webhooks")
	b.sees("#webhooks", "Shares")
	b.accessible("webhooks")
	b.resize(narrow)
	b.accessible("webhooks, narrow")
	server.call(t, http.MethodGet, "/api/v1/api-keys/self", nil, nil, http.StatusOK)
}
