package triggers

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The bounds of an operator's event types.
const (
	MaxTypes          = 1000 // in one file
	MaxTypeCharacters = 128  // of a name
	maxTitle          = 200  // characters of title and of category
)

// ParseCatalogFile reads an operator's own event types: a JSON array of objects with name, title, category, levels (tenant, or tenant
// and user), and where they are wanted description and cloud (true: never sent in the legacy form). The error is a *FieldError whose
// Field begins with the index, as in [2].levels. With makes them part of a catalogue.
func ParseCatalogFile(data []byte) ([]Entry, error) {
	if err := checkValue(data); err != nil {
		return nil, err
	}
	r := (*Catalog)(nil).newReader(data)
	defer r.release()
	if kind := r.dec.PeekKind(); kind != '[' {
		return nil, Invalid(CodeWrongType, "", "a catalogue file is a JSON array of event types, not %s", kindName(kind))
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return nil, syntaxError(err)
	}
	var types []Entry
	for r.dec.PeekKind() != ']' {
		if len(types) == MaxTypes {
			return nil, Invalid(CodeTooMany, "", "a catalogue file has at most %d event types", MaxTypes)
		}
		object, err := r.value()
		if err != nil {
			return nil, syntaxError(err)
		}
		e, err := parseType(object)
		if err != nil {
			return nil, inType(len(types), err)
		}
		types = append(types, e)
	}
	return types, checkTypes(types)
}

// parseType reads one event type.
func parseType(object []byte) (e Entry, err error) {
	if kind := jsontext.Value(object).Kind(); kind != '{' {
		return e, Invalid(CodeWrongType, "", "an event type is an object, not %s", kindName(kind))
	}
	r := (*Catalog)(nil).newReader(object)
	defer r.release()
	err = r.members(func(name string, value []byte) (err error) {
		switch name {
		case "name":
			e.Name, err = stringOf(name, value)
			return err
		case "title":
			e.Title, err = stringOf(name, value)
			return err
		case "category":
			e.Category, err = stringOf(name, value)
			return err
		case "description":
			e.Description, err = stringOf(name, value)
			return err
		case "levels":
			return parseLevels(&e, value)
		case "cloud":
			kind := jsontext.Value(value).Kind()
			if kind != 't' && kind != 'f' {
				return Invalid(CodeWrongType, name, "cloud must be a boolean, not %s", kindName(kind))
			}
			e.Cloud = kind == 't'
			return nil
		}
		return Invalid(CodeUnknownField, clip(name), "an event type has name, title, category, levels, description and cloud only, no %q", clip(name))
	})
	return e, err
}

// parseLevels reads the levels of an event type, whose order says nothing.
func parseLevels(e *Entry, value []byte) error {
	if kind := jsontext.Value(value).Kind(); kind != '[' {
		return Invalid(CodeWrongType, "levels", "levels must be an array, not %s", kindName(kind))
	}
	words, err := elements(value, "levels", '"')
	if err != nil {
		return err
	}
	for i, word := range words {
		field := fmt.Sprintf("levels[%d]", i)
		text, err := stringOf(field, word)
		if err != nil {
			return err
		}
		switch level := Level(text); {
		case level != TenantLevel && level != UserLevel:
			return Invalid(CodeOutOfRange, field, "a level is %s or %s, not %q", TenantLevel, UserLevel, clip(text))
		case slices.Contains(e.Levels, level):
			return Invalid(CodeDuplicateKey, field, "the level %s stands twice", level)
		default:
			e.Levels = append(e.Levels, level)
		}
	}
	return nil
}

// checkTypes checks event types by themselves and against each other.
func checkTypes(types []Entry) error {
	seen := make(map[string]int, len(types))
	for i := range types {
		e := &types[i]
		if err := e.checkType(); err != nil {
			return inType(i, err)
		}
		if first, twice := seen[strings.ToLower(e.Name)]; twice {
			return inType(i, Invalid(CodeDuplicateKey, "name", "%s is the name of the event type at %d already; case does not count in this", e.Name, first))
		}
		seen[strings.ToLower(e.Name)] = i
	}
	return nil
}

func (e *Entry) checkType() error {
	for _, t := range [...]struct {
		field, text string
		most        int
		optional    bool
	}{
		{"name", e.Name, MaxTypeCharacters, false},
		{"title", e.Title, maxTitle, false},
		{"category", e.Category, maxTitle, false},
		{"description", e.Description, MaxDescriptionLength, true},
	} {
		switch n := utf8.RuneCountInString(t.text); {
		case n == 0 && !t.optional:
			return Invalid(CodeRequired, t.field, "the %s of an event type is missing", t.field)
		case n > t.most:
			return Invalid(CodeTooLong, t.field, "the %s of an event type has at most %d characters, not %d", t.field, t.most, n)
		case !utf8.ValidString(t.text) || hasControl(t.text):
			return Invalid(CodeOutOfRange, t.field, "the %s of an event type is text without control characters", t.field)
		}
	}
	words := strings.Split(e.Name, ".")
	for _, word := range words {
		if word == "" || strings.Trim(word, typeCharacters) != "" {
			return Invalid(CodeOutOfRange, "name", "an event type is named by words of letters a to z, digits, hyphens and underscores with dots between "+
				"them, such as com.example.order.shipped, not %q", clip(e.Name))
		}
	}
	switch {
	case len(words) < 2 || len(words) > MaxPatternSegments:
		return Invalid(CodeOutOfRange, "name", "the name of an event type has from 2 to %d words, not %d", MaxPatternSegments, len(words))
	case !slices.Contains(e.Levels, TenantLevel):
		return Invalid(CodeRequired, "levels", "the levels of an event type are %s, or %s and %s", TenantLevel, TenantLevel, UserLevel)
	}
	return nil
}

const typeCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// With is the catalogue with further event types, after the cloud types it has. Of each entry its name, title, description, category,
// levels and Cloud count; the rest is made from them. c stays as it is. The error is a *FieldError as ParseCatalogFile's: for a name that
// is none, or that the catalogue has already, whatever the case.
func (c *Catalog) With(types []Entry) (*Catalog, error) {
	if err := checkTypes(types); err != nil {
		return nil, err
	}
	taken := make(map[string]bool, len(c.cloudNames))
	for _, name := range c.cloudNames {
		taken[strings.ToLower(name)] = true
	}
	wider := &Catalog{cloud: maps.Clone(c.cloud), cloudNames: slices.Clone(c.cloudNames)}
	entries := make([]Entry, 0, len(types))
	for i := range types {
		own := &types[i]
		if taken[strings.ToLower(own.Name)] {
			return nil, inType(i, Invalid(CodeNotAllowed, "name", "the catalogue has %s already; case does not count in this", own.Name))
		}
		e := Entry{
			Trigger: own.Name, Name: own.Name, Title: own.Title, Description: own.Description, Category: own.Category, Cloud: own.Cloud,
			Resource: cloudWord, Scope: "any", Levels: []Level{TenantLevel}, SampleEvent: sampleCloudEvent(own.Name, sampleSource, sampleData),
		}
		if slices.Contains(own.Levels, UserLevel) {
			e.Levels = append(e.Levels, UserLevel)
		}
		entries = append(entries, e)
		wider.cloudNames = append(wider.cloudNames, e.Name)
		wider.cloud[e.Name] = newCloudType(&e, "")
	}
	last := len(c.entries)
	for last > 0 && c.entries[last-1].Resource != cloudWord {
		last--
	}
	wider.entries = slices.Concat(c.entries[:last], entries, c.entries[last:])
	for _, e := range wider.entries {
		wider.names = append(wider.names, e.Name)
	}
	return wider, nil
}

// What the sample event of an operator's type says.
const (
	sampleSource = "https://backend.example.com/"
	sampleData   = `{"id":"0984fec4-9ffd-4f2b-8f7e-64b1c2d1ad3f"}`
)

// inType says which event type an error is about.
func inType(index int, err error) error {
	e, ok := errors.AsType[*FieldError](err)
	if !ok {
		return err
	}
	field := "[" + strconv.Itoa(index) + "]"
	if e.Field != "" {
		field += "." + e.Field
	}
	return within(field, err)
}
