package payload_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"portalhook/payload"
	"portalhook/testdata"
	"portalhook/triggers"
)

// The stories are written from the documentation, so a difference is a fault of the code until somebody has read the page again.
// The flag therefore rewrites them and fails all the same.
var update = flag.Bool("update", false, "rewrite the bodies in testdata/flows, and fail; read the difference against the documentation")

const flows = "../testdata/flows"

func stories(t *testing.T) []testdata.Story {
	t.Helper()
	all, err := testdata.Stories()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

// toldRevision is what the story's webhook contributes, in the run that the bodies tell of.
func toldRevision(w *testdata.Webhook) *payload.Revision {
	id, _ := triggers.ParseWebhookID(testdata.WebhookID)
	rev := &payload.Revision{
		Builder: payload.Version, WebhookID: id, WebhookName: w.Name, Format: triggers.Format(w.Format), EnableCloudEventDelivery: true,
		PortalURL: testdata.PortalURL, PortalID: testdata.PortalID, ServerURL: testdata.ServerURL,
	}
	rev.Form, rev.Pretty = w.ContentType == triggers.ContentTypeForm, w.PayloadFormat == "pjson"
	if rev.Format == "" {
		rev.Format = triggers.FormatAuto
	}
	if w.EnableCloudEventDelivery != nil {
		rev.EnableCloudEventDelivery = *w.EnableCloudEventDelivery
	}
	return rev
}

// toldEvent is the event as a store keeps it: rendered, its URI read again from text.
func toldEvent(t require.TestingT, posted []byte) payload.Event {
	ev := event(t, string(posted))
	body, err := payload.Render(ev, time.UnixMilli(testdata.When))
	require.NoError(t, err)
	uri, err := triggers.Default().ParseURI(ev.URI.String())
	require.NoError(t, err)
	id, ok := triggers.ParseEventID(testdata.EventID)
	require.True(t, ok)
	return payload.Event{ID: id, EventID: ev.EventID, Source: ev.Source, URI: uri, Body: body}
}

func TestStories(t *testing.T) {
	for _, story := range stories(t) {
		t.Run(story.Name, func(t *testing.T) {
			told := []payload.Event{toldEvent(t, story.Event)}
			bodies := map[string]string{}
			for i := range story.Webhooks {
				w := &story.Webhooks[i]
				if story.Requests[w.Name] == nil {
					continue
				}
				built, err := payload.Build(nil, toldRevision(w), time.UnixMilli(testdata.When), told)
				require.NoError(t, err)
				bodies[w.Name] = string(built)
			}
			if *update {
				rewrite(t, story.Name, bodies)
			}
			for name, want := range story.Requests {
				require.Equal(t, string(want), bodies[name], name)
				if rev := toldRevision(story.Webhook(name)); !rev.Form && !rev.Pretty {
					requireCompact(t, want)
				}
			}
		})
	}
}

// rewrite puts the bodies into the story's file; the test that called it has failed.
func rewrite(t *testing.T, story string, bodies map[string]string) {
	t.Helper()
	file := filepath.Join(flows, story+".txtar")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	archive := txtar.Parse(text)
	for i, part := range archive.Files {
		name := strings.TrimSuffix(strings.TrimPrefix(part.Name, "requests/"), ".json")
		if body, ok := bodies[name]; ok && name != part.Name {
			archive.Files[i].Data = []byte(body + "\n")
		}
	}
	require.NoError(t, os.WriteFile(file, txtar.Format(archive), 0o600))
	t.Errorf("%s has been rewritten: read the difference against the documentation", file)
}

// Every trigger of the catalogue has a story named for it, in which its own webhook is told, another one in another way, and a third
// is not.
func TestEveryTriggerHasItsStory(t *testing.T) {
	byName := map[string]testdata.Story{}
	for _, story := range stories(t) {
		byName[story.Name] = story
	}
	seen := map[string]int{}
	for _, entry := range triggers.Default().Entries() {
		for _, name := range storiesOf(&entry) {
			seen[entry.Resource]++
			t.Run(name, func(t *testing.T) {
				story, ok := byName[name]
				require.True(t, ok)
				ev := event(t, string(story.Event))
				listed := entry.Trigger
				if i, j := strings.IndexByte(listed, '<'), strings.IndexByte(listed, '>'); i >= 0 {
					id := ev.URI.Key()
					if entry.Resource == "services" {
						id = ev.URI.ID
					}
					listed = listed[:i] + id + listed[j+1:]
				}
				require.Equal(t, testdata.Match{Webhook: "subscribed", Trigger: listed}, story.Matches[0])
				require.GreaterOrEqual(t, len(story.Matches), 2)
				require.NotEqual(t, listed, story.Matches[1].Trigger)
				require.Greater(t, len(story.Webhooks), len(story.Matches))
				require.NotEmpty(t, story.Webhooks[0].Secret)
			})
		}
	}
	require.Equal(t, map[string]int{"items": 23, "groups": 27, "users": 21, "roles": 4, "services": 12 + 3, "cloud": 20, "webhooks": 3}, seen)
}

// storiesOf names the stories of a trigger; the root's are called by what it hears.
func storiesOf(entry *triggers.Entry) []string {
	switch {
	case entry.Resource == "portal":
		return nil
	case entry.Resource == "cloud":
		return []string{"cloud-" + strings.TrimPrefix(entry.Trigger, "com.qlik.v1.")}
	case strings.HasSuffix(entry.Trigger, "/GPServer"):
		return []string{"geoprocessing-succeeded", "geoprocessing-failed", "geoprocessing-cancelled"}
	}
	name := entry.Resource + "-any"
	if entry.Scope == "specific" {
		name = entry.Resource + "-one"
	}
	if entry.Operation != "*" {
		name += "-" + entry.Operation
	}
	return []string{name}
}

func TestStoriesSubscribeWhatCanBeSubscribed(t *testing.T) {
	for _, story := range stories(t) {
		t.Run(story.Name, func(t *testing.T) {
			listed := map[string][]string{}
			for _, webhook := range story.Webhooks {
				require.NotContains(t, listed, webhook.Name)
				ts, err := triggers.Default().ParseTriggers("eventTypes", webhook.EventTypes)
				require.NoError(t, err)
				for _, trigger := range ts {
					listed[webhook.Name] = append(listed[webhook.Name], trigger.Text)
				}
				require.NoError(t, payload.CheckSecret(triggers.NewSecret(webhook.Secret)))
			}
			for _, match := range story.Matches {
				require.Contains(t, listed[match.Webhook], match.Trigger)
			}
		})
	}
}

// Which webhooks a trigger hears for is the router's to find; of those, level and filter hold back whom the story says, the filter judging
// the properties that receivers read.
func TestStoriesHoldBackAsTold(t *testing.T) {
	held := map[string]int{}
	for _, story := range stories(t) {
		t.Run(story.Name, func(t *testing.T) {
			posted := event(t, string(story.Event))
			properties := payload.PropertiesOf(toldEvent(t, story.Event).Body)
			want := map[string]string{}
			for _, match := range story.Matches {
				want[match.Webhook] = triggers.Admitted.String()
			}
			for _, h := range story.Held {
				want[h.Webhook] = h.By
				held[h.By]++
			}
			for i := range story.Webhooks {
				w := &story.Webhooks[i]
				judged, err := w.Subscription()
				require.NoError(t, err)
				require.NoError(t, triggers.CheckFilter(judged.Conditions, judged.Triggers))
				if want[w.Name] != "" {
					require.Equal(t, want[w.Name], judged.Admit(posted, properties).String(), w.Name)
				}
			}
		})
	}
	require.Len(t, held, 2, "stories hold back by level and by filter")
}

func TestStoriesPutTheRunsOwnValuesInPlace(t *testing.T) {
	run := testdata.Run{
		WebhookID: "00000000000000000000000000000001", EventID: "evt_0000000000001", When: 1001,
		PortalURL: `https://maps.example.org/"portal"/`, PortalID: "OTHER", ServerURL: "https://maps.example.org/server",
	}
	// The stories name these nowhere else.
	everywhere := strings.NewReplacer(
		`"webhookId":"72fed926aeb74c9ca8a22aacddc6725a"`, `"webhookId":"00000000000000000000000000000001"`,
		"72fed926-aeb7-4c9c-a8a2-2aacddc6725a", "00000000-0000-0000-0000-000000000001",
		"evt_5jkqr1lm80002", "evt_0000000000001",
		"1543192196530", "1001", "1543192196000", "1000", "2018-11-26T00:29:56.530Z", "1970-01-01T00:00:01.001Z",
		"https://orgURL/portal/", `https://maps.example.org/\"portal\"/`,
		"0123456789ABCDEF", "OTHER",
		"https://server.example.com/server", "https://maps.example.org/server",
	)
	for _, story := range stories(t) {
		for name, golden := range story.Requests {
			require.Equal(t, everywhere.Replace(string(golden)), string(story.Request(name, run)), "%s, %s", story.Name, name)
			require.Equal(t, string(golden), string(story.Request(name, testdata.Told)))
		}
		require.Nil(t, story.Request("nobody", testdata.Told))
	}
}
