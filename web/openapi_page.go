package web

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v3"

	"portalhook/triggers"
)

//go:embed openapi.html
var pageText string

// getDocs shows the specification to people: one page without scripts, that asks no other host for anything.
func (s *Server) getDocs(c echo.Context, _ *triggers.APIKey) error {
	page, err := s.docs()
	if err != nil {
		return err
	}
	header := c.Response().Header()
	header["Content-Type"] = []string{"text/html; charset=utf-8"}
	header["Content-Security-Policy"] = []string{"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"}
	c.Response().WriteHeader(http.StatusOK)
	_, _ = c.Response().Write(page) // the client may be gone
	return nil
}

// docsPage makes the answer of GET /docs.
func docsPage(prefix string) ([]byte, error) {
	root, err := parseSpecification(prefix)
	if err != nil {
		return nil, err
	}
	var spec pageSpec
	if err := root.Decode(&spec); err != nil {
		return nil, fmt.Errorf("read the OpenAPI specification: %w", err)
	}
	tmpl, err := template.New("docs").Funcs(template.FuncMap{
		"parameter": func(p pageParameter) pageParameter { return resolve(p, p.Ref, spec.Components.Parameters) },
		"answer":    func(a pageAnswer) pageAnswer { return resolve(a, a.Ref, spec.Components.Responses) },
		"last":      path.Base, // of a reference: the name
		"json":      exampleText,
		"needs":     slices.Contains[[]string],
		"join":      strings.Join,
	}).Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("read the template of the page: %w", err)
	}
	var page bytes.Buffer
	if err := tmpl.Execute(&page, &spec); err != nil {
		return nil, fmt.Errorf("write the page: %w", err)
	}
	return page.Bytes(), nil
}

// The types below are what the page shows of OpenAPI.

type pageSpec struct {
	Info struct {
		Title, Version, Description string
	}
	Servers []pageServer
	Tags    []struct {
		Name, Description string
	}
	Paths      inOrder[pagePath]
	Components struct {
		Parameters inOrder[pageParameter]
		Responses  inOrder[pageAnswer]
		Schemas    inOrder[pageSchema]
	}
}

type pageServer struct {
	URL string `yaml:"url"`
}

type pagePath struct {
	Servers                       []pageServer
	Parameters                    []pageParameter
	Get, Put, Post, Patch, Delete *pageOperation
}

type pageOperation struct {
	OperationID string `yaml:"operationId"`
	Tags        []string
	Summary     string
	Description string
	Roles       []string `yaml:"x-roles"`
	Parameters  []pageParameter
	RequestBody *pageAnswer `yaml:"requestBody"`
	Responses   inOrder[pageAnswer]
}

// pageAnswer is an answer or a request's body.
type pageAnswer struct {
	Ref         string `yaml:"$ref"`
	Description string
	Content     inOrder[struct {
		Schema  *pageSchema
		Example yaml.Node
	}]
}

type pageParameter struct {
	Ref         string `yaml:"$ref"`
	Name, In    string
	Required    bool
	Deprecated  bool
	Description string
	Schema      *pageSchema
}

type pageSchema struct {
	Ref         string `yaml:"$ref"`
	Type        string
	Format      string
	Description string
	Enum        []string
	Default     yaml.Node
	Minimum     *int
	Maximum     *int
	MaxLength   *int `yaml:"maxLength"`
	MaxItems    *int `yaml:"maxItems"`
	Required    []string
	Properties  inOrder[*pageSchema]
	Items       *pageSchema
	AllOf       []*pageSchema `yaml:"allOf"`
	AnyOf       []*pageSchema `yaml:"anyOf"`
	OneOf       []*pageSchema `yaml:"oneOf"`
}

// Operation is one method of one path.
type Operation struct {
	Method    string
	Addresses []string // the path under each of its servers
	Shared    []pageParameter
	*pageOperation
}

// Of gives the operations of a tag, in the specification's order.
func (s *pageSpec) Of(tag string) []Operation {
	var list []Operation
	for _, p := range s.Paths {
		servers := p.Value.Servers
		if servers == nil {
			servers = s.Servers
		}
		addresses := make([]string, len(servers))
		for i, server := range servers {
			addresses[i] = server.URL + p.Name
		}
		for _, o := range []Operation{
			{Method: http.MethodGet, pageOperation: p.Value.Get},
			{Method: http.MethodPost, pageOperation: p.Value.Post},
			{Method: http.MethodPut, pageOperation: p.Value.Put},
			{Method: http.MethodPatch, pageOperation: p.Value.Patch},
			{Method: http.MethodDelete, pageOperation: p.Value.Delete},
		} {
			if o.pageOperation != nil && slices.Contains(o.Tags, tag) {
				o.Addresses, o.Shared = addresses, p.Value.Parameters
				list = append(list, o)
			}
		}
	}
	return list
}

// inOrder is a YAML mapping in the order it was written.
type inOrder[T any] []pair[T]

type pair[T any] struct {
	Name  string
	Value T
}

// UnmarshalYAML reads a mapping.
func (m *inOrder[T]) UnmarshalYAML(n *yaml.Node) error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		p := pair[T]{Name: n.Content[i].Value}
		if err := n.Content[i+1].Decode(&p.Value); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		*m = append(*m, p)
	}
	return nil
}

// resolve gives what ref names among the components; own when it names nothing.
func resolve[T any](own T, ref string, components inOrder[T]) T {
	for _, c := range components {
		if ref != "" && c.Name == path.Base(ref) {
			return c.Value
		}
	}
	return own
}

// exampleText spells an example as JSON, on lines of its own.
func exampleText(n yaml.Node) (string, error) {
	text, err := appendYAML(nil, &n)
	if err != nil {
		return "", err
	}
	value := jsontext.Value(text)
	err = value.Indent(jsontext.WithIndent("  "))
	return string(value), err
}
