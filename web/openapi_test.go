package web_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"portalhook/web"
)

// TestEveryRouteIsSpecified holds the specification to the route table, roles included, and the other way round.
func TestEveryRouteIsSpecified(t *testing.T) {
	c, err := loadContract()
	require.NoError(t, err)
	var specified []string
	for path, item := range c.doc.Paths.Map() {
		servers := item.Servers
		if servers == nil {
			servers = c.doc.Servers
		}
		for method, operation := range item.Operations() {
			for _, server := range servers {
				var roles []string
				for _, role := range operation.Extensions["x-roles"].([]any) {
					roles = append(roles, role.(string))
				}
				require.Equal(t, slices.Equal(roles, []string{"anyone"}), operation.Security != nil, "who needs no key, of %s %s", method, path)
				specified = append(specified, method+" "+server.URL+path+" by "+strings.Join(roles, ", "))
			}
		}
	}
	parameter := regexp.MustCompile(`:(\w+)`)
	var served []string
	for _, route := range newBareEdge(t).server.Routes() {
		if !strings.HasPrefix(route.Path, "/api/") {
			continue
		}
		if route.Public {
			route.Roles = []string{"anyone"}
		}
		served = append(served, route.Method+" "+parameter.ReplaceAllString(route.Path, "{$1}")+" by "+strings.Join(route.Roles, ", "))
	}
	require.ElementsMatch(t, served, specified)
}

// TestSpecification reads what is served as a client would, also from below a path of a proxy.
func TestSpecification(t *testing.T) {
	for name, c := range map[string]struct {
		public, first, webhooks string
	}{
		"at the root":  {"https://portal.example.com", "/api/v1", "/api/core"},
		"below a path": {"https://portal.example.com/hooks/", "/hooks/api/v1", "/hooks/api/core"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t, func(config *web.Config) { config.PublicURL = mustURL(t, c.public) })
			a := e.do(t, request{method: "GET", path: "/api/openapi.json"})
			require.Equal(t, http.StatusOK, a.status)
			doc, err := openapi3.NewLoader().LoadFromData([]byte(a.body))
			require.NoError(t, err)
			require.NoError(t, doc.Validate(t.Context(), openapi3.EnableExamplesValidation()))
			require.Equal(t, c.first, doc.Servers[0].URL)
			for _, path := range []string{"/webhooks", "/webhooks/{webhook}/deliveries"} {
				servers := doc.Paths.Value(path).Servers
				require.Len(t, servers, 2)
				require.Equal(t, c.first, servers[0].URL)
				require.Equal(t, c.webhooks, servers[1].URL)
			}
			require.Less(t, strings.Index(a.body, `"/events"`), strings.Index(a.body, `"/webhooks"`), "the order is the file's")
		})
	}
}

// TestDocs sees that the page says everything, that its links lead somewhere, and that it needs nothing but itself.
func TestDocs(t *testing.T) {
	c, err := loadContract()
	require.NoError(t, err)
	e := newEdge(t)
	a := e.do(t, request{method: "GET", path: "/api/docs"})
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, "text/html; charset=utf-8", a.header.Get("Content-Type"))
	require.Contains(t, a.header.Get("Content-Security-Policy"), "default-src 'none'")
	for _, item := range c.doc.Paths.Map() {
		for _, operation := range item.Operations() {
			require.Contains(t, a.body, `<section id="`+operation.OperationID+`">`)
		}
	}
	for name := range c.doc.Components.Schemas {
		require.Contains(t, a.body, `<section id="`+name+`">`)
	}
	links := regexp.MustCompile(`(?:href|src|action)="([^"]*)"`).FindAllStringSubmatch(a.body, -1)
	require.NotEmpty(t, links)
	for _, link := range links {
		if target, ok := strings.CutPrefix(link[1], "#"); ok {
			require.Equal(t, 1, strings.Count(a.body, `id="`+target+`"`), target)
		} else {
			require.Equal(t, "openapi.json", link[1])
		}
	}
	require.NotContains(t, a.body, "<script")
	require.NotContains(t, a.body, "ZgotmplZ")
	require.NotContains(t, a.body, "@import")
}
