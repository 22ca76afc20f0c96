package web_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// place is a member of a body, as it is seen from the operation and from the schemas that it is in.
type place struct {
	path   []any // member names and indexes
	scopes []scope
}

// scope is an operation or a named schema, and how deep it begins.
type scope struct {
	name  string
	depth int
}

func (p place) down(step any) place {
	return place{append(slices.Clone(p.path), step), p.scopes}
}

// under is the place where a named schema begins; the innermost comes first.
func (p place) under(ref *openapi3.SchemaRef) place {
	if name := ref.Ref[strings.LastIndexByte(ref.Ref, '/')+1:]; name != "" {
		return place{p.path, slices.Insert(slices.Clone(p.scopes), 0, scope{name, len(p.path)})}
	}
	return p
}

// String spells the place as errors do.
func (p place) String() string { return at(p.path) }

// keys are what rules for the place may be written under, those of the operation first.
func (p place) keys() (keys []string) {
	for _, s := range slices.Backward(p.scopes) {
		if s.depth <= len(p.path) {
			keys = append(keys, s.name+":"+index.ReplaceAllString(at(p.path[s.depth:]), "[]"))
		}
	}
	return keys
}

// probe is a body that is one step off what the specification allows, or just within it.
type probe struct {
	at   place
	step string // what is done to it: one of the steps of derived
	body string
	// text is the string that was put there, where the specification leaves open which strings are good.
	text string
	good bool
}

// base is a good body, from which probes are made.
type base struct {
	body string
	// present leaves members alone that the body does not have: they do not go with those it has; without names further ones.
	present bool
	without []string
}

// prober makes the probes of one base by its schema.
type prober struct {
	base   any
	from   base
	rules  *rulebook
	met    map[seen]bool
	probes []probe
}

// seen is a member of a schema that was met; whether it was probed, too, is its value.
type seen struct {
	schema *openapi3.Schema
	name   string
}

// hole stands in a document for the raw JSON to be put there.
const hole = "@@hole@@"

// probesOf makes the probes of a body of an operation. Met is told which members were seen.
func probesOf(tb testing.TB, operation string, schema *openapi3.SchemaRef, from base, rules *rulebook, met map[seen]bool) []probe {
	tb.Helper()
	p := &prober{from: from, rules: rules, met: met}
	require.NoError(tb, json.Unmarshal([]byte(from.body), &p.base), from.body)
	p.value(tb, schema, place{scopes: []scope{{operation, 0}}})
	return p.probes
}

// at spells a path as errors do.
func at(path []any) string {
	var text strings.Builder
	for _, step := range path {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&text, "[%d]", step)
		case string:
			if text.Len() > 0 {
				text.WriteByte('.')
			}
			text.WriteString(step)
		}
	}
	return text.String()
}

// with is the base with raw JSON at the path; nil takes the member away.
func (p *prober) with(path []any, raw string) string {
	document := replaced(p.base, path, raw != "")
	text, err := json.Marshal(document, json.Deterministic(true))
	if err != nil {
		panic(err) // it was read from JSON
	}
	return strings.ReplaceAll(string(text), `"`+hole+`"`, raw)
}

// replaced copies what changes.
func replaced(value any, path []any, keep bool) any {
	if len(path) == 0 {
		return hole
	}
	switch step := path[0].(type) {
	case int:
		list := slices.Clone(value.([]any))
		list[step] = replaced(list[step], path[1:], keep)
		return list
	case string:
		object := map[string]any{}
		maps.Copy(object, value.(map[string]any))
		if len(path) == 1 && !keep {
			delete(object, step)
		} else {
			object[step] = replaced(object[step], path[1:], keep)
		}
		return object
	}
	return value
}

// found is what the base has at the path; nil when it has nothing there.
func (p *prober) found(path []any) any {
	value := p.base
	for _, step := range path {
		switch step := step.(type) {
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				return nil
			}
			value = list[step]
		case string:
			object, _ := value.(map[string]any)
			value = object[step]
		}
	}
	return value
}

func (p *prober) add(to place, step, raw string, good bool) {
	p.probes = append(p.probes, probe{at: to, step: step, body: p.with(to.path, raw), good: good})
}

// text adds a probe of a string.
func (p *prober) text(to place, step, text string, good bool) {
	quoted, err := jsontext.AppendQuote(nil, text)
	if err != nil {
		panic(err)
	}
	p.probes = append(p.probes, probe{at: to, step: step, body: p.with(to.path, string(quoted)), text: text, good: good})
}

// kinds are a value of every type.
var kinds = map[string]string{
	"string": `"1"`, "number": "1.5", "boolean": "true", "object": `{"a":1}`, "array": "[{}]", "null": "null",
}

// takes are the types that a schema takes.
func takes(schema *openapi3.Schema) []string {
	var types []string
	for _, part := range slices.Concat(schema.OneOf, schema.AnyOf) {
		types = append(types, takes(part.Value)...)
	}
	if schema.Type != nil {
		types = append(types, schema.Type.Slice()...)
	}
	if schema.Nullable {
		types = append(types, "null")
	}
	return types
}

// typeOf is the type of a value of the base.
func typeOf(value any) string {
	switch value.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	case nil:
		return "null"
	}
	return "number"
}

// value probes what is at the path, and all that is in it.
func (p *prober) value(tb testing.TB, ref *openapi3.SchemaRef, to place) {
	tb.Helper()
	to = to.under(ref)
	schema := ref.Value
	require.Empty(tb, schema.AllOf, "%s: what is put together of parts must be flat by now", to.keys())
	types := takes(schema)
	if schema.Type == nil && len(schema.OneOf)+len(schema.AnyOf) == 0 {
		return // any JSON
	}
	for kind, raw := range kinds {
		switch {
		case slices.Contains(types, kind):
		case kind == "null":
			p.add(to, "null", raw, false)
		default:
			p.add(to, "wrong type", raw, false)
		}
	}
	if len(schema.OneOf)+len(schema.AnyOf) == 0 {
		p.inside(tb, schema, to)
		return
	}
	// Of several forms the base has one; those of the others that are strings can be probed all the same.
	have := p.found(to.path)
	for _, ref := range forms(ref) {
		form, inner := ref.Value, to.under(ref)
		if form.Type.Is(typeOf(have)) && p.resembles(form, have) || form.Type.Is("string") ||
			form.Type.Is("array") && form.Items.Value.Type.Is("string") {
			p.inside(tb, form, inner)
		}
	}
}

// forms are the schemas of which a value has one.
func forms(ref *openapi3.SchemaRef) (all []*openapi3.SchemaRef) {
	parts := slices.Concat(ref.Value.OneOf, ref.Value.AnyOf)
	if len(parts) == 0 {
		return []*openapi3.SchemaRef{ref}
	}
	for _, part := range parts {
		all = append(all, forms(part)...)
	}
	return all
}

// resembles reports whether a value has what the form requires: it tells a CloudEvent from a plain event.
func (p *prober) resembles(form *openapi3.Schema, value any) bool {
	object, isObject := value.(map[string]any)
	if !isObject {
		return true
	}
	for _, name := range form.Required {
		if _, ok := object[name]; !ok {
			return false
		}
	}
	_, hasVersion := object["specversion"]
	_, knowsVersion := form.Properties["specversion"]
	return hasVersion == knowsVersion
}

// inside probes the bounds that a schema of one type states.
func (p *prober) inside(tb testing.TB, schema *openapi3.Schema, to place) {
	tb.Helper()
	switch {
	case schema.Type.Is("string"):
		p.string(tb, schema, to)
	case schema.Type.Is("integer"):
		require.NotNil(tb, schema.Min, "the specification has no minimum for %s", to.keys())
		require.NotNil(tb, schema.Max, "the specification has no maximum for %s", to.keys())
		p.add(to, "at the minimum", number(*schema.Min), true)
		p.add(to, "below the minimum", number(*schema.Min-1), false)
		p.add(to, "at the maximum", number(*schema.Max), true)
		p.add(to, "above the maximum", number(*schema.Max+1), false)
	case schema.Type.Is("array"):
		p.array(tb, schema, to)
	case schema.Type.Is("object"):
		p.object(tb, schema, to)
	}
}

func number(n float64) string {
	if math.Abs(n) > 1<<53 {
		panic("a bound that a float cannot hold")
	}
	return fmt.Sprintf("%.0f", n)
}

func (p *prober) string(tb testing.TB, schema *openapi3.Schema, to place) {
	tb.Helper()
	rule, told := p.rules.text(to)
	stated := len(schema.Enum) > 0 || schema.MaxLength != nil
	require.True(tb, told || stated, "neither the specification nor texts say which strings these may be: %s", to.keys())
	if schema.Pattern != "" || schema.Format != "" {
		require.True(tb, len(rule.good) > 0 && len(rule.bad) > 0, "texts must have good and bad ones for %s", to.keys())
	}
	for _, text := range rule.good {
		p.text(to, "good text", text, true)
	}
	for _, text := range slices.Sorted(mapKeys(rule.bad)) {
		p.text(to, "bad text", text, false)
	}
	if len(schema.Enum) > 0 {
		p.text(to, "none of the choices", "none-of-them", false)
		return
	}
	if schema.MinLength > 0 {
		p.text(to, "too short", strings.Repeat("x", int(schema.MinLength)-1), false)
	}
	if schema.MaxLength != nil {
		fill := rule.fill
		if fill == nil {
			fill = func(n int) string { return strings.Repeat("é", n) }
		}
		p.text(to, "longest", fill(int(*schema.MaxLength)), true)
		p.text(to, "too long", fill(int(*schema.MaxLength)+1), false)
	}
}

// array probes the number of items, and the first of them.
func (p *prober) array(tb testing.TB, schema *openapi3.Schema, to place) {
	tb.Helper()
	have := p.found(to.path)
	list, isList := have.([]any)
	item := `"` + p.rules.item(to) + `"`
	if isList && len(list) > 0 {
		raw, err := json.Marshal(list[0], json.Deterministic(true))
		require.NoError(tb, err)
		item = string(raw)
	}
	of := func(n uint64) string { return "[" + strings.TrimSuffix(strings.Repeat(item+",", int(n)), ",") + "]" }
	if schema.MinItems > 0 {
		p.add(to, "fewest", of(schema.MinItems), true)
		p.add(to, "too few", of(schema.MinItems-1), false)
	}
	if schema.MaxItems != nil {
		p.add(to, "most", of(*schema.MaxItems), true)
		p.add(to, "too many", of(*schema.MaxItems+1), false)
	}
	// From here on the base has as few items as may be, but one.
	whole := p.base
	var few any
	require.NoError(tb, json.Unmarshal([]byte(p.with(to.path, of(max(schema.MinItems, 1)))), &few))
	p.base = few
	p.value(tb, schema.Items, to.down(0))
	p.base = whole
}

// object probes the members, and then those that should not be there.
func (p *prober) object(tb testing.TB, schema *openapi3.Schema, to place) {
	tb.Helper()
	have := p.found(to.path)
	members, isObject := have.(map[string]any)
	if !isObject {
		return
	}
	member := to.down
	if others := schema.AdditionalProperties; others.Has != nil && !*others.Has {
		p.add(member("aNewMember"), "unknown member", "1", false)
	} else if others.Schema != nil {
		p.add(member("x-new"), "wrong type", "1", false)
	}
	if len(members) > 0 {
		name := slices.Sorted(mapKeys(members))[0]
		first := p.with(member(name).path, `1,"`+name+`":2`)
		p.probes = append(p.probes, probe{at: member(name), step: "given twice", body: first})
	}
	for _, name := range schema.Required {
		p.add(member(name), "missing", "", false)
	}
	for name, part := range schema.Properties {
		_, present := members[name]
		nested := slices.Contains(takes(part.Value), "object") && len(part.Value.OneOf) == 0
		probed := (present || !p.from.present && !nested) && !slices.Contains(p.from.without, name)
		key := seen{schema, name}
		p.met[key] = p.met[key] || probed
		if probed {
			p.value(tb, part, member(name))
		}
	}
}
