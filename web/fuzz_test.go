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

	"github.com/stretchr/testify/require"
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
		w := httptest.NewRecorder()
		e.handler.ServeHTTP(w, r)
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest, http.StatusNotFound}, w.Code, w.Body)
	})
}
