package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
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
	challenges = []string{`Bearer realm="portalhook"`}
)

// answer wraps a route's handler: it asks who calls, turns errors and panics into answers, counts and logs.
func (s *Server) answer(r route) echo.HandlerFunc {
	seen, on := s.metrics.route(r.method, r.path), surfaceAt(r.path)
	return func(c echo.Context) error {
		started := time.Now()
		if !r.quiet {
			c.Response().Header().Set("X-Request-Id", traceID(c))
		}
		pace(c)
		err := s.handle(c, r, on)
		var status int
		if err != nil {
			// The line is in the log before the client can ask about it.
			p := problemOf(err)
			status = p.status()
			s.logFailure(c, r.path, p, time.Since(started))
			on.fail(s, c, p)
		}
		took := time.Since(started)
		if err == nil || on == plain {
			status = c.Response().Status // an answer that had begun keeps its own
		}
		seen.observe(status, took)
		if err == nil {
			s.logSuccess(c, r, took)
		}
		return nil
	}
}

// unrouted answers what no route takes: another path, another method.
func (s *Server) unrouted(err error, c echo.Context) {
	p := problemOf(err)
	s.logFailure(c, c.Request().URL.Path, p, 0)
	on := surfaceAt(c.Request().URL.Path)
	if on.prepare != nil {
		_ = on.prepare(c) // that there is nothing here says more than what is wrong with the parameters
	}
	on.fail(s, c, p)
}

// handle runs the handler; a panic comes back as an error.
func (s *Server) handle(c echo.Context, r route, on *surface) (err error) {
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it by value too
				panic(v)
			}
			err = &problem{
				Code: codeInternal, Index: -1, Detail: "the trace id finds the cause in the server's log",
				cause: fmt.Errorf("panic: %v\n%s", v, debug.Stack()),
			}
		}
	}()
	if on.prepare != nil {
		if err := on.prepare(c); err != nil {
			return err
		}
	}
	if err := checkAddress(c); err != nil {
		return err
	}
	if r.allowed&anyone != 0 {
		return r.handle(c, nil)
	}
	key, err := on.authenticate(s, c, r.allowed)
	if err != nil {
		return err
	}
	if err := s.limit(r, key); err != nil {
		return err
	}
	return r.handle(c, key)
}

// fail writes the answer to a request that failed, unless an answer has begun already.
func (s *Server) fail(c echo.Context, p *problem) {
	if c.Response().Committed {
		return
	}
	status := p.status()
	if status == http.StatusUnauthorized {
		c.Response().Header()["Www-Authenticate"] = challenges
	}
	s.failureHeaders(c, p)
	writeJSON(c, status, appendProblem(nil, p, traceID(c)))
}

// failureHeaders sets the headers that answers to some failures have on every surface.
func (s *Server) failureHeaders(c echo.Context, p *problem) {
	header := c.Response().Header()
	switch p.status() {
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
	header.Set("X-Request-Id", traceID(c))
}

// writeJSON writes an answer whose body is ready.
func writeJSON(c echo.Context, status int, body []byte) {
	header := c.Response().Header()
	header["Content-Type"] = typeJSON
	c.Response().WriteHeader(status)
	_, _ = c.Response().Write(body) // the client may be gone: nothing is left to tell it
}

// writeNoContent writes 204.
func writeNoContent(c echo.Context) { c.Response().WriteHeader(http.StatusNoContent) }

// Requests are logged in one line each, without header values, query values or bodies: those may hold secrets.

func (s *Server) logSuccess(c echo.Context, r route, took time.Duration) {
	level := slog.LevelInfo
	if r.quiet {
		level = slog.LevelDebug
	}
	s.logRequest(c, level, r.path, c.Response().Status, took)
}

func (s *Server) logFailure(c echo.Context, path string, p *problem, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case p.Code == codeOverloaded, p.Code == codeRateLimit, p.Code == codeTooManyGuesses, errors.Is(p.cause, context.Canceled):
		level = slog.LevelDebug // they come in thousands when they come, and are counted
	case p.status() >= http.StatusInternalServerError:
		level = slog.LevelError
	}
	attrs := []slog.Attr{slog.String("code", p.Code)}
	if p.cause != nil {
		attrs = append(attrs, slog.Any("err", p.cause))
	}
	s.logRequest(c, level, path, p.status(), took, attrs...)
}

func (s *Server) logRequest(c echo.Context, level slog.Level, path string, status int, took time.Duration, more ...slog.Attr) {
	r := c.Request()
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	s.log.LogAttrs(r.Context(), level, "request", append([]slog.Attr{
		slog.String("trace", traceID(c)), slog.String("method", r.Method), slog.String("path", path), slog.Int("status", status),
		slog.Duration("took", took), slog.String("client", c.RealIP()),
	}, more...)...)
}

// webhookParam reads the id of the path's webhook; a text that is no id finds nothing.
func webhookParam(c echo.Context) (triggers.WebhookID, error) {
	id, ok := triggers.ParseWebhookID(c.Param("webhook"))
	if !ok {
		return id, fault(codeNotFound, "there is no such webhook")
	}
	return id, nil
}
