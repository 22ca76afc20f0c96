package console

import (
	"net/http"
	"strings"
)

// policy lets a page use what this server sends, and nothing else: no script or style within a page, no other host.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'"

// setSafety sets the headers that every answer of the console has beside, and other than, those of the edge.
func setSafety(header http.Header) {
	header.Set("Content-Security-Policy", policy)
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// cutMethod takes the method off a pattern; false when it has none.
func cutMethod(pattern string) (method, path string, ok bool) {
	if method, path, ok = strings.Cut(pattern, " "); ok {
		return method, path, true
	}
	return "", pattern, false
}

const (
	tokenField  = "csrf"
	tokenHeader = "X-Csrf-Token" //nolint:gosec // a header's name
	// maxForm bounds a form's body, in bytes; a webhook with all its headers and triggers is well below.
	maxForm = 256 << 10
)

// isSafe reports whether a method changes nothing.
func isSafe(method string) bool { return method == http.MethodGet || method == http.MethodHead }
