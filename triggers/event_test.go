package triggers_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/triggers"
)

func TestParseEvent(t *testing.T) {
	ev, err := triggers.Default().ParseEvent([]byte(` {"eventId":"e-1","uri":"/items/` + anItem + `/share","username":"j\u0064oe",
		"userId":"173dd04b69134bdf99c5000aad0b6298","when":1543192196521,"ownerId":"o","audience":["a","b"],
		"properties": {"b": 1.50, "a": "<x> \u00e9 \/ \u2028", "big": 12345678901234567890}} `))
	require.NoError(t, err)
	require.Equal(t, "/items/"+anItem+"/share", ev.URI.String())
	ev.URI = triggers.URI{}
	require.Equal(t, &triggers.Event{
		EventID: "e-1", Username: "jdoe", UserID: "173dd04b69134bdf99c5000aad0b6298", When: 1543192196521, HasWhen: true,
		OwnerID: "o", Audience: []string{"a", "b"},
		Properties: []byte("{\"b\":1.50,\"a\":\"<x> é / \u2028\",\"big\":12345678901234567890}"),
	}, ev)
}

func TestParseEventForms(t *testing.T) {
	for _, c := range []struct {
		name, body, uri string
		more            func(t *testing.T, ev *triggers.Event)
	}{
		{"uri alone", `{"uri":"/items/x/share"}`, "/items/x/share", func(t *testing.T, ev *triggers.Event) {
			t.Helper()
			require.False(t, ev.HasWhen)
			require.Nil(t, ev.Properties)
			require.Nil(t, ev.Service)
		}},
		{"parts, plural", `{"source":"items","operation":"share","id":"a/b"}`, "/items/a%2Fb/share", nil},
		{"parts, singular, any case", `{"source":"User","operation":"SIGNIN","id":"ann"}`, "/users/ann/signIn", nil},
		{"parts of a bulk event", `{"source":"users","operation":"bulkEnable"}`, "/users/bulkEnable", nil},
		{"parts of a bulk event, id empty", `{"source":"users","operation":"bulkEnable","id":""}`, "/users/bulkEnable", nil},
		{"a name written with escapes", `{"\u0075ri":"/items/x/share"}`, "/items/x/share", nil},
		{"at the beginning of time", `{"uri":"/items/x/share","when":0}`, "/items/x/share", func(t *testing.T, ev *triggers.Event) {
			t.Helper()
			require.True(t, ev.HasWhen)
		}},
		{"empty properties", `{"uri":"/items/x/share","properties":{ }}`, "/items/x/share", func(t *testing.T, ev *triggers.Event) {
			t.Helper()
			require.Equal(t, "{}", string(ev.Properties))
		}},
		{
			"a feature service", `{"uri":"/services/City/Parcels/FeatureServer/FeaturesCreated","folderName":"City","serviceName":"Parcels",` +
				`"layerId":0,"serverGens":[1730385704442,1730385704443],"changesUrl":"https://x.example/?a=[1]"}`,
			"/services/City/Parcels/FeatureServer/FeaturesCreated", func(t *testing.T, ev *triggers.Event) {
				t.Helper()
				require.Equal(t, &triggers.ServiceFacts{
					ServiceName: "Parcels", FolderName: "City", LayerID: new(int64), ServerGens: []int64{1730385704442, 1730385704443},
					ChangesURL: "https://x.example/?a=[1]",
				}, ev.Service)
			},
		},
		{
			"a geoprocessing job", `{"uri":"/services/Buffer/GPServer","jobId":"j1","taskName":"Buffer","statusURL":"https://x.example","status":"failed"}`,
			"/services/Buffer/GPServer", func(t *testing.T, ev *triggers.Event) {
				t.Helper()
				require.Equal(t, &triggers.ServiceFacts{JobID: "j1", TaskName: "Buffer", StatusURL: "https://x.example", Status: "failed"}, ev.Service)
			},
		},
		{
			"a cloud type", `{"uri":"com.qlik.v1.app.created","source":"com.qlik/engine","data":{"id": 1},"extensions":{"a" :"b"},"ownerId":"o"}`,
			"com.qlik.v1.app.created", func(t *testing.T, ev *triggers.Event) {
				t.Helper()
				require.Equal(t, "com.qlik/engine", ev.Source)
				require.Equal(t, `{"id":1}`, string(ev.Data))
				require.JSONEq(t, `{"a":"b"}`, string(ev.Extensions))
			},
		},
		{"our own", `{"uri":"/webhooks/` + anItem + `/disable","properties":{"name":"x"}}`, "/webhooks/" + anItem + "/disable", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			ev, err := triggers.Default().ParseEvent([]byte(c.body))
			require.NoError(t, err)
			require.Equal(t, c.uri, ev.URI.String())
			if c.more != nil {
				c.more(t, ev)
			}
		})
	}
}

func TestParseEventRefusals(t *testing.T) {
	const share = `{"uri":"/items/x/share"`
	for _, c := range []struct{ name, body, code, field, detail string }{
		{"nothing", ``, "NOT_JSON", "", "the body ends before the JSON does"},
		{"cut off", `{"uri":"/items`, "NOT_JSON", "", "the body ends before the JSON does, at byte 14"},
		{"a comma too many", share + `,}`, "NOT_JSON", "", "not JSON after byte 23: invalid character ',' at start of value"},
		{"single quotes", `{'uri':1}`, "NOT_JSON", "", `not JSON after byte 1: invalid character '\'' at start of value`},
		{"not UTF-8", "{\"uri\":\"\xff\"}", "NOT_JSON", "", "not JSON after byte 8: invalid UTF-8"},
		{"not UTF-8 deep down", share + ",\"properties\":{\"a\":[\"\xc3\"]}}", "NOT_JSON", "", "not JSON after byte 44: invalid UTF-8"},
		{"half a surrogate", `{"uri":"\ud800"}`, "NOT_JSON", "", "not JSON after byte 8: invalid surrogate pair `\\ud800\"}` in string"},
		{"something after it", share + `} x`, "NOT_JSON", "", "not JSON after byte 25: invalid character 'x' at start of value"},
		{"an event after it", share + `} {}`, "NOT_JSON", "", "something follows the event, by byte 26; several events are sent as an array, " +
			"or as application/x-ndjson, one a line"},
		{"an array", `[` + share + `}]`, "WRONG_TYPE", "", "an event is a JSON object, not an array"},
		{"null", `null`, "WRONG_TYPE", "", "an event is a JSON object, not null"},
		{"a key twice", share + `,"uri":"/items/x/share"}`, "DUPLICATE_KEY", "uri", "the key stands twice in its object, the second time by byte 24"},
		{"a key twice, spelt otherwise", share + `,"\u0075ri":1}`, "DUPLICATE_KEY", "uri", "the key stands twice in its object, the second time by byte 24"},
		{
			"a key twice deep down", share + `,"properties":{"a":[{},{"b":1,"b":2}]}}`, "DUPLICATE_KEY", "properties.a[1].b",
			"the key stands twice in its object, the second time by byte 53",
		},
		{"an unknown member", share + `,"user":"x"}`, "UNKNOWN_FIELD", "user", `an event has no member "user"; the nearest is userId`},
		{"a member in another case", share + `,"userID":"x"}`, "UNKNOWN_FIELD", "userID", `an event has no member "userID"; the nearest is userId`},
		{"facts beside properties", share + `,"access":"public"}`, "UNKNOWN_FIELD", "access", `an event has no member "access"`},
		{
			"a CloudEvent of 2017", `{"cloudEventsVersion":"0.1","eventType":"com.qlik.v1.app.created"}`, "NOT_SUPPORTED", "cloudEventsVersion",
			"CloudEvents are read as of version 1.0, which have specversion, not those of version 0.1",
		},
		{"a CloudEvent, its id missing", `{"type":"/items/share","specversion":"1.0"}`, "REQUIRED", "id", "id is missing: a CloudEvent has specversion, id, source and type"},
		{"uri a number", `{"uri":1}`, "WRONG_TYPE", "uri", "uri must be a string, not a number"},
		{"username null", share + `,"username":null}`, "WRONG_TYPE", "username", "username must be a string, not null"},
		{"properties an array", share + `,"properties":[]}`, "WRONG_TYPE", "properties", "properties must be an object, not an array"},
		{"properties a string", share + `,"properties":"{}"}`, "WRONG_TYPE", "properties", "properties must be an object, not a string"},
		{"when a string", share + `,"when":"2018-11-26"}`, "WRONG_TYPE", "when", "when must be a number, not a string"},
		{"when a fraction", share + `,"when":1.5}`, "WRONG_TYPE", "when", "when must be a whole number (milliseconds since 1970), not 1.5"},
		{"when with an exponent", share + `,"when":1e3}`, "WRONG_TYPE", "when", "when must be a whole number (milliseconds since 1970), not 1e3"},
		{"when negative", share + `,"when":-1}`, "OUT_OF_RANGE", "when", "when must be from 0 to 253402300799999 (milliseconds since 1970), not -1"},
		{
			"when endless", share + `,"when":99999999999999999999}`, "OUT_OF_RANGE", "when",
			"when must be from 0 to 253402300799999 (milliseconds since 1970), not 99999999999999999999",
		},
		{"audience of numbers", share + `,"audience":["a",1]}`, "WRONG_TYPE", "audience[1]", "audience holds strings only, not a number"},
		{"audience a string", share + `,"audience":"a"}`, "WRONG_TYPE", "audience", "audience must be an array, not a string"},
		{"eventId too long", share + `,"eventId":"` + strings.Repeat("é", 129) + `"}`, "TOO_LONG", "eventId", "eventId has at most 128 characters, not 129"},
		{"username too long", share + `,"username":"` + strings.Repeat("x", 257) + `"}`, "TOO_LONG", "username", "username has at most 256 characters, not 257"},
		{"no address", `{}`, "REQUIRED", "uri", "uri is missing: an event has uri, or source, operation and id"},
		{"no address but an id", `{"id":"x"}`, "REQUIRED", "uri", "uri is missing: an event has uri, or source, operation and id"},
		{"source alone", `{"source":"items"}`, "REQUIRED", "operation", "operation is missing: an event has uri, or source, operation and id"},
		{"parts without id", `{"source":"items","operation":"share"}`, "MISSING_ID", "id", "the id is missing, as in /items/<id>/update"},
		{"a bulk event with id", `{"source":"users","operation":"bulkEnable","id":"x"}`, "BAD_URI", "id", "a bulk event has no id: write /users/bulkEnable"},
		{
			"unknown source", `{"source":"maps","operation":"share","id":"x"}`, "BAD_URI", "source",
			`without uri the source is items, groups, users, roles or webhooks, not "maps"`,
		},
		{"unknown operation", `{"source":"items","operation":"shar","id":"x"}`, "BAD_URI", "operation", `items have no operation "shar"; the nearest is share`},
		{"uri and id", share + `,"id":"x"}`, "NOT_ALLOWED", "id", "id stands in uri already: send uri, or source, operation and id"},
		{"uri and source", share + `,"source":"items"}`, "NOT_ALLOWED", "source", "source stands in uri already: send uri, or source, operation and id"},
		{"bad uri", `{"uri":"/items/x/y"}`, "BAD_URI", "uri", `items have no operation "y"; the nearest is add`},
		{"data of an item", share + `,"data":{}}`, "NOT_ALLOWED", "data", "only events with a cloud type have data"},
		{"layer of an item", share + `,"layerId":1}`, "NOT_ALLOWED", "layerId", "only events of services have layerId"},
		{
			"properties of a cloud type", `{"uri":"com.qlik.v1.app.created","properties":{}}`, "NOT_ALLOWED", "properties",
			"only events without a cloud type have properties",
		},
		{
			"another status", `{"uri":"/services/x/GPServer","status":"done"}`, "OUT_OF_RANGE", "status",
			`status is succeeded, failed or cancelled, not "done"`,
		},
		{
			"generations not whole", `{"uri":"/services/x/GPServer","serverGens":[1.5]}`, "WRONG_TYPE", "serverGens[0]",
			"serverGens[0] must be a whole number (generations), not 1.5",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := triggers.Default().ParseEvent([]byte(c.body))
			var e *triggers.FieldError
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.detail, e.Detail)
			require.Equal(t, c.code, e.Code)
			require.Equal(t, c.field, e.Field)
			require.Equal(t, -1, e.Index)
		})
	}
}

func TestParseEvents(t *testing.T) {
	const event = `{"uri":"/items/%s/share"}`
	one, two := fmt.Sprintf(event, "1"), fmt.Sprintf(event, "2")
	for _, c := range []struct {
		name, contentType, body string
		batch                   bool
		ids                     string
	}{
		{"one object", "application/json", one, false, "1"},
		{"one object, charset", "application/json; charset=UTF-8", one, false, "1"},
		{"another case", "Application/JSON", one, false, "1"},
		{"an array", "application/json", "[" + one + ", " + two + "]", true, "1 2"},
		{"an array of one", "application/json", " [" + one + "]\n", true, "1"},
		{"lines", "application/x-ndjson", one + "\n" + two, true, "1 2"},
		{"lines, blank ones and carriage returns", "application/x-ndjson; charset=utf-8", "\n" + one + "\r\n \r\n" + two + "\n\n", true, "1 2"},
		{"one line", "application/x-ndjson", one, true, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			events, batch, err := triggers.Default().ParseEvents(c.contentType, []byte(c.body))
			require.NoError(t, err)
			require.Equal(t, c.batch, batch)
			var ids []string
			for _, ev := range events {
				ids = append(ids, ev.URI.ID)
			}
			require.Equal(t, c.ids, strings.Join(ids, " "))
		})
	}
}

func TestParseEventsRefusals(t *testing.T) {
	const one = `{"uri":"/items/1/share"}`
	const media = "events come as application/json (one object, or an array), application/x-ndjson, application/cloudevents+json or " +
		"application/cloudevents-batch+json, in UTF-8, not as "
	padded := func(size int) string {
		const frame = `{"uri":"/items/1/share","properties":{"x":""}}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", size-len(frame))+`"`, 1)
	}
	many := func(n int) string { return strings.Repeat(one+"\n", n) }
	for _, c := range []struct {
		name, contentType, body string
		code, field             string
		index                   int
		detail                  string
		kind                    error
	}{
		{"no content type", "", one, "UNSUPPORTED_MEDIA_TYPE", "", -1, media + `""`, triggers.ErrMediaType},
		{"text", "text/plain", one, "UNSUPPORTED_MEDIA_TYPE", "", -1, media + `"text/plain"`, triggers.ErrMediaType},
		{
			"another charset", "application/json; charset=latin1", one, "UNSUPPORTED_MEDIA_TYPE", "", -1,
			media + `"application/json; charset=latin1"`, triggers.ErrMediaType,
		},
		{"empty array", "application/json", "[]", "REQUIRED", "", -1, "the batch is empty: send at least one event", nil},
		{"no lines", "application/x-ndjson", "\n\n", "REQUIRED", "", -1, "the batch is empty: send at least one event", nil},
		{
			"the second is bad", "application/json", "[" + one + `,{"uri":"/items/2/shar"}]`, "BAD_URI", "uri", 1,
			`items have no operation "shar"; the nearest is share`, nil,
		},
		{"the second line is bad", "application/x-ndjson", one + "\n\n" + `{"uri":1}`, "WRONG_TYPE", "uri", 1, "uri must be a string, not a number", nil},
		{"the second is no object", "application/json", "[" + one + `,1]`, "WRONG_TYPE", "", 1, "an event is a JSON object, not a number", nil},
		{
			"a key twice in the second", "application/json", "[" + one + `,{"properties":{"a":1,"a":2}}]`, "DUPLICATE_KEY", "properties.a", 1,
			"the key stands twice in its object, the second time by byte 47", nil,
		},
		{
			"no comma", "application/json", "[" + one + one + "]", "NOT_JSON", "", 1,
			"not JSON after byte 25: invalid character '{' after array element (expecting ',' or ']')", nil,
		},
		{"not closed", "application/json", "[" + one, "NOT_JSON", "", 1, "the body ends before the JSON does, at byte 25", nil},
		{"something after the array", "application/json", "[" + one + "]1", "NOT_JSON", "", -1, "something follows the event, by byte 27; several events " +
			"are sent as an array, or as application/x-ndjson, one a line", nil},
		{"two on a line", "application/x-ndjson", one + one, "NOT_JSON", "", 0, "something follows the event, by byte 25; several events " +
			"are sent as an array, or as application/x-ndjson, one a line", nil},
		{"a large event", "application/json", padded(256<<10 + 1), "TOO_LARGE", "", -1, "an event has at most 262144 bytes, not 262145", triggers.ErrTooLarge},
		{
			"a large event in a batch", "application/json", "[" + one + "," + padded(256<<10+1) + "]", "TOO_LARGE", "", 1,
			"an event has at most 262144 bytes, not 262145", triggers.ErrTooLarge,
		},
		{"a large line", "application/x-ndjson", padded(256<<10 + 1), "TOO_LARGE", "", 0, "an event has at most 262144 bytes, not 262145", triggers.ErrTooLarge},
		{"a large body", "application/json", strings.Repeat(" ", 8<<20+1), "TOO_LARGE", "", -1, "a body has at most 8388608 bytes, not 8388609", triggers.ErrTooLarge},
		{"many lines", "application/x-ndjson", many(10_001), "TOO_LARGE", "", -1, "a batch has at most 10000 events", triggers.ErrTooLarge},
		{
			"a long array", "application/json", "[" + strings.TrimSuffix(strings.ReplaceAll(many(10_001), "\n", ","), ",") + "]", "TOO_LARGE", "", -1,
			"a batch has at most 10000 events", triggers.ErrTooLarge,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := triggers.Default().ParseEvents(c.contentType, []byte(c.body))
			var e *triggers.FieldError
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.detail, e.Detail)
			require.Equal(t, c.code, e.Code)
			require.Equal(t, c.field, e.Field)
			require.Equal(t, c.index, e.Index)
			for _, kind := range []error{triggers.ErrMediaType, triggers.ErrTooLarge} {
				require.Equal(t, kind == c.kind, errors.Is(err, kind)) //nolint:errorlint // the very same
			}
		})
	}
	t.Run("the bounds themselves are kept", func(t *testing.T) {
		_, _, err := triggers.Default().ParseEvents("application/json", []byte(padded(256<<10)))
		require.NoError(t, err)
		events, _, err := triggers.Default().ParseEvents("application/x-ndjson", []byte(many(10_000)))
		require.NoError(t, err)
		require.Len(t, events, 10_000)
	})
}

// An event keeps nothing of the body it was read from, which its owner uses again.
func TestEventsDoNotShareTheBody(t *testing.T) {
	body := bytes.Clone(sharedItem)
	want, err := triggers.Default().ParseEvent(sharedItem)
	require.NoError(t, err)
	got, err := triggers.Default().ParseEvent(body)
	require.NoError(t, err)
	for i := range body {
		body[i] = 'x'
	}
	require.Equal(t, want, got)
}

// jsonObject draws an object with white space and escapes where JSON allows them.
func jsonObject() *rapid.Generator[string] {
	space := rapid.SampledFrom([]string{"", "", "", " ", "\n\t", "\r"})
	text := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{
		"a", "é", " ", `\"`, `\\`, `\/`, "/", `\u0041`, `\u00e9`, `\n`, `\ud83d\ude00`, "<", ">", "&", `\u003c`, "{", "]", ",", ":", "\u2028",
	}), 0, 6), func(parts []string) string { return `"` + strings.Join(parts, "") + `"` })
	var value func(depth int) *rapid.Generator[string]
	value = func(depth int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			kinds := 3
			if depth > 0 {
				kinds = 5
			}
			s := func() string { return space.Draw(t, "space") }
			switch rapid.IntRange(1, kinds).Draw(t, "kind") {
			case 1:
				return text.Draw(t, "text")
			case 2:
				return rapid.SampledFrom([]string{"0", "-1", "1.50", "1E+2", "12345678901234567890123", "-0"}).Draw(t, "number")
			case 3:
				return rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "word")
			case 4:
				elements := rapid.SliceOfN(value(depth-1), 0, 3).Draw(t, "elements")
				return "[" + s() + strings.Join(elements, s()+","+s()) + s() + "]"
			}
			members := rapid.SliceOfNDistinct(text, 0, 3, func(name string) string {
				var decoded string
				if err := json.Unmarshal([]byte(name), &decoded); err != nil {
					t.Fatal(err)
				}
				return decoded
			}).Draw(t, "names")
			for i, name := range members {
				members[i] = name + s() + ":" + s() + value(depth-1).Draw(t, "value")
			}
			return "{" + s() + strings.Join(members, s()+","+s()) + s() + "}"
		})
	}
	return value(3).Filter(func(s string) bool { return strings.HasPrefix(s, "{") })
}

// Properties come out as the library's formatter writes them: compact, numbers and order as they came, fewest escapes.
func TestPropertiesAreCompact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := jsonObject().Draw(t, "properties")
		ev, err := triggers.Default().ParseEvent([]byte(`{"uri":"/items/x/update","properties":` + raw + `}`))
		require.NoError(t, err)
		want, err := jsontext.AppendFormat(nil, raw)
		require.NoError(t, err)
		require.Equal(t, string(want), string(ev.Properties))
	})
}
