package triggers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/triggers"
)

const ownTypes = `[
  {"name":"com.example.order.shipped","title":"Order shipped","category":"Orders","levels":["tenant","user"]},
  {"name":"com.example.stock.low","title":"Stock low","category":"Stock","description":"Under ten.","levels":["tenant"],"cloud":true}
]`

func TestCatalogWithOwnTypes(t *testing.T) {
	types, err := triggers.ParseCatalogFile([]byte(ownTypes))
	require.NoError(t, err)
	catalog, err := triggers.Default().With(types)
	require.NoError(t, err)
	_, err = triggers.Default().ParseURI("com.example.stock.low")
	require.Error(t, err, "the catalogue it was made from stays as it is")

	entries := catalog.Entries()
	require.Len(t, entries, len(triggers.Default().Entries())+2)
	require.Equal(t, triggers.Entry{
		Trigger: "com.example.stock.low", Name: "com.example.stock.low", Title: "Stock low", Category: "Stock", Description: "Under ten.",
		Resource: "cloud", Scope: "any", Levels: []triggers.Level{"tenant"}, Cloud: true, SampleEvent: entries[len(entries)-4].SampleEvent,
	}, entries[len(entries)-4], "after the cloud types, before our own")
	for _, e := range entries {
		ev, err := catalog.ParseEvent(e.SampleEvent)
		require.NoError(t, err, e.Name)
		trigger, err := catalog.ParseTrigger(e.Name)
		require.NoError(t, err, e.Name)
		require.Equal(t, e.Resource != "portal" && trigger.TenantOnly, e.Resource != "portal" && !catalog.UserLevel(&ev.URI), e.Name)
	}

	glob, err := catalog.ParseTrigger("com.example.**")
	require.NoError(t, err)
	require.True(t, glob.TenantOnly, "one of the two has no user level")
	shipped, err := catalog.ParseTrigger("com.example.order.*")
	require.NoError(t, err)
	require.False(t, shipped.TenantOnly)
	ev, err := catalog.ParseEvent([]byte(`{"uri":"com.example.stock.low"}`))
	require.NoError(t, err)
	require.Equal(t, triggers.CloudKind{CloudOnly: true}, ev.Kind)

	wider, err := catalog.With([]triggers.Entry{{Name: "org.x", Title: "X", Category: "X", Levels: []triggers.Level{"user", "tenant"}}})
	require.NoError(t, err)
	_, err = wider.ParseTrigger("com.example.stock.low")
	require.NoError(t, err)
	_, err = catalog.With(types)
	var e *triggers.FieldError
	require.ErrorAs(t, err, &e)
	require.Equal(t, "[0].name", e.Field)
}

func TestCatalogFileRefused(t *testing.T) {
	const good = `{"name":"com.example.a","title":"A","category":"C","levels":["tenant"]}`
	// with is a file of a good type and of one with another value of a member, or without it.
	with := func(member, value string) string {
		text := "{"
		for _, m := range [][2]string{{"name", `"com.example.b"`}, {"title", `"B"`}, {"category", `"C"`}, {"levels", `["tenant"]`}} {
			if m[0] != member {
				text += fmt.Sprintf("%q:%s,", m[0], m[1])
			}
		}
		if value != "" {
			text += fmt.Sprintf("%q:%s,", member, value)
		}
		return "[" + good + "," + strings.TrimSuffix(text, ",") + "}]"
	}
	for _, c := range []struct{ name, file, code, field, detail string }{
		{"nothing", ``, "NOT_JSON", "", "the body ends before the JSON does"},
		{"an object", `{}`, "WRONG_TYPE", "", "a catalogue file is a JSON array of event types, not an object"},
		{"cut off", `[` + good, "NOT_JSON", "", "the body ends before the JSON does, at byte 72"},
		{"a key twice", `[{"name":"com.example.a","name":"b.c"}]`, "DUPLICATE_KEY", "name", "the key stands twice in its object, the second time by byte 25"},
		{"a word", `[` + good + `,"com.example.b"]`, "WRONG_TYPE", "[1]", "an event type is an object, not a string"},
		{"a member too many", with("colour", `"red"`), "UNKNOWN_FIELD", "[1].colour", `an event type has name, title, category, levels, description and cloud only, no "colour"`},
		{"no name", with("name", ""), "REQUIRED", "[1].name", "the name of an event type is missing"},
		{"no title", with("title", `""`), "REQUIRED", "[1].title", "the title of an event type is missing"},
		{"no category", with("category", ""), "REQUIRED", "[1].category", "the category of an event type is missing"},
		{"no levels", with("levels", ""), "REQUIRED", "[1].levels", "the levels of an event type are tenant, or tenant and user"},
		{"user level alone", with("levels", `["user"]`), "REQUIRED", "[1].levels", "the levels of an event type are tenant, or tenant and user"},
		{"another level", with("levels", `["tenant","all"]`), "OUT_OF_RANGE", "[1].levels[1]", `a level is tenant or user, not "all"`},
		{"a level twice", with("levels", `["tenant","tenant"]`), "DUPLICATE_KEY", "[1].levels[1]", "the level tenant stands twice"},
		{"levels a word", with("levels", `"tenant"`), "WRONG_TYPE", "[1].levels", "levels must be an array, not a string"},
		{"levels of numbers", with("levels", `[1]`), "WRONG_TYPE", "[1].levels[0]", "levels holds strings only, not a number"},
		{"cloud a word", with("cloud", `"yes"`), "WRONG_TYPE", "[1].cloud", "cloud must be a boolean, not a string"},
		{"title null", with("title", `null`), "WRONG_TYPE", "[1].title", "title must be a string, not null"},
		{"one word", with("name", `"order"`), "OUT_OF_RANGE", "[1].name", "the name of an event type has from 2 to 16 words, not 1"},
		{"many words", with("name", `"a`+strings.Repeat(".a", 16)+`"`), "OUT_OF_RANGE", "[1].name", "the name of an event type has from 2 to 16 words, not 17"},
		{"a glob", with("name", `"com.*.x"`), "OUT_OF_RANGE", "[1].name", `an event type is named by words of letters a to z, digits, hyphens and underscores with dots between them, such as com.example.order.shipped, not "com.*.x"`},
		{"a dot too many", with("name", `"com..x"`), "OUT_OF_RANGE", "[1].name", `an event type is named by words of letters a to z, digits, hyphens and underscores with dots between them, such as com.example.order.shipped, not "com..x"`},
		{"long", with("name", `"com.`+strings.Repeat("x", 125)+`"`), "TOO_LONG", "[1].name", "the name of an event type has at most 128 characters, not 129"},
		{"a title of two lines", with("title", `"a\nb"`), "OUT_OF_RANGE", "[1].title", "the title of an event type is text without control characters"},
		{"the same again", with("name", `"com.Example.a"`), "DUPLICATE_KEY", "[1].name", "com.Example.a is the name of the event type at 0 already; case does not count in this"},
		{"too many", `[` + strings.Repeat(`{},`, 1000) + `{}]`, "TOO_MANY", "", "a catalogue file has at most 1000 event types"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := triggers.ParseCatalogFile([]byte(c.file))
			var e *triggers.FieldError
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.detail, e.Detail)
			require.Equal(t, c.code, e.Code)
			require.Equal(t, c.field, e.Field)
		})
	}
	for name, taken := range map[string]string{"a documented type": "com.qlik.v1.app.created", "one in another case": "com.qlik.v1.App.created"} {
		t.Run(name, func(t *testing.T) {
			_, err := triggers.Default().With([]triggers.Entry{{Name: taken, Title: "A", Category: "C", Levels: []triggers.Level{"tenant"}}})
			require.EqualError(t, err, "[0].name: the catalogue has "+taken+" already; case does not count in this")
		})
	}
}

func FuzzParseCatalogFile(f *testing.F) {
	f.Add([]byte(ownTypes))
	f.Add([]byte(`[{"name":"a.b","levels":[1]},{}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		types, err := triggers.ParseCatalogFile(data)
		if err != nil {
			requireSentence(t, err)
			return
		}
		catalog, err := triggers.Default().With(types)
		if err != nil {
			requireSentence(t, err)
			return
		}
		for _, e := range types {
			_, err := catalog.ParseTrigger(e.Name)
			require.NoError(t, err)
		}
	})
}
