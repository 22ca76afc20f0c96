package console

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// difference is one field that differs between two states of a thing.
type difference struct {
	Field  string // the member's name, by which its message is named: field.<name>
	Below  string // where in the member, for members that hold others: headers, then x-env
	Before []told
	After  []told
}

// told is a value to show: a date, a word that has a message, or a text.
type told struct {
	At   moment
	Word string // yes or no
	Text string
}

// unsaid are members that every change changes: when, and by whom, a row of the audit says itself.
var unsaid = []string{"id", "updatedAt", "updatedByUserId", "createdAt", "createdByUserId"}

// differences are what differs between two JSON objects, either of which may be null: by field, in the order of the one that is there,
// without what is empty in both. Of lists only what came and what went is told, unless their order alone is another.
func differences(before, after jsontext.Value) []difference {
	was, is := leaves(before), leaves(after)
	var list []difference
	for _, path := range order(before, after) {
		a, b := was[path], is[path]
		if slices.Equal(a, b) {
			continue
		}
		d := difference{}
		d.Field, d.Below, _ = strings.Cut(path, "\x00")
		d.Below = strings.ReplaceAll(d.Below, "\x00", ".")
		d.Before, d.After = toldOf(without(a, b)), toldOf(without(b, a))
		if len(d.Before) == 0 && len(d.After) == 0 {
			d.Before, d.After = toldOf(a), toldOf(b)
		}
		list = append(list, d)
	}
	return list
}

// order is every path there is in either, sorted within one member, the members as the later state has them.
func order(before, after jsontext.Value) []string {
	var names []string
	for _, value := range []jsontext.Value{after, before} {
		for _, name := range memberNames(value) {
			if !slices.Contains(names, name) && !slices.Contains(unsaid, name) {
				names = append(names, name)
			}
		}
	}
	all := leaves(before)
	maps.Copy(all, leaves(after))
	var paths []string
	for _, name := range names {
		for _, path := range sortedKeys(all) {
			if first, _, _ := strings.Cut(path, "\x00"); first == name {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// memberNames are those of an object, in its order; none of anything else.
func memberNames(value jsontext.Value) []string {
	var names []string
	if value.Kind() != '{' {
		return nil
	}
	dec := jsontext.NewDecoder(strings.NewReader(string(value)))
	if _, err := dec.ReadToken(); err != nil {
		return nil
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return names
		}
		text := name.String()
		if err := dec.SkipValue(); err != nil {
			return names
		}
		names = append(names, text)
	}
	return names
}

// leaves are the values of an object by their path, whose parts a zero byte divides. A list is several; what is empty is none.
func leaves(value jsontext.Value) map[string][]string {
	into := map[string][]string{}
	collect(into, "", value)
	return into
}

func collect(into map[string][]string, path string, value jsontext.Value) {
	var members map[string]jsontext.Value
	var items []jsontext.Value
	kind := value.Kind()
	switch {
	case kind == '{' && json.Unmarshal(value, &members) == nil:
		for name, member := range members {
			below := name
			if path != "" {
				below = path + "\x00" + name
			}
			collect(into, below, member)
		}
	case kind == '[' && json.Unmarshal(value, &items) == nil:
		for _, item := range items {
			into[path] = append(into[path], scalar(item))
		}
	case kind == '{' || kind == '[' || isNone(value) || scalar(value) == "":
	default:
		into[path] = []string{scalar(value)}
	}
}

// scalar is a value as a text: a text itself, anything else as JSON.
func scalar(value jsontext.Value) string {
	var text string
	if value.Kind() == '"' && json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}

func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(text string) bool { return slices.Contains(others, text) })
}

func toldOf(list []string) []told {
	shown := make([]told, len(list))
	for i, text := range list {
		shown[i] = told{Text: text}
		switch at, err := time.Parse(time.RFC3339, text); {
		case err == nil:
			shown[i] = told{At: moment{at}}
		case text == "true":
			shown[i] = told{Word: "yes"}
		case text == "false":
			shown[i] = told{Word: "no"}
		}
	}
	return shown
}

func isNone(value jsontext.Value) bool { return len(value) == 0 || value.Kind() == 'n' }

// textIn is the text of a member in the first of several objects that has it.
func textIn(name string, objects ...jsontext.Value) string {
	for _, object := range objects {
		var members map[string]jsontext.Value
		if object.Kind() != '{' || json.Unmarshal(object, &members) != nil {
			continue
		}
		if value, ok := members[name]; ok && value.Kind() == '"' {
			return scalar(value)
		}
	}
	return ""
}
