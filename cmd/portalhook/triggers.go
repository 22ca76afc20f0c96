package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"portalhook/triggers"
)

type triggersCommand struct {
	Filter  string `help:"Only those whose trigger, title, resource or properties hold this text, in any case." placeholder:"TEXT"`
	Catalog string `help:"Event types of your own, as serve takes them." env:"PORTALHOOK_CATALOG" placeholder:"FILE"`
	JSON    bool   `help:"Print a JSON array, samples included."`
}

// Help is shown below the summary.
func (triggersCommand) Help() string {
	return `Every trigger a webhook can name. <…> stands for an id; where a trigger is written without one it means any.
Globs go beyond the list, as in /items/*/share or /users/{ann,bob}/signIn.`
}

// Run prints the catalogue. No match is a failure, as it is for grep.
func (t *triggersCommand) Run(std streams) error {
	catalog, err := catalogWith(t.Catalog)
	if err != nil {
		return usagef("triggers: %w", err)
	}
	entries := slices.DeleteFunc(catalog.Entries(), func(e triggers.Entry) bool { return !t.wants(e) })
	if len(entries) == 0 {
		return fmt.Errorf("no trigger holds %q", t.Filter)
	}
	if t.JSON {
		return printEntriesJSON(std, entries)
	}
	paint := paintFor(std.out)
	table := table{header: []string{"TRIGGER", "TITLE", "LEVELS", "PROPERTIES"}}
	for _, entry := range entries {
		table.add(entry.Trigger, entry.Title, strings.Join(levelNames(entry), ","), strings.Join(entry.Properties, ","))
	}
	return table.print(std.out, paint)
}

func (t *triggersCommand) wants(e triggers.Entry) bool {
	text := strings.ToLower(t.Filter)
	fields := append([]string{e.Trigger, e.Name, e.Title, e.Resource}, e.Properties...)
	return slices.ContainsFunc(fields, func(field string) bool { return strings.Contains(strings.ToLower(field), text) })
}

func levelNames(e triggers.Entry) []string {
	names := make([]string, len(e.Levels))
	for i, level := range e.Levels {
		names[i] = string(level)
	}
	return names
}

// entryObject is an entry as --json prints it, named as GET /api/v1/triggers names it.
type entryObject struct {
	Trigger     string         `json:"trigger"`
	Name        string         `json:"name"`
	Title       string         `json:"title"`
	Category    string         `json:"category"`
	Resource    string         `json:"resource"`
	Scope       string         `json:"scope"`
	Operation   string         `json:"operation"`
	Properties  []string       `json:"properties"`
	Levels      []string       `json:"levels"`
	SampleEvent jsontext.Value `json:"sampleEvent,omitzero"`
}

func printEntriesJSON(std streams, entries []triggers.Entry) error {
	objects := make([]entryObject, len(entries))
	for i, e := range entries {
		objects[i] = entryObject{
			Trigger: e.Trigger, Name: e.Name, Title: e.Title, Category: e.Category, Resource: e.Resource, Scope: e.Scope,
			Operation: e.Operation, Properties: e.Properties, Levels: levelNames(e), SampleEvent: jsontext.Value(e.SampleEvent),
		}
	}
	var b bytes.Buffer
	if err := json.MarshalWrite(&b, objects, jsontext.WithIndent("  ")); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	b.WriteByte('\n')
	_, err := std.out.Write(b.Bytes())
	return err
}
