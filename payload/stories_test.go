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

func TestStories(t *testing.T) {
	for _, story := range stories(t) {
		t.Run(story.Name, func(t *testing.T) {
			body, err := payload.Render(event(t, string(story.Event)), time.UnixMilli(testdata.When))
			require.NoError(t, err)
			bodies := map[string]string{}
			for _, match := range story.Matches {
				rev := revision(match.Webhook)
				rev.PortalURL = testdata.PortalURL
				rev.WebhookID, _ = triggers.ParseWebhookID(testdata.WebhookID)
				ev := event(t, string(story.Event))
				built, err := payload.Build(nil, rev, time.UnixMilli(testdata.When), []payload.Event{{URI: ev.URI, Body: body}})
				require.NoError(t, err)
				bodies[match.Webhook] = string(built)
			}
			if *update {
				rewrite(t, story.Name, bodies)
			}
			for name, want := range story.Requests {
				require.Equal(t, string(want), bodies[name], name)
				requireCompact(t, want)
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

// Every trigger of the portal has a story named for it, in which its own webhook is told, another one by another form, and a third
// is not.
func TestEveryPortalTriggerHasItsStory(t *testing.T) {
	byName := map[string]testdata.Story{}
	for _, story := range stories(t) {
		byName[story.Name] = story
	}
	seen := 0
	for _, entry := range triggers.Default().Entries() {
		parts := strings.Split(strings.TrimPrefix(entry.Trigger, "/"), "/")
		if !isPortal(parts[0]) {
			continue
		}
		seen++
		name, placeholder := parts[0]+"-any", ""
		if len(parts) > 1 && strings.HasPrefix(parts[1], "<") {
			name, placeholder = parts[0]+"-one", parts[1]
		}
		if entry.Operation != "*" {
			name += "-" + entry.Operation
		}
		t.Run(name, func(t *testing.T) {
			story, ok := byName[name]
			require.True(t, ok)
			ev := event(t, string(story.Event))
			listed := entry.Trigger
			if placeholder != "" {
				listed = strings.Replace(listed, placeholder, ev.URI.Key(), 1)
			}
			require.Equal(t, testdata.Match{Webhook: "subscribed", Trigger: listed}, story.Matches[0])
			require.GreaterOrEqual(t, len(story.Matches), 2)
			require.NotEqual(t, listed, story.Matches[1].Trigger)
			require.Greater(t, len(story.Webhooks), len(story.Matches))
			require.NotEmpty(t, story.Webhooks[0].Secret)
		})
	}
	require.Equal(t, 75, seen)
}

func isPortal(word string) bool {
	return word == "items" || word == "groups" || word == "users" || word == "roles"
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

func TestStoriesPutTheRunsOwnValuesInPlace(t *testing.T) {
	const run, portal = "00000000000000000000000000000001", "https://maps.example.org/\"portal\"/"
	for _, story := range stories(t) {
		for name, golden := range story.Requests {
			got := string(story.Request(name, run, 1, portal))
			want := strings.Replace(string(golden),
				`"webhookId":"72fed926aeb74c9ca8a22aacddc6725a","portalURL":"https://orgURL/portal/","when":1543192196530}`,
				`"webhookId":"`+run+`","portalURL":"https://maps.example.org/\"portal\"/","when":1}`, 1)
			require.NotEqual(t, string(golden), got)
			require.Equal(t, want, got)
			require.Equal(t, string(golden), string(story.Request(name, testdata.WebhookID, testdata.When, testdata.PortalURL)))
		}
		require.Nil(t, story.Request("nobody", testdata.WebhookID, testdata.When, testdata.PortalURL))
	}
}
