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

// Clients of a portal's webhooks, as they are on the wire, work against the real program. Where there is no Python the test is left out, and
// says so.
func TestArcGISClient(t *testing.T) {
	t.Parallel()
	eachStore(t, testArcGISClient)
}

func testArcGISClient(t *testing.T, startServer starter) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		const left = "LEFT OUT: the requests of the ArcGIS API for Python: python3 is not installed"
		t.Log(left)
		fmt.Fprintln(os.Stderr, left)
		return
	}
	for script, last := range map[string]string{
		"arcgis_portal.py":   "31 webhooks made, listed in pages and deleted",
		"arcgis_services.py": "32 webhooks made, listed in pages and deleted",
	} {
		t.Run(script, func(t *testing.T) {
			server := startServer(t, "--server-url", testdata.ServerURL)
			client := exec.CommandContext(t.Context(), python, "-I", "../../testdata/clients/"+script, server.url, server.key)
			out, err := client.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), last)
		})
	}
}

const (
	organisationPath = "/sharing/rest/portals/self/webhooks"
	servicesPath     = "/server/admin/services/"
)

// form sends a form to one of the surfaces of a portal and decodes the answer, which must be no refusal.
func (p *process) form(t *testing.T, path string, form url.Values, out any) {
	t.Helper()
	form.Set("f", "json")
	form.Set("token", p.key)
	response, err := http.PostForm(p.url+path, form)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NotContains(t, string(answer), `{"error"`)
	require.NotContains(t, string(answer), `{"status":"error"`)
	require.NoError(t, json.Unmarshal(answer, out))
}

// stage plays stories on a real server, each webhook made by one of the surfaces of a portal.
type stage struct {
	*process

	stories  map[string]testdata.Story
	receiver string
	got      <-chan attempt
}

func newStage(t *testing.T, startServer starter) *stage {
	t.Helper()
	s := &stage{stories: map[string]testdata.Story{}}
	all, err := testdata.Stories()
	require.NoError(t, err)
	for _, story := range all {
		s.stories[story.Name] = story
	}
	s.receiver, s.got = newReceiver(t, http.StatusOK)
	s.process = startServer(t, "--portal-url", testdata.PortalURL, "--server-url", testdata.ServerURL)
	return s
}

// play subscribes the n-th webhook of a story by the create of a surface, whose form says what is not in it, emits the event, and holds what
// arrives to the story, byte for byte. Then it deletes the webhook.
func (s *stage) play(t *testing.T, name string, n int, create string, form url.Values) {
	t.Helper()
	story, ok := s.stories[name]
	require.True(t, ok, name)
	subscribed := story.Webhooks[n]
	form.Set("name", subscribed.Name)
	var created struct {
		ID string `json:"id"`
	}
	s.form(t, create, form, &created)
	var accepted struct {
		ID string `json:"id"`
	}
	s.call(t, http.MethodPost, "/api/v1/events", json.RawMessage(story.Event), &accepted, http.StatusAccepted)
	arrived := <-s.got
	var event struct {
		AcceptedAt time.Time `json:"acceptedAt"`
		Matches    []struct {
			Trigger string `json:"trigger"`
		} `json:"matches"`
	}
	s.call(t, http.MethodGet, "/api/v1/events/"+accepted.ID, nil, &event, http.StatusOK)
	want := story.Request(subscribed.Name, testdata.Run{
		WebhookID: created.ID, EventID: accepted.ID, When: event.AcceptedAt.UnixMilli(), PortalURL: testdata.PortalURL, PortalID: testdata.PortalID,
		ServerURL: testdata.ServerURL,
	})
	require.NotEmpty(t, want)
	require.Equal(t, string(want), string(arrived.body), name)
	require.Len(t, event.Matches, 1)
	s.form(t, create[:strings.LastIndexByte(create, '/')+1]+created.ID+"/delete", url.Values{}, &struct{}{})
}

// Every trigger that a portal documents is subscribed by createWebhook, its event is emitted, and what arrives is what the story says,
// byte for byte; so is what `/` hears.
func TestEveryPortalTrigger(t *testing.T) {
	t.Parallel()
	eachStore(t, testEveryPortalTrigger)
}

func testEveryPortalTrigger(t *testing.T, startServer starter) {
	t.Helper()
	s := newStage(t, startServer)
	played := 0
	play := func(name string, form url.Values) {
		subscribed := s.stories[name].Webhooks[0]
		require.Equal(t, subscribed.Name, s.stories[name].Matches[0].Webhook)
		form.Set("url", s.receiver)
		form.Set("secret", subscribed.Secret)
		s.play(t, name, 0, organisationPath+"/createWebhook", form)
		played++
	}
	for _, entry := range triggers.Default().Entries() {
		switch entry.Resource {
		case "items", "groups", "users", "roles":
			name := storyOf(&entry)
			play(name, url.Values{"changes": {"manualChanges"}, "events": s.stories[name].Webhooks[0].EventTypes})
		}
	}
	require.Equal(t, 75, played)
	for name := range s.stories {
		if strings.HasPrefix(name, "root-hears-") {
			play(name, url.Values{"changes": {"allChanges"}})
		}
	}
	require.Equal(t, 80, played)
	require.Empty(t, s.got)
}

// Every change type of feature services and every end of a geoprocessing job is subscribed at the server's administration, its event is emitted,
// and what arrives is what the story says, byte for byte.
func TestEveryServiceTrigger(t *testing.T) {
	t.Parallel()
	eachStore(t, testEveryServiceTrigger)
}

func testEveryServiceTrigger(t *testing.T, startServer starter) {
	t.Helper()
	s := newStage(t, startServer)
	kinds := map[string]bool{}
	played := 0
	for name, story := range s.stories {
		if !strings.HasPrefix(name, "services-") && !strings.HasPrefix(name, "geoprocessing-") {
			continue
		}
		for n, subscribed := range story.Webhooks {
			one, err := subscribed.Subscription()
			require.NoError(t, err)
			service, ok := one.Service()
			if !ok || story.Requests[subscribed.Name] == nil || subscribed.Format != "" || subscribed.Filter != "" {
				continue // by glob, or with what a server does not know: such webhooks are made by the JSON API only
			}
			path := url.PathEscape(service.Name) + "." + service.Type()
			if service.Folder != "" {
				path = url.PathEscape(service.Folder) + "/" + path
			}
			form := url.Values{"hookUrl": {s.receiver}, "signatureKey": {subscribed.Secret}, "active": {"true"}}
			form.Set("contentType", subscribed.ContentType)
			form.Set("payloadFormat", subscribed.PayloadFormat)
			if service.Kind == triggers.FeatureServices {
				form.Set("changeTypes", strings.Join(one.ChangeTypes(), ","))
				kinds[form.Get("changeTypes")] = true
			} else {
				kinds[name] = true
			}
			s.play(t, name, n, servicesPath+path+"/webhooks/create", form)
			played++
		}
	}
	changeTypes := 0
	for _, entry := range triggers.Default().Entries() {
		if entry.Resource == "services" && entry.Operation != "complete" {
			require.True(t, kinds[entry.Operation], entry.Trigger)
			changeTypes++
		}
	}
	require.Equal(t, 12, changeTypes)
	for _, end := range []string{"succeeded", "failed", "cancelled"} {
		require.True(t, kinds["geoprocessing-"+end], end)
	}
	require.Greater(t, played, 12+3)
	require.Empty(t, s.got)
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
