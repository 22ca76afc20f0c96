package payload_test

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/payload"
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
	require.Equal(t, 1, payload.Version)
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

func TestBuildRefuses(t *testing.T) {
	for name, change := range map[string]func(*payload.Revision, *[]payload.Event){
		"no events":               func(_ *payload.Revision, events *[]payload.Event) { *events = nil },
		"a builder of the future": func(rev *payload.Revision, _ *[]payload.Event) { rev.Builder = payload.Version + 1 },
		"no builder":              func(rev *payload.Revision, _ *[]payload.Event) { rev.Builder = 0 },
		"legacy":                  func(rev *payload.Revision, _ *[]payload.Event) { rev.Format = triggers.FormatLegacy },
		"hybrid":                  func(rev *payload.Revision, _ *[]payload.Event) { rev.Format = triggers.FormatHybrid },
		"cloudevents":             func(rev *payload.Revision, _ *[]payload.Event) { rev.Format = triggers.FormatCloudEvents },
		"no format":               func(rev *payload.Revision, _ *[]payload.Event) { rev.Format = "" },
		"a service's event": func(_ *payload.Revision, events *[]payload.Event) {
			(*events)[1].URI.Resource = triggers.FeatureServices
		},
		"a cloud event": func(_ *payload.Revision, events *[]payload.Event) { (*events)[0].URI.Resource = triggers.CloudTypes },
	} {
		t.Run(name, func(t *testing.T) {
			rev, events := revision("n"), rendered(`{}`, `{}`)
			change(rev, &events)
			got, err := payload.Build([]byte("before"), rev, builtAt, events)
			require.Error(t, err)
			require.Equal(t, "before", string(got))
		})
	}
}

func TestBuildIsCompactJSONAndTheSameForEver(t *testing.T) {
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
