package payload_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/payload"
	"portalhook/testdata"
	"portalhook/triggers"
)

const createdType = "com.qlik.v1.app.created"

func formatted(format triggers.Format) *payload.Revision {
	rev := revision("n")
	rev.Format, rev.PortalID, rev.ServerURL = format, testdata.PortalID, testdata.ServerURL
	return rev
}

// parseCloudEvent has the official library read and judge a CloudEvent.
func parseCloudEvent(t require.TestingT, body string) cloudevents.Event {
	var e cloudevents.Event
	require.NoError(t, e.UnmarshalJSON([]byte(body)), body)
	require.NoError(t, e.Validate(), body)
	require.Equal(t, "1.0", e.SpecVersion())
	return e
}

// Every event of the catalogue, asked for as a CloudEvent, is one to the official library.
func TestCloudEventsAreReadByTheOfficialLibrary(t *testing.T) {
	for _, story := range stories(t) {
		if story.Name == "cloud-extensions" {
			continue // what it has in extensions is Qlik Cloud's custom, not the standard's
		}
		t.Run(story.Name, func(t *testing.T) {
			ev := toldEvent(t, story.Event)
			e := parseCloudEvent(t, build(t, formatted(triggers.FormatCloudEvents), ev))
			require.Equal(t, ev.URI.AnyForm(), e.Type())
			id := ev.EventID
			if id == "" {
				id = testdata.EventID
			}
			require.Equal(t, id, e.ID())
			require.Equal(t, testdata.PortalID, e.Extensions()["tenantid"])
			if len(e.Data()) > 0 {
				require.Equal(t, "application/json", e.DataContentType())
				require.True(t, jsontext.Value(e.Data()).IsValid())
			}
			posted := event(t, string(story.Event))
			when := int64(testdata.When)
			if posted.HasWhen {
				when = posted.When
			}
			require.Equal(t, when, e.Time().UnixMilli())
			if payload.FamilyOf(&ev.URI) == payload.Cloud {
				require.Empty(t, e.Subject())
				require.Equal(t, string(posted.Data), string(e.Data()))
				return
			}
			require.Equal(t, ev.URI.String(), e.Subject())
			require.Equal(t, testdata.PortalURL, e.Source())
			if payload.FamilyOf(&ev.URI) == payload.Portal {
				require.Equal(t, string(ev.Body), string(e.Data()))
			}
			if posted.UserID != "" {
				require.Equal(t, posted.UserID, e.Extensions()["userid"])
			}
		})
	}
}

// extension is one of a sender's, and whether CloudEvents has a place for it.
type extension struct {
	name, value string
	attribute   bool
}

// The specification of the extensions, from what each is rather than from its text.
func TestExtensionsMatchTheirSpecification(t *testing.T) {
	names := []struct {
		name string
		fit  bool
	}{
		{"spaceId", true},
		{"a", true},
		{"weight2", true},
		{"SESSION", true},
		{"audit-id", false},
		{"", false},
		{"é", false},
		{"ſ", false},
		{"id", false},
		{"Source", false},
		{"data", false},
		{"extensions", false},
		{"specversion", false},
		{"datacontenttype", false},
	}
	values := []struct {
		value string
		fit   bool
	}{
		{`"x"`, true},
		{`""`, true},
		{`"<&>é\""`, true},
		{`true`, true},
		{`false`, true},
		{`0`, true},
		{`-0`, true},
		{`2147483647`, true},
		{`-2147483648`, true},
		{`2147483648`, false},
		{`1.0`, false},
		{`1e3`, false},
		{`{}`, false},
		{`[1]`, false},
		{`"\n"`, false},
		{"\"\u0085\"", false},
	}
	rapid.Check(t, func(t *rapid.T) {
		var all []extension
		for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, len(names), func(n struct {
			name string
			fit  bool
		},
		) string {
			return strings.ToLower(n.name)
		}).Draw(t, "names") {
			v := rapid.SampledFrom(values).Draw(t, "value")
			all = append(all, extension{n.name, v.value, n.fit && v.fit})
		}
		var sent, attributes, left []string
		for _, x := range all {
			sent = append(sent, fmt.Sprintf(`"%s":%s`, x.name, x.value))
			if x.attribute {
				attributes = append(attributes, fmt.Sprintf(`"%s":%s`, strings.ToLower(x.name), x.value))
			} else {
				left = append(left, sent[len(sent)-1])
			}
		}
		ev := told(t, createdType, `,"when":0,"eventId":"e","extensions":{`+strings.Join(sent, ",")+`}`)

		want := `{"specversion":"1.0","id":"e","source":"com.qlik/engine","type":"com.qlik.v1.app.created","time":"1970-01-01T00:00:00.000Z","tenantid":"0123456789ABCDEF"`
		if len(attributes) > 0 {
			want += "," + strings.Join(attributes, ",")
		}
		if len(left) > 0 {
			want += `,"extensions":{` + strings.Join(left, ",") + `}`
		}
		body := build(t, formatted(triggers.FormatCloudEvents), ev)
		require.Equal(t, want+"}", body)
		if len(left) == 0 {
			parseCloudEvent(t, body)
		}

		legacy := `"extensions":{"ownerId":"","tenantId":"0123456789ABCDEF","userId":""`
		if len(sent) > 0 {
			legacy += "," + strings.Join(sent, ",")
		}
		require.Contains(t, build(t, formatted(triggers.FormatLegacy), ev), legacy+`},"data":{}}`)
		hybrid := build(t, formatted(triggers.FormatHybrid), ev)
		require.Contains(t, hybrid, legacy+`},"data":{}}`)
		require.Contains(t, hybrid, strings.Join(attributes, ","))
	})
}

func TestExtensionsOfOneMeaning(t *testing.T) {
	for name, c := range map[string]struct{ more, cloudevents, legacy string }{
		"the event's own user wins":      {`,"userId":"u","extensions":{"userid":"x"}`, `,"userid":"u"}`, `{"ownerId":"","tenantId":"0123456789ABCDEF","userId":"u"}`},
		"the first of several":           {`,"extensions":{"ownerID":"a","ownerId":"b"}`, `,"ownerid":"a"}`, `{"ownerId":"a","tenantId":"0123456789ABCDEF","userId":""}`},
		"nobody":                         {`,"extensions":{"userId":"","ownerId":null}`, `}`, `{"ownerId":"","tenantId":"0123456789ABCDEF","userId":""}`},
		"the tenant is the key's":        {`,"extensions":{"tenantId":"x","TENANTID":{}}`, `}`, `{"ownerId":"","tenantId":"0123456789ABCDEF","userId":""}`},
		"the audience stays at home":     {`,"audience":["a"],"extensions":{"audience":"a,b","Audience":"c"}`, `}`, `{"ownerId":"","tenantId":"0123456789ABCDEF","userId":""}`},
		"two spellings, one attribute":   {`,"extensions":{"spaceid":"a","spaceId":"b"}`, `,"spaceid":"a","extensions":{"spaceId":"b"}}`, `{"ownerId":"","tenantId":"0123456789ABCDEF","userId":"","spaceid":"a","spaceId":"b"}`},
		"null is none":                   {`,"extensions":{"spaceId":null}`, `}`, `{"ownerId":"","tenantId":"0123456789ABCDEF","userId":"","spaceId":null}`},
		"a subject":                      {`,"extensions":{"subject":"apps/1"}`, `,"subject":"apps/1"}`, `{"ownerId":"","tenantId":"0123456789ABCDEF","userId":"","subject":"apps/1"}`},
		"no subject":                     {`,"extensions":{"subject":""}`, `,"extensions":{"subject":""}}`, `{"ownerId":"","tenantId":"0123456789ABCDEF","userId":"","subject":""}`},
		"a subject that is none":         {`,"extensions":{"subject":1}`, `,"extensions":{"subject":1}}`, `{"ownerId":"","tenantId":"0123456789ABCDEF","userId":"","subject":1}`},
		"a schema":                       {`,"extensions":{"dataschema":"urn:a:b"}`, `,"dataschema":"urn:a:b"}`, `{"ownerId":"","tenantId":"0123456789ABCDEF","userId":"","dataschema":"urn:a:b"}`},
		"a schema that is no URI":        {`,"extensions":{"dataschema":"a"}`, `,"extensions":{"dataschema":"a"}}`, `{"ownerId":"","tenantId":"0123456789ABCDEF","userId":"","dataschema":"a"}`},
		"a schema that is a truth value": {`,"extensions":{"dataschema":true}`, `,"extensions":{"dataschema":true}}`, `{"ownerId":"","tenantId":"0123456789ABCDEF","userId":"","dataschema":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			ev := told(t, createdType, c.more)
			require.NotContains(t, string(ev.Body), "udience")
			_, got, found := strings.Cut(build(t, formatted(triggers.FormatCloudEvents), ev), `,"tenantid":"0123456789ABCDEF"`)
			require.True(t, found)
			require.Equal(t, c.cloudevents, got)
			_, got, found = strings.Cut(build(t, formatted(triggers.FormatLegacy), ev), `"extensions":`)
			require.True(t, found)
			require.Equal(t, c.legacy+`,"data":{}}`, got)
		})
	}
}

func TestSourceOfCloudEvents(t *testing.T) {
	require.Contains(t, build(t, formatted(triggers.FormatLegacy), told(t, createdType, `,"source":"urn:a"`)), `"source":"urn:a"`)
	require.Contains(t, build(t, formatted(triggers.FormatLegacy), told(t, createdType, ``)), `"source":"com.qlik/engine"`)

	// A type of an operator's own catalogue may have none.
	ev := event(t, `{"uri":"com.qlik.v1.app.created","when":1}`)
	ev.Kind = triggers.CloudKind{}
	body, err := payload.Render(ev, builtAt)
	require.NoError(t, err)
	require.Equal(t, `{"when":1}`, string(body))
	told := payload.Event{EventID: "e", URI: ev.URI, Body: body}
	require.Contains(t, build(t, formatted(triggers.FormatHybrid), told), `"source":"https://orgURL/portal/"`)
}

// Two backends may count their events alike: what comes as CloudEvents of two sources is told as of two, as its id is unique in its own only.
// What was planned by an older builder, what names no source, and our own events are the portal's.
func TestSourceOfOtherEvents(t *testing.T) {
	rev, older := formatted(triggers.FormatCloudEvents), formatted(triggers.FormatCloudEvents)
	older.Builder = 2
	for uri, more := range map[string]string{"/items/i/move": ``, "/services/s/FeatureServer/FeaturesCreated": ``, "/services/s/GPServer": `,"jobId":"j","status":"failed"`} {
		ev := told(t, uri, more)
		require.Contains(t, build(t, rev, ev), `"source":"https://orgURL/portal/"`)
		for _, source := range []string{"urn:a", "urn:b"} {
			ev.Source = source
			require.Contains(t, build(t, rev, ev), `"source":"`+source+`"`)
			require.Contains(t, build(t, older, ev), `"source":"https://orgURL/portal/"`)
		}
	}
	own := told(t, "/items/i/move", ``)
	own.URI = triggers.URI{Resource: triggers.Webhooks, Operation: triggers.WebhooksDisable, ID: "w"}
	own.Source = "portalhook"
	require.Contains(t, build(t, rev, own), `"source":"https://orgURL/portal/"`)
}

func TestRenderRefusesSources(t *testing.T) {
	_, err := payload.Render(event(t, `{"uri":"com.qlik.v1.app.created","source":"1:2"}`), builtAt)
	require.Equal(t, triggers.Invalid(triggers.CodeOutOfRange, "source", "must be a URI or the end of one, such as com.qlik/engine, as CloudEvents asks"), err)
}

// One Portalhook can tell another: what it sends as a CloudEvent is an event to it, of which it sends the same.
func TestCloudEventsComeBackAsTheyWent(t *testing.T) {
	for _, story := range stories(t) {
		if story.Name == "cloud-extensions" {
			continue // a member extensions is Qlik Cloud's custom
		}
		t.Run(story.Name, func(t *testing.T) {
			rev := formatted(triggers.FormatCloudEvents)
			sent := build(t, rev, toldEvent(t, story.Event))
			require.Equal(t, sent, build(t, rev, toldEvent(t, []byte(sent))))
		})
	}
}

// A later catalogue that knows the type otherwise, or no longer, changes nothing of what was accepted.
func TestCloudEventsOutliveTheirType(t *testing.T) {
	ev := told(t, "com.qlik.v1.di-projects.di-tasks.failed", `,"eventId":"e","when":0,"data":{}`)
	want := build(t, formatted(triggers.FormatLegacy), ev)
	require.True(t, strings.HasPrefix(want, `{"specversion":"1.0","id":"e","source":"com.qlik/data-app-design"`), want)
	ev.URI = triggers.URI{Resource: triggers.CloudTypes, ID: ev.URI.ID}
	require.Equal(t, want, build(t, formatted(triggers.FormatLegacy), ev))
}

func TestDatesOfCloudEvents(t *testing.T) {
	for when, want := range map[int64]string{
		0: "1970-01-01T00:00:00.000Z", 1615215089000: "2021-03-08T14:51:29.000Z", 253402300799999: "9999-12-31T23:59:59.999Z",
	} {
		ev := told(t, createdType, fmt.Sprintf(`,"when":%d`, when))
		require.Contains(t, build(t, formatted(triggers.FormatCloudEvents), ev), `,"time":"`+want+`"`)
		require.Contains(t, build(t, formatted(triggers.FormatHybrid), ev), `,"eventTime":"`+want+`"`)
	}
}

// Many extensions are sorted out in linear time.
func TestManyExtensions(t *testing.T) {
	var sent, want []string
	for i := range 15_000 {
		sent = append(sent, fmt.Sprintf(`"X%d":%d`, i, i))
		want = append(want, fmt.Sprintf(`"x%d":%d`, i, i))
	}
	body := build(t, formatted(triggers.FormatCloudEvents), told(t, createdType, `,"extensions":{`+strings.Join(sent, ",")+`}`))
	require.Contains(t, body, strings.Join(want, ","))
}

// fitsFloats reports whether every number is one that a float can hold: the official library reads no other.
func fitsFloats(body string) bool {
	decoder := jsontext.NewDecoder(strings.NewReader(body))
	for {
		token, err := decoder.ReadToken()
		if err != nil {
			return true // the end
		}
		if token.Kind() == '0' {
			if _, err := strconv.ParseFloat(token.String(), 64); err != nil {
				return false
			}
		}
	}
}

// FuzzBuild holds that whatever is accepted is built in every format as one compact JSON object, the same each time, and that what
// claims to be a CloudEvent is one.
func FuzzBuild(f *testing.F) {
	for _, entry := range triggers.Default().Entries() {
		f.Add(entry.SampleEvent)
	}
	f.Add([]byte(`{"uri":"com.qlik.v1.app.created","eventId":"\u0000","source":"a b","extensions":{"userId":"<","spaceid":1,"x":{}},"data":[1e999]}`))
	f.Add([]byte(`{"uri":"/services/a%2Fb/c?/FeatureServer/FeaturesEdited","serverGens":[1,2],"changesUrl":"?","properties":{}}`))
	f.Add([]byte(`{"uri":"/services/x/GPServer","jobId":"\"","taskName":"%","status":"failed","userId":"\n"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		ev, err := triggers.Default().ParseEvent(body)
		if err != nil {
			return
		}
		rendered, err := payload.Render(ev, builtAt)
		if err != nil {
			return
		}
		events := []payload.Event{{ID: 1, EventID: ev.EventID, Source: ev.Source, URI: ev.URI, Body: rendered}}
		for _, format := range []triggers.Format{
			triggers.FormatAuto, triggers.FormatPortal, triggers.FormatLegacy, triggers.FormatHybrid, triggers.FormatCloudEvents,
		} {
			rev := formatted(format)
			built := build(t, rev, events...)
			require.Equal(t, built, build(t, rev, events...))
			if format == triggers.FormatCloudEvents && !strings.Contains(built, `,"extensions":{`) && fitsFloats(built) {
				parseCloudEvent(t, built)
			}
		}
	})
}

func BenchmarkBuildForms(b *testing.B) {
	for _, c := range []struct {
		name, event string
		format      triggers.Format
	}{
		{"feature service", `{"uri":"/services/s/FeatureServer/FeaturesCreated","when":1,"serverGens":[1,2]}`, triggers.FormatAuto},
		{"cloudevents", `{"uri":"com.qlik.v1.app.created","when":1,"userId":"u","extensions":{"spaceId":"s"},"data":{"id":"1","name":"New App"}}`, triggers.FormatCloudEvents},
		{"hybrid", `{"uri":"com.qlik.v1.app.created","when":1,"userId":"u","extensions":{"spaceId":"s"},"data":{"id":"1","name":"New App"}}`, triggers.FormatHybrid},
		{"portal as cloudevents", `{"uri":"/items/i/move","when":1,"userId":"u"}`, triggers.FormatCloudEvents},
	} {
		b.Run(c.name, func(b *testing.B) {
			events := []payload.Event{toldEvent(b, []byte(c.event))}
			rev := formatted(c.format)
			dst := make([]byte, 0, 2048)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := payload.Build(dst, rev, time.UnixMilli(1), events); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
