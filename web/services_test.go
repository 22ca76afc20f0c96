package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

const (
	services = "/server/admin/services"
	roads    = services + "/traffic/roads.FeatureServer/webhooks"
	buffers  = services + "/buffers.GPServer/webhooks"
)

// managed is send of what must succeed at the server's administration.
func (e *edge) managed(tb testing.TB, path string, pairs ...string) map[string]any {
	tb.Helper()
	object := e.send(tb, path, pairs...).json(tb)
	require.NotEqual(tb, "error", object["status"], object)
	return object
}

// statusEnvelope is the refusal in an answer of the server's administration.
func (a answer) statusEnvelope(tb testing.TB) (code int, messageCode, message string) {
	tb.Helper()
	var refusal struct {
		Status      string   `json:"status"`
		Messages    []string `json:"messages"`
		Code        int      `json:"code"`
		MessageCode string   `json:"messageCode"`
	}
	require.NoError(tb, json.Unmarshal([]byte(a.body), &refusal), a.body)
	require.Equal(tb, "error", refusal.Status, a.body)
	require.NotEmpty(tb, refusal.Messages)
	return refusal.Code, refusal.MessageCode, strings.Join(refusal.Messages, "\n")
}

// hookOf makes a webhook of a service and gives the path of it.
func (e *edge) hookOf(tb testing.TB, service, name string, pairs ...string) string {
	tb.Helper()
	answer := e.managed(tb, service+"/create", append([]string{"name", name, "hookUrl", "https://receiver.example.com/" + url.PathEscape(name)}, pairs...)...)
	require.Equal(tb, "success", answer["status"])
	address := answer["url"].(string)
	require.Equal(tb, service+"/"+answer["id"].(string), address[strings.Index(address, services):])
	return service + "/" + answer["id"].(string)
}

// TestServiceWebhook takes one from its creation to its end, and looks at it from both sides all the while.
func TestServiceWebhook(t *testing.T) {
	e := newEdge(t)
	path := e.hookOf(t, roads, "Edits", "changeTypes", "FeaturesCreated, featuresupdated", "signatureKey", "a key", "active", "true",
		"contentType", "application/x-www-form-urlencoded", "payloadFormat", "pjson",
		"scheduleInfo", `{"name":"every 20","startAt":1651189590498,"state":"enabled","recurrenceInfo":{"frequency":"second","interval":20}}`)
	w := e.only(t)
	require.Regexp(t, `^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$`, path[len(roads)+1:])
	created := w.CreatedAt.UnixMilli()
	whole := fmt.Sprintf(`{"id":"%s","folderName":"traffic","serviceName":"roads","serviceType":"FeatureServer","name":"Edits",`+
		`"changeTypes":["FeaturesCreated","FeaturesUpdated"],"signatureKey":"**OMITTED**","hookUrl":"https://receiver.example.com/Edits","active":true,`+
		`"contentType":"application/x-www-form-urlencoded","scheduleInfo":{"name":"every 20","state":"enabled","startAt":1651189590498,`+
		`"recurrenceInfo":{"interval":20,"frequency":"second"}},"payloadFormat":"pjson","created":%d,"modified":%d,"ownerId":"u-admin-key","modifiedId":"u-admin-key"}`,
		w.ID.Dashed(), created, created)
	require.Equal(t, whole, e.send(t, path).body)
	require.Equal(t, whole, e.send(t, services+"/Traffic/ROADS.featureserver/webhooks/"+w.ID.String()).body)
	require.Equal(t, `{"total":1,"start":1,"num":25,"nextStart":-1,"webhooks":[`+whole+`]}`,
		e.do(t, request{method: "GET", path: roads + "?f=json", key: viewerKey}).body)
	require.Equal(t, `{"total":1,"start":1,"num":25,"nextStart":-1,"webhooks":[`+whole+`]}`, e.send(t, services+"/webhooks").body)

	other := e.call(t, "GET", "/api/v1/webhooks/"+w.ID.String(), "").json(t)
	for name, want := range map[string]any{
		"eventTypes": []any{"/services/traffic/roads/FeatureServer/FeaturesCreated", "/services/traffic/roads/FeatureServer/FeaturesUpdated"},
		"enabled":    true, "retry": "portal", "format": "auto", "level": "tenant", "origin": "api", "deactivationPolicy": nil, "secretKeyAdded": true,
	} {
		require.Equal(t, want, other[name], name)
	}

	edited := e.managed(t, path+"/edit", "name", "All", "changeTypes", "*", "active", "false", "scheduleInfo", "{}", "payloadFormat", "json",
		"deactivationPolicy", `{"numberOfFailures":2,"daysInPast":1}`, "content_type", "application/json")
	require.Equal(t, "success", edited["status"])
	delete(edited, "status")
	require.Equal(t, e.managed(t, path), edited)
	require.Equal(t, []any{"*"}, edited["changeTypes"])
	require.Equal(t, map[string]any{"numberOfFailures": 2.0, "daysInPast": 1.0}, edited["deactivationPolicy"])
	require.NotContains(t, edited, "scheduleInfo")
	w = e.only(t)
	require.Equal(t, "/services/traffic/roads/FeatureServer", w.Triggers[0].Text)
	require.Equal(t, "a key", w.Secret.Reveal())
	require.False(t, w.Enabled)
	require.Equal(t, "application/json", w.ContentType)
	e.managed(t, path+"/edit", "deactivationPolicy", "")
	require.Nil(t, e.only(t).Deactivation)

	require.Equal(t, map[string]any{"status": "success"}, e.managed(t, path+"/delete"))
	require.Empty(t, e.all(1))
	require.Equal(t, []string{"webhook.delete", "webhook.update", "webhook.update", "webhook.create"},
		e.list(t, adminKey, "/api/v1/audit?object=webhook").names("action"))
	code, messageCode, _ := e.send(t, path).statusEnvelope(t)
	require.Equal(t, 404, code)
	require.Equal(t, "NOT_FOUND", messageCode)
}

// TestChangeTypesAsClientsWriteThem subscribes what clients ask for, and shows it as they know it.
func TestChangeTypesAsClientsWriteThem(t *testing.T) {
	for name, c := range map[string]struct {
		service string
		pairs   []string
		want    []string
		texts   []string
	}{
		"a comma list": {
			roads,
			[]string{"changeTypes", "AttachmentsCreated,FEATURESEDITED"},
			[]string{"AttachmentsCreated", "FeaturesEdited"},
			[]string{"/services/traffic/roads/FeatureServer/AttachmentsCreated", "/services/traffic/roads/FeatureServer/FeaturesEdited"},
		},
		"a JSON array":        {services + "/a b.FeatureServer/webhooks", []string{"changeTypes", `["FeaturesPosted"]`}, []string{"FeaturesPosted"}, []string{"/services/a b/FeatureServer/FeaturesPosted"}},
		"several":             {roads, []string{"changeTypes", "FeaturesCreated", "changeTypes", "FeaturesCreated"}, []string{"FeaturesCreated"}, []string{"/services/traffic/roads/FeatureServer/FeaturesCreated"}},
		"every and one":       {roads, []string{"changeTypes", "FeaturesCreated,*"}, []string{"*"}, []string{"/services/traffic/roads/FeatureServer"}},
		"of jobs: nothing":    {buffers, nil, []string{"*"}, []string{"/services/buffers/GPServer"}},
		"of jobs: every":      {buffers, []string{"changeTypes", "*"}, []string{"*"}, []string{"/services/buffers/GPServer"}},
		"of jobs: an empty":   {buffers, []string{"changeTypes", "", "scheduleInfo", "{}"}, []string{"*"}, []string{"/services/buffers/GPServer"}},
		"of jobs: as unasked": {buffers, []string{"scheduleInfo", `{"name":"","state":"enabled","startAt":1651189590498,"recurrenceInfo":{"interval":20,"frequency":"second"}}`}, []string{"*"}, []string{"/services/buffers/GPServer"}},
		"a star in a name":    {services + "/a*b.v2.GPServer/webhooks", nil, []string{"*"}, []string{"/services/a%2Ab.v2/GPServer"}},
		"a folder webhooks":   {services + "/webhooks/settings.GPServer/webhooks", nil, []string{"*"}, []string{"/services/webhooks/settings/GPServer"}},
		"a name like a word":  {services + "/webhooks.GPServer/webhooks", nil, []string{"*"}, []string{"/services/webhooks/GPServer"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newBareEdge(t)
			service := (&url.URL{Path: c.service}).EscapedPath()
			made := e.managed(t, service+"/create", append([]string{"name", "w", "hookUrl", "https://a.example.com/"}, c.pairs...)...)
			var texts []string
			for _, trigger := range e.only(t).Triggers {
				texts = append(texts, trigger.Text)
			}
			require.Equal(t, c.texts, texts)
			require.Nil(t, e.only(t).Schedule)
			require.False(t, e.only(t).Enabled, "until it is asked for")
			var shown struct {
				ChangeTypes []string `json:"changeTypes"`
			}
			require.NoError(t, json.Unmarshal([]byte(e.send(t, service+"/"+made["id"].(string)).body), &shown))
			require.Equal(t, c.want, shown.ChangeTypes)
		})
	}
}

// TestServiceRefusals holds refusals to their codes and words. Nothing of them is stored.
func TestServiceRefusals(t *testing.T) {
	good := []string{"name", "w", "hookUrl", "https://a.example.com/"}
	with := func(pairs ...string) []string { return slices.Concat(good, pairs) }
	every := func(pairs ...string) []string { return slices.Concat(good, []string{"changeTypes", "*"}, pairs) }
	schedule := func(text string) []string { return every("scheduleInfo", text) }
	for name, c := range map[string]struct {
		service     string
		pairs       []string
		code        int
		messageCode string
		message     string
	}{
		"an unknown change type": {roads, with("changeTypes", "FeaturesCreated,FeatureDeleted"), 400, "UNKNOWN_TRIGGER", `changeTypes[1]: there is no change type "FeatureDeleted"; the nearest is FeaturesDeleted`},
		"a glob":                 {roads, with("changeTypes", "Features*"), 400, "UNKNOWN_TRIGGER", "changeTypes[0]: "},
		"of a portal":            {roads, with("changeTypes", "/items"), 400, "UNKNOWN_TRIGGER", "changeTypes[0]: "},
		"no change type":         {roads, good, 400, "REQUIRED", "changeTypes: "},
		"no change types at all": {roads, with("changeTypes", "None"), 400, "REQUIRED", "changeTypes: "},
		"change types, broken":   {roads, with("changeTypes", `["*"`), 400, "NOT_JSON", "changeTypes: "},
		"change types of jobs":   {buffers, with("changeTypes", "FeaturesCreated"), 400, "NOT_ALLOWED", "changeTypes[0]: a geoprocessing service has no change types"},
		"a schedule of jobs":     {buffers, with("scheduleInfo", `{"recurrenceInfo":{"frequency":"minute","interval":1}}`), 400, "NOT_ALLOWED", "scheduleInfo: webhooks of geoprocessing services have no schedule"},
		"another kind":           {services + "/roads.MapServer/webhooks", every(), 400, "OUT_OF_RANGE", "serviceType: webhooks are those of services of the types FeatureServer and GPServer, not MapServer"},
		"no kind":                {services + "/roads/webhooks", every(), 400, "REQUIRED", "serviceType: "},
		"no name":                {services + "/.GPServer/webhooks", good, 400, "MISSING_ID", "serviceName: "},
		"a long name":            {services + "/" + strings.Repeat("x", 257) + ".GPServer/webhooks", good, 400, "TOO_LONG", "serviceName: "},
		"no name of its own":     {roads, []string{"hookUrl", "https://a.example.com/", "changeTypes", "*"}, 400, "REQUIRED", "name: "},
		"no url":                 {roads, []string{"name", "w", "changeTypes", "*"}, 400, "REQUIRED", "hookUrl: "},
		"http":                   {roads, []string{"name", "w", "hookUrl", "http://a.example.com/", "changeTypes", "*"}, 400, "NOT_ALLOWED", "hookUrl: the url must begin with https://"},
		"another content type":   {roads, every("contentType", "text/xml"), 400, "OUT_OF_RANGE", "contentType: "},
		"another format":         {roads, every("payloadFormat", "xml"), 400, "OUT_OF_RANGE", "payloadFormat: "},
		"active, in words":       {roads, every("active", "yes"), 400, "WRONG_TYPE", "active: "},
		"a long key":             {roads, every("signatureKey", strings.Repeat("x", 257)), 400, "OUT_OF_RANGE", "signatureKey: "},
		"a hidden key":           {roads, every("signatureKey", "**OMITTED**"), 400, "NOT_ALLOWED", "signatureKey: "},
		"no failures":            {roads, every("deactivationPolicy", `{"numberOfFailures":0,"daysInPast":5}`), 400, "OUT_OF_RANGE", "deactivationPolicy.numberOfFailures: "},
		"a policy, broken":       {roads, every("deactivationPolicy", "5"), 400, "WRONG_TYPE", "deactivationPolicy: "},
		"a challenge, no key":    {roads, every("crcCheck", "true"), 400, "REQUIRED", "signatureKey: "},
		"schedule is no JSON":    {roads, schedule("20"), 400, "WRONG_TYPE", "scheduleInfo: "},
		"half a schedule":        {roads, schedule(`{"name":`), 400, "NOT_JSON", "scheduleInfo: "},
		"a schedule of nothing":  {roads, schedule(`{"state":"enabled"}`), 400, "OUT_OF_RANGE", "scheduleInfo.recurrenceInfo.frequency: "},
		"an odd frequency":       {roads, schedule(`{"recurrenceInfo":{"frequency":"fortnight","interval":1}}`), 400, "OUT_OF_RANGE", "scheduleInfo.recurrenceInfo.frequency: "},
		"no interval":            {roads, schedule(`{"recurrenceInfo":{"frequency":"second"}}`), 400, "OUT_OF_RANGE", "scheduleInfo.recurrenceInfo.interval: "},
		"an odd state":           {roads, schedule(`{"state":"on","recurrenceInfo":{"frequency":"second","interval":1}}`), 400, "OUT_OF_RANGE", "scheduleInfo.state: "},
		"an early start":         {roads, schedule(`{"startAt":-1,"recurrenceInfo":{"frequency":"second","interval":1}}`), 400, "OUT_OF_RANGE", "scheduleInfo.startAt: "},
		"a start in words":       {roads, schedule(`{"startAt":"now"}`), 400, "WRONG_TYPE", "scheduleInfo.startAt: "},
		"more in a schedule":     {roads, schedule(`{"stopAt":1}`), 400, "UNKNOWN_FIELD", "scheduleInfo.stopAt: "},
		"more in a recurrence":   {roads, schedule(`{"recurrenceInfo":{"count":1}}`), 400, "UNKNOWN_FIELD", "scheduleInfo.recurrenceInfo.count: "},
		"of a portal: url":       {roads, every("url", "https://a.example.com/"), 400, "UNKNOWN_FIELD", "it has hookUrl"},
		"of a portal: events":    {roads, every("events", "/items"), 400, "UNKNOWN_FIELD", "it has changeTypes"},
		"of a portal: isActive":  {roads, every("isActive", "true"), 400, "UNKNOWN_FIELD", "it has active"},
		"two names":              {roads, every("name", "v"), 400, "DUPLICATE_KEY", "name: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t)
			code, messageCode, message := e.send(t, c.service+"/create", c.pairs...).statusEnvelope(t)
			require.Equal(t, c.code, code)
			require.Equal(t, c.messageCode, messageCode, message)
			require.Contains(t, message, c.message)
			require.Zero(t, e.stored())
			require.Empty(t, e.audit)
		})
	}
}

// TestServiceTokens: a POST must not have its token in the address, and refusals of tokens are the server's own.
func TestServiceTokens(t *testing.T) {
	e := newBareEdge(t)
	token := e.server.NewToken(adminKey, time.Now().Add(time.Minute))
	a := e.do(t, request{method: "GET", path: roads + "?f=json&token=" + token})
	require.Contains(t, a.body, `"webhooks":[]`)
	for name, c := range map[string]struct {
		r    request
		code int
		says string
	}{
		"none":           {request{method: "GET", path: roads + "?f=json"}, 499, "Token Required"},
		"in the address": {request{method: "POST", path: roads + "/activateAll?f=json&token=" + token}, 499, "in its body or in a header"},
		"of nobody":      {request{method: "GET", path: roads + "?f=json&token=pht_x"}, 498, "Invalid token"},
		"of a user":      {request{method: "GET", path: roads + "?f=json", key: userKey}, 403, "a key of the role user may not do this"},
		"of a viewer":    {request{method: "POST", path: roads + "/activateAll?f=json", key: viewerKey}, 403, "viewer"},
		"GET of a POST":  {request{method: "GET", path: roads + "/activateAll/x/y?f=json", key: adminKey}, 404, ""},
		"nothing there":  {request{method: "GET", path: "/server/admin/nothing?f=json", key: adminKey}, 404, ""},
	} {
		code, _, message := e.do(t, c.r).statusEnvelope(t)
		require.Equal(t, c.code, code, name)
		require.Contains(t, message, c.says, name)
	}
	for name, r := range map[string]request{
		"a header": {header: http.Header{"X-Esri-Authorization": {"Bearer " + token}}},
		"the body": {contentType: "application/x-www-form-urlencoded", body: "token=" + token},
	} {
		r.method, r.path = "POST", roads+"/activateAll?f=json"
		require.JSONEq(t, `{"status":"success"}`, e.do(t, r).body, name)
	}
	page := e.do(t, request{method: "GET", path: roads, key: adminKey})
	require.Contains(t, page.body, "<h1>Webhooks</h1>")
	require.Contains(t, page.body, `href="/server/admin/services/webhooks?f=html"`)
	require.Contains(t, e.do(t, request{method: "GET", path: services + "/x.MapServer/webhooks", key: adminKey}).body, "<h1>Error</h1>")
	require.Contains(t, e.send(t, roads, "f", "pjson").body, "{\n  \"total\": 0,")
}

// TestServiceNames are unique in their service; another service may have the same.
func TestServiceNames(t *testing.T) {
	e := newBareEdge(t)
	path := e.hookOf(t, roads, "Straße", "changeTypes", "*")
	second := e.hookOf(t, roads, "b", "changeTypes", "*")
	e.hookOf(t, services+"/roads.FeatureServer/webhooks", "Straße", "changeTypes", "*")
	e.hookOf(t, buffers, "b")
	code, messageCode, _ := e.send(t, roads+"/create", "name", "STRAßE", "hookUrl", "https://a.example.com/", "changeTypes", "*").statusEnvelope(t)
	require.Equal(t, 409, code)
	require.Equal(t, "EXISTS", messageCode)
	code, _, message := e.send(t, second+"/edit", "name", "sTRAßE").statusEnvelope(t)
	require.Equal(t, 409, code)
	require.Contains(t, message, path[len(roads)+1:])
	e.managed(t, path+"/edit", "name", "STRAßE")
}

// TestServiceKey shows a key to nobody, and changes it when it is told to only.
func TestServiceKey(t *testing.T) {
	e := newBareEdge(t)
	path := e.hookOf(t, roads, "w", "changeTypes", "*", "signatureKey", "s3cret-key", "active", "true", "crcCheck", "true")
	stored := func() string { return e.only(t).Secret.Reveal() }
	require.Equal(t, true, e.managed(t, path)["crcCheck"])
	for _, kept := range []string{"**OMITTED**", "null", "None"} {
		require.NotContains(t, e.send(t, path+"/edit", "signatureKey", kept).body, "s3cret-key")
		require.Equal(t, "s3cret-key", stored(), kept)
	}
	e.managed(t, path+"/edit", "signatureKey", "other")
	require.Equal(t, "other", stored())
	e.managed(t, path+"/edit", "signatureKey", "", "crcCheck", "false")
	require.Empty(t, stored())
	require.Empty(t, e.managed(t, path)["signatureKey"])
	require.NotContains(t, e.log.String(), "s3cret-key")
}
