package web_test

import (
	"iter"
	"maps"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// rule is how a request is refused.
type rule struct {
	status int
	code   string
	field  string // what the error names, where that is not the member; "-" where it names nothing
}

// derived is what follows from the specification alone: how each step off it is refused.
var derived = map[string]rule{
	"wrong type":          {400, "WRONG_TYPE", ""},
	"null":                {400, "WRONG_TYPE", ""},
	"too long":            {400, "TOO_LONG", ""},
	"too short":           {400, "REQUIRED", ""},
	"none of the choices": {400, "OUT_OF_RANGE", ""},
	"below the minimum":   {400, "OUT_OF_RANGE", ""},
	"above the maximum":   {400, "OUT_OF_RANGE", ""},
	"too many":            {400, "TOO_MANY", ""},
	"too few":             {400, "OUT_OF_RANGE", ""},
	"unknown member":      {400, "UNKNOWN_FIELD", ""},
	"given twice":         {400, "DUPLICATE_KEY", ""},
	"missing":             {400, "REQUIRED", ""},
	"not JSON":            {400, "NOT_JSON", "-"},
	"text behind":         {400, "NOT_JSON", "-"},
	"not UTF-8":           {400, "NOT_JSON", "-"},
	"empty":               {400, "NOT_JSON", "-"},
}

// textRule says of a string what a schema cannot.
type textRule struct {
	fill func(n int) string // a good text of n characters, where any n letters are none
	good []string
	bad  map[string]rule
}

// rulebook is the explicit part of the table: strings, and the refusals that differ from derived. Its keys are an operation or a schema, a
// colon and a member, indexes without their number; a key of exceptions has a step behind it. What is never used is an error.
type rulebook struct {
	texts      map[string]textRule
	items      map[string]string
	exceptions map[string]rule
	used       map[string]bool
}

var index = regexp.MustCompile(`\[\d+\]`)

func (b *rulebook) text(of place) (textRule, bool) { return lookUp(b, b.texts, of, "") }

// item is an item of a list of strings.
func (b *rulebook) item(of place) string {
	item, _ := lookUp(b, b.items, of, "")
	return item
}

// refusal is the rule for a probe.
func (b *rulebook) refusal(p *probe) (rule, bool) {
	if p.step == "bad text" {
		texts, ok := b.text(p.at)
		return texts.bad[p.text], ok
	}
	if exception, ok := lookUp(b, b.exceptions, p.at, " "+p.step); ok {
		return exception, true
	}
	r, ok := derived[p.step]
	return r, ok
}

// lookUp takes the rule under the first of the place's keys that has one.
func lookUp[T any](b *rulebook, rules map[string]T, of place, step string) (found T, ok bool) {
	for _, key := range of.keys() {
		if found, ok = rules[key+step]; ok {
			b.used[key+step] = true
			return found, true
		}
	}
	return found, false
}

// unused are the keys that no probe asked for.
func (b *rulebook) unused() (keys []string) {
	for _, all := range []iter.Seq[string]{maps.Keys(b.texts), maps.Keys(b.items), maps.Keys(b.exceptions)} {
		for key := range all {
			if !b.used[key] {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

func mapKeys[K comparable, V any](m map[K]V) iter.Seq[K] { return maps.Keys(m) }

// padded fills a text up to n characters.
func padded(start string) func(n int) string {
	return func(n int) string { return start + strings.Repeat("x", n-len(start)) }
}

func bad(status int, code string, texts ...string) map[string]rule {
	rules := make(map[string]rule, len(texts))
	for _, text := range texts {
		rules[text] = rule{status: status, code: code}
	}
	return rules
}

func textOfJSON(tb testing.TB, value any) jsontext.Value {
	tb.Helper()
	text, err := json.Marshal(value, json.Deterministic(true))
	require.NoError(tb, err)
	return text
}
