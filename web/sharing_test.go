package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/triggers"
)

const organisation = "/sharing/rest/portals/self/webhooks"

// send posts a form to a portal's REST API as an admin, in JSON unless the form asks otherwise.
func (e *edge) send(tb testing.TB, path string, pairs ...string) answer {
	tb.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	if !form.Has("f") {
		form.Set("f", "json")
	}
	if !form.Has("token") {
		form.Set("token", adminKey)
	}
	a := e.do(tb, request{method: "POST", path: path, contentType: "application/x-www-form-urlencoded", body: form.Encode()})
	require.Equal(tb, http.StatusOK, a.status, "a portal answers nothing else")
	return a
}

// done is send of what must succeed.
func (e *edge) done(tb testing.TB, path string, pairs ...string) map[string]any {
	tb.Helper()
	object := e.send(tb, path, pairs...).json(tb)
	require.NotContains(tb, object, "error")
	return object
}

// envelope is the refusal in an answer.
func (a answer) envelope(tb testing.TB) (code int, messageCode, message string) {
	tb.Helper()
	var refusal struct {
		Error struct {
			Code                 int
			MessageCode, Message string
			Details              []string
		} `json:"error"`
	}
	require.NoError(tb, json.Unmarshal([]byte(a.body), &refusal, json.MatchCaseInsensitiveNames(true)), a.body)
	require.NotNil(tb, refusal.Error.Details)
	return refusal.Error.Code, refusal.Error.MessageCode, refusal.Error.Message
}

// makeOne makes a webhook through the portal's API and gives its id.
func (e *edge) makeOne(tb testing.TB, name string, pairs ...string) string {
	tb.Helper()
	answer := e.done(tb, organisation+"/createWebhook", append([]string{"name", name, "url", "https://receiver.example.com/" + name}, pairs...)...)
	require.Equal(tb, true, answer["success"])
	return answer["id"].(string)
}

// TestOrganisationWebhook takes one from its creation to its end, and looks at it from both sides all the while.
func TestOrganisationWebhook(t *testing.T) {
	e := newEdge(t)
	id := e.makeOne(t, "Flow", "changes", "allChanges", "secret", "", "config", `{"deactivationPolicy":{"numberOfFailures":3,"daysInPast":2}}`)
	require.Regexp(t, `^[0-9a-f]{32}$`, id)

	w := e.only(t)
	created := w.CreatedAt.UnixMilli()
	whole := fmt.Sprintf(`{"id":"%s","accountId":"0123456789ABCDEF","payloadUrl":"https://receiver.example.com/Flow","secret":"","isActive":true,`+
		`"name":"Flow","config":{"deactivationPolicy":{"numberOfFailures":3,"daysInPast":2}},"ownerId":"u-admin-key","created":%d,"modified":%d,"events":["/"]}`,
		id, created, created)
	require.Equal(t, whole, e.send(t, organisation+"/"+id).body)
	dashed := w.ID.Dashed()
	require.Equal(t, whole, e.send(t, "/sharing/rest/portals/0123456789ABCDEF/webhooks/"+strings.ToUpper(dashed)).body)
	require.Equal(t, `{"total":1,"start":1,"num":25,"nextStart":-1,"webhooks":[`+whole+`]}`,
		e.do(t, request{method: "GET", path: organisation + "?f=json", key: viewerKey}).body)

	other := e.call(t, "GET", "/api/v1/webhooks/"+id, "").json(t)
	for name, want := range map[string]any{
		"eventTypes": []any{"/"}, "enabled": true, "retry": "portal", "format": "auto", "level": "tenant", "origin": "api", "plainSecretHeader": false,
		"deactivationPolicy": map[string]any{"numberOfFailures": 3.0, "daysInPast": 2.0}, "secretKeyAdded": false, "enableCloudEventDelivery": true,
	} {
		require.Equal(t, want, other[name], name)
	}

	require.Equal(t, map[string]any{"success": true}, e.done(t, organisation+"/"+id+"/deactivate"))
	require.False(t, e.only(t).Enabled)
	require.Equal(t, map[string]any{"success": true}, e.done(t, organisation+"/"+id+"/update", "events", "/items,/users", "name", "Items"))
	require.False(t, e.only(t).Enabled, "what is left out stays")
	require.Equal(t, []any{"/items", "/users"}, e.done(t, organisation+"/"+id)["events"])
	require.Equal(t, map[string]any{"success": true}, e.done(t, organisation+"/"+id+"/activate"))
	require.True(t, e.only(t).Enabled)
	require.Equal(t, map[string]any{"success": true}, e.done(t, organisation+"/"+id+"/delete"))
	require.Empty(t, e.all(1))
	require.Equal(t, []string{"webhook.delete", "webhook.enable", "webhook.update", "webhook.disable", "webhook.create"},
		e.list(t, adminKey, "/api/v1/audit?object=webhook&objectId="+id).names("action"))
	code, messageCode, _ := e.send(t, organisation+"/"+id).envelope(t)
	require.Equal(t, 404, code)
	require.Equal(t, "NOT_FOUND", messageCode)
}

// TestEventsAsClientsWriteThem subscribes the same in every way that clients have.
func TestEventsAsClientsWriteThem(t *testing.T) {
	for name, c := range map[string]struct {
		pairs []string
		want  []string
	}{
		"everything":                   {[]string{"changes", "allChanges"}, []string{"/"}},
		"everything, events beside it": {[]string{"changes", "allChanges", "events", "ALL"}, []string{"/"}},
		"everything by name":           {[]string{"changes", "manualChanges", "events", "/"}, []string{"/"}},
		"a comma list":                 {[]string{"changes", "manualChanges", "events", "/items, /users/SIGNIN"}, []string{"/items", "/users/signin"}},
		"a JSON array":                 {[]string{"changes", "manualChanges", "events", `["/items","/users/signin"]`}, []string{"/items", "/users/signin"}},
		"several parameters":           {[]string{"changes", "manualChanges", "events", "/items", "events", "/users/signIn"}, []string{"/items", "/users/signin"}},
		"nothing but events":           {[]string{"events", "/items"}, []string{"/items"}},
		"commas within braces":         {[]string{"events", "/items/*/{share,unshare},/roles"}, []string{"/items/*/{share,unshare}", "/roles"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newBareEdge(t)
			id := e.makeOne(t, "w", c.pairs...)
			var w struct {
				Events []string `json:"events"`
			}
			require.NoError(t, json.Unmarshal([]byte(e.send(t, organisation+"/"+id).body), &w))
			require.Equal(t, c.want, w.Events)
		})
	}
}

// TestOrganisationSecret shows a secret to nobody, and changes it when it is told to only.
func TestOrganisationSecret(t *testing.T) {
	e := newBareEdge(t)
	id := e.makeOne(t, "w", "events", "/items", "secret", "s")
	stored := func() string { return e.only(t).Secret.Reveal() }
	update := func(pairs ...string) { e.done(t, organisation+"/"+id+"/update", pairs...) }
	require.Equal(t, "s", stored(), "one character is enough here")
	require.Equal(t, "**OMITTED**", e.done(t, organisation+"/"+id)["secret"])
	for _, kept := range []string{"**OMITTED**", "null", "None"} {
		update("secret", kept)
		require.Equal(t, "s", stored(), kept)
	}
	update("name", "other")
	require.Equal(t, "s", stored())
	update("secret", "another one", "config", `{"properties":{"plainSecretHeader":true}}`)
	require.Equal(t, "another one", stored())
	require.True(t, e.only(t).PlainSecretHeader)
	require.Equal(t, map[string]any{"plainSecretHeader": true}, e.done(t, organisation+"/"+id)["config"].(map[string]any)["properties"])
	update("config", `{"deactivationPolicy":{"numberOfFailures":5,"daysInPast":5}}`)
	require.True(t, e.only(t).PlainSecretHeader, "clients drop the properties that they do not know")
	code, _, message := e.send(t, organisation+"/"+id+"/update", "secret", "line\nbreak").envelope(t)
	require.Equal(t, 400, code)
	require.Equal(t, "secret: a secret that is also sent in a header must not hold line breaks or other control characters", message)
	update("secret", "")
	require.Empty(t, stored())
	require.Empty(t, e.done(t, organisation+"/"+id)["secret"])

	code, _, message = e.send(t, organisation+"/createWebhook", "name", "x", "url", "https://a.example.com/", "events", "/items", "secret", "**OMITTED**").envelope(t)
	require.Equal(t, 400, code)
	require.Contains(t, message, "give the secret itself")
	_, _, message = e.send(t, organisation+"/"+id+"/update", "secret", strings.Repeat("x", 257)).envelope(t)
	require.Equal(t, "secret: a secret has from 1 to 256 characters, not 257", message)
	require.NotContains(t, e.log.String(), "another one")
}

// TestOrganisationRefusals holds refusals to their codes and words. Nothing of them is stored.
func TestOrganisationRefusals(t *testing.T) {
	good := []string{"name", "w", "url", "https://a.example.com/"}
	with := func(pairs ...string) []string { return slices.Concat(good, pairs) }
	for name, c := range map[string]struct {
		pairs       []string
		code        int
		messageCode string
		message     string
	}{
		"an unknown resource":        {with("events", "/items,/itemz/share"), 400, "UNKNOWN_TRIGGER", "/items/share"},
		"an unknown operation":       {with("events", "/items/*/shared"), 400, "UNKNOWN_TRIGGER", "/items/*/share"},
		"no slash":                   {with("events", "items/share"), 400, "UNKNOWN_TRIGGER", `events[0]: "items/share" does not begin with a slash; did you mean /items/share?`},
		"no slash, and unknown":      {with("events", "itemz"), 400, "UNKNOWN_TRIGGER", "/items"},
		"a placeholder":              {with("events", "/items/<itemID>/share"), 400, "PLACEHOLDER", "events[0]: "},
		"never":                      {with("events", `["/items/4adc30bb03054812a846fa592de105de/add"]`), 400, "CANNOT_FIRE", "/items/add"},
		"a service":                  {with("events", "/services/roads/FeatureServer"), 400, "NOT_ALLOWED", "events[0]: /services/roads/FeatureServer is no trigger of the portal's"},
		"our own":                    {with("events", "/webhooks/disable"), 400, "NOT_ALLOWED", "events[0]: "},
		"a cloud type":               {with("events", "com.qlik.v1.app.created"), 400, "NOT_ALLOWED", "events[0]: "},
		"no events":                  {with("changes", "manualChanges"), 400, "REQUIRED", "events: "},
		"empty events":               {with("changes", "manualChanges", "events", ""), 400, "REQUIRED", "events: "},
		"nothing subscribed":         {good, 400, "REQUIRED", "changes=allChanges"},
		"other changes":              {with("changes", "someChanges", "events", "/items"), 400, "OUT_OF_RANGE", "changes: "},
		"events of Python":           {with("events", "['/items']"), 400, "NOT_JSON", "events: "},
		"events that are no strings": {with("events", "[1]"), 400, "WRONG_TYPE", "events[0]: "},
		"no name":                    {[]string{"url", "https://a.example.com/", "events", "/"}, 400, "REQUIRED", "name: "},
		"no url":                     {[]string{"name", "w", "events", "/"}, 400, "REQUIRED", "url: "},
		"http":                       {[]string{"name", "w", "url", "http://a.example.com/", "events", "/"}, 400, "NOT_ALLOWED", "url: the url must begin with https://"},
		"an address":                 {[]string{"name", "w", "url", "https://10.0.0.1/", "events", "/"}, 400, "NOT_ALLOWED", "url: "},
		"two names":                  {with("name", "v", "events", "/"), 400, "DUPLICATE_KEY", "name: "},
		"config is no JSON":          {with("events", "/", "config", "{"), 400, "NOT_JSON", "config: "},
		"config is no object":        {with("events", "/", "config", "[]"), 400, "WRONG_TYPE", "config: "},
		"config with more":           {with("events", "/", "config", `{"policy":{}}`), 400, "UNKNOWN_FIELD", "config.policy: "},
		"config twice":               {with("events", "/", "config", `{"properties":{},"properties":{}}`), 400, "DUPLICATE_KEY", "config.properties: "},
		"no failures":                {with("events", "/", "config", `{"deactivationPolicy":{"numberOfFailures":0}}`), 400, "OUT_OF_RANGE", "config.deactivationPolicy.numberOfFailures: "},
		"half a failure":             {with("events", "/", "config", `{"deactivationPolicy":{"numberOfFailures":0.5}}`), 400, "WRONG_TYPE", "config.deactivationPolicy.numberOfFailures: "},
		"a Notebook Server":          {with("events", "/", "config", `{"properties":{"federatedServer":{}}}`), 400, "NOT_SUPPORTED", "give its url"},
		"of a service: hookUrl":      {with("events", "/", "hookUrl", "https://a.example.com/"), 400, "UNKNOWN_FIELD", "it has url"},
		"of a service: payload":      {with("events", "/", "payloadFormat", "json"), 400, "UNKNOWN_FIELD", "payloadFormat: "},
		"active, in words":           {with("events", "/", "isActive", "yes"), 400, "WRONG_TYPE", "isActive: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t)
			code, messageCode, message := e.send(t, organisation+"/createWebhook", c.pairs...).envelope(t)
			require.Equal(t, c.code, code)
			require.Equal(t, c.messageCode, messageCode)
			require.Contains(t, message, c.message)
			require.Zero(t, e.stored())
			require.Empty(t, e.audit)
		})
	}
}

// TestOrganisationNames are unique among the organisation's webhooks, since clients find them by name.
func TestOrganisationNames(t *testing.T) {
	e := newBareEdge(t)
	id := e.makeOne(t, "Straße", "events", "/")
	second := e.makeOne(t, "b", "events", "/")
	create := func(name string) int {
		code, _, _ := e.send(t, organisation+"/createWebhook", "name", name, "url", "https://a.example.com/", "events", "/").envelope(t)
		return code
	}
	require.Equal(t, 409, create("STRAßE"))
	code, _, message := e.send(t, organisation+"/"+second+"/update", "name", "sTRAßE").envelope(t)
	require.Equal(t, 409, code)
	require.Contains(t, message, id)
	e.done(t, organisation+"/"+id+"/update", "name", "STRAßE")
	e.create(t, `{"name":"of a service","url":"https://a.example.com/","eventTypes":["/services/roads/FeatureServer"]}`)
	e.makeOne(t, "of a service", "events", "/")
}

// TestOtherWebhooks shows what the JSON API made: whole, without losing anything of it, and only where it belongs.
func TestOtherWebhooks(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, `{"name":"full","url":"https://a.example.com/","eventTypes":["/items/*/share"],"enabled":true,"secret":"`+secret+`","filter":"operation eq \"share\"",
 "headers":{"x-env":"prod"},"encryptedHeaders":{"authorization":"Bearer x"},"format":"cloudevents","retry":["0s","5m"],"ordered":true,"timeoutSeconds":7}`)
	service := e.create(t, `{"name":"service","url":"https://a.example.com/","eventTypes":["/items","/services/roads/FeatureServer"]}`)
	before := *e.Get(1)

	list := e.done(t, organisation)
	require.InDelta(t, 1, list["total"], 0)
	shown := list["webhooks"].([]any)[0].(map[string]any)
	require.Equal(t, id, shown["id"])
	require.Equal(t, map[string]any{"deactivationPolicy": map[string]any{"numberOfFailures": 0.0, "daysInPast": 0.0}}, shown["config"])
	for _, path := range []string{"", "/update", "/delete", "/activate", "/deactivate", "/notificationStatus"} {
		code, _, _ := e.send(t, organisation+"/"+service+path, "name", "x").envelope(t)
		require.Equal(t, 404, code, path)
	}

	// A client that writes back what it has read changes nothing.
	config, err := json.Marshal(shown["config"])
	require.NoError(t, err)
	e.done(t, organisation+"/"+id+"/update", "name", shown["name"].(string), "url", shown["payloadUrl"].(string), "secret", shown["secret"].(string),
		"config", string(config), "events", "/items/*/share")
	after := *e.Get(1)
	after.UpdatedAt = before.UpdatedAt
	require.Equal(t, before, after)
}

func TestOrganisationPages(t *testing.T) {
	e := newBareEdge(t)
	for i := range 30 {
		e.makeOne(t, fmt.Sprint("w", i), "events", "/")
	}
	type listed struct {
		Total, Start, Num, NextStart int
		Webhooks                     []struct{ Name string }
	}
	read := func(tb testing.TB, query string) (l listed) {
		tb.Helper()
		a := e.do(tb, request{method: "GET", path: organisation + "?f=json&" + query, key: adminKey})
		require.NoError(tb, json.Unmarshal([]byte(a.body), &l, json.MatchCaseInsensitiveNames(true)), a.body)
		return l
	}
	first := read(t, "")
	require.Equal(t, []int{30, 1, 25, 26}, []int{first.Total, first.Start, first.Num, first.NextStart})
	require.Equal(t, "w29", first.Webhooks[0].Name, "who looks for what he just made looks at the first page only")
	require.Equal(t, 100, read(t, "num=1000").Num)
	require.Empty(t, read(t, "start=31").Webhooks)
	rapid.Check(t, func(r *rapid.T) {
		num := rapid.IntRange(1, 100).Draw(r, "num")
		var names []string
		for start := 1; start != -1; {
			l := read(t, fmt.Sprintf("num=%d&start=%d", num, start))
			require.LessOrEqual(t, len(l.Webhooks), num)
			for _, w := range l.Webhooks {
				names = append(names, w.Name)
			}
			start = l.NextStart
		}
		for i, name := range names {
			require.Equal(t, fmt.Sprint("w", 29-i), name)
		}
		require.Len(t, names, 30)
	})
	for _, query := range []string{"start=0", "num=0", "num=-1", "start=x"} {
		code, _, _ := e.do(t, request{method: "GET", path: organisation + "?f=json&" + query, key: adminKey}).envelope(t)
		require.Equal(t, 400, code, query)
	}
}

// TestOrganisationSettings are read by everyone who may look, and changed by admins, each within its range.
func TestOrganisationSettings(t *testing.T) {
	e := newEdge(t)
	require.Equal(t, map[string]any{"success": true}, e.done(t, organisation+"/settings/update", "notificationAttempts", "0", "notificationTimeOutInSeconds ", "60"))
	want := map[string]any{
		"notificationAttempts": 0.0, "notificationTimeOutInSeconds": 60.0, "notificationElapsedTimeInSeconds": 5.0, "featureServerMetricIntervalInMinutes": 10.0,
	}
	require.Equal(t, want, e.done(t, organisation+"/settings"))
	require.Equal(t, triggers.PortalSettings{Attempts: 0, TimeoutSeconds: 60, PauseSeconds: 5, MetricMinutes: 10}, e.Tenant(1).Settings)
	require.Zero(t, e.Tenant(2).Settings)
	shown := e.as(t, operatorKey, "GET", "/api/v1/tenants/default", "").json(t)
	require.Equal(t, want, shown["portalSettings"])
	require.Equal(t, "items", shown["sourceNaming"])
	require.Equal(t, []string{"tenant.update"}, e.list(t, adminKey, "/api/v1/audit").names("action"))

	for name, bad := range map[string][]string{
		"notificationAttempts": {"-1", "6", "x"}, "notificationTimeOutInSeconds": {"-1", "61"}, "notificationElapsedTimeInSeconds": {"0", "101"},
		"featureServerMetricIntervalInMinutes": {"0", "1441"},
	} {
		for _, value := range bad {
			code, _, message := e.send(t, organisation+"/settings/update", name, value).envelope(t)
			require.Equal(t, 400, code)
			require.Contains(t, message, name)
		}
	}
	for _, key := range []string{userKey, viewerKey} {
		code, messageCode, _ := e.send(t, organisation+"/settings/update", "token", key).envelope(t)
		require.Equal(t, 403, code)
		require.Equal(t, "FORBIDDEN", messageCode)
	}
	require.Equal(t, want, e.done(t, organisation+"/settings"))

	a := e.as(t, operatorKey, "PATCH", "/api/v1/tenants/default", `{"sourceNaming":"item","portalSettings":{"notificationAttempts":4}}`)
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.True(t, e.Tenant(1).SingularSource)
	require.Equal(t, 4, e.Tenant(1).Settings.Attempts)
	require.Equal(t, 60, e.Tenant(1).Settings.TimeoutSeconds)
	for body, field := range map[string]string{
		`{"sourceNaming":"things"}`: "sourceNaming", `{"portalSettings":{"notificationAttempts":6}}`: "portalSettings.notificationAttempts",
		`{"portalSettings":{"attempts":1}}`: "portalSettings.attempts", `{"portalSettings":[]}`: "portalSettings",
	} {
		a := e.as(t, operatorKey, "PATCH", "/api/v1/tenants/default", body)
		require.Equal(t, http.StatusBadRequest, a.status, body)
		require.Equal(t, field, a.problem(t)["field"])
	}
}

// TestOrganisationOfAUser holds a key of the role user to its own, as everywhere.
func TestOrganisationOfAUser(t *testing.T) {
	e := newBareEdge(t)
	foreign := e.makeOne(t, "foreign", "events", "/items")
	id := e.makeOne(t, "own", "events", "/items", "token", userKey)
	require.Equal(t, triggers.UserLevel, e.Get(2).Level)
	require.Equal(t, "u-user-key", e.done(t, organisation+"/"+id)["ownerId"])
	require.InDelta(t, 1, e.done(t, organisation, "token", userKey)["total"], 0)
	require.InDelta(t, 2, e.done(t, organisation)["total"], 0)
	code, _, _ := e.send(t, organisation+"/"+foreign+"/delete", "token", userKey).envelope(t)
	require.Equal(t, 404, code)
	code, _, message := e.send(t, organisation+"/createWebhook", "name", "all", "url", "https://a.example.com/", "changes", "allChanges", "token", userKey).envelope(t)
	require.Equal(t, 400, code)
	require.Contains(t, message, "events[0]: / hears events that have no user level")
}

func TestOrganisationLimit(t *testing.T) {
	e := newBareEdge(t)
	e.limit = 1
	e.makeOne(t, "a", "events", "/")
	code, messageCode, _ := e.send(t, organisation+"/createWebhook", "name", "b", "url", "https://a.example.com/", "events", "/").envelope(t)
	require.Equal(t, 403, code)
	require.Equal(t, "WEBHOOK_LIMIT", messageCode)
}
