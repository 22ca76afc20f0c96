package main

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/payload"
	"portalhook/storage/postgrestest"
	"portalhook/testdata"
	"portalhook/triggers"
)

// The demo is a judge: each fault that it exists to find must cost it its status.
func TestDemoFindsFaults(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	accepted := time.UnixMilli(1763848800123)
	webhook := triggers.WebhookID{1}.String()
	story := testdata.Story{
		Name: "story", Sentence: "Something happens.",
		Webhooks: []testdata.Webhook{{Name: "signed", EventTypes: []string{"/items"}, Secret: secret}},
		Matches:  []testdata.Match{{Webhook: "signed", Trigger: "/items"}},
		Requests: map[string][]byte{"signed": []byte(`{"info":{"webhookName":"signed","webhookId":"` + testdata.WebhookID +
			`","portalURL":"` + testdata.PortalURL + `","when":1543192196530},"events":[{}],"properties":{}}`)},
	}
	// Each test starts from what is right.
	type scene struct {
		match    storyMatch
		arrivals []arrival
		secret   string // that signs
		body     []byte
		strays   []arrival
		problems []string
	}
	for name, test := range map[string]struct {
		spoil func(s *scene)
		want  string // in the report; empty: nothing is wrong
	}{
		"all is right":            {func(*scene) {}, ""},
		"other bytes":             {func(s *scene) { s.body = bytes.Replace(s.body, []byte(`"events"`), []byte(` "events"`), 1) }, "its bytes differ"},
		"it did not arrive":       {func(s *scene) { s.arrivals = nil }, "it arrived 0 times"},
		"it arrived twice":        {func(s *scene) { s.arrivals = append(s.arrivals, s.arrivals[0]) }, "it arrived 2 times"},
		"another secret":          {func(s *scene) { s.secret = "fedcba9876543210fedcba9876543210" }, "standard webhooks: "},
		"unsigned":                {func(s *scene) { s.secret = "" }, "standard webhooks: "},
		"no portal signature":     {func(s *scene) { s.arrivals[0].header.Set(payload.HeaderEsri, "") }, "the signatures are webhook-signature, not webhook-signature and x-esriHook-Signature"},
		"another trigger":         {func(s *scene) { s.match.Trigger = "/" }, "it was matched by /"},
		"not settled":             {func(s *scene) { s.match.Delivery.State = "waiting" }, "the server says that its delivery is waiting"},
		"another delivery's id":   {func(s *scene) { s.match.Delivery.ID = "dlv_other" }, "the server knows it as"},
		"a near miss was told":    {func(s *scene) { s.strays = s.arrivals[:1:1] }, "unexpected delivery dlv_1"},
		"too many were matched":   {func(s *scene) { s.problems = []string{"the server matched 2 webhooks, not 1"} }, "matched 2"},
		"another type of content": {func(s *scene) { s.arrivals[0].header.Set("Content-Type", "text/plain") }, "its content type"},
	} {
		t.Run(name, func(t *testing.T) {
			s := scene{
				match: storyMatch{WebhookID: webhook, Trigger: "/items"}, secret: secret,
				body: story.Request("signed", testdata.Run{
					WebhookID: webhook, When: accepted.UnixMilli(), PortalURL: demoPortalURL, PortalID: defaultPortalID, ServerURL: demoServerURL,
				}),
				arrivals: []arrival{{at: time.Now(), path: pathOf(&story, "signed"), header: http.Header{"Content-Type": {"application/json"}}}},
			}
			s.match.Delivery.ID, s.match.Delivery.State = "dlv_1", "succeeded"
			test.spoil(&s)
			signing := payload.Signing{ID: "dlv_1", At: time.Now(), Body: s.body}
			if s.secret != "" {
				signing.Secrets = []triggers.Secret{triggers.NewSecret(s.secret)}
			}
			for i := range s.arrivals {
				a := &s.arrivals[i]
				a.body = s.body
				for _, header := range payload.Sign(signing) {
					if _, set := a.header[http.CanonicalHeaderKey(header[0])]; !set {
						a.header.Set(header[0], header[1])
					}
				}
			}
			o := outcome{webhook: "signed", trigger: "/items"}
			event := storyEvent{URI: "/items/i/update", AcceptedAt: accepted, Matches: []storyMatch{s.match}}
			o.judge(&story, &event, &s.match, s.arrivals, time.Now())

			var out bytes.Buffer
			r := newReport(&out, []testdata.Story{story})
			r.add(&result{story: &story, rows: []outcome{o}, problems: s.problems})
			r.strays(s.strays)
			r.finish(time.Second)
			if test.want == "" {
				require.False(t, r.failed(), out.String())
				require.Contains(t, out.String(), "Everything arrived as it should.")
				return
			}
			require.True(t, r.failed(), out.String())
			require.Contains(t, out.String(), test.want)
			require.Contains(t, out.String(), "FAILED")
		})
	}
}

// A demo that tells no story has shown nothing.
func TestDemoWithoutDeliveriesFails(t *testing.T) {
	require.True(t, newReport(io.Discard, nil).failed())
}

// Every story arrives as it should on PostgreSQL, too.
func TestDemoOnPostgres(t *testing.T) {
	var out, problems bytes.Buffer
	database := postgrestest.Database(t, "", nil)
	status := run(t.Context(), []string{"demo", "--once", "--store", database}, streams{out: &out, err: &problems})
	require.Equal(t, exitOK, status, "%s%s", out.String(), problems.String())
	require.Contains(t, out.String(), "Everything arrived as it should.")
	require.Empty(t, problems.String())
}
