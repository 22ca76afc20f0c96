package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// parsed gives what arguments make of serve's flags, with what the variables of the test's process say.
func parsed(arguments ...string) (*serveCommand, error) {
	line := new(commandLine)
	parser, err := kong.New(line, kong.NoDefaultHelp())
	if err != nil {
		return nil, err
	}
	_, err = parser.Parse(append([]string{"serve"}, arguments...))
	return &line.Serve, err
}

// serveFlags are the flags of serve.
func serveFlags(tb testing.TB) []*kong.Flag {
	tb.Helper()
	parser, err := kong.New(new(commandLine), kong.NoDefaultHelp())
	require.NoError(tb, err)
	for _, node := range parser.Model.Children {
		if node.Name == "serve" {
			return node.Flags
		}
	}
	require.Fail(tb, "serve is not there")
	return nil
}

// examples are values that each kind of flag takes; none is a default.
func examples(flag *kong.Flag) []string {
	switch {
	case flag.IsBool():
		return []string{"true"}
	case flag.Target.Type().String() == "time.Duration":
		return []string{"25h", "26h30m", "27h"}
	case flag.Target.Kind() == reflect.Int:
		return []string{"11", "12", "13"}
	}
	return []string{"abc", "0123", "off"}
}

// Each flag can be set by any of the three; the command line wins over the variable, and that over the file.
func TestConfigPrecedence(t *testing.T) {
	for _, flag := range serveFlags(t) {
		if flag.Name == "config" || flag.Name == "tls-key" || flag.Enum != "" && flag.IsBool() {
			continue
		}
		t.Run(flag.Name, func(t *testing.T) {
			values := examples(flag)
			if flag.Enum != "" {
				values = strings.Split(flag.Enum, ",")
			}
			inFile, inVariable, onLine := values[0], values[len(values)/2], values[len(values)-1]
			path := filepath.Join(t.TempDir(), "portalhook.yaml")
			text := flag.Name + ": " + inFile + "\n"
			if flag.Name == "tls-cert" {
				text += "tls-key: key.pem\n" // they come together
			}
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			value := func(arguments ...string) string {
				got, err := parsed(arguments...)
				require.NoError(t, err)
				field := reflect.ValueOf(got).Elem().FieldByIndex(fieldOf(t, flag))
				if field.Kind() == reflect.Slice {
					require.Equal(t, 1, field.Len())
					field = field.Index(0)
				}
				return fmt.Sprint(field.Interface())
			}
			written := func(text string) string { return spelled(t, flag, text) }
			require.Equal(t, written(inFile), value("--config", path))
			t.Setenv("PORTALHOOK_CONFIG", path)
			require.Equal(t, written(inFile), value())
			if flag.IsBool() {
				t.Setenv(flag.Envs[0], "false")
				require.Equal(t, "false", value())
				require.Equal(t, "true", value("--"+flag.Name))
				return
			}
			t.Setenv(flag.Envs[0], inVariable)
			require.Equal(t, written(inVariable), value())
			require.Equal(t, written(onLine), value("--"+flag.Name, onLine))
		})
	}
}

// fieldOf finds the field of serveCommand that a flag sets.
func fieldOf(t *testing.T, flag *kong.Flag) []int {
	t.Helper()
	for field := range reflect.TypeFor[serveCommand]().Fields() {
		if field.Tag.Get("env") == flag.Envs[0] {
			return field.Index
		}
	}
	require.Fail(t, "no field has the variable", flag.Envs[0])
	return nil
}

// spelled is how a value of a flag prints.
func spelled(t *testing.T, flag *kong.Flag, text string) string {
	t.Helper()
	target := reflect.New(flag.Target.Type()).Elem()
	require.NoError(t, flag.Parse(kong.Scan().PushTyped(text, kong.FlagValueToken), target))
	if target.Kind() == reflect.Slice {
		return text
	}
	return fmt.Sprint(target.Interface())
}

// What is written in JSON is heard as it was meant, whatever is in a text.
func TestConfigKeepsTexts(t *testing.T) {
	flags := serveFlags(t)
	texts := rapid.StringOf(rapid.Rune().Filter(unicode.IsPrint)) // YAML has no others in JSON's form
	rapid.Check(t, func(t *rapid.T) {
		want, list := texts.Draw(t, "text"), rapid.SliceOfN(texts, 1, 4).Draw(t, "list")
		text, err := json.Marshal(map[string]any{"user-agent": want, "allow-target": list})
		require.NoError(t, err)
		file, err := parseConfig(text, flags)
		require.NoError(t, err, "%s", text)
		for _, flag := range flags {
			switch flag.Name {
			case "user-agent":
				require.Equal(t, want, file[flag])
			case "allow-target":
				got := make([]string, 0, len(list))
				for _, entry := range file[flag].([]any) {
					got = append(got, entry.(string))
				}
				require.Equal(t, list, got)
			default:
				require.Nil(t, file[flag])
			}
		}
	})
}

// FuzzConfigFile: whatever stands in a file, it is refused without showing its values, or each thing in it is one that its flag takes.
func FuzzConfigFile(f *testing.F) {
	for _, text := range []string{
		"", "# nothing", "listen: 127.0.0.1:0\nallow-http: true", `{"allow-target":["10.0.0.0/8"],"max-webhooks":3}`, "a: &a [*a]", "listen: &x y\nstore: *x",
		"listen: a\nlisten: b", "listen: {a: b}", "- listen", "listen: !!binary aGk=", "? [a]\n: b", "<<: {listen: a}", "a: b\n---\nc: d", "retention: 1", "allow-http: off", "listen: ~",
		"\xff\xfel\x00", "listen: \"\x00\"", "%YAML 1.2\n---\nlisten: a", "max-webhooks: 0x10", "admin-key: \"canary", "admin-key: canary\n\tx: canary",
	} {
		f.Add([]byte(text))
	}
	flags := serveFlags(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := parseConfig(text, flags)
		if err != nil {
			require.Nil(t, file)
			return
		}
		for flag, value := range file {
			require.NotEqual(t, "config", flag.Name)
			require.NoError(t, flag.Parse(kong.Scan().PushTyped(value, kong.FlagValueToken), reflect.New(flag.Target.Type()).Elem()))
		}
	})
}
