package web_test

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/storage"
	"portalhook/storage/storagetest"
	"portalhook/triggers"
)

// TestRevokedAtOnce gives a key to everything that can hold on to one, revokes it, and sees all of it end: the very next request, the stream that
// is open, the session, the token.
func TestRevokedAtOnce(t *testing.T) { storagetest.OnEach(t, testRevokedAtOnce) }

func testRevokedAtOnce(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	w := newWhole(t, place(t), newReceiver(t))
	w.server.SetBeat(time.Hour) // only the revocation can end the stream
	a := w.as(t, adminKey, "POST", "/api/v1/api-keys", `{"name":"short","role":"admin"}`)
	require.Equal(t, http.StatusCreated, a.status, a.body)
	key, id := a.json(t)["key"].(string), a.json(t)["id"].(string)
	require.NotContains(t, w.call(t, "GET", "/api/v1/api-keys/"+id, "").body, key, "shown once")
	require.NotContains(t, w.call(t, "GET", "/api/v1/api-keys", "").body, key)

	token := w.done(t, generateToken, "username", "x", "password", key, "token", " ")["token"].(string)
	byToken := func() int {
		return w.do(t, request{method: "GET", path: organisation + "?f=json&token=" + url.QueryEscape(token)}).outcome(t)
	}
	v := newVisitor(&w.edge)
	v.signIn(t, key)
	tail := w.tail(t, "", key)
	require.Equal(t, http.StatusOK, byToken())
	for _, path := range []string{"/api/v1/webhooks", "/api/core/webhooks", organisation + "?f=json", services + "/webhooks?f=json"} {
		require.Equal(t, http.StatusOK, w.do(t, request{method: "GET", path: path, key: key}).outcome(t), path)
	}

	require.Equal(t, http.StatusNoContent, w.as(t, key, "DELETE", "/api/v1/api-keys/"+id, "").status)
	for _, path := range []string{"/api/v1/webhooks", "/api/core/webhooks", "/api/v1/api-keys/self", organisation + "?f=json", services + "/webhooks?f=json"} {
		require.Equal(t, http.StatusUnauthorized, w.do(t, request{method: "GET", path: path, key: key}).outcome(t), path)
	}
	require.Equal(t, http.StatusUnauthorized, w.as(t, key, "POST", "/api/v1/events", share).status)
	require.Equal(t, http.StatusUnauthorized, byToken())
	require.Equal(t, 400, w.do(t, request{
		method: "POST", path: generateToken, contentType: "application/x-www-form-urlencoded", body: "f=json&username=x&password=" + key,
	}).outcome(t))
	w.post(t, share)
	for f := range tail.frames { // until it has ended
		require.NotEqual(t, "event", f.name, "what happened after the revocation")
	}
	answer := v.ask("GET", "/console/webhooks", nil)
	require.Equal(t, http.StatusSeeOther, answer.StatusCode)
	require.Contains(t, answer.Header.Get("Location"), "/console/login")
	require.Equal(t, http.StatusSeeOther, v.ask("POST", "/console/webhooks", url.Values{"csrf": {v.token}, "name": {"x"}}).StatusCode)
	require.Empty(t, w.list(t, adminKey, "/api/v1/webhooks").Data)
}

// TestTailEndsWithItsKey lets a key expire, and another be taken away on another node, while somebody listens with it.
func TestTailEndsWithItsKey(t *testing.T) { storagetest.OnEach(t, testTailEndsWithItsKey) }

func testTailEndsWithItsKey(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	w := newWhole(t, place(t), newReceiver(t))
	w.server.SetBeat(time.Hour)
	for text, expires := range map[string]time.Time{viewerKey: {}, expiredKey: time.Now().Add(2 * time.Second)} {
		require.NoError(t, w.store.AddAPIKey(t.Context(), triggers.APIKey{
			ID: text, Hash: sha256.Sum256([]byte(text)), Tenant: 1, Role: triggers.RoleViewer, Created: time.Now(), Expires: expires,
		}))
	}
	require.NoError(t, w.server.ReloadKeys(t.Context()))
	expiring, taken := w.tail(t, "", expiredKey), w.tail(t, "", viewerKey)
	require.NoError(t, w.store.RevokeAPIKey(t.Context(), 1, viewerKey))
	require.NoError(t, w.server.ReloadKeys(t.Context()))
	for range taken.frames { // until it has ended
	}
	for range expiring.frames { // the same
	}
}
