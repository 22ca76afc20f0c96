package payload_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/payload"
	"portalhook/testdata"
	"portalhook/triggers"
)

func revision(name string) *payload.Revision {
	id, _ := triggers.ParseWebhookID("72fed926aeb74c9ca8a22aacddc6725a")
	return &payload.Revision{
		Builder: payload.Version, WebhookID: id, WebhookName: name,
		PortalURL: "https://orgURL/portal/", Format: triggers.FormatAuto,
	}
}

func rendered(bodies ...string) []payload.Event {
	var events []payload.Event
	for _, body := range bodies {
		events = append(events, payload.Event{URI: triggers.URI{Resource: triggers.Groups}, Body: []byte(body)})
	}
	return events
}

var builtAt = time.UnixMilli(1543192196530)

// These bytes are in people's histories: they never change. A new builder gets a new version and a test of its own.
func TestBuildVersion1(t *testing.T) {
	group := `{"username":"administrator","userId":"173dd04b69134bdf99c5000aad0b6298","when":1543192196521,"operation":"update",` +
		`"source":"groups","id":"173dd04b69134bdf99c5000aad0b6298","properties":{}}`
	for name, c := range map[string]struct {
		webhook string
		events  []payload.Event
		want    string
	}{
		"one event": {
			"Group monitoring", rendered(group),
			`{"info":{"webhookName":"Group monitoring","webhookId":"72fed926aeb74c9ca8a22aacddc6725a","portalURL":"https://orgURL/portal/",` +
				`"when":1543192196530},"events":[` + group + `],"properties":{}}`,
		},
		"several events, in the order given": {
			"n", rendered(`{"id":"2"}`, `{"id":"1"}`),
			`{"info":{"webhookName":"n","webhookId":"72fed926aeb74c9ca8a22aacddc6725a","portalURL":"https://orgURL/portal/",` +
				`"when":1543192196530},"events":[{"id":"2"},{"id":"1"}],"properties":{}}`,
		},
		"the fewest escapes": {
			"\"R&D\" <ops> \\ \t\x01 \u2028 naïve 🗺", rendered(`{}`),
			`{"info":{"webhookName":"\"R&D\" <ops> \\ \t\u0001 ` + "\u2028" + ` naïve 🗺","webhookId":"72fed926aeb74c9ca8a22aacddc6725a",` +
				`"portalURL":"https://orgURL/portal/","when":1543192196530},"events":[{}],"properties":{}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			rev := revision(c.webhook)
			rev.Builder = 1
			got, err := payload.Build(nil, rev, builtAt, c.events)
			require.NoError(t, err)
			require.Equal(t, c.want, string(got))
			require.Equal(t, "application/json", rev.ContentType())

			rev.Format = triggers.FormatPortal
			got, err = payload.Build([]byte("before"), rev, builtAt, c.events)
			require.NoError(t, err)
			require.Equal(t, "before"+c.want, string(got))
		})
	}
}

func TestBuildVersion1Refuses(t *testing.T) {
	for name, change := range map[string]func(*payload.Revision, *payload.Event){
		"legacy":            func(rev *payload.Revision, _ *payload.Event) { rev.Format = triggers.FormatLegacy },
		"hybrid":            func(rev *payload.Revision, _ *payload.Event) { rev.Format = triggers.FormatHybrid },
		"cloudevents":       func(rev *payload.Revision, _ *payload.Event) { rev.Format = triggers.FormatCloudEvents },
		"no format":         func(rev *payload.Revision, _ *payload.Event) { rev.Format = "" },
		"a service's event": func(_ *payload.Revision, ev *payload.Event) { ev.URI.Resource = triggers.FeatureServices },
		"a job":             func(_ *payload.Revision, ev *payload.Event) { ev.URI.Resource = triggers.Geoprocessing },
		"a cloud event":     func(_ *payload.Revision, ev *payload.Event) { ev.URI.Resource = triggers.CloudTypes },
	} {
		t.Run(name, func(t *testing.T) {
			rev, events := revision("n"), rendered(`{}`, `{}`)
			rev.Builder = 1
			change(rev, &events[1])
			requireRefused(t, payload.ErrFormat, rev, events...)
		})
	}
}

func TestBuildRefuses(t *testing.T) {
	const created, job, app = "/services/s/FeatureServer/FeaturesCreated", "/services/s/GPServer", "com.qlik.v1.app.created"
	item, edit, end, reload := told(t, "/items/i/move", ``), told(t, created, ``), told(t, job, `,"jobId":"j","status":"failed"`), told(t, app, ``)
	format := func(f triggers.Format) *payload.Revision {
		rev := revision("n")
		rev.Format = f
		return rev
	}
	builder := func(n int) *payload.Revision {
		rev := revision("n")
		rev.Builder = n
		return rev
	}
	requireRefused(t, payload.ErrNoEvents, revision("n"))
	requireRefused(t, nil, builder(payload.Version+1), item)
	requireRefused(t, nil, builder(0), item)
	for name, c := range map[string]struct {
		rev    *payload.Revision
		events []payload.Event
	}{
		"no format":                    {format(""), []payload.Event{item}},
		"a format of the future":       {format("avro"), []payload.Event{item}},
		"the portal and a service":     {format(triggers.FormatAuto), []payload.Event{item, edit}},
		"a service and its job":        {format(triggers.FormatAuto), []payload.Event{edit, end}},
		"two jobs":                     {format(triggers.FormatAuto), []payload.Event{end, end}},
		"two cloud events":             {format(triggers.FormatLegacy), []payload.Event{reload, reload}},
		"two of the portal as one":     {format(triggers.FormatCloudEvents), []payload.Event{item, item}},
		"two of a service as one":      {format(triggers.FormatCloudEvents), []payload.Event{edit, edit}},
		"two services":                 {format(triggers.FormatAuto), []payload.Event{edit, told(t, "/services/t/FeatureServer/FeaturesCreated", ``)}},
		"a service and its namesake":   {format(triggers.FormatAuto), []payload.Event{edit, told(t, "/services/f/s/FeatureServer/FeaturesCreated", ``)}},
		"an event of no resource":      {format(triggers.FormatAuto), []payload.Event{{Body: []byte(`{}`)}}},
		"an event of no resource, too": {format(triggers.FormatCloudEvents), []payload.Event{{Body: []byte(`{}`)}}},
	} {
		t.Run(name, func(t *testing.T) { requireRefused(t, payload.ErrFormat, c.rev, c.events...) })
	}
}

// What was rendered does not go bad; were it to, that is an error of one delivery and no panic.
func TestBuildJudgesWhatIsStored(t *testing.T) {
	for _, uri := range []string{"/services/s/FeatureServer/FeaturesCreated", "/services/s/GPServer", "com.qlik.v1.app.created", "/items/i/move"} {
		for _, body := range []string{
			``, `[]`, `{`, `{"when":"x"}`, `{"when":1,"changesUrl":7,"extensions":[]}`, `{"when":1,"serverGens":[1],"extensions":{`, `{"when":1.5}`,
		} {
			rev := revision("n")
			rev.Format = triggers.FormatCloudEvents
			parsed, err := triggers.Default().ParseURI(uri)
			require.NoError(t, err)
			if body == `{"when":1,"changesUrl":7,"extensions":[]}` && parsed.Resource.IsPortal() {
				continue // of these only the date is read again
			}
			requireRefused(t, nil, rev, payload.Event{URI: parsed, Body: []byte(body)})
		}
	}
}

func TestBuildJudgesStoredServices(t *testing.T) {
	for _, gens := range []string{`[1]`, `[1,2,3]`, `{}`, `["a",2]`, `[1,2.5]`} {
		ev := told(t, "/services/s/FeatureServer/FeaturesCreated", ``)
		ev.Body = []byte(`{"when":1,"serverGens":` + gens + `}`)
		requireRefused(t, nil, revision("n"), ev)
	}
}

// requireRefused holds that nothing is built, for the reason given unless it is nil.
func requireRefused(t *testing.T, reason error, rev *payload.Revision, events ...payload.Event) {
	t.Helper()
	got, err := payload.Build([]byte("before"), rev, builtAt, events)
	require.Error(t, err)
	if reason != nil {
		require.ErrorIs(t, err, reason)
	}
	require.Equal(t, "before", string(got))
}

// told is an event as stored, from its URI and further members: `,"when":1`.
func told(t require.TestingT, uri, more string) payload.Event {
	return toldEvent(t, fmt.Appendf(nil, `{"uri":%q%s}`, uri, more))
}

// build is the body of one webhook about the events.
func build(t require.TestingT, rev *payload.Revision, events ...payload.Event) string {
	body, err := payload.Build(nil, rev, builtAt, events)
	require.NoError(t, err)
	requireCompact(t, body)
	return string(body)
}

// Each format for each family, told apart by how the body begins.
func TestBuildChoosesTheForm(t *testing.T) {
	const (
		envelope, feature, job       = `{"info":`, `{"serviceType":"FeatureServer"`, `{"serviceType":"GPServer"`
		cloudevents, hybrid, legacy  = `{"specversion":"1.0","id":`, `{"cloudEventsVersion":"0.1"`, `{"cloudEventsVersion":"0.1"`
		auto, portal, asLegacy       = triggers.FormatAuto, triggers.FormatPortal, triggers.FormatLegacy
		asHybrid, asEvents           = triggers.FormatHybrid, triggers.FormatCloudEvents
		item, own, edit, end, reload = "/items/i/move", "/webhooks/w/enable", "/services/s/FeatureServer/FeaturesEdited", "/services/s/GPServer", "com.qlik.v1.reload.finished"
		cloudOnly                    = "com.qlik.v1.di-projects.di-tasks.failed"
	)
	type setting struct{ delivery, legacy bool }
	on, off, offLegacy, onLegacy := setting{true, false}, setting{}, setting{false, true}, setting{true, true}
	for _, c := range []struct {
		uri    string
		format triggers.Format
		setting
		want       string
		isHybrid   bool
		wantFamily payload.Family
	}{
		{item, auto, on, envelope, false, payload.Portal},
		{item, portal, off, envelope, false, payload.Portal},
		{item, asLegacy, on, envelope, false, payload.Portal},
		{item, asHybrid, on, envelope, false, payload.Portal},
		{item, asEvents, off, cloudevents, false, payload.Portal},
		{own, auto, off, envelope, false, payload.Portal},
		{own, asEvents, offLegacy, cloudevents, false, payload.Portal},
		{edit, auto, on, feature, false, payload.FeatureService},
		{edit, portal, on, feature, false, payload.FeatureService},
		{edit, asLegacy, on, feature, false, payload.FeatureService},
		{edit, asHybrid, off, feature, false, payload.FeatureService},
		{edit, asEvents, off, cloudevents, false, payload.FeatureService},
		{end, auto, on, job, false, payload.Geoprocessing},
		{end, portal, on, job, false, payload.Geoprocessing},
		{end, asLegacy, offLegacy, job, false, payload.Geoprocessing},
		{end, asHybrid, on, job, false, payload.Geoprocessing},
		{end, asEvents, on, cloudevents, false, payload.Geoprocessing},
		{reload, auto, on, cloudevents, false, payload.Cloud},
		{reload, auto, onLegacy, cloudevents, false, payload.Cloud},
		{reload, auto, off, hybrid, true, payload.Cloud},
		{reload, auto, offLegacy, legacy, false, payload.Cloud},
		{reload, portal, on, cloudevents, false, payload.Cloud},
		{reload, portal, off, hybrid, true, payload.Cloud},
		{reload, portal, offLegacy, legacy, false, payload.Cloud},
		{reload, asLegacy, on, legacy, false, payload.Cloud},
		{reload, asHybrid, onLegacy, hybrid, true, payload.Cloud},
		{reload, asEvents, offLegacy, cloudevents, false, payload.Cloud},
		{cloudOnly, auto, on, cloudevents, false, payload.Cloud},
		{cloudOnly, auto, off, cloudevents, false, payload.Cloud},
		{cloudOnly, auto, offLegacy, cloudevents, false, payload.Cloud},
		{cloudOnly, portal, offLegacy, cloudevents, false, payload.Cloud},
		{cloudOnly, asLegacy, off, cloudevents, false, payload.Cloud},
		{cloudOnly, asHybrid, off, cloudevents, false, payload.Cloud},
	} {
		t.Run(fmt.Sprintf("%s %s %v", c.uri, c.format, c.setting), func(t *testing.T) {
			rev := revision("n")
			rev.Format, rev.EnableCloudEventDelivery, rev.LegacyCloud = c.format, c.delivery, c.legacy
			more := ``
			if c.uri == end {
				more = `,"jobId":"j","status":"succeeded"`
			}
			ev := told(t, c.uri, more)
			body := build(t, rev, ev)
			require.True(t, strings.HasPrefix(body, c.want), body)
			require.Equal(t, c.isHybrid, strings.Contains(body, `"cloudEventsVersion"`) && strings.Contains(body, `"specversion"`))
			require.Equal(t, "application/json", rev.ContentType())
			require.Equal(t, c.wantFamily, payload.FamilyOf(&ev.URI))
		})
	}
	require.Equal(t, payload.NoFamily, payload.FamilyOf(&triggers.URI{}))
}

// Who was told of the portal by version 1 is told the same by version 2, in every format but cloudevents.
func TestBuildVersion2SaysOfThePortalWhatVersion1Said(t *testing.T) {
	for _, story := range stories(t) {
		ev := toldEvent(t, story.Event)
		if payload.FamilyOf(&ev.URI) != payload.Portal {
			continue
		}
		first := revision("n")
		first.Builder = 1
		want := build(t, first, ev, ev)
		for _, format := range []triggers.Format{triggers.FormatAuto, triggers.FormatPortal, triggers.FormatLegacy, triggers.FormatHybrid} {
			rev := revision("n")
			rev.Format, rev.ServerURL, rev.PortalID = format, testdata.ServerURL, testdata.PortalID
			require.Equal(t, want, build(t, rev, ev, ev))
		}
	}
}

// A revision is stored as JSON and must come back whole, and those of version 1 must still be read.
func TestRevisionAsJSON(t *testing.T) {
	rev := revision("n")
	rev.EnableCloudEventDelivery, rev.LegacyCloud, rev.ServerURL, rev.PortalID = true, true, testdata.ServerURL, testdata.PortalID
	rev.Triggers, rev.URL, rev.Headers = []string{"/"}, "https://example.org/", [][2]string{{"a", "b"}}
	text, err := json.Marshal(rev)
	require.NoError(t, err)
	var back payload.Revision
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, *rev, back)

	old := `{"builder":1,"webhookId":"cv7ZJq63TJyooiqs3cZyWg==","webhookName":"n",` +
		`"portalUrl":"https://orgURL/portal/","format":"auto","triggers":["/"],"url":"https://example.org/"}`
	back = payload.Revision{}
	require.NoError(t, json.Unmarshal([]byte(old), &back))
	want := revision("n")
	want.Builder, want.Triggers, want.URL = 1, []string{"/"}, "https://example.org/"
	require.Equal(t, *want, back)
}

// TestCase39BuildIsCompactJSONAndTheSameForEver holds payloads to compact JSON, byte for byte the same each time.
func TestCase39BuildIsCompactJSONAndTheSameForEver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rev := revision(rapid.String().Draw(t, "name"))
		rev.PortalURL = "https://" + rapid.String().Draw(t, "portal") + "/"
		at := time.UnixMilli(rapid.Int64Range(0, 1<<45).Draw(t, "at"))
		events := rendered(rapid.SliceOfN(rapid.SampledFrom([]string{`{}`, `{"a":1}`, `{"a":"é","b":[1.0,1e3]}`}), 1, 5).Draw(t, "events")...)

		body, err := payload.Build(nil, rev, at, events)
		require.NoError(t, err)
		again, err := payload.Build(nil, rev, at, events)
		require.NoError(t, err)
		require.Equal(t, body, again)
		requireCompact(t, body)
	})
}

// Whatever differs but the number, a webhook needs a new revision.
func TestRevisionsAreEqualButForTheirNumber(t *testing.T) {
	first := revision("n")
	same := *first
	same.Number = 7
	require.True(t, first.Equal(&same))
	for i := range reflect.TypeFor[payload.Revision]().NumField() {
		other := *first
		name := reflect.TypeFor[payload.Revision]().Field(i).Name
		field := reflect.ValueOf(&other).Elem().Field(i)
		switch {
		case field.CanInt():
			field.SetInt(field.Int() + 1)
		case field.Kind() == reflect.Bool:
			field.SetBool(!field.Bool())
		case field.Kind() == reflect.String:
			field.SetString(field.String() + "x")
		case field.Kind() == reflect.Slice:
			field.Set(reflect.MakeSlice(field.Type(), 1, 1))
		case field.Kind() == reflect.Array:
			field.Index(0).SetUint(field.Index(0).Uint() + 1)
		default:
			require.Fail(t, "a field that this test cannot change", name)
		}
		require.Equal(t, name == "Number", first.Equal(&other), name)
	}
}

// requireCompact holds a body to the rules of all bodies: one JSON value without white space, duplicate names or needless escapes.
func requireCompact(t require.TestingT, body []byte) {
	value := jsontext.Value(append([]byte(nil), body...))
	require.NoError(t, value.Format(jsontext.AllowDuplicateNames(false), jsontext.AllowInvalidUTF8(false)))
	require.Equal(t, string(value), string(body))
}

func BenchmarkBuild(b *testing.B) {
	rev := revision("Group monitoring")
	events := rendered(`{"username":"administrator","userId":"173dd04b69134bdf99c5000aad0b6298","when":1543192196521,"operation":"update",` +
		`"source":"groups","id":"173dd04b69134bdf99c5000aad0b6298","properties":{}}`)
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := payload.Build(dst, rev, builtAt, events); err != nil {
			b.Fatal(err)
		}
	}
}
