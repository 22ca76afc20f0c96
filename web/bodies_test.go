package web_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

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
func (w *world) knows(t *testing.T, o operation, p spot, begin, name string) bool {
	t.Helper()
	contentType := "application/json"
	if o.RequestBody.Value.Content[contentType] == nil {
		contentType = o.contentType()
	}
	body := p.before + begin + `"` + name + `":` + nobody + "}" + p.after
	a := w.do(t, request{method: o.method, path: w.paths.Replace(o.path), key: operatorKey, contentType: contentType, body: body})
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
	w := newWorld(t, operatorKey)
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
						require.True(t, w.knows(t, o, p, beginning(schema), name), "%s in %s…%s is specified", name, p.before, p.after)
					}
				}
				for word := range words {
					if !open && !named[word] && refusedByName[word] == "" {
						require.False(t, w.knows(t, o, p, "{", word), "%s in %s…%s is not specified", word, p.before, p.after)
					}
				}
			}
		})
	}
}
