package web

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

//go:embed directory.html
var directoryText string

var directoryPage = template.Must(template.New("directory").Parse(directoryText))

// view is what a page has beside the value that is shown on it.
type view struct {
	title string
	up    []link // from the root to the page above
	down  []link
	login bool // with the form that asks for a token
}

// link names a path as the routes know it.
type link struct{ Name, Path string }

// node is a JSON value as a page shows it: a text, or rows, those of an object under their names.
type node struct {
	Text string
	Rows []row
}

type row struct {
	Name  string
	Value node
}

// writePage shows a JSON value to people: one page without scripts, that asks no other host for anything. Its links keep the token with
// which it was asked for, where that stood in the address; nobody that they lead away to is told where they stood.
func (s *Server) writePage(c echo.Context, value jsontext.Value, v view) error {
	shown, err := nodeOf(jsontext.NewDecoder(bytes.NewReader(value)))
	if err != nil {
		return fmt.Errorf("read the value of a page: %w", err)
	}
	token := parametersOf(c).query.Get("token")
	linked := func(links []link) []link {
		whole := make([]link, len(links))
		for i, l := range links {
			query := url.Values{"f": {string(formatHTML)}}
			if token != "" {
				query.Set("token", token)
			}
			whole[i] = link{l.Name, s.prefix + l.Path + "?" + query.Encode()}
		}
		return whole
	}
	var page bytes.Buffer
	err = directoryPage.Execute(&page, struct {
		Title    string
		Up, Down []link
		Value    node
		Login    bool
	}{v.title, linked(v.up), linked(v.down), shown, v.login})
	if err != nil {
		return fmt.Errorf("write a page: %w", err)
	}
	header := c.Response().Header()
	header["Content-Type"] = []string{"text/html; charset=utf-8"}
	header["Content-Security-Policy"] = []string{
		"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	}
	c.Response().WriteHeader(http.StatusOK)
	_, _ = c.Response().Write(page.Bytes()) // the client may be gone
	return nil
}

// nodeOf reads the next value. What it reads was written by us.
func nodeOf(decoder *jsontext.Decoder) (node, error) {
	var n node
	kind := decoder.PeekKind()
	if kind != jsontext.KindBeginObject && kind != jsontext.KindBeginArray {
		value, err := decoder.ReadValue()
		if err != nil {
			return n, err
		}
		n.Text = strings.TrimSpace(string(value))
		if kind == jsontext.KindString {
			n.Text, err = textOf("", value)
		}
		return n, err
	}
	if _, err := decoder.ReadToken(); err != nil {
		return n, err
	}
	for next := decoder.PeekKind(); next != jsontext.KindEndObject && next != jsontext.KindEndArray; next = decoder.PeekKind() {
		var r row
		if kind == jsontext.KindBeginObject {
			name, err := decoder.ReadToken()
			if err != nil {
				return n, err
			}
			r.Name = name.String()
		}
		var err error
		if r.Value, err = nodeOf(decoder); err != nil {
			return n, err
		}
		n.Rows = append(n.Rows, r)
	}
	_, err := decoder.ReadToken()
	return n, err
}

// rootLink is where every page of a portal's directory begins.
var rootLink = link{"Home", sharingRoot}

// portalPath is the path of a portal, by the name under which the request knows it.
func portalPath(c echo.Context) string {
	return sharingRoot + "/portals/" + url.PathEscape(c.Param("portal"))
}

func webhooksPath(c echo.Context) string { return portalPath(c) + "/webhooks" }

// portalLinks lead to the page of the portal, webhookLinks to that of its webhooks.
func portalLinks(c echo.Context) []link {
	return []link{rootLink, {"Portal", portalPath(c)}}
}

func webhookLinks(c echo.Context) []link {
	return append(portalLinks(c), link{"Webhooks", webhooksPath(c)})
}

// webhookLink leads to the page of one webhook.
func webhookLink(c echo.Context, w *triggers.Webhook) link {
	return link{w.Name, webhooksPath(c) + "/" + w.ID.String()}
}
