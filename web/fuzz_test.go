package web_test

import (
	"hash/fnv"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"portalhook/triggers"
)

// bodied are the operations that take a body, whatever there are, by a name that stays the same when others come: the corpora go by it.
func bodied(tb testing.TB) map[string]operation {
	tb.Helper()
	list := map[string]operation{}
	for _, op := range operations(tb) {
		if op.RequestBody != nil {
			name := op.OperationID
			if strings.HasPrefix(op.path, "/api/core/") {
				name += " core"
			}
			list[name] = op
		}
	}
	return list
}

// binaryMode stands for a CloudEvent whose attributes are headers.
const binaryMode = "ce-"

// named takes what a name says, or, since a fuzzer makes other names of it, any by its hash.
func named[T any](all map[string]T, name string) T {
	if one, ok := all[name]; ok {
		return one
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(name))
	names := slices.Sorted(maps.Keys(all))
	return all[names[int(hash.Sum32()%uint32(len(names)))]]
}

// FuzzBodies sends any body to every route that reads one, in every content type. Whatever it is, the answer is a clear one and never
// our fault, and what is refused stores nothing.
func FuzzBodies(f *testing.F) {
	routes, contentTypes := bodied(f), map[string]string{binaryMode: binaryMode, "text/plain": "text/plain", "": ""}
	for _, name := range slices.Sorted(maps.Keys(routes)) {
		op := routes[name]
		for contentType := range op.RequestBody.Value.Content {
			contentTypes[contentType] = contentType
		}
		for contentType, list := range op.bases(f) {
			for _, from := range list {
				f.Add(name, contentType, from.body)
			}
		}
		for _, body := range []string{"", "null", "{}", "[]", "[{}]", "{\"name\":\"\xff\"}", `{"a":1e999,"a":[[[[{}]]]]}`, "[" + strings.Repeat("[", 2000)} {
			f.Add(name, "application/json", body)
		}
	}
	f.Add("postEvents", "application/x-ndjson", share+"\n\n"+`{"uri":"/users/a/signIn"}`)
	f.Add("postEvents", binaryMode, `{"a":1}`)
	for _, patch := range []string{
		`[{"op":"add","path":"/eventTypes/0","value":"/items"},{"op":"remove","path":"/headers/x-env"},{"op":"test","path":"/deactivationPolicy/daysInPast","value":2}]`,
		`[{"op":"replace","path":"/encryptedHeaders/authorization","value":{"a":[1e999]}}]`,
		`[{"op":"add","path":"/headers/a~1b~0","value":""},{"op":"add","path":"/retry/-","value":"1h"}]`,
		`[{"op":"remove","path":"/enableCloudEventDelivery"},{"op":"replace","path":"/level","value":"user"},{"op":"remove","path":"/secret"}]`,
	} {
		f.Add("patchWebhook", "application/json", patch)
		f.Add("patchWebhook core", "application/json-patch+json", patch)
	}
	f.Fuzz(func(t *testing.T, operationName, contentType, body string) {
		op := named(routes, operationName)
		w := newWorld(t, operatorKey)
		before := w.state()
		send := request{method: op.method, path: w.paths.Replace(op.path), key: operatorKey, contentType: named(contentTypes, contentType), body: body}
		if send.contentType == binaryMode {
			send.contentType = "application/json"
			send.header = http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"com.qlik/engine"}, "Ce-Type": {"com.qlik.v1.app.created"}}
		}
		got := w.do(t, send)
		require.Less(t, got.status, http.StatusInternalServerError, "%s\n%s", got.body, w.log)
		require.NotContains(t, got.body, "kept-")
		if got.status >= http.StatusBadRequest {
			p := got.problem(t)
			require.NotEmpty(t, p["code"])
			require.NotEmpty(t, p["detail"])
			require.Equal(t, before, w.state(), "nothing is stored")
			return
		}
		// What was taken can be shown again, and sent back as it is shown.
		for _, hook := range w.all(1) {
			if hook.Secret.IsZero() {
				path := "/api/core/webhooks/" + hook.ID.String()
				shown := w.call(t, "GET", path, "")
				require.Equal(t, http.StatusOK, w.call(t, "PUT", path, shown.body).status, shown.body)
			}
		}
	})
}

// FuzzQueries asks every list with any query.
func FuzzQueries(f *testing.F) {
	lists := map[string]operation{}
	for _, op := range operations(f) {
		if op.method == http.MethodGet && strings.HasPrefix(op.path, "/api/v1/") {
			lists[op.OperationID] = op
		}
	}
	for _, query := range []string{
		"", "limit=1&sort=-name&name=x", "next=Kw", "prev=LWNyZWF0ZWRBdAAxIDAg", "eventTypes=/items/{share,unshare},/", "sort=%2B%2B", "status=fail&sort=status",
		"from=2026-11-22T03:00:00Z&to=1", "tenant=other&role=admin&revoked=true", "uri=/items/%ff&outcome=failed", "object=webhook&objectId=x&action=webhook.create",
	} {
		for name := range lists {
			f.Add(name, query)
		}
	}
	f.Fuzz(func(t *testing.T, operationName, query string) {
		op := named(lists, operationName)
		e := newWorld(t, operatorKey)
		path := e.paths.Replace(op.path)
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.URL = &url.URL{Path: path, RawQuery: query}
		r.Header.Set("Authorization", "Bearer "+operatorKey)
		w := newRecorder()
		e.handler.ServeHTTP(w, r)
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest, http.StatusNotFound}, w.Code, w.Body)
	})
}

// formed are the routes of a portal's REST API that read a form; {id} stands for a webhook that exists.
var formed = []string{
	organisation + "/createWebhook", organisation + "/{id}/update", organisation + "/settings/update", organisation, organisation + "/{id}/notificationStatus",
	"/sharing/rest/generateToken",
	roads + "/create", roads + "/{service}/edit", services + "/webhooks/settings", services + "/webhooks", roads + "/{service}/notificationStatus",
	buffers + "/create", roads + "/activateAll",
}

// FuzzForms sends any form to every route that reads one. Whatever it is, the answer has the status 200 and is never our fault, and a
// refusal stores nothing; what was taken can be shown and sent back as it is shown.
func FuzzForms(f *testing.F) {
	for i, form := range []string{
		"name=a&url=https://a.example.com/&changes=allChanges&f=json", "f=pjson&events=[%22/items%22,%22/users%22]&secret=**OMITTED**",
		"notificationAttempts=2&f=html", "start=2&num=3&f=json", "f=json", "password=" + adminKey,
		"name=a&hookUrl=https://a.example.com/&changeTypes=FeaturesCreated,featuresedited&active=true&f=json",
		"changeTypes=[%22*%22]&scheduleInfo={%22state%22:%22disabled%22,%22recurrenceInfo%22:{%22frequency%22:%22month%22,%22interval%22:3}}&f=json",
		"numberOfFailures=2&daysInPast=30&f=pjson", "sortField=active&sortOrder=desc&num=1&f=json", "f=json",
		"name=b&hookUrl=https://a.example.com/&changeTypes=*&scheduleInfo={}&content_type=application/x-www-form-urlencoded&payloadFormat=PJSON&f=json",
		"f=json&token=", "deactivationPolicy={%22numberOfFailures%22:0,%22daysInPast%22:%220%22}&crcCheck=true&signatureKey=**OMITTED**&f=json",
		"config={%22deactivationPolicy%22:{%22numberOfFailures%22:0,%22daysInPast%22:%220%22},%22properties%22:null}&name=%00&f=JSON", "f=%ff&f=json&;",
	} {
		f.Add(uint8(i), false, form)
	}
	f.Add(uint8(0), true, "--x\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\njson\r\n--x--\r\n")
	f.Fuzz(func(t *testing.T, route uint8, multipart bool, form string) {
		e := newBareEdge(t)
		id := e.makeOne(t, "first", "events", "/items,/groups/*/addUsers", "secret", "s3cret")
		service := e.hookOf(t, roads, "of a service", "changeTypes", "FeaturesEdited,AttachmentsCreated", "signatureKey", "s3cret", "scheduleInfo",
			`{"startAt":1651189590498,"recurrenceInfo":{"frequency":"day","interval":2}}`)
		path := strings.NewReplacer("{id}", id, "/webhooks/{service}", service[len(roads)-len("/webhooks"):]).Replace(formed[int(route)%len(formed)])
		before, tenant := stored(e), e.Tenant(1)
		contentType := "application/x-www-form-urlencoded"
		if multipart {
			contentType = "multipart/form-data; boundary=x"
		}
		got := e.do(t, request{method: "POST", path: path, key: adminKey, contentType: contentType, body: form})
		require.Equal(t, http.StatusOK, got.status)
		require.NotContains(t, got.body, "s3cret")
		if status := got.outcome(t); status != http.StatusOK {
			require.Less(t, status, http.StatusInternalServerError, "%s\n%s", got.body, e.log)
			require.Equal(t, before, stored(e))
			require.Equal(t, tenant, e.Tenant(1))
			return
		}
		shown := e.done(t, organisation+"/"+id)
		config, err := json.Marshal(shown["config"])
		require.NoError(t, err)
		events, err := json.Marshal(shown["events"])
		require.NoError(t, err)
		e.done(t, organisation+"/"+id+"/update", "name", shown["name"].(string), "url", shown["payloadUrl"].(string),
			"secret", shown["secret"].(string), "config", string(config), "events", string(events))
		require.Equal(t, shown["config"], e.done(t, organisation+"/"+id)["config"])
		// So can those of services.
		for _, w := range e.managed(t, services+"/webhooks", "num", "100")["webhooks"].([]any) {
			shown := w.(map[string]any)
			path := service[:strings.LastIndexByte(service, '/')]
			if shown["serviceType"] == "GPServer" {
				path = buffers
			}
			edited := e.managed(t, path+"/"+shown["id"].(string)+"/edit", asForm(t, shown)...)
			delete(edited, "status")
			edited["modified"] = shown["modified"]
			require.Equal(t, shown, edited)
		}
	})
}

// stored are all webhooks of the first tenant, by their keys.
func stored(e *edge) map[uint32]triggers.Webhook {
	all := map[uint32]triggers.Webhook{}
	for _, w := range e.all(1) {
		all[w.Key] = *w
	}
	return all
}
