package web

import (
	_ "embed"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v3"

	"portalhook/triggers"
)

// specification describes every route under /api. It is the source of /api/openapi.json and of /api/docs, and the tests hold routes
// and answers to it.
//
//go:embed openapi.yaml
var specification []byte

// getSpecification shows the specification to programs.
func (s *Server) getSpecification(c echo.Context, _ *triggers.APIKey) error {
	body, err := s.openAPI()
	if err != nil {
		return err
	}
	writeJSON(c, http.StatusOK, body)
	return nil
}

// specificationAnswer makes the answer of GET /openapi.json.
func specificationAnswer(prefix string) ([]byte, error) {
	root, err := parseSpecification(prefix)
	if err != nil {
		return nil, err
	}
	return appendYAML(nil, root)
}

// parseSpecification reads the specification; its servers stand below prefix, the path under which clients see the server.
func parseSpecification(prefix string) (*yaml.Node, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(specification, &document); err != nil {
		return nil, fmt.Errorf("read the OpenAPI specification: %w", err)
	}
	root := document.Content[0]
	if prefix != "" {
		prefixServers(root, prefix)
	}
	return root, nil
}

// prefixServers puts prefix before the address of every server that stands below n. Aliases are not followed: what they stand for is met
// where it is written.
func prefixServers(n *yaml.Node, prefix string) {
	for i, child := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 0 || n.Content[i-1].Value != "servers" {
			prefixServers(child, prefix)
			continue
		}
		for _, server := range child.Content {
			for j := 1; j < len(server.Content); j += 2 {
				if server.Content[j-1].Value == "url" {
					server.Content[j].Value = prefix + server.Content[j].Value
				}
			}
		}
	}
}

// errNoJSON is what YAML can say and JSON cannot.
var errNoJSON = errors.New("has no form in JSON")

// appendYAML writes a YAML value as JSON, in its order. What an alias stands for is written where it stands.
func appendYAML(dst []byte, n *yaml.Node) (out []byte, err error) {
	switch n.Kind {
	case yaml.AliasNode:
		return appendYAML(dst, n.Alias)
	case yaml.MappingNode:
		dst = append(dst, '{')
		for i := 0; i < len(n.Content); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendText(dst, n.Content[i].Value), ':')
			if dst, err = appendYAML(dst, n.Content[i+1]); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, item := range n.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendYAML(dst, item); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case yaml.ScalarNode:
		if n.ShortTag() == "!!str" {
			return appendText(dst, n.Value), nil
		}
		if value := jsontext.Value(n.Value); value.IsValid() {
			return append(dst, value...), nil // a number, true, false or null, spelt as JSON spells it
		}
	case yaml.DocumentNode:
	}
	return nil, fmt.Errorf("line %d: %q %w", n.Line, n.Value, errNoJSON)
}
