package triggers_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/triggers"
)

// cloudText is a CloudEvent of a type of the catalogue with the members given.
func cloudText(more string) string {
	return `{"specversion":"1.0","id":"e-1","source":"com.qlik/engine","type":"com.qlik.v1.app.created"` + more + `}`
}

// pathText is a CloudEvent about an item with the members given.
func pathText(more string) string {
	return `{"specversion":"1.0","id":"e-1","source":"https://portal.example.com/","type":"/items/share","subject":"/items/x/share"` + more + `}`
}

func parseOne(contentType, body string) (*triggers.Event, error) {
	events, _, err := triggers.Default().ParseEvents(contentType, []byte(body))
	if err != nil {
		return nil, err
	}
	return events[0], nil
}

func TestCloudEvents(t *testing.T) {
	kind := triggers.CloudKind{Source: "com.qlik/engine", UserLevel: true}
	for _, c := range []struct {
		name, body, uri string
		want            triggers.Event
	}{
		{"the least", cloudText(``), "com.qlik.v1.app.created", triggers.Event{Source: "com.qlik/engine", Kind: kind}},
		{
			"everything", cloudText(`,"time":"2025-05-26T11:48:27.521+02:00","datacontenttype":"application/json; charset=UTF-8","tenantid":"t",
				"userid":"u","ownerid":"o","spaceid":"s", "toplevelresourceid":"r","audience":"a, b,,c","authtype":"user","count":-7,"live":true,
				"nothing":null,"subject":"x","dataschema":"https://x.example/","data":{"b": 1.50, "a" :"\u00e9"}`),
			"com.qlik.v1.app.created",
			triggers.Event{
				Source: "com.qlik/engine", Kind: kind, When: 1748252907521, HasWhen: true, UserID: "u", OwnerID: "o", Audience: []string{"a", "b", "c"},
				Extensions: []byte(`{"subject":"x","dataschema":"https://x.example/","spaceid":"s","toplevelresourceid":"r","authtype":"user","count":-7,"live":true}`),
				Data:       []byte(`{"b":1.50,"a":"é"}`),
			},
		},
		{
			"what Qlik Cloud puts into extensions", cloudText(`,"extensions":{"actor":{},"ownerId":"o","userId":"second","updates":[ {} ],"tenantId":"t"},"userid":"first"`),
			"com.qlik.v1.app.created",
			triggers.Event{
				Source: "com.qlik/engine", Kind: kind, UserID: "first", OwnerID: "o", Extensions: []byte(`{"actor":{},"updates":[{}]}`),
			},
		},
		{"data that is no object", cloudText(`,"data":[1, 2]`), "com.qlik.v1.app.created", triggers.Event{Source: "com.qlik/engine", Kind: kind, Data: []byte(`[1,2]`)}},
		{"data as base64", cloudText(`,"data_base64":"eyJhIjogMX0="`), "com.qlik.v1.app.created", triggers.Event{
			Source: "com.qlik/engine", Kind: kind, Data: []byte(`{"a":1}`),
		}},
		{"another kind of JSON", cloudText(`,"datacontenttype":"application/vnd.x+json"`), "com.qlik.v1.app.created", triggers.Event{
			Source: "com.qlik/engine", Kind: kind,
		}},
		{"a portal event without data", pathText(``), "/items/x/share", triggers.Event{Source: "https://portal.example.com/"}},
		{
			"a portal event", pathText(`,"time":"2018-11-26T00:29:56.521Z","ownerid":"o","audience":"a","traceparent":"00-1","data":{"username":"jdoe",
				"userId":"u","properties":{"sharedToGroups":[ "Everyone" ]}}`),
			"/items/x/share",
			triggers.Event{
				Source: "https://portal.example.com/", Username: "jdoe", UserID: "u", When: 1543192196521, HasWhen: true, OwnerID: "o",
				Audience: []string{"a"}, Properties: []byte(`{"sharedToGroups":["Everyone"]}`),
			},
		},
		{
			"the data counts before the attributes", pathText(`,"time":"2025-01-01T00:00:00Z","userid":"2","ownerid":"2","audience":"2",
				"data":{"userId":"1","ownerId":"1","when":1,"audience":["1"]}`),
			"/items/x/share",
			triggers.Event{
				Source: "https://portal.example.com/", UserID: "1", When: 1, HasWhen: true, OwnerID: "1", Audience: []string{"1"},
			},
		},
		{
			"the data as Portalhook sends it", pathText(`,"tenantid":"t","data":{"username":"jdoe","userId":"","when":1,"operation":"share","source":"items","id":"X",
				"properties":{}}`),
			"/items/x/share",
			triggers.Event{
				Source: "https://portal.example.com/", Username: "jdoe", When: 1, HasWhen: true, Properties: []byte(`{}`),
			},
		},
		{"the data says the rest again", pathText(`,"data":{"uri":"/items/X/share","eventId":"e-1"}`), "/items/x/share", triggers.Event{
			Source: "https://portal.example.com/",
		}},
		{
			"a sign-in, in the catalogue's spelling", `{"specversion":"1.0","id":"e-1","source":"p","type":"/users/signIn","subject":"/users/ann/signIn"}`,
			"/users/ann/signIn",
			triggers.Event{Source: "p"},
		},
		{
			"a bulk event", `{"specversion":"1.0","id":"e-1","source":"p","type":"/users/bulkEnable","data":{"source":"users","operation":"bulkEnable","id":""}}`,
			"/users/bulkEnable",
			triggers.Event{Source: "p"},
		},
		{
			"a feature service in a folder", `{"specversion":"1.0","id":"e-1","source":"p","type":"/services/*/*/FeatureServer/FeaturesCreated",
				"subject":"/services/City/Parcels/FeatureServer/FeaturesCreated","data":{"serviceType":"FeatureServer","eventType":"FeaturesCreated",
				"when":1,"folderName":"City","serviceName":"Parcels","serverGens":[1,2]}}`,
			"/services/City/Parcels/FeatureServer/FeaturesCreated",
			triggers.Event{
				Source: "p", When: 1, HasWhen: true, Service: &triggers.ServiceFacts{FolderName: "City", ServiceName: "Parcels", ServerGens: []int64{1, 2}},
			},
		},
		{
			"a job", `{"specversion":"1.0","id":"e-1","source":"p","type":"/services/*/GPServer","subject":"/services/Buffer/GPServer",
				"data":{"jobId":"j","status":"failed"}}`,
			"/services/Buffer/GPServer",
			triggers.Event{Source: "p", Service: &triggers.ServiceFacts{JobID: "j", Status: "failed"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for contentType, body := range map[string]string{
				"application/json": c.body, "application/cloudevents+json; charset=utf-8": c.body,
				"application/cloudevents-batch+json": "[" + c.body + "]", "application/x-ndjson": strings.ReplaceAll(c.body, "\n", " "),
			} {
				got, err := parseOne(contentType, body)
				require.NoError(t, err, contentType)
				require.Equal(t, c.uri, got.URI.String())
				want := c.want
				want.EventID, want.URI = "e-1", got.URI
				require.Equal(t, &want, got, contentType)
			}
		})
	}
}

func TestCloudEventsRefused(t *testing.T) {
	for _, c := range []struct{ name, body, code, field, detail string }{
		{"no version", `{"id":"1","source":"a","type":"/items/share"}`, "REQUIRED", "specversion", "specversion is missing: a CloudEvent has specversion, id, source and type"},
		{"version 0.3", `{"specversion":"0.3","id":"1","source":"a","type":"x"}`, "NOT_SUPPORTED", "specversion", `CloudEvents are read as of version 1.0, not "0.3"`},
		{"no id", `{"specversion":"1.0","source":"a","type":"x"}`, "REQUIRED", "id", "id is missing: a CloudEvent has specversion, id, source and type"},
		{"an empty source", `{"specversion":"1.0","id":"1","source":"","type":"x"}`, "REQUIRED", "source", "source is missing: a CloudEvent has specversion, id, source and type"},
		{"a type of null", `{"specversion":"1.0","id":"1","source":"a","type":null}`, "REQUIRED", "type", "type is missing: a CloudEvent has specversion, id, source and type"},
		{"an id that is a number", `{"specversion":"1.0","id":1,"source":"a","type":"x"}`, "WRONG_TYPE", "id", "id must be a string, not a number"},
		{"a long id", `{"specversion":"1.0","id":"` + strings.Repeat("é", 129) + `","source":"a","type":"x"}`, "TOO_LONG", "id", "id has at most 128 characters, not 129"},
		{"a source that is no URI", `{"specversion":"1.0","id":"1","source":"http://[","type":"x"}`, "OUT_OF_RANGE", "source", `source is a URI, or the end of one such as com.qlik/engine, not "http://["`},
		{"an id with a line break", `{"specversion":"1.0","id":"a\nb","source":"a","type":"x"}`, "OUT_OF_RANGE", "id", "id holds a control character"},
		{
			"an unknown type", `{"specversion":"1.0","id":"1","source":"a","type":"com.qlik.v1.app.create"}`, "BAD_URI", "type",
			`"com.qlik.v1.app.create" is no event type of the catalogue; the nearest is com.qlik.v1.app.created`,
		},
		{"a time that is none", cloudText(`,"time":"26.11.2018"`), "OUT_OF_RANGE", "time", `time is a date of RFC 3339 such as 2018-11-26T00:29:56.521Z, not "26.11.2018"`},
		{"a time without zone", cloudText(`,"time":"2018-11-26T00:29:56"`), "OUT_OF_RANGE", "time", `time is a date of RFC 3339 such as 2018-11-26T00:29:56.521Z, not "2018-11-26T00:29:56"`},
		{"a time before 1970", cloudText(`,"time":"1969-12-31T23:59:59Z"`), "OUT_OF_RANGE", "time", "time must be from 1970 to 9999, not 1969-12-31T23:59:59Z"},
		{"data in XML", cloudText(`,"datacontenttype":"application/xml","data":"<a/>"`), "UNSUPPORTED_MEDIA_TYPE", "datacontenttype", `the data of an event is JSON (application/json, in UTF-8), not "application/xml"`},
		{"two kinds of data", cloudText(`,"data":{},"data_base64":"e30="`), "NOT_ALLOWED", "data_base64", "a CloudEvent has data or data_base64, not both"},
		{"the two the other way round", cloudText(`,"data_base64":"e30=","data":{}`), "NOT_ALLOWED", "data_base64", "a CloudEvent has data or data_base64, not both"},
		{"base64 that is none", cloudText(`,"data_base64":"e30"`), "OUT_OF_RANGE", "data_base64", "data_base64 is not base64 (RFC 4648, section 4)"},
		{"base64 of no JSON", cloudText(`,"data_base64":"e3Q="`), "NOT_JSON", "data", `not JSON after byte 1: invalid character 't' at start of string (expecting '"')`},
		{"base64 with a key twice", cloudText(`,"data_base64":"eyJhIjoxLCJhIjoyfQ=="`), "DUPLICATE_KEY", "data.a", "the key stands twice in its object, the second time by byte 7"},
		{"base64 of two values", cloudText(`,"data_base64":"e317fQ=="`), "NOT_JSON", "data", "something follows the JSON value, by byte 3"},
		{"an attribute in capitals", cloudText(`,"dataContentType":"application/json"`), "UNKNOWN_FIELD", "dataContentType", `"dataContentType" is no attribute of a CloudEvent: their names are of the letters a to z and digits; there is datacontenttype`},
		{"an attribute with a hyphen", cloudText(`,"x-y":"1"`), "UNKNOWN_FIELD", "x-y", `"x-y" is no attribute of a CloudEvent: their names are of the letters a to z and digits`},
		{"an extension that is an object", cloudText(`,"actor":{}`), "WRONG_TYPE", "actor", "an extension of a CloudEvent is a string, a number or a boolean, not an object"},
		{"an extension of 33 bits", cloudText(`,"n":4294967296`), "OUT_OF_RANGE", "n", "a number in an extension of a CloudEvent is whole and of 32 bits, not 4294967296"},
		{"an audience that is a number", cloudText(`,"audience":1`), "WRONG_TYPE", "audience", "audience must be a string, not a number"},
		{"an owner that is an object", cloudText(`,"extensions":{"ownerId":{}}`), "WRONG_TYPE", "extensions.ownerId", "extensions.ownerId must be a string, not an object"},
		{"a long owner", cloudText(`,"ownerid":"` + strings.Repeat("x", 257) + `"`), "TOO_LONG", "ownerid", "ownerid has at most 256 characters, not 257"},
		{"an extension twice", cloudText(`,"spaceid":"a","extensions":{"spaceid":"b"}`), "DUPLICATE_KEY", "extensions.spaceid", "the extension is given twice"},
		{"extensions that are none", cloudText(`,"extensions":[]`), "WRONG_TYPE", "extensions", "extensions must be an object, not an array"},
		{"a key twice", cloudText(`,"id":"e-2"`), "DUPLICATE_KEY", "id", "the key stands twice in its object, the second time by byte 92"},
		{"a key twice in the data", cloudText(`,"data":{"a":1,"a":2}`), "DUPLICATE_KEY", "data.a", "the key stands twice in its object, the second time by byte 106"},

		{"no subject", `{"specversion":"1.0","id":"1","source":"a","type":"/items/share"}`, "REQUIRED", "subject", "subject is missing: an event of type /items/share has its URI there, as in /items/<id>/share"},
		{"a subject that is no URI", `{"specversion":"1.0","id":"1","source":"a","type":"/items/share","subject":"x"}`, "BAD_URI", "subject", `"x" is no event type of the catalogue`},
		{"another type", `{"specversion":"1.0","id":"1","source":"a","type":"/items/add","subject":"/items/x/share"}`, "BAD_URI", "type", `the type of what happened at /items/x/share is /items/share, not "/items/add"`},
		{"the URI as type", `{"specversion":"1.0","id":"1","source":"a","type":"/items/x/share","subject":"/items/x/share"}`, "BAD_URI", "type", `the type of what happened at /items/x/share is /items/share, not "/items/x/share"`},
		{"data that is no object", pathText(`,"data":"x"`), "WRONG_TYPE", "data", "an event is a JSON object, not a string"},
		{"an unknown member of data", pathText(`,"data":{"user":"x"}`), "UNKNOWN_FIELD", "data.user", `an event has no member "user"; the nearest is userId`},
		{"a wrong member of data", pathText(`,"data":{"properties":[]}`), "WRONG_TYPE", "data.properties", "properties must be an object, not an array"},
		{"a CloudEvent in a CloudEvent", pathText(`,"data":{"specversion":"1.0"}`), "UNKNOWN_FIELD", "data.specversion", `an event has no member "specversion"`},
		{"a member of other events", pathText(`,"data":{"jobId":"j"}`), "NOT_ALLOWED", "data.jobId", "only events of services have jobId"},
		{"the data is about another", pathText(`,"data":{"id":"y"}`), "NOT_ALLOWED", "data.id", "id says another thing than the attribute subject: leave it out"},
		{"the data is of another operation", pathText(`,"data":{"operation":"unshare"}`), "NOT_ALLOWED", "data.operation", "operation says another thing than the attribute subject: leave it out"},
		{"the data has another id", pathText(`,"data":{"eventId":"e-2"}`), "NOT_ALLOWED", "data.eventId", "eventId says another thing than the attribute id: leave it out"},
		{"a long audience", pathText(`,"audience":"a,` + strings.Repeat("x", 257) + `"`), "TOO_LONG", "audience", "a user id has at most 256 characters, not 257"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseOne("application/cloudevents+json", c.body)
			var e *triggers.FieldError
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.detail, e.Detail)
			require.Equal(t, c.code, e.Code)
			require.Equal(t, c.field, e.Field)
			require.Equal(t, -1, e.Index)

			_, _, err = triggers.Default().ParseEvents("application/cloudevents-batch+json", []byte("["+cloudText("")+","+c.body+"]"))
			require.ErrorAs(t, err, &e)
			require.Equal(t, 1, e.Index)
		})
	}
	for _, c := range []struct{ name, contentType, body, detail string }{
		{"an array as one", "application/cloudevents+json", "[" + cloudText("") + "]", "an event is a JSON object, not an array"},
		{"one as a batch", "application/cloudevents-batch+json", cloudText(""), "a batch of CloudEvents is a JSON array; one alone is sent as application/cloudevents+json"},
		{"a word as a batch", "application/cloudevents-batch+json", `"x"`, "an event is a JSON object, not a string"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseOne(c.contentType, c.body)
			var e *triggers.FieldError
			require.ErrorAs(t, err, &e)
			require.Equal(t, "WRONG_TYPE", e.Code)
			require.Equal(t, c.detail, e.Detail)
		})
	}
}

// A plain event that is sent as a CloudEvent is the same event under a fuller identity.
func TestCloudEventOfPlainEvent(t *testing.T) {
	catalog := triggers.Default()
	var entries []triggers.Entry
	for _, e := range catalog.Entries() {
		if e.Resource != "cloud" {
			entries = append(entries, e)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SampledFrom(entries).Draw(t, "entry").SampleEvent
		want, err := catalog.ParseEvent(plain)
		require.NoError(t, err)
		body := fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"p","type":%q,"subject":%q,"data":%s}`, want.URI.AnyForm(), want.URI, plain)
		want.EventID, want.Source = "1", "p"
		got, err := parseOne("application/cloudevents+json", body)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

// The order of a CloudEvent's members says nothing, but for the order in which extensions are sent on.
func TestCloudEventMembersInAnyOrder(t *testing.T) {
	members := []string{
		`"specversion":"1.0"`, `"id":"e-1"`, `"source":"com.qlik/engine"`, `"type":"com.qlik.v1.app.created"`, `"time":"2018-11-26T00:29:56.521Z"`,
		`"ownerid":"o"`, `"audience":"a"`, `"spaceid":"s"`, `"data":{"id":"x"}`, `"extensions":{"ownerId":"p"}`,
	}
	want, err := parseOne("application/json", "{"+strings.Join(members, ",")+"}")
	require.NoError(t, err)
	require.Equal(t, "o", want.OwnerID)
	rapid.Check(t, func(t *rapid.T) {
		got, err := parseOne("application/json", "{"+strings.Join(rapid.Permutation(members).Draw(t, "order"), ",")+"}")
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func TestPlainCloudTypeNamesOwnerInExtensions(t *testing.T) {
	ev, err := parseOne("application/json", `{"uri":"com.qlik.v1.app.created","userId":"u","extensions":{"ownerId":"o","userId":"v","audience":"a,b","tenantId":"t","spaceId": "s"}}`)
	require.NoError(t, err)
	require.Equal(t, "u", ev.UserID)
	require.Equal(t, "o", ev.OwnerID)
	require.Equal(t, []string{"a", "b"}, ev.Audience)
	require.JSONEq(t, `{"spaceId":"s"}`, string(ev.Extensions))
}

// An event keeps nothing of the body, which its owner uses again.
func TestCloudEventsDoNotShareTheBody(t *testing.T) {
	for _, text := range []string{
		cloudText(`,"spaceid":"s","userid":"u","audience":"a","subject":"x","extensions":{"x":"y"},"data":{"id":"x"}`),
		pathText(`,"data":{"username":"jdoe","properties":{"a":"b"}}`),
	} {
		body := []byte(text)
		got, _, err := triggers.Default().ParseEvents("application/json", body)
		require.NoError(t, err)
		want, err := parseOne("application/json", text)
		require.NoError(t, err)
		copy(body, bytes.Repeat([]byte{'#'}, len(body)))
		require.Equal(t, want, got[0])
	}
}

// FromCloudEvent is handed what came in headers, where nothing has been checked.
func FuzzFromCloudEvent(f *testing.F) {
	f.Add("1.0", "1", "a", "/items/share", "/items/x/share", "2018-11-26T00:29:56Z", "application/json", "ownerid", "o", []byte(`{"username":"x"}`))
	f.Add("1.0", "1", "a", "com.qlik.v1.app.created", "", "", "", "audience", "a,b", []byte(`[]`))
	f.Add("0.3", "\xff", "%", "/users/bulkEnable", "", "T", "text/json;", "", "", []byte(nil))
	f.Fuzz(func(t *testing.T, version, id, source, kind, subject, time, contentType, extension, value string, data []byte) {
		quoted, _ := jsontext.AppendQuote(nil, value)
		ev, err := triggers.Default().FromCloudEvent(triggers.CloudEvent{
			SpecVersion: version, ID: id, Source: source, Type: kind, Subject: subject, Time: time, DataContentType: contentType, Data: data,
			Extensions: []triggers.Extension{{Name: extension, Value: quoted}},
		})
		if err != nil {
			requireSentence(t, err)
			return
		}
		require.Equal(t, id, ev.EventID)
		require.Equal(t, source, ev.Source)
		for _, value := range [][]byte{ev.Properties, ev.Data, ev.Extensions} {
			require.True(t, value == nil || jsontext.Value(value).IsValid())
		}
	})
}
