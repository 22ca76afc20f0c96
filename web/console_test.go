package web_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/web"
)

// visitor is somebody before the console, without a browser: it keeps cookies and tokens.
type visitor struct {
	edge    *edge
	cookies map[string]string
	token   string
	header  http.Header
}

func newVisitor(e *edge) *visitor {
	return &visitor{edge: e, cookies: map[string]string{}, header: http.Header{}}
}

// told is an answer, with the cookies that it sets.
type told struct {
	StatusCode int
	Header     http.Header
	cookies    []*http.Cookie
	body       string
}

// ask makes a request, and keeps what the answer sets.
func (v *visitor) ask(method, path string, form url.Values) told {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	maps.Copy(r.Header, v.header)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range v.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	v.edge.server.ServeHTTP(w, r)
	answer := w.Result()
	defer answer.Body.Close()
	for _, c := range answer.Cookies() {
		if c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		} else {
			v.cookies[c.Name] = c.Value
		}
	}
	if match := regexp.MustCompile(`name="csrf" content="([^"]+)"`).FindStringSubmatch(w.Body.String()); match != nil {
		v.token = match[1]
	}
	return told{answer.StatusCode, answer.Header, answer.Cookies(), w.Body.String()}
}

func (v *visitor) signIn(t *testing.T, key string) told {
	t.Helper()
	answer := v.ask("POST", "/console/login", url.Values{"key": {key}})
	require.Equal(t, http.StatusSeeOther, answer.StatusCode)
	require.Equal(t, http.StatusOK, v.ask("GET", "/console/webhooks", nil).StatusCode)
	return answer
}

// What a session's cookie is like, and when it ends.
func TestConsoleSessions(t *testing.T) {
	e := newEdge(t)
	v := newVisitor(e)
	answer := v.ask("GET", "/console/webhooks?name=a", nil)
	require.Equal(t, http.StatusSeeOther, answer.StatusCode)
	require.Equal(t, "/console/login?back=%2Fwebhooks%3Fname%3Da", answer.Header.Get("Location"))

	answer = v.signIn(t, adminKey)
	cookie := answer.cookies[0]
	require.Equal(t, []any{true, http.SameSiteStrictMode, "/console", 12 * 60 * 60, false}, []any{
		cookie.HttpOnly, cookie.SameSite, cookie.Path, cookie.MaxAge, cookie.Secure,
	})
	require.NotContains(t, cookie.Value, adminKey)

	// A copy of the cookie is of no use once its owner has signed out, and none is that was tampered with.
	thief := newVisitor(e)
	thief.cookies = map[string]string{cookie.Name: cookie.Value}
	require.Equal(t, http.StatusOK, thief.ask("GET", "/console/webhooks", nil).StatusCode)
	require.Equal(t, http.StatusSeeOther, v.ask("POST", "/console/logout", url.Values{"csrf": {v.token}}).StatusCode)
	require.Empty(t, v.cookies["portalhook_session"])
	require.Equal(t, http.StatusSeeOther, thief.ask("GET", "/console/webhooks", nil).StatusCode)
	v.signIn(t, adminKey)
	forged := []byte(v.cookies[cookie.Name])
	forged[len(forged)/2] ^= 1
	thief.cookies = map[string]string{cookie.Name: string(forged)}
	require.Equal(t, http.StatusSeeOther, thief.ask("GET", "/console/webhooks", nil).StatusCode)

	// The session ends with its key, at once.
	made := e.as(t, adminKey, "POST", "/api/v1/api-keys", `{"name":"short","role":"viewer"}`).json(t)
	v = newVisitor(e)
	v.signIn(t, made["key"].(string))
	require.Equal(t, http.StatusNoContent, e.as(t, adminKey, "DELETE", "/api/v1/api-keys/"+made["id"].(string), "").status)
	require.Equal(t, http.StatusSeeOther, v.ask("GET", "/console/webhooks", nil).StatusCode)
}

// Over TLS, or as a trusted proxy says so, the cookie is for TLS only; and another server with the same session keys knows it.
func TestConsoleSessionsAcrossNodes(t *testing.T) {
	keys := [][]byte{[]byte(strings.Repeat("k", 32))}
	change := func(c *web.Config) {
		c.SessionKeys = keys
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	}
	first, second := newEdge(t, change), newEdge(t, change)
	v := newVisitor(first)
	v.header.Set("X-Forwarded-Proto", "https")
	require.True(t, v.signIn(t, viewerKey).cookies[0].Secure)
	v.edge = second
	require.Equal(t, http.StatusOK, v.ask("GET", "/console/webhooks", nil).StatusCode)
	v.edge = newEdge(t)
	require.Equal(t, http.StatusSeeOther, v.ask("GET", "/console/webhooks", nil).StatusCode)
}

// Forms of somebody else's page are refused: without the token, with another session's, from another origin.
func TestConsoleForgedRequests(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, hook)
	v, other := newVisitor(e), newVisitor(e)
	v.signIn(t, adminKey)
	other.signIn(t, adminKey)
	disable := func(token string) int {
		return v.ask("POST", "/console/webhooks/actions", url.Values{"csrf": {token}, "id": {id}, "do": {"disable"}, "back": {"/webhooks"}}).StatusCode
	}
	require.Equal(t, http.StatusForbidden, disable(""))
	require.Equal(t, http.StatusForbidden, disable(other.token))
	v.header.Set("Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, disable(v.token))
	v.header.Del("Sec-Fetch-Site")
	v.header.Set("Origin", "https://elsewhere.example.com")
	require.Equal(t, http.StatusForbidden, disable(v.token))
	require.Equal(t, true, e.call(t, "GET", "/api/v1/webhooks/"+id, "").json(t)["enabled"])
	v.header.Del("Origin")
	require.Equal(t, http.StatusSeeOther, disable(v.token))
	require.Equal(t, false, e.call(t, "GET", "/api/v1/webhooks/"+id, "").json(t)["enabled"])
	// The token is no key to what the role may not do.
	viewer := newVisitor(e)
	viewer.signIn(t, viewerKey)
	require.Equal(t, http.StatusForbidden,
		viewer.ask("POST", "/console/webhooks/actions", url.Values{"csrf": {viewer.token}, "id": {id}, "do": {"delete"}, "confirmed": {"true"}}).StatusCode)
}

// Guesses at the door count as anywhere; a key that has been used from the address gets in, and one that has not waits.
func TestConsoleGuesses(t *testing.T) {
	e := newEdge(t, func(c *web.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	v := newVisitor(e)
	v.header.Set("X-Forwarded-For", "203.0.113.7")
	guess := func(key string) told { return v.ask("POST", "/console/login", url.Values{"key": {key}}) }
	v.signIn(t, viewerKey)
	v.cookies = map[string]string{}
	for n := range 11 {
		require.Equal(t, http.StatusUnauthorized, guess(fmt.Sprint("wrong", n)).StatusCode)
	}
	answer := guess(adminKey)
	require.Equal(t, http.StatusTooManyRequests, answer.StatusCode)
	wait, err := time.ParseDuration(answer.Header.Get("Retry-After") + "s")
	require.NoError(t, err)
	require.Positive(t, wait)
	require.Equal(t, http.StatusSeeOther, guess(viewerKey).StatusCode)
	v.cookies = map[string]string{}
	v.header.Set("X-Forwarded-For", "203.0.113.8")
	require.Equal(t, http.StatusSeeOther, guess(adminKey).StatusCode)
	require.Equal(t, http.StatusForbidden, guess(emitterKey).StatusCode, "signed in already, and without the token")
}

// Below a path, everything leads to below that path; and nothing leads elsewhere after sign-in.
func TestConsoleBelowAPath(t *testing.T) {
	e := newEdge(t, func(c *web.Config) { c.PublicURL = mustURL(t, "https://portal.example.com/hooks") })
	v := newVisitor(e)
	for back, want := range map[string]string{
		"/webhooks?name=a": "/hooks/console/webhooks?name=a", "": "/hooks/console/", "https://elsewhere.example.com/": "/hooks/console/",
		"//elsewhere.example.com/": "/hooks/console/", `/\elsewhere.example.com`: "/hooks/console/", "javascript:alert(1)": "/hooks/console/",
	} {
		v.cookies = map[string]string{}
		answer := v.ask("POST", "/hooks/console/login", url.Values{"key": {adminKey}, "back": {back}})
		require.Equal(t, http.StatusSeeOther, answer.StatusCode)
		require.Equal(t, want, answer.Header.Get("Location"), back)
		require.Equal(t, "/hooks/console", answer.cookies[0].Path)
	}
	r := httptest.NewRequest("GET", "/hooks/console/webhooks", nil)
	r.AddCookie(&http.Cookie{Name: "portalhook_session", Value: v.cookies["portalhook_session"]})
	w := httptest.NewRecorder()
	e.server.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code)
	links := regexp.MustCompile(`(?:href|src|action|hx-get|hx-post)="([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1)
	require.NotEmpty(t, links)
	for _, link := range links {
		require.True(t, strings.HasPrefix(link[1], "/hooks/console/") || strings.HasPrefix(link[1], "#"), link[1])
	}
	// Static files stay with whoever has fetched them; their address changes with their content.
	path := regexp.MustCompile(`src="([^"]*console\.js)"`).FindStringSubmatch(w.Body.String())[1]
	static := httptest.NewRecorder()
	e.server.ServeHTTP(static, httptest.NewRequest("GET", path, nil))
	require.Equal(t, http.StatusOK, static.Code)
	require.Contains(t, static.Header().Get("Cache-Control"), "immutable")
	require.Contains(t, static.Header().Get("Content-Type"), "javascript")
}

// Pages say what they may load, are not kept, and hold neither script nor style.
func TestConsolePages(t *testing.T) {
	e := newEdge(t)
	e.create(t, hook)
	v := newVisitor(e)
	v.signIn(t, adminKey)
	for _, path := range []string{"/console/login", "/console/webhooks", "/console/webhooks/new", "/console/nothing"} {
		r := httptest.NewRequest("GET", path, nil)
		r.AddCookie(&http.Cookie{Name: "portalhook_session", Value: v.cookies["portalhook_session"]})
		w := httptest.NewRecorder()
		e.server.ServeHTTP(w, r)
		require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'", path)
		if w.Code == http.StatusSeeOther {
			continue
		}
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"), path)
		body := w.Body.String()
		require.NotRegexp(t, `<script(?:\s[^>]*)?>[^<]|<style|\sstyle=|\son\w+=|ZgotmplZ|⟦`, body, path)
	}
}
