package web_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"mime"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"portalhook/storage/postgrestest"

	"github.com/getkin/kin-openapi/openapi3"
)

// showings is what of the specification the answers of the suite have shown: statuses of operations, as "getEvent 404", and members of
// answers, as "Webhook.name" or, of what has no name of its own, "listEvents 200.data".
type showings struct {
	mu    sync.Mutex
	names map[string]bool
}

var coverage = showings{names: make(map[string]bool)}

// excusedAnswers are what is specified and never seen here, each with its reason.
var excusedAnswers = map[string]string{}

// typeMark stands between an answer and its content type.
const typeMark = " as "

// statusName is the name of an answer. Those of "default" are the same for every operation.
func statusName(operation *openapi3.Operation, status string) string {
	if status == "default" {
		return status
	}
	return operation.OperationID + " " + status
}

// answered notes an answer.
func (s *showings) answered(operation *openapi3.Operation, x *exchange) {
	status := strconv.Itoa(x.status)
	answer := operation.Responses.Status(x.status)
	if answer == nil {
		status, answer = "default", operation.Responses.Default()
	}
	if answer == nil {
		return
	}
	name := statusName(operation, status)
	s.note(name)
	kind, _, err := mime.ParseMediaType(x.Header().Get("Content-Type"))
	content := answer.Value.Content.Get(kind)
	if err != nil || content == nil {
		return
	}
	s.note(name + typeMark + kind)
	var value any
	if content.Schema == nil || kind != "application/json" || json.Unmarshal(x.body.Bytes(), &value) != nil {
		return
	}
	walk := shown{s.note, make(map[string]bool)}
	walk.value(name, content.Schema, value)
}

func (s *showings) note(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name] = true
}

// shown goes through schemas and names their parts.
type shown struct {
	note func(name string)
	told map[string]bool // schemas that were gone through without a value
}

// nameOf is what a schema is called: by its own name where it has one.
func nameOf(place string, ref *openapi3.SchemaRef) string {
	if name, ok := strings.CutPrefix(ref.Ref, "#/components/schemas/"); ok {
		return name
	}
	return place
}

// value names the members that a value has.
func (s shown) value(place string, ref *openapi3.SchemaRef, value any) {
	place = nameOf(place, ref)
	schema := ref.Value
	for i, part := range slices.Concat(schema.AnyOf, schema.OneOf) {
		if part.Value.VisitJSON(value) == nil {
			name := nameOf(fmt.Sprintf("%s|%d", place, i), part)
			s.note(place + typeMark + name)
			s.value(name, part, value)
		}
	}
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			if member := schema.Properties[name]; member != nil {
				s.note(place + "." + name)
				s.value(place+"."+name, member, inner)
			} else if other := schema.AdditionalProperties.Schema; other != nil {
				s.note(place + ".*")
				s.value(place+".*", other, inner)
			}
		}
	case []any:
		for _, inner := range value {
			if schema.Items != nil {
				s.note(place + "[]")
				s.value(place+"[]", schema.Items, inner)
			}
		}
	}
}

// all names every member that there may be.
func (s shown) all(place string, ref *openapi3.SchemaRef) {
	if ref == nil {
		return
	}
	place = nameOf(place, ref)
	if s.told[place] {
		return
	}
	s.told[place] = true
	schema := ref.Value
	for i, part := range slices.Concat(schema.AnyOf, schema.OneOf) {
		name := nameOf(fmt.Sprintf("%s|%d", place, i), part)
		s.note(place + typeMark + name)
		s.all(name, part)
	}
	for name, member := range schema.Properties {
		s.note(place + "." + name)
		s.all(place+"."+name, member)
	}
	if other := schema.AdditionalProperties.Schema; other != nil {
		s.note(place + ".*")
		s.all(place+".*", other)
	}
	if schema.Items != nil {
		s.note(place + "[]")
		s.all(place+"[]", schema.Items)
	}
}

// specifiedAnswers are the names of all that answers may be.
func specifiedAnswers(c *contract) map[string]bool {
	names := make(map[string]bool)
	walk := shown{func(name string) { names[name] = true }, make(map[string]bool)}
	for _, item := range c.doc.Paths.Map() {
		for _, operation := range item.Operations() {
			for status, answer := range operation.Responses.Map() {
				name := statusName(operation, status)
				walk.note(name)
				for kind, content := range answer.Value.Content {
					walk.note(name + typeMark + kind)
					walk.all(name, content.Schema)
				}
			}
		}
	}
	return names
}

// unseen holds the specification to what was seen: what it lists and no test has produced, and excuses that are none.
func (s *showings) unseen(c *contract) (list []string) {
	specified := specifiedAnswers(c)
	for _, name := range slices.Sorted(maps.Keys(specified)) {
		if status, _, ofType := strings.Cut(name, typeMark); ofType && !s.names[status] {
			continue // that the status was not seen says enough
		}
		if _, excused := excusedAnswers[name]; excused == s.names[name] {
			list = append(list, name)
		}
	}
	for name := range excusedAnswers {
		if !specified[name] {
			list = append(list, name+" is excused and not specified")
		}
	}
	return list
}

// nothingLeftOut says that nothing of the suite is left out: then it must have seen all that is specified.
func nothingLeftOut() bool {
	for _, name := range []string{"run", "skip", "list", "fuzz"} {
		if f := flag.Lookup("test." + name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return !testing.Short()
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := postgrestest.Main(m)
	if code == 0 && nothingLeftOut() {
		c, err := loadContract()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if list := coverage.unseen(c); len(list) > 0 {
			fmt.Fprintf(os.Stderr, "FAIL: no test has an answer with what the specification lists:\n  %s\n", strings.Join(list, "\n  "))
			code = cmp.Or(code, 1)
		}
	}
	os.Exit(code)
}
