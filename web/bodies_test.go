package web_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// stage is a server with one of everything that a path can name.
type stage struct {
	*edge
	named map[string]string // by the path's parameter
}

func newStage(t *testing.T) *stage {
	t.Helper()
	e := newBareEdge(t)
	s := &stage{e, map[string]string{"tenant": "other", "key": viewerKey}}
	s.named["webhook"] = e.create(t, `{"name":"all","url":"https://a.example.com/","eventTypes":["/"],"enabled":true}`)
	s.named["event"] = e.post(t, share)
	s.named["delivery"] = e.records[0].ID.Delivery()
	s.named["recovery"] = e.recover(t, s.named["webhook"])
	s.named["receiver"] = e.newReceiver(t, adminKey, "{}")["token"].(string)
	return s
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// path names what is there.
func (s *stage) path(t *testing.T, path string) string {
	t.Helper()
	return pathParameter.ReplaceAllStringFunc(path, func(parameter string) string {
		name := s.named[strings.Trim(parameter, "{}")]
		require.NotEmpty(t, name, "what does %s name in %s?", parameter, path)
		return name
	})
}

// send calls an operation as one who may everything.
func (s *stage) send(t *testing.T, o operation, contentType, body string, header http.Header) answer {
	t.Helper()
	return s.do(t, request{method: o.method, path: s.path(t, o.path), key: operatorKey, contentType: contentType, body: body, header: header})
}

// withBodies are the operations that take a body of their own.
func withBodies(t *testing.T) []operation {
	t.Helper()
	list := slices.DeleteFunc(operations(t), func(o operation) bool { return o.RequestBody == nil })
	require.NotEmpty(t, list)
	return list
}

// contentType is the first that the operation takes, in the order of the alphabet.
func (o operation) contentType() string {
	return slices.Min(slices.Collect(maps.Keys(o.RequestBody.Value.Content)))
}

// TestBodiesAreBounded sends every operation that takes a body one that is too large, and one that is compressed.
func TestBodiesAreBounded(t *testing.T) {
	s := newStage(t)
	for _, o := range withBodies(t) {
		t.Run(o.method+" "+o.path, func(t *testing.T) {
			a := s.send(t, o, o.contentType(), strings.Repeat(" ", 8<<20+1), nil)
			require.Equal(t, http.StatusRequestEntityTooLarge, a.status, a.body)
			a = s.send(t, o, o.contentType(), "{}", http.Header{"Content-Encoding": {"gzip"}})
			require.Equal(t, http.StatusUnsupportedMediaType, a.status, a.body)
		})
	}
}

// spot is an object whose members a body can have, and how such a body begins and ends.
type spot struct {
	before, after string
	schemas       []*openapi3.Schema // the body may be of any
}

// places are the objects of a body: the body itself, and those within it. An object that takes any member is none.
func places(before, after string, schema *openapi3.Schema) (list []spot) {
	here := spot{before: before, after: after}
	for _, alternative := range alternatives(schema) {
		switch {
		case alternative.Type.Is("array") && alternative.Items != nil:
			list = append(list, places(before+"[", "]"+after, alternative.Items.Value)...)
		case len(alternative.Properties) == 0:
		default:
			here.schemas = append(here.schemas, alternative)
			for name, member := range alternative.Properties {
				list = append(list, places(before+beginning(alternative)+`"`+name+`":`, "}"+after, member.Value)...)
			}
		}
	}
	if len(here.schemas) > 0 {
		list = append(list, here)
	}
	return list
}

// alternatives are the schemas of which a value is one.
func alternatives(schema *openapi3.Schema) []*openapi3.Schema {
	parts := slices.Concat(schema.AnyOf, schema.OneOf)
	if len(parts) == 0 {
		return []*openapi3.Schema{schema}
	}
	var list []*openapi3.Schema
	for _, part := range parts {
		list = append(list, alternatives(part.Value)...)
	}
	return list
}

// beginning is how an object of the schema begins: with those needed members that can have one value only, by which it is known.
func beginning(schema *openapi3.Schema) string {
	text := "{"
	for _, name := range schema.Required {
		if member := schema.Properties[name]; member != nil && len(member.Value.Enum) == 1 {
			text += `"` + name + `":"` + member.Value.Enum[0].(string) + `",`
		}
	}
	return text
}

// isOpen says that an object of the schema may have any member.
func isOpen(schema *openapi3.Schema) bool {
	return schema.AdditionalProperties.Schema != nil || schema.AdditionalProperties.Has != nil && *schema.AdditionalProperties.Has
}

// nobody is a value that no member takes, or if it does, one that says nothing.
const nobody = `[[{"":0}]]`

// knows says whether an operation knows a member of an object in its body. Each is asked for alone, in a body that need not be good.
func (s *stage) knows(t *testing.T, o operation, p spot, begin, name string) bool {
	t.Helper()
	contentType := "application/json"
	if o.RequestBody.Value.Content[contentType] == nil {
		contentType = o.contentType()
	}
	body := p.before + begin + `"` + name + `":` + nobody + "}" + p.after
	a := s.send(t, o, contentType, body, nil)
	require.NotEqual(t, http.StatusNotFound, a.status, a.body)
	if a.status < http.StatusBadRequest {
		return true
	}
	refused := a.problem(t)
	field, _ := refused["field"].(string)
	return refused["code"] != "UNKNOWN_FIELD" || !strings.HasSuffix("."+field, "."+name)
}

// refusedByName are members that are known only to be refused, each with its reason.
var refusedByName = map[string]string{"cloudEventsVersion": "CloudEvents 0.1: its sender is told so"}

// TestEveryMemberIsKnown holds what handlers know to what the specification names, in both directions: every member of a body that it
// names is known, and no other of the words that the sources hold.
func TestEveryMemberIsKnown(t *testing.T) {
	s := newStage(t)
	words := sourceWords(t, ".", "../triggers")
	for _, word := range []string{"eventTypes", "portalUrl", "expiresAt", "changesUrl", "numberOfFailures"} {
		require.Contains(t, words, word, "the sources are read")
	}
	for _, o := range withBodies(t) {
		t.Run(o.method+" "+o.path, func(t *testing.T) {
			content := o.RequestBody.Value.Content["application/json"]
			if content == nil {
				content = o.RequestBody.Value.Content[o.contentType()]
			}
			for _, p := range places("", "", content.Schema.Value) {
				named, open := map[string]bool{}, true
				for _, schema := range p.schemas {
					open = open && isOpen(schema)
					for name := range schema.Properties {
						named[name] = true
						require.True(t, s.knows(t, o, p, beginning(schema), name), "%s in %s…%s is specified", name, p.before, p.after)
					}
				}
				for word := range words {
					if !open && !named[word] && refusedByName[word] == "" {
						require.False(t, s.knows(t, o, p, "{", word), "%s in %s…%s is not specified", word, p.before, p.after)
					}
				}
			}
		})
	}
}
