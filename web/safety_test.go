package web_test

import (
	"crypto/tls"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/web"
)

// safe holds the headers of an answer to what every answer has.
func safe(t *testing.T, header http.Header, why string) {
	t.Helper()
	require.Equal(t, []string{"nosniff"}, header["X-Content-Type-Options"], why)
	require.Equal(t, []string{"DENY"}, header["X-Frame-Options"], why)
	require.Contains(t, []string{"no-referrer", "same-origin"}, header.Get("Referrer-Policy"), why)
	policy := header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'", why)
	require.Contains(t, policy, "frame-ancestors 'none'", why)
	require.NotContains(t, policy, "script-src 'unsafe", why)
	require.NotContains(t, policy, "*", why)
	if strings.HasPrefix(header.Get("Content-Type"), "text/html") {
		require.Contains(t, policy, "base-uri 'none'", why)
	}
	if !strings.Contains(why, "/console/static/") {
		require.Equal(t, []string{"no-store"}, header["Cache-Control"], why)
	}
	for name := range header {
		require.False(t, strings.HasPrefix(name, "Access-Control-"), "%s: %s", why, name)
	}
	require.Empty(t, header.Values("Server"), why)
	require.Empty(t, header.Values("X-Powered-By"), why)
}

// TestSafetyHeaders asks every route, and what is none, with and without a key, as a page elsewhere would: every answer has the headers
// that keep browsers from misusing it, and none lets other origins read it.
func TestSafetyHeaders(t *testing.T) {
	world := newWorld(t, operatorKey)
	world.handler = world.server // the specification says nothing of OPTIONS, which the framework answers
	ids := strings.NewReplacer(":portal", "self", ":user", "u-operator-key", ":folder", "traffic", ":service", "roads.FeatureServer", "/*", "/webhooks")
	paths := map[string][]string{ // what no route is for
		"/": {"GET"}, "/nothing": {"GET", "POST"}, "/api/v1/nothing": {"GET"}, "/api/v1/events": {"DELETE", "OPTIONS", "TRACE"}, "/sharing/nothing": {"GET"}, "/server/x": {"GET", "PUT"},
		"/debug/pprof/": {"GET"}, "/console/nothing": {"GET", "POST"}, "/console/login": {"GET", "POST"}, "/console/logout": {"POST"}, "/.git/config": {"GET"},
	}
	for _, route := range world.server.Routes() {
		path := regexp.MustCompile(`:(webhook|event|delivery|recovery|tenant|key|receiver)\b`).ReplaceAllString(route.Path, "{$1}")
		path = world.paths.Replace(ids.Replace(path))
		paths[path] = append(paths[path], route.Method, "OPTIONS")
		if route.Method == http.MethodGet {
			paths[path] = append(paths[path], "HEAD")
		}
	}
	for path, methods := range paths {
		for _, method := range methods {
			for _, key := range []string{"", "nobody", viewerKey, operatorKey} {
				r := asks(web.Route{Method: method, Path: path}, path, key)
				r.header = http.Header{
					"Origin": {"https://elsewhere.example.com"}, "Access-Control-Request-Method": {method}, "Access-Control-Request-Headers": {"authorization"},
				}
				a := world.do(t, r)
				safe(t, a.header, method+" "+path+" with the key "+key)
				require.Empty(t, a.header.Values("Strict-Transport-Security"))
				if strings.HasPrefix(path, "/debug") || strings.HasPrefix(path, "/.git") {
					require.Equal(t, http.StatusNotFound, a.status)
				}
			}
		}
	}
	page := newVisitor(world.edge).ask("GET", "/console/login", nil)
	for _, static := range regexp.MustCompile(`"(/console/static/[^"]+)"`).FindAllStringSubmatch(page.body, -1) {
		a := world.do(t, request{method: "GET", path: static[1]})
		require.Equal(t, http.StatusOK, a.status)
		safe(t, a.header, static[1])
	}
}

// TestStrictTransport promises TLS where there is TLS: here, or before a trusted proxy.
func TestStrictTransport(t *testing.T) {
	e := newBareEdge(t, func(c *web.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	for name, c := range map[string]struct {
		remote string
		header http.Header
		tls    bool
		want   string
	}{
		"plain":                   {remote: "203.0.113.7:1"},
		"TLS":                     {remote: "203.0.113.7:1", tls: true, want: "max-age=31536000"},
		"said by a trusted proxy": {remote: "192.0.2.1:1", header: http.Header{"X-Forwarded-Proto": {"https"}}, want: "max-age=31536000"},
		"plain before the proxy":  {remote: "192.0.2.1:1", header: http.Header{"X-Forwarded-Proto": {"http"}}},
		"said by anybody":         {remote: "203.0.113.7:1", header: http.Header{"X-Forwarded-Proto": {"https"}}},
	} {
		for _, path := range []string{"/healthz", "/api/v1/webhooks", "/console/login", "/sharing/rest?f=json", "/nothing"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.RemoteAddr = c.remote
			maps.Copy(r.Header, c.header)
			r.TLS = nil
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			w := newRecorder()
			e.server.ServeHTTP(w, r)
			require.Equal(t, c.want, w.Header().Get("Strict-Transport-Security"), "%s %s", name, path)
		}
	}
}
