package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// configFile is what a file given as --config sets: a value for each flag that it names, a string, or for a list a []any of strings. It is a
// kong.Resolver.
type configFile map[*kong.Flag]any

// BeforeResolve is kong's hook between the variables and the command line's end: what stands in the file is heard where neither says anything.
func (s *serveCommand) BeforeResolve(parsed *kong.Context) error {
	flags := parsed.Selected().Flags
	at := slices.IndexFunc(flags, func(flag *kong.Flag) bool { return flag.Name == "config" })
	path, ok := parsed.FlagValue(flags[at]).(string)
	if !ok || path == "" {
		return nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // the file that the operator names
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	file, err := parseConfig(text, flags)
	if err != nil {
		return fmt.Errorf("--config: %s: %w", path, err)
	}
	parsed.AddResolver(file)
	return nil
}

// Validate has nothing left to do: a file is held to the flags when it is read.
func (configFile) Validate(*kong.Application) error { return nil }

// Resolve gives the file's value of a flag that the command line does not set, unless its variable does.
func (c configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	return c[flag], nil
}

// parseConfig reads a configuration: a mapping in YAML, or JSON, of flags' names to their values. An error names the line and the key, and shows
// no value of a text.
func parseConfig(text []byte, flags []*kong.Flag) (configFile, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return configFile{}, nil // nothing, or comments alone
	} else if err != nil {
		return nil, errNotYAML(err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one document")
	}
	settings := document.Content[0]
	if settings.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: not a mapping of flags' names to values", settings.Line)
	}
	file := configFile{}
	for i := 0; i < len(settings.Content); i += 2 {
		key, node := settings.Content[i], settings.Content[i+1]
		at := slices.IndexFunc(flags, func(flag *kong.Flag) bool { return flag.Name == key.Value })
		switch {
		case key.Kind != yaml.ScalarNode:
			return nil, fmt.Errorf("line %d: a key is not a flag's name", key.Line)
		case at < 0:
			return nil, fmt.Errorf("line %d: %q is not a flag of serve, which are written without dashes before them", key.Line, key.Value)
		case key.Value == "config":
			return nil, fmt.Errorf("line %d: a file cannot name another by %q", key.Line, key.Value)
		case file[flags[at]] != nil:
			return nil, fmt.Errorf("line %d: %q is set twice", key.Line, key.Value)
		}
		value, err := settingOf(node, flags[at])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", key.Line, err)
		}
		file[flags[at]] = value
	}
	return file, nil
}

// errNotYAML keeps the line that the library names, and drops the excerpts that it may show.
func errNotYAML(err error) error {
	var line int
	if _, scanErr := fmt.Sscanf(err.Error(), "yaml: line %d:", &line); scanErr == nil {
		return fmt.Errorf("line %d: not YAML", line)
	}
	return errors.New("not YAML")
}

// settingOf gives the value of a flag as it is written: 010 stays 010, and off is no false.
func settingOf(node *yaml.Node, flag *kong.Flag) (any, error) {
	var value any = node.Value
	switch list := flag.IsSlice(); {
	case node.Kind == yaml.SequenceNode && list:
		entries := make([]any, len(node.Content))
		for i, entry := range node.Content {
			if !isValue(entry) {
				return nil, fmt.Errorf("%q: entry %d is not a value", flag.Name, i)
			}
			entries[i] = entry.Value
		}
		value = entries
	case node.Kind == yaml.SequenceNode:
		return nil, fmt.Errorf("%q takes one value, not a list", flag.Name)
	case !isValue(node):
		return nil, fmt.Errorf("%q has no value", flag.Name)
	}
	// What the flag itself would not take is refused here, where the line is known.
	target := reflect.New(flag.Target.Type()).Elem()
	if err := flag.Parse(kong.Scan().PushTyped(value, kong.FlagValueToken), target); err != nil {
		return nil, err
	}
	return value, nil
}

// isValue reports whether a node is a text, a number, true or false.
func isValue(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag != "!!null" }
