package web

import (
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

// surface is a family of routes that are spoken to in one way: where a request carries its key, and what a refusal looks like.
type surface struct {
	// prepare reads what the surface needs to know of a request before anything else; nil when that is nothing.
	prepare func(c echo.Context) error
	// authenticate gives the key that a request was made with, or the answer that refuses it.
	authenticate func(s *Server, c echo.Context, allowed roles) (*triggers.APIKey, error)
	// fail writes the answer to a request that failed.
	fail func(s *Server, c echo.Context, p *problem)
}

// plain is what everything speaks that is not ArcGIS's: a key in the header, errors in JSON under their status.
var plain = &surface{
	authenticate: func(s *Server, c echo.Context, allowed roles) (*triggers.APIKey, error) {
		return s.authenticate(c.Request(), allowed)
	},
	fail: (*Server).fail,
}

// sharing is how a portal's REST API speaks: parameters in forms, a token in one of three places, refusals under status 200.
var sharing = &surface{prepare: prepareForm, authenticate: (*Server).authenticateToken, fail: enveloped(appendEnvelope)}

// administration is how the administrator's REST API of a portal's server speaks: as the portal's, but for another envelope, and that the token
// of a POST must not stand in its address.
var administration = &surface{prepare: prepareForm, authenticate: (*Server).authenticateAdministrator, fail: enveloped(appendStatusEnvelope)}

// surfaceAt is the surface of a path, whether it is served or not.
func surfaceAt(path string) *surface {
	if path == "/sharing" || strings.HasPrefix(path, "/sharing/") {
		return sharing
	}
	if path == "/server" || strings.HasPrefix(path, "/server/") {
		return administration
	}
	return plain
}

// Where a portal's REST API stands, and that of its server's administrator.
const (
	sharingRoot  = "/sharing/rest"
	servicesRoot = "/server/admin/services"
)

// asked is where a request's parameters are kept.
const asked = "parameters"

func prepareForm(c echo.Context) error {
	// Until the body is read, and when it cannot be, the address alone counts.
	query, err := parameterValues(c.Request().URL.RawQuery)
	if err != nil {
		return err
	}
	c.Set(asked, &parameters{query: query})
	p, err := readParameters(c.Request())
	if p != nil {
		c.Set(asked, p) // one of them may be refused, but f says how that is to be told
	}
	if err != nil {
		return err
	}
	_, err = formatOf(p)
	return err
}

// parametersOf are the parameters of a request on an ArcGIS surface.
func parametersOf(c echo.Context) *parameters {
	if p, ok := c.Get(asked).(*parameters); ok {
		return p
	}
	return &parameters{}
}

// format is what the parameter f asks for.
type format string

// The formats. Without f, or with an empty one, it is a page, as in a portal's own directory.
const (
	formatHTML   format = "html"
	formatJSON   format = "json"
	formatPretty format = "pjson"
)

func formatOf(p *parameters) (format, error) {
	text, _, err := p.get("f")
	if err != nil {
		return formatJSON, err
	}
	switch f := format(strings.ToLower(text)); f {
	case "":
		return formatHTML, nil
	case formatHTML, formatJSON, formatPretty:
		return f, nil
	}
	return formatJSON, triggers.Invalid(triggers.CodeOutOfRange, "f", "f is html, json or pjson, not %q", text)
}

// reply answers a request on an ArcGIS surface with a JSON value, in the format that it asks for; the view says what a page of it has
// besides.
func (s *Server) reply(c echo.Context, value []byte, v view) error {
	switch f, err := formatOf(parametersOf(c)); {
	case err != nil:
		return err
	case f == formatHTML:
		return s.writePage(c, value, v)
	case f == formatPretty:
		pretty := jsontext.Value(value)
		if err := pretty.Indent(jsontext.WithIndent("  ")); err != nil {
			return err
		}
		writeJSON(c, http.StatusOK, pretty)
	default:
		writeJSON(c, http.StatusOK, value)
	}
	return nil
}

// succeeded answers that what was asked for is done.
func (s *Server) succeeded(c echo.Context, v view) error {
	return s.reply(c, []byte(`{"success":true}`), v)
}

// The codes that a portal has for a token, which HTTP has not.
const (
	statusInvalidToken = 498
	statusNoToken      = 499
)

// enveloped writes refusals in an envelope, under status 200: clients look for its code.
func enveloped(appendTo func(dst []byte, p *problem, traceID string) []byte) func(s *Server, c echo.Context, p *problem) {
	return func(s *Server, c echo.Context, p *problem) {
		if c.Response().Committed {
			return
		}
		s.failureHeaders(c, p)
		s.failInForm(c, appendTo(nil, p, traceID(c)))
	}
}

func (s *Server) failInForm(c echo.Context, body []byte) {
	f, err := formatOf(parametersOf(c))
	if err == nil && f == formatHTML {
		if s.writePage(c, body, view{title: "Error"}) == nil {
			return
		}
	}
	if err == nil && f == formatPretty {
		pretty := jsontext.Value(body)
		if pretty.Indent(jsontext.WithIndent("  ")) == nil {
			body = pretty
		}
	}
	writeJSON(c, http.StatusOK, body)
}

// appendEnvelope writes {"error":{"code","messageCode","message","details"}}. The messageCode is the one of docs/errors.md.
func appendEnvelope(dst []byte, p *problem, traceID string) []byte {
	message, details := p.sentences(traceID)
	o := openObject(dst)
	o.object("error", func(o *object) {
		o.number("code", int64(p.status()))
		o.text("messageCode", p.Code)
		o.text("message", message)
		o.texts("details", details)
	})
	return o.close()
}

// appendStatusEnvelope writes {"status":"error","messages":[…],"code","messageCode"}.
func appendStatusEnvelope(dst []byte, p *problem, traceID string) []byte {
	message, details := p.sentences(traceID)
	o := openObject(dst)
	o.text("status", "error")
	o.texts("messages", append([]string{message}, details...))
	o.number("code", int64(p.status()))
	o.text("messageCode", p.Code)
	return o.close()
}

// sentences are what an envelope says of a problem: what it is, and what else helps.
func (p *problem) sentences(traceID string) (message string, details []string) {
	switch status := p.status(); {
	case status == statusNoToken:
		return "Token Required", []string{p.Detail}
	case status == statusInvalidToken:
		return "Invalid token", []string{p.Detail}
	case status >= http.StatusInternalServerError:
		return p.Error(), []string{"trace id " + traceID}
	}
	return p.Error(), []string{}
}
