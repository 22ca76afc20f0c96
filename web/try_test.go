package web_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/storage"
	"portalhook/storage/storagetest"
	"portalhook/triggers"
	"portalhook/web"
)

// test sends a test and gives the answer.
func (e *edge) test(t *testing.T, id, body string) map[string]any {
	t.Helper()
	a := e.call(t, "POST", "/api/v1/webhooks/"+id+"/actions/test", body)
	require.Equal(t, http.StatusOK, a.status, a.body)
	return a.json(t)
}

// TestTestAction sends to a real receiver, with every part behind the edge.
func TestTestAction(t *testing.T) { storagetest.OnEach(t, testTestAction) }

func testTestAction(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	to := newReceiver(t)
	w := newWhole(t, place(t), to)
	id := w.create(t, `{"name":"Shares","url":"`+to.URL+`/hook","eventTypes":["/items/*/share"],"secret":"`+secret+`",
 "headers":{"x-env":"prod"},"encryptedHeaders":{"authorization":"Bearer top-secret"}}`)
	a := w.call(t, "POST", "/api/core/webhooks/"+id+"/actions/test", "")
	require.Equal(t, http.StatusOK, a.status, a.body)
	got := to.next(t)
	told := a.json(t)
	require.Equal(t, got.header.Get("Webhook-Id"), told["id"])
	require.Equal(t, "/items/*/share", told["trigger"])
	require.Equal(t, "/items/6cd80cb32d4a4b4d858a020e57fba7b1/share", told["uri"])
	require.Equal(t, "delivered", told["outcome"])
	require.EqualValues(t, 200, told["statusCode"])
	require.NotContains(t, told, "error")
	require.Positive(t, told["totalMs"])
	require.Positive(t, told["firstByteMs"])
	sent := told["request"].(map[string]any)
	require.Equal(t, to.URL+"/hook", sent["url"])
	headers := sent["headers"].(map[string]any)
	require.Equal(t, "prod", headers["x-env"])
	require.Equal(t, "**OMITTED**", headers["authorization"])
	for _, name := range []string{payload.HeaderID, payload.HeaderTimestamp, payload.HeaderSignature, payload.HeaderEsri} {
		require.Equal(t, got.header.Get(name), headers[name], name)
	}
	require.Contains(t, a.body, `"body":`+string(got.body)+`}`)
	require.Equal(t, "Bearer top-secret", got.header.Get("Authorization"))
	require.Equal(t, "thanks", told["response"].(map[string]any)["body"])

	// It is audited, and leaves no other trace.
	rows := w.call(t, "GET", "/api/v1/audit?action=webhook.test", "").json(t)["data"].([]any)
	require.Len(t, rows, 1)
	row := rows[0].(map[string]any)
	require.Equal(t, id, row["objectId"])
	require.Nil(t, row["before"])
	require.Equal(t, map[string]any{
		"id": told["id"], "trigger": "/items/*/share", "uri": told["uri"], "url": to.URL + "/hook", "outcome": "delivered", "statusCode": 200.0,
	}, row["after"])
	require.Empty(t, w.call(t, "GET", "/api/v1/events", "").json(t)["data"])
	require.Empty(t, w.call(t, "GET", "/api/v1/webhooks/"+id+"/deliveries", "").json(t)["data"])
	require.Empty(t, w.call(t, "GET", "/api/v1/webhooks/"+id+"/stats", "").json(t)["data"])
	require.Zero(t, w.store.Open())

	// A receiver that says no, and one that is not there, are answers like any other.
	to.status.Store(http.StatusGone)
	told = w.test(t, id, `{"trigger":"/users/updateUserRole"}`)
	require.Equal(t, "gone", told["outcome"])
	require.Contains(t, string(to.next(t).body), `"userRoleUpdatedTo"`)
	require.Equal(t, false, w.call(t, "GET", "/api/v1/webhooks/"+id, "").json(t)["enabled"], "as it was")
	to.Close()
	told = w.test(t, id, `{"event":{"uri":"/items/a/delete","username":"jdoe"}}`)
	require.Equal(t, "refused", told["outcome"])
	require.Equal(t, "the connection was refused", told["error"])
	require.NotContains(t, told, "response")
	require.NotContains(t, told, "trigger")
	require.Contains(t, told["request"].(map[string]any)["body"].(map[string]any)["events"].([]any)[0], "username")
}

// TestEveryTriggerHasATest asks for a test of every trigger of the catalogue, by either of its spellings.
func TestEveryTriggerHasATest(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, hook)
	for _, entry := range triggers.Default().Entries() {
		for _, text := range []string{entry.Trigger, entry.Name} {
			body := string(textBody(t, text))
			require.Equal(t, text, e.test(t, id, body)["trigger"], text)
		}
	}
}

func textBody(t *testing.T, trigger string) []byte {
	t.Helper()
	require.NotContains(t, trigger, `"`)
	return []byte(`{"trigger":"` + trigger + `"}`)
}

// TestSampleOfOwnTriggers sees that a webhook's own triggers, too, are tested with an event that they hear.
func TestSampleOfOwnTriggers(t *testing.T) {
	e := newEdge(t)
	for trigger, want := range map[string]string{
		"/": "/items/6cd80cb32d4a4b4d858a020e57fba7b1/share",
		"/items/4adc30bb03054812a846fa592de105de": "/items/4adc30bb03054812a846fa592de105de/share",
		"/groups/qa-*/{addUsers,removeUsers}":     "/groups/qa-x/addUsers",
		"/users/{ann,bob}/signIn":                 "/users/ann/signIn",
		"/users/u1*/**":                           "",
		"/services/Parcels/FeatureServer/*":       "/services/parcels/FeatureServer/FeaturesCreated",
		"/services/maps/Roads/GPServer":           "/services/maps/roads/GPServer",
		"com.qlik.v1.app.*":                       "",
		"/webhooks/disable":                       "/webhooks/72fed926aeb74c9ca8a22aacddc6725a/disable",
	} {
		parsed, err := triggers.Default().ParseTrigger(trigger)
		if want == "" && err != nil {
			continue
		}
		require.NoError(t, err, trigger)
		id := e.create(t, `{"name":"own","url":"https://receiver.example.com/hook","eventTypes":["`+trigger+`"]}`)
		for _, body := range []string{"", "{}", string(textBody(t, trigger))} {
			told := e.test(t, id, body)
			require.Equal(t, parsed.Text, told["trigger"])
			if want != "" {
				require.Equal(t, want, told["uri"], trigger)
			}
		}
		require.Equal(t, http.StatusNoContent, e.call(t, "DELETE", "/api/v1/webhooks/"+id, "").status)
	}
}

func TestTestRefused(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, hook)
	bare := e.create(t, `{"name":"bare","url":"https://receiver.example.com/hook"}`)
	path := func(id string) string { return "/api/v1/webhooks/" + id + "/actions/test" }
	for name, c := range map[string]struct {
		request
		status      int
		code, field string
	}{
		"no such webhook":       {request{path: path(strings.Repeat("0", 32))}, 404, "NOT_FOUND", ""},
		"another tenant's":      {request{path: path(id), key: otherKey}, 404, "NOT_FOUND", ""},
		"not the user's":        {request{path: path(id), key: userKey}, 404, "NOT_FOUND", ""},
		"a viewer's key":        {request{path: path(id), key: viewerKey}, 403, "FORBIDDEN", ""},
		"nothing to send":       {request{path: path(bare)}, 400, "REQUIRED", "trigger"},
		"both":                  {request{path: path(id), body: `{"trigger":"/items/share","event":{}}`}, 400, "UNKNOWN_FIELD", "event"},
		"another member":        {request{path: path(id), body: `{"uri":"/items/a/share"}`}, 400, "UNKNOWN_FIELD", "uri"},
		"no object":             {request{path: path(id), body: `[]`}, 400, "WRONG_TYPE", ""},
		"not JSON":              {request{path: path(id), body: `{`}, 400, "NOT_JSON", ""},
		"not as JSON":           {request{path: path(id), body: `{}`, contentType: "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		"a number":              {request{path: path(id), body: `{"trigger":7}`}, 400, "WRONG_TYPE", "trigger"},
		"no such trigger":       {request{path: path(id), body: `{"trigger":"/itemz/share"}`}, 400, "UNKNOWN_TRIGGER", "trigger"},
		"nobody's trigger":      {request{path: path(id), body: `{"trigger":"/items/abc/share"}`}, 400, "OUT_OF_RANGE", "trigger"},
		"an event without URI":  {request{path: path(id), body: `{"event":{}}`}, 400, "REQUIRED", "event.uri"},
		"an event that lacks":   {request{path: path(id), body: `{"event":{"uri":"/items/a/share"}}`}, 400, "MISSING_PROPERTY", "event.properties.sharedToGroups"},
		"an event with a typo":  {request{path: path(id), body: `{"event":{"uri":"/items/a/shar"}}`}, 400, "BAD_URI", "event.uri"},
		"an event of two parts": {request{path: path(id), body: `{"event":[{"uri":"/items/a/delete"}]}`}, 400, "", "event"},
	} {
		t.Run(name, func(t *testing.T) {
			c.method = http.MethodPost
			if c.key == "" {
				c.key = adminKey
			}
			a := e.do(t, c.request)
			require.Equal(t, c.status, a.status, a.body)
			p := a.problem(t)
			if c.code != "" {
				require.Equal(t, c.code, p["code"], a.body)
			}
			if c.field != "" {
				require.Equal(t, c.field, p["field"], a.body)
			}
		})
	}
	require.Empty(t, e.audit[2:], "what was refused was not done")
}

// TestUserTestsOwnWebhook lets a user test what is his.
func TestUserTestsOwnWebhook(t *testing.T) {
	e := newEdge(t)
	a := e.do(t, request{method: "POST", path: "/api/v1/webhooks", key: userKey, body: `{"name":"mine","url":"https://receiver.example.com/hook","eventTypes":["/items/share"]}`})
	require.Equal(t, http.StatusCreated, a.status, a.body)
	a = e.do(t, request{method: "POST", path: "/api/v1/webhooks/" + a.json(t)["id"].(string) + "/actions/test", key: userKey})
	require.Equal(t, http.StatusOK, a.status, a.body)
}

// busy has more tests under way than it may.
type busy struct{}

func (busy) Test(context.Context, uint32, triggers.WebhookID, *triggers.Event) (*delivery.Trial, error) {
	return nil, &delivery.Overload{Status: http.StatusTooManyRequests, RetryAfter: 1, Err: context.DeadlineExceeded}
}

func (busy) TestDraft(context.Context, *triggers.Webhook, *triggers.Event) (*delivery.Trial, error) {
	return busy{}.Test(nil, 0, triggers.WebhookID{}, nil) //nolint:staticcheck // it looks at nothing
}

func TestTooManyTests(t *testing.T) {
	e := newEdge(t, func(c *web.Config) { c.Tester = busy{} })
	receiver := e.call(t, "POST", "/api/v1/receivers", `{}`)
	require.Equal(t, http.StatusCreated, receiver.status, receiver.body)
	for _, a := range []answer{
		e.call(t, "POST", "/api/v1/webhooks/"+e.create(t, hook)+"/actions/test", ""),
		e.call(t, "POST", "/api/v1/receivers/"+receiver.json(t)["token"].(string)+"/actions/sample", `{"trigger":"/items/share"}`),
	} {
		require.Equal(t, http.StatusTooManyRequests, a.status)
		require.Equal(t, "OVERLOADED", a.problem(t)["code"])
		require.Equal(t, "1", a.header.Get("Retry-After"))
	}
}
