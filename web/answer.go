package web

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

// traceKey is where a request's trace id is kept once one was needed.
const traceKey = "trace"

// traceID names a request in its answer and in the log. It is made only when one of the two needs it.
func traceID(c echo.Context) string {
	if id, ok := c.Get(traceKey).(string); ok {
		return id
	}
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	id := hex.EncodeToString(raw[:])
	c.Set(traceKey, id)
	return id
}

// Header values that never change, so that setting them costs no allocation.
var (
	typeJSON   = []string{"application/json"}
	noSniff    = []string{"nosniff"}
	noStore    = []string{"no-store"}
	challenges = []string{`Bearer realm="portalhook"`}
)

// answer wraps a route's handler: it asks who calls, turns errors and panics into answers, counts and logs.
func (s *Server) answer(r route) echo.HandlerFunc {
	seen := s.metrics.route(r.method, r.path)
	return func(c echo.Context) error {
		started := time.Now()
		err := s.handle(c, r)
		if err != nil {
			s.fail(c, err)
		}
		took := time.Since(started)
		seen.observe(c.Response().Status, took)
		s.logRequest(c, r, took)
		return nil
	}
}

// handle runs the handler; a panic comes back as an error.
func (s *Server) handle(c echo.Context, r route) (err error) {
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it by value too
				panic(v)
			}
			err = &problem{Code: codeInternal, Index: -1, Detail: "the trace id finds the cause in the server's log",
				cause: fmt.Errorf("panic: %v\n%s", v, debug.Stack())}
		}
	}()
	if r.allowed&anyone != 0 {
		return r.handle(c, nil)
	}
	key, err := s.authenticate(c.Request(), r.allowed)
	if err != nil {
		return err
	}
	return r.handle(c, key)
}

// fail writes the answer to a request that failed, and logs the cause when it is ours.
func (s *Server) fail(c echo.Context, err error) {
	p := problemOf(err)
	status := p.status()
	if status >= http.StatusInternalServerError {
		s.log.LogAttrs(c.Request().Context(), slog.LevelError, "request failed", slog.String("trace", traceID(c)),
			slog.String("method", c.Request().Method), slog.String("path", c.Path()), slog.Int("status", status),
			slog.String("code", p.Code), slog.Any("err", err), slog.Any("cause", p.cause))
	}
	if c.Response().Committed {
		return
	}
	header := c.Response().Header()
	switch status {
	case http.StatusUnauthorized:
		header["Www-Authenticate"] = challenges
	case http.StatusMethodNotAllowed:
		if allow, ok := c.Get(echo.ContextKeyHeaderAllow).(string); ok {
			header.Set(echo.HeaderAllow, allow)
		}
	case http.StatusRequestEntityTooLarge, http.StatusRequestTimeout:
		header.Set("Connection", "close") // what is left of the body is not worth reading
	}
	if p.RetryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10))
	}
	id := traceID(c)
	header.Set("X-Request-Id", id)
	writeJSON(c, status, appendProblem(nil, p, id))
}

// writeJSON writes an answer whose body is ready.
func writeJSON(c echo.Context, status int, body []byte) {
	header := c.Response().Header()
	header["Content-Type"] = typeJSON
	header["X-Content-Type-Options"] = noSniff
	header["Cache-Control"] = noStore
	c.Response().WriteHeader(status)
	_, _ = c.Response().Write(body) // the client may be gone: nothing is left to tell it
}

// writeNothing writes an answer without a body.
func writeNothing(c echo.Context, status int) { c.Response().WriteHeader(status) }

// logRequest writes one line a request, without header values, query values or bodies: those may hold secrets.
func (s *Server) logRequest(c echo.Context, r route, took time.Duration) {
	status := c.Response().Status
	level := slog.LevelInfo
	if r.quiet && status < http.StatusBadRequest {
		level = slog.LevelDebug
	}
	ctx := c.Request().Context()
	if !s.log.Enabled(ctx, level) {
		return
	}
	s.log.LogAttrs(ctx, level, "request", slog.String("trace", traceID(c)), slog.String("method", r.method),
		slog.String("path", r.path), slog.Int("status", status), slog.Duration("took", took), slog.String("client", c.RealIP()))
}

// webhookParam reads the id of the path's webhook; a text that is no id finds nothing.
func webhookParam(c echo.Context) (triggers.WebhookID, error) {
	id, ok := triggers.ParseWebhookID(c.Param("webhook"))
	if !ok {
		return id, fault(codeNotFound, "there is no such webhook")
	}
	return id, nil
}
