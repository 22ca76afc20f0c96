package web

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"portalhook/triggers"
	"portalhook/web/console"
)

// newConsole makes the console, which is a client of this server's API like any other but for two things: its requests do not go over
// the network, and they name the key by the id that a session holds.
func (s *Server) newConsole() (*console.Console, error) {
	origin, public := "", s.config.PublicURL
	if public != nil {
		origin = public.Scheme + "://" + public.Host
	}
	// A proxy that nobody has declared may stand before the public address.
	secure := func(r *http.Request) bool {
		return s.echo.SchemeExtractor(r) == "https" || public != nil && public.Scheme == "https" && strings.EqualFold(r.Host, public.Host)
	}
	return console.New(console.Config{
		API: s.echo, SignedIn: withKey, Prefix: s.prefix, Origin: origin, SessionKeys: s.config.SessionKeys, Log: s.log,
		Secure: secure, Ended: s.tellEnded,
	})
}

// serveConsole answers everything below /console.
func (s *Server) serveConsole(c echo.Context, _ *triggers.APIKey) error {
	s.console.ServeHTTP(c.Response(), c.Request())
	return nil
}

// signedIn is the key of a context's value: the id of the API key of a session. It cannot come from outside the process.
type signedIn struct{}

// withKey makes requests that carry the context requests of the key with this id.
func withKey(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, signedIn{}, id)
}

// signedInKey is the id that withKey gave.
func signedInKey(ctx context.Context) (string, bool) {
	id, ok := ctx.Value(signedIn{}).(string)
	return id, ok
}
