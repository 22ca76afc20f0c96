package web_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/web"
)

const generateToken = "/sharing/rest/generateToken"

// TestLogIn goes the way of a client: the version, where tokens are made, a token, the portal, the user.
func TestLogIn(t *testing.T) {
	e := newEdge(t, func(c *web.Config) { c.PublicURL = mustURL(t, "https://hooks.example.com/portal") })
	get := func(path, token string) map[string]any {
		return e.do(t, request{method: "GET", path: "/portal/sharing/rest" + path + "?f=json&token=" + url.QueryEscape(token)}).json(t)
	}
	require.Equal(t, map[string]any{"currentVersion": "2024.1", "enterpriseVersion": "11.3.0"}, get("/", ""))
	info := get("/info", "")
	require.Equal(t, "https://hooks.example.com/portal/sharing/rest/generateToken", info["authInfo"].(map[string]any)["tokenServicesUrl"])

	began := time.Now()
	made := e.done(t, "/portal"+generateToken, "username", "anything", "password", adminKey, "client", "referer", "referer", "http", "expiration", "5", "token", "")
	require.Equal(t, true, made["ssl"])
	ends := time.UnixMilli(int64(made["expires"].(float64)))
	require.WithinDuration(t, began.Add(5*time.Minute), ends, time.Minute)
	token := made["token"].(string)
	require.NotContains(t, token, adminKey)

	portal := get("/portals/self", token)
	require.Equal(t, "0123456789ABCDEF", portal["id"])
	require.Equal(t, "portal.example.com", portal["portalHostname"])
	require.Equal(t, "org_admin", portal["user"].(map[string]any)["role"])
	require.Equal(t, "u-admin-key", get("/community/self", token)["username"])
	require.Equal(t, "u-admin-key", get("/community/users/U-ADMIN-KEY", token)["id"])
	require.InDelta(t, 404, get("/community/users/somebody", token)["error"].(map[string]any)["code"], 0)
	require.Equal(t, "org_user", get("/community/self", viewerKey)["role"])
	require.InDelta(t, 0, get("/portals/self/webhooks", token)["total"], 0)
}

// TestTokens are refused when they are not ours, are past, were tampered with, or their key was revoked; and open nothing but this surface.
func TestTokens(t *testing.T) {
	e := newEdge(t, func(c *web.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	asked := func(token string) (code int, message string) {
		a := e.send(t, organisation, "token", token)
		if strings.HasPrefix(a.body, `{"total"`) {
			return http.StatusOK, ""
		}
		code, _, message = a.envelope(t)
		return code, message
	}
	hour := time.Now().Add(time.Hour)
	good := e.server.NewToken(adminKey, hour)
	code, _ := asked(good)
	require.Equal(t, http.StatusOK, code)
	code, message := asked("")
	require.Equal(t, 499, code)
	require.Equal(t, "Token Required", message)
	for name, token := range map[string]string{
		"past":             e.server.NewToken(adminKey, time.Now().Add(-time.Millisecond)),
		"of a revoked key": e.server.NewToken(revokedKey, hour), "of an expired key": e.server.NewToken(expiredKey, hour),
		"of no key":       e.server.NewToken("nobody", hour),
		"of another node": newEdge(t).server.NewToken(adminKey, hour),
		"cut":             good[:len(good)-1], "longer": good + "A", "prefix only": "pht_", "no base64": "pht_%%%%", "short": "pht_AAAA",
		"an unknown key": "nobody", "a revoked key": revokedKey, "huge": "pht_" + strings.Repeat("A", 300),
	} {
		code, message := asked(token)
		require.Equal(t, 498, code, name)
		require.Equal(t, "Invalid token", message, name)
	}
	for i := len("pht_"); i < len(good); i++ { // each letter counts
		other := "A"
		if good[i] == 'A' {
			other = "B"
		}
		// From another address each time, or it would be asked to wait.
		a := e.do(t, request{
			method: "GET", path: organisation + "?f=json&token=" + good[:i] + other + good[i+1:],
			header: http.Header{"X-Forwarded-For": {fmt.Sprintf("203.0.113.%d", i)}},
		})
		code, _, _ := a.envelope(t)
		require.Equal(t, 498, code, "letter %d", i)
	}
	require.Equal(t, http.StatusUnauthorized, e.do(t, request{method: "GET", path: "/api/v1/webhooks", key: good}).status)

	// The role and the tenant are the key's, at once.
	viewing := e.server.NewToken(viewerKey, hour)
	code, _, _ = e.send(t, organisation+"/createWebhook", "name", "x", "url", "https://a.example.com/", "events", "/", "token", viewing).envelope(t)
	require.Equal(t, 403, code)
	code, _, _ = e.send(t, "/sharing/rest/portals/0123456789ABCDEF/webhooks", "token", e.server.NewToken(otherKey, hour)).envelope(t)
	require.Equal(t, 403, code)
	require.Equal(t, http.StatusNoContent, e.as(t, adminKey, "DELETE", "/api/v1/api-keys/"+viewerKey, "").status)
	code, _, _ = e.send(t, organisation, "token", viewing).envelope(t)
	require.Equal(t, 498, code)

	// The header that is left to us counts before the parameter, and that before the standard header.
	a := e.do(t, request{method: "GET", path: organisation + "?f=json&token=nobody", header: http.Header{"X-Esri-Authorization": {"Bearer " + good}}})
	require.Contains(t, a.body, `"total"`)
	a = e.do(t, request{method: "GET", path: organisation + "?f=json&token=" + good, key: "nobody"})
	require.Contains(t, a.body, `"total"`)
	require.NotContains(t, e.log.String(), good)
}

func TestGenerateTokenRefuses(t *testing.T) {
	e := newEdge(t)
	for name, c := range map[string]struct {
		pairs []string
		want  string
	}{
		"no password":    {[]string{"username", "a"}, "invalid username or password"},
		"a wrong one":    {[]string{"password", "nobody"}, "invalid username or password"},
		"a revoked key":  {[]string{"password", revokedKey}, "invalid username or password"},
		"an expired key": {[]string{"password", expiredKey}, "invalid username or password"},
		"a token":        {[]string{"password", e.server.NewToken(adminKey, time.Now().Add(time.Hour))}, "invalid username or password"},
		"no time":        {[]string{"password", adminKey, "expiration", "0"}, "expiration: "},
		"a word":         {[]string{"password", adminKey, "expiration", "long"}, "expiration: "},
	} {
		code, _, message := e.send(t, generateToken, c.pairs...).envelope(t)
		require.Equal(t, 400, code, name)
		require.Contains(t, message, c.want, name)
	}
	for _, path := range []string{"?f=json", "?f=json&username=a&password=" + adminKey} {
		for _, method := range []string{"GET", "POST"} {
			code, _, _ := e.do(t, request{method: method, path: generateToken + path}).envelope(t)
			require.Equal(t, 400, code)
		}
	}

	// However much is asked for, a token ends within two weeks, and with its key.
	made := e.done(t, generateToken, "password", adminKey, "expiration", "1000000")
	require.LessOrEqual(t, int64(made["expires"].(float64)), time.Now().Add(14*24*time.Hour).UnixMilli())
	require.Equal(t, false, made["ssl"])
	ends := time.Now().Add(30 * time.Minute).UTC().Truncate(time.Second)
	key := e.as(t, adminKey, "POST", "/api/v1/api-keys", `{"name":"short","role":"viewer","expiresAt":"`+ends.Format(time.RFC3339)+`"}`).json(t)["key"].(string)
	require.Equal(t, ends.UnixMilli(), int64(e.done(t, generateToken, "password", key)["expires"].(float64)))

	_, err := web.New(t.Context(), web.Config{Keys: e.memory, TokenKey: []byte("short")})
	require.ErrorContains(t, err, "not 32")
}
