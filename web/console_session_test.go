package web_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/triggers"
	"portalhook/web"
)

const sessionCookie = "portalhook_session"

// A session that somebody else has put into the browser is not gone on with: what was never ours is replaced, and over what is a session of
// theirs nobody can be led to sign in.
func TestConsoleFixation(t *testing.T) {
	e := newEdge(t)
	v := newVisitor(e)
	v.cookies[sessionCookie] = strings.Repeat("A", 100)
	v.signIn(t, adminKey)
	first := v.cookies[sessionCookie]
	require.NotEqual(t, strings.Repeat("A", 100), first)
	// Whoever signs in again has another session, and the one before has ended.
	require.Equal(t, http.StatusSeeOther, v.ask("POST", "/console/login", url.Values{"key": {viewerKey}, "csrf": {v.token}}).StatusCode)
	require.NotEqual(t, first, v.cookies[sessionCookie])
	thief := newVisitor(e)
	thief.cookies[sessionCookie] = first
	require.Equal(t, http.StatusSeeOther, thief.ask("GET", "/console/webhooks", nil).StatusCode)

	attacker, victim := newVisitor(e), newVisitor(e)
	attacker.signIn(t, viewerKey)
	victim.cookies[sessionCookie] = attacker.cookies[sessionCookie]
	require.Equal(t, http.StatusForbidden, victim.ask("POST", "/console/login", url.Values{"key": {adminKey}}).StatusCode)
	require.Equal(t, attacker.cookies[sessionCookie], victim.cookies[sessionCookie])
	require.Equal(t, http.StatusForbidden, attacker.ask("GET", "/console/keys/new", nil).StatusCode, "it is the viewer's still")
}

// A page elsewhere can neither sign somebody in, with a key of its own, nor out.
func TestConsoleForgedSignIn(t *testing.T) {
	e := newEdge(t, func(c *web.Config) { c.PublicURL = mustURL(t, "https://portal.example.com/hooks") })
	for name, header := range map[string]http.Header{
		"cross-site":     {"Sec-Fetch-Site": {"cross-site"}},
		"same site":      {"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://other.example.com"}},
		"another origin": {"Origin": {"https://elsewhere.example.com"}},
		"no origin":      {"Origin": {"null"}},
	} {
		v := newVisitor(e)
		v.header = header
		require.Equal(t, http.StatusForbidden, v.ask("POST", "/hooks/console/login", url.Values{"key": {adminKey}}).StatusCode, name)
		require.Empty(t, v.cookies, name)

		v.header = http.Header{"Origin": {"https://portal.example.com"}, "Sec-Fetch-Site": {"same-origin"}}
		require.Equal(t, http.StatusSeeOther, v.ask("POST", "/hooks/console/login", url.Values{"key": {adminKey}}).StatusCode)
		require.Equal(t, http.StatusOK, v.ask("GET", "/hooks/console/webhooks", nil).StatusCode)
		v.header = header
		require.Equal(t, http.StatusForbidden, v.ask("POST", "/hooks/console/logout", url.Values{"csrf": {v.token}}).StatusCode, name)
		v.header = http.Header{}
		require.Equal(t, http.StatusForbidden, v.ask("POST", "/hooks/console/logout", nil).StatusCode, "without the token")
		require.Equal(t, http.StatusNotFound, v.ask("GET", "/hooks/console/logout", nil).StatusCode, "a link")
		require.Equal(t, http.StatusOK, v.ask("GET", "/hooks/console/webhooks", nil).StatusCode, "signed in still")
	}
}

// Whose role becomes less may do less from the next request on.
func TestConsoleRoleIsTheKeysNow(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, hook)
	v := newVisitor(e)
	v.signIn(t, adminKey)
	require.Equal(t, http.StatusOK, v.ask("GET", "/console/webhooks/new", nil).StatusCode)
	require.NoError(t, e.server.ReloadKeys(t.Context()))
	e.keys = slices.Clone(e.keys)
	for i := range e.keys {
		if e.keys[i].ID == adminKey {
			e.keys[i].Role = triggers.RoleViewer
		}
	}
	require.NoError(t, e.server.ReloadKeys(t.Context()))
	require.Equal(t, http.StatusForbidden, v.ask("GET", "/console/webhooks/new", nil).StatusCode)
	form := url.Values{"csrf": {v.token}, "id": {id}, "do": {"delete"}, "confirmed": {"true"}}
	require.Equal(t, http.StatusForbidden, v.ask("POST", "/console/webhooks/actions", form).StatusCode)
	require.Equal(t, http.StatusOK, e.as(t, viewerKey, "GET", "/api/v1/webhooks/"+id, "").status)
}

// The cookie is for TLS only wherever there is TLS, also behind a proxy that nobody has declared; and where there is none, it works without.
func TestConsoleCookieBehindProxies(t *testing.T) {
	for name, c := range map[string]struct {
		public string
		header http.Header
		want   bool
	}{
		"plain":                               {want: false},
		"said by nobody that is trusted":      {header: http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {"203.0.113.7"}}, want: true}, // 192.0.2.1 is
		"the public address":                  {public: "https://example.com/hooks", want: true},
		"another address than the public one": {public: "https://portal.example.com/hooks", want: false},
		"a public address without TLS":        {public: "http://example.com", want: false},
	} {
		e := newEdge(t, func(config *web.Config) {
			config.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
			if c.public != "" {
				config.PublicURL = mustURL(t, c.public)
			}
		})
		v := newVisitor(e)
		v.header = c.header
		a := v.ask("POST", "/console/login", url.Values{"key": {adminKey}})
		require.Equal(t, http.StatusSeeOther, a.StatusCode, name)
		cookie := a.cookies[0]
		require.Equal(t, []any{sessionCookie, true, http.SameSiteStrictMode, c.want, ""}, []any{cookie.Name, cookie.HttpOnly, cookie.SameSite, cookie.Secure, cookie.Domain}, name)
	}
	// Nobody is believed who is not a trusted proxy.
	v := newVisitor(newEdge(t))
	v.header.Set("X-Forwarded-Proto", "https")
	require.False(t, v.ask("POST", "/console/login", url.Values{"key": {adminKey}}).cookies[0].Secure)
}

// What a form names as the way back leads below the console, whatever it is.
func TestConsoleWayBack(t *testing.T) {
	e := newEdge(t, func(c *web.Config) { c.PublicURL = mustURL(t, "https://portal.example.com/hooks") })
	for _, back := range []string{
		"https://elsewhere.example.com/", "//elsewhere.example.com", "///elsewhere.example.com", `/\elsewhere.example.com`, `\\elsewhere.example.com`, "/%5celsewhere.example.com",
		"/%2f/elsewhere.example.com", "https:elsewhere.example.com", "javascript:alert(1)", "data:text/html,x", "/../../elsewhere", "/..//elsewhere.example.com", "/%2e%2e/%2e%2e/x",
		"/a/../../../x", "@elsewhere.example.com", ".elsewhere.example.com", "/\t/elsewhere.example.com", "/webhooks\r\nSet-Cookie: a=b", " https://elsewhere.example.com", "?back=x",
	} {
		for _, script := range []bool{false, true} {
			v := newVisitor(e)
			if script {
				v.header.Set("Hx-Request", "true")
			}
			a := v.ask("POST", "/hooks/console/login", url.Values{"key": {adminKey}, "back": {back}})
			to := a.Header.Get("Location") + a.Header.Get("Hx-Redirect")
			address, err := mustURL(t, "https://portal.example.com/hooks/console/login").Parse(to)
			require.NoError(t, err, back)
			require.Equal(t, "portal.example.com", address.Host, back)
			require.True(t, strings.HasPrefix(address.Path, "/hooks/console/"), "%q leads to %q", back, to)
			require.NotContains(t, to, "..", back)
			require.NotContains(t, to, "\n", back)
		}
	}
}

// The Host of a request decides nothing: where the public address is known, no answer repeats it; where it is not, links within an answer do,
// which nobody keeps, and nothing that is stored or that leads a browser on.
func TestForgedHost(t *testing.T) {
	const evil = "evil.example.net"
	for name, public := range map[string]string{"known": "https://portal.example.com/hooks", "not known": ""} {
		e := newBareEdge(t, func(c *web.Config) {
			if public != "" {
				c.PublicURL = mustURL(t, public)
			}
		})
		forged := http.Header{"Host": {evil}, "X-Forwarded-Host": {"forwarded." + evil}, "Forwarded": {"host=forwarded." + evil}, "X-Original-Host": {"forwarded." + evil}}
		made := e.do(t, request{method: "POST", path: "/api/v1/webhooks", key: adminKey, body: hook, header: forged})
		require.Equal(t, http.StatusCreated, made.status, made.body)
		e.send(t, organisation+"/createWebhook", "name", "a", "url", "https://a.example.com/", "changes", "allChanges")
		receiver := e.do(t, request{method: "POST", path: "/api/v1/receivers", key: adminKey, body: "{}", header: forged})
		require.NotContains(t, receiver.body, evil, "an address that webhooks are given")
		for _, path := range []string{
			"/api/v1/webhooks", "/api/v1/events", organisation + "?f=json", organisation, "/sharing/rest/portals/self?f=json", "/sharing/rest?f=html", "/console", "/console/", "/console/login", "/console/webhooks",
			"/api/openapi.json", "/api/docs", services + "/webhooks?f=html", "/sharing/rest/info?f=json",
		} {
			a := e.do(t, request{method: "GET", path: path, key: adminKey, header: forged})
			require.NotContains(t, a.body+a.header.Get("Location"), "forwarded."+evil, path)
			require.NotContains(t, a.header.Get("Location"), evil, path)
			if public != "" || strings.HasPrefix(path, "/console") || strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
				require.NotContains(t, a.body, evil, "%s where the address is %s", path, name)
			}
			require.Equal(t, "no-store", a.header.Get("Cache-Control"), path)
		}
		for _, w := range e.webhooks {
			require.NotContains(t, w.URL, evil)
		}
	}
}
