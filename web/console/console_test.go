package console

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/feature/plural"
)

func newTestConsole(t *testing.T) *Console {
	t.Helper()
	c, err := New(Config{})
	require.NoError(t, err)
	return c
}

// placeholders are those of a message, in whichever of its forms.
func placeholders(of text) []string {
	found := map[string]bool{}
	for _, form := range of.forms {
		for _, match := range placeholder.FindAllStringSubmatch(form, -1) {
			found[match[1]] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Every language says everything, with the same placeholders, in the plural forms it has.
func TestMessages(t *testing.T) {
	c := newTestConsole(t)
	source := c.speech.languages[0]
	for _, w := range c.speech.languages {
		require.Equal(t, slices.Sorted(maps.Keys(source.messages)), slices.Sorted(maps.Keys(w.messages)), w.Tag)
		forms := map[plural.Form]bool{}
		for n := range 200 {
			forms[plural.Cardinal.MatchPlural(w.tag, n, 0, 0, 0, 0)] = true
		}
		for key, message := range w.messages {
			require.Equal(t, placeholders(source.messages[key]), placeholders(message), "%s: %s", w.Tag, key)
			for form, text := range message.forms {
				require.True(t, forms[form], "%s: %s has a plural form that the language never needs", w.Tag, key)
				require.NotEmpty(t, strings.TrimSpace(text), "%s: %s", w.Tag, key)
			}
			if len(message.forms) > 1 {
				require.Contains(t, placeholders(message), "count", "%s: %s", w.Tag, key)
				require.Len(t, message.forms, len(forms), "%s: %s", w.Tag, key)
			}
		}
	}
}

// words are texts of a template that a reader would see or hear.
var (
	actions    = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	markup     = regexp.MustCompile(`(?s)<!--.*?-->|<[^>]*>`)
	spoken     = regexp.MustCompile(`(?:title|alt|placeholder|aria-label|content)="([^"]*)"`)
	attributes = regexp.MustCompile(`[\w-]+="[^"]*"`) // within a tag or not: some templates are attributes alone
	someWord   = regexp.MustCompile(`\pL{2,}`)
	noMessage  = []string{"Portalhook", "required", "width=device-width, initial-scale=1"}
)

// No word stands in a template: all are messages.
func TestTemplatesHoldNoWords(t *testing.T) {
	files, err := fs.ReadDir(templateFiles, "templates")
	require.NoError(t, err)
	for _, file := range files {
		content, err := templateFiles.ReadFile(path.Join("templates", file.Name()))
		require.NoError(t, err)
		plain := actions.ReplaceAllString(string(content), "")
		for _, match := range spoken.FindAllStringSubmatch(plain, -1) {
			if !slices.Contains(noMessage, match[1]) {
				require.NotRegexp(t, someWord, match[1], file.Name())
			}
		}
		plain = attributes.ReplaceAllString(plain, "")
		for line := range strings.SplitSeq(markup.ReplaceAllString(plain, "\n"), "\n") {
			line = strings.TrimSpace(strings.ReplaceAll(line, "· Portalhook", "Portalhook"))
			if !slices.Contains(noMessage, line) {
				require.NotRegexp(t, someWord, line, file.Name())
			}
		}
	}
}

// Every message that a template or the code names is there, and none is there in vain.
func TestMessagesAreUsed(t *testing.T) {
	c := newTestConsole(t)
	var all strings.Builder
	for _, from := range []struct {
		files  fs.FS
		folder string
	}{{templateFiles, "templates"}, {os.DirFS("."), "."}} {
		require.NoError(t, fs.WalkDir(from.files, from.folder, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.HasSuffix(name, "_test.go") || name == "doc.go" || !strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, ".html") {
				return err
			}
			content, err := fs.ReadFile(from.files, name)
			all.Write(content)
			return err
		}))
	}
	text := all.String()
	for _, match := range regexp.MustCompile(`(?:\{\{|\()t "([\w.]+)"|\.T\("([\w.]+)"`).FindAllStringSubmatch(text, -1) {
		key := match[1] + match[2]
		if !strings.HasSuffix(key, ".") {
			require.True(t, c.speech.languages[0].has(key), key)
		}
	}
	for key := range c.speech.languages[0].messages {
		family := key[:strings.LastIndex(key, ".")+1]
		require.True(t, strings.Contains(text, `"`+key+`"`) || family != "" && strings.Contains(text, `"`+family) ||
			family != "" && strings.Contains(text, `"`+strings.TrimSuffix(family, ".")+`"`), "%s is used nowhere", key)
	}
}
