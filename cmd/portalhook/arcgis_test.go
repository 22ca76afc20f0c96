package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/testdata"
	"portalhook/triggers"
)

// A client of a portal's webhooks, as it is on the wire, works against the real program. Where there is no Python the test is left out, and
// says so.
func TestArcGISClient(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		const left = "LEFT OUT: the requests of the ArcGIS API for Python: python3 is not installed"
		t.Log(left)
		fmt.Fprintln(os.Stderr, left)
		return
	}
	server := startServer(t)
	client := exec.CommandContext(t.Context(), python, "-I", "../../testdata/clients/arcgis_portal.py", server.url, server.key)
	out, err := client.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "31 webhooks made, listed in pages and deleted")
}

const organisationPath = "/sharing/rest/portals/self/webhooks"

// portal sends a form to the portal's REST API and decodes the answer, which must be no refusal.
func (p *process) portal(t *testing.T, path string, form url.Values, out any) {
	t.Helper()
	form.Set("f", "json")
	form.Set("token", p.key)
	response, err := http.PostForm(p.url+organisationPath+path, form)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NotContains(t, string(answer), `{"error"`)
	require.NoError(t, json.Unmarshal(answer, out))
}

// Every trigger that a portal documents is subscribed by createWebhook, its event is emitted, and what arrives is what the story says,
// byte for byte; so is what `/` hears.
func TestEveryPortalTrigger(t *testing.T) {
	stories := map[string]testdata.Story{}
	all, err := testdata.Stories()
	require.NoError(t, err)
	for _, story := range all {
		stories[story.Name] = story
	}
	receiver, got := newReceiver(t, http.StatusOK)
	server := startServer(t, "--portal-url", testdata.PortalURL)
	played := 0
	play := func(name string, form url.Values) {
		story, ok := stories[name]
		require.True(t, ok, name)
		subscribed := story.Webhooks[0]
		form.Set("name", subscribed.Name)
		form.Set("url", receiver)
		form.Set("secret", subscribed.Secret)
		require.Equal(t, subscribed.Name, story.Matches[0].Webhook)
		var created struct {
			Success bool
			ID      string `json:"id"`
		}
		server.portal(t, "/createWebhook", form, &created)
		require.True(t, created.Success)
		id := created.ID
		var accepted struct {
			ID string `json:"id"`
		}
		server.call(t, http.MethodPost, "/api/v1/events", json.RawMessage(story.Event), &accepted, http.StatusAccepted)
		arrived := <-got
		var event struct {
			AcceptedAt time.Time `json:"acceptedAt"`
			Matches    []struct {
				Trigger string `json:"trigger"`
			} `json:"matches"`
		}
		server.call(t, http.MethodGet, "/api/v1/events/"+accepted.ID, nil, &event, http.StatusOK)
		want := story.Request(subscribed.Name, testdata.Run{
			WebhookID: id, EventID: accepted.ID, When: event.AcceptedAt.UnixMilli(), PortalURL: testdata.PortalURL, PortalID: testdata.PortalID,
			ServerURL: testdata.ServerURL,
		})
		require.Equal(t, string(want), string(arrived.body), name)
		require.Len(t, event.Matches, 1)
		require.Equal(t, story.Matches[0].Trigger, event.Matches[0].Trigger, name)
		var deleted struct{ Success bool }
		server.portal(t, "/"+id+"/delete", url.Values{}, &deleted)
		require.True(t, deleted.Success)
		played++
	}
	for _, entry := range triggers.Default().Entries() {
		switch entry.Resource {
		case "items", "groups", "users", "roles":
			name := storyOf(&entry)
			play(name, url.Values{"changes": {"manualChanges"}, "events": stories[name].Webhooks[0].EventTypes})
		}
	}
	require.Equal(t, 75, played)
	for name := range stories {
		if strings.HasPrefix(name, "root-hears-") {
			play(name, url.Values{"changes": {"allChanges"}})
		}
	}
	require.Equal(t, 80, played)
	require.Empty(t, got)
}

// storyOf names the story of a portal trigger.
func storyOf(entry *triggers.Entry) string {
	name := entry.Resource + "-any"
	if entry.Scope == "specific" {
		name = entry.Resource + "-one"
	}
	if entry.Operation != "*" {
		name += "-" + entry.Operation
	}
	return name
}
