package web

import "net/http"

// Header values that never change, so that setting them costs no allocation.
var (
	noSniff     = []string{"nosniff"}
	noStore     = []string{"no-store"}
	noFrame     = []string{"DENY"}
	noReferrer  = []string{"no-referrer"}
	noContent   = []string{"default-src 'none'; frame-ancestors 'none'"}
	strictlyTLS = []string{"max-age=31536000"}
)

// setSafety sets the headers that every answer has, before anything else is known of it: it is what it says it is, is kept nowhere, loads
// nothing, stands in no frame, and nobody is told where a link was followed from. Pages, and static files, then say what of that is otherwise
// with them. There is no header that lets scripts of other origins read an answer.
func (s *Server) setSafety(header http.Header, r *http.Request) {
	header["X-Content-Type-Options"] = noSniff
	header["Cache-Control"] = noStore
	header["X-Frame-Options"] = noFrame
	header["Referrer-Policy"] = noReferrer
	header["Content-Security-Policy"] = noContent
	if s.echo.SchemeExtractor(r) == "https" {
		header["Strict-Transport-Security"] = strictlyTLS
	}
}
