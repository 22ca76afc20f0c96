package console

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// spell writes differences shortly: field.below: before -> after.
func spell(list []difference) []string {
	lines := []string{}
	for _, d := range list {
		name := d.Field
		if d.Below != "" {
			name += "." + d.Below
		}
		lines = append(lines, name+": "+spellTold(d.Before)+" -> "+spellTold(d.After))
	}
	return lines
}

func spellTold(list []told) string {
	var texts []string
	for _, value := range list {
		switch {
		case value.Word != "":
			texts = append(texts, value.Word)
		case !value.At.IsZero():
			texts = append(texts, "at "+value.At.UTC().Format("2006-01-02"))
		default:
			texts = append(texts, value.Text)
		}
	}
	return strings.Join(texts, ",")
}

func TestDifferences(t *testing.T) {
	for _, test := range []struct {
		name, before, after string
		want                []string
	}{
		{"nothing", `null`, `null`, []string{}},
		{"the same", `{"name":"a","list":["x"],"in":{"b":1}}`, `{"in":{"b":1},"list":["x"],"name":"a"}`, []string{}},
		{"a text, in the later order", `{"url":"u","name":"a"}`, `{"name":"b","url":"v"}`, []string{"name: a -> b", "url: u -> v"}},
		{"made", `null`, `{"id":"7","name":"a","description":"","enabled":false,"limit":0,"list":[],"createdAt":"2026-11-22T03:00:00Z"}`, []string{"name:  -> a", "enabled:  -> no", "limit:  -> 0"}},
		{"deleted", `{"name":"a"}`, `null`, []string{"name: a -> "}},
		{"lists tell what came and went", `{"l":["a","b"]}`, `{"l":["b","c"]}`, []string{"l: a -> c"}},
		{"another order", `{"l":["a","b"]}`, `{"l":["b","a"]}`, []string{"l: a,b -> b,a"}},
		{"what is in members", `{"h":{"x":"1","y":"2"}}`, `{"h":{"x":"1","y":"3","z":"4"}}`, []string{"h.y: 2 -> 3", "h.z:  -> 4"}},
		{"a text becomes a list", `{"retry":"standard"}`, `{"retry":["0s","5s"]}`, []string{"retry: standard -> 0s,5s"}},
		{"dates and words", `{"on":true}`, `{"on":false,"disabledAt":"2026-11-22T03:00:00.000Z"}`, []string{"on: yes -> no", "disabledAt:  -> at 2026-11-22"}},
		{"who and when", `{"updatedAt":"2026-11-22T03:00:00Z","updatedByUserId":"a"}`, `{"updatedAt":"2026-11-22T04:00:00Z","updatedByUserId":"b"}`, []string{}},
		{"no object", `[1]`, `"text"`, []string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, spell(differences(jsontext.Value(test.before), jsontext.Value(test.after))))
		})
	}
}

// A difference tells something, and where none is told the two states have the same values.
func FuzzDifferences(f *testing.F) {
	f.Add(`{"a":"1","l":["x","y"],"in":{"b":true}}`, `{"l":["y","z"],"in":{"b":false,"c":2}}`)
	f.Add(`null`, `{"a":{"a":{"a":[1,{"b":null}]}}}`)
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, text := range []string{before, after} {
			if kind := jsontext.Value(text).Kind(); !json.Valid([]byte(text)) || kind != '{' && kind != 'n' || strings.Contains(text, `\u0000`) {
				return // the audit has objects, of members that the server names
			}
		}
		list := differences(jsontext.Value(before), jsontext.Value(after))
		was, is := leaves(jsontext.Value(before)), leaves(jsontext.Value(after))
		for _, d := range list {
			require.True(t, len(d.Before) > 0 || len(d.After) > 0, "%q tells nothing", d.Field)
		}
		if len(list) == 0 {
			for _, name := range unsaid {
				for path := range was {
					if first, _, _ := strings.Cut(path, "\x00"); first == name {
						delete(was, path)
					}
				}
				for path := range is {
					if first, _, _ := strings.Cut(path, "\x00"); first == name {
						delete(is, path)
					}
				}
			}
			require.Equal(t, was, is)
		}
	})
}
