package web_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"portalhook/web"
)

const (
	secret      = "0123456789abcdef0123456789abcdef"
	fullWebhook = `{"name":"Shares & more","description":"of <items>","url":"https://receiver.example.com/hook?a=1&b=2",
 "eventTypes":["/ITEMS/Share","/users/*/signin","com.qlik.v1.app.created"],"enabled":true,"level":"tenant","secret":"` + secret + `",
 "headers":{"x-env":"prod","X-Team":"gis"},"encryptedHeaders":{"authorization":"Bearer top-secret"},"origin":"automations",
 "checkCertificateRevocation":true,"enableCloudEventDelivery":false,"format":"portal","plainSecretHeader":true,"retry":["0s","90s","5m","2h"],
 "deactivationPolicy":{"numberOfFailures":5,"daysInPast":2},"probe":true,"contentType":"application/json","payloadFormat":"pjson",
 "schedule":{"state":"disabled","startAt":"2026-11-22T03:00:00Z","frequency":"day","interval":1},"ordered":true,"timeoutSeconds":20,"rateLimit":600}`
)

// TestWebhookWhole holds the answer to a create to its last byte, but for id and dates.
func TestWebhookWhole(t *testing.T) {
	e := newEdge(t)
	a := e.call(t, "POST", "/api/core/webhooks", fullWebhook)
	require.Equal(t, http.StatusCreated, a.status, a.body)
	object := a.json(t)
	id, date := object["id"].(string), object["createdAt"].(string)
	require.Regexp(t, `^[0-9a-f]{32}$`, id)
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, date)
	require.Equal(t, `{"id":"`+id+`","name":"Shares & more","description":"of <items>","url":"https://receiver.example.com/hook?a=1&b=2",`+
		`"eventTypes":["/items/share","/users/*/signIn","com.qlik.v1.app.created"],"level":"tenant","ownerId":"","enabled":true,"filter":"",`+
		`"headers":{"x-env":"prod","X-Team":"gis"},"encryptedHeaders":["authorization"],"secretKeyAdded":true,"origin":"automations",`+
		`"checkCertificateRevocation":true,"enableCloudEventDelivery":false,"format":"portal","plainSecretHeader":true,"retry":["0s","1m30s","5m","2h"],`+
		`"deactivationPolicy":{"numberOfFailures":5,"daysInPast":2},"probe":true,"contentType":"application/json","payloadFormat":"pjson",`+
		`"schedule":{"name":"","state":"disabled","startAt":"2026-11-22T03:00:00.000Z","frequency":"day","interval":1},"crcCheck":false,"ordered":true,"timeoutSeconds":20,"rateLimit":600,`+
		`"disabledReason":"","disabledReasonCode":"","createdAt":"`+date+`","updatedAt":"`+date+`",`+
		`"createdByUserId":"u-admin-key","updatedByUserId":"u-admin-key"}`, a.body)

	again := e.call(t, "GET", "/api/v1/webhooks/"+id, "")
	require.Equal(t, a.body, again.body)
	require.Equal(t, a.body, e.call(t, "GET", "/api/v1/webhooks/"+strings.ToUpper(id[:8]+"-"+id[8:12]+"-"+id[12:16]+"-"+id[16:20]+"-"+id[20:]), "").body)
	require.Equal(t, http.StatusNotFound, e.do(t, request{method: "GET", path: "/api/v1/webhooks/" + id, key: otherKey}).status)
}

func TestWebhookDefaults(t *testing.T) {
	e := newEdge(t)
	a := e.call(t, "POST", "/api/v1/webhooks", `{"name":"a","url":"https://a.example.com/"}`)
	require.Equal(t, http.StatusCreated, a.status, a.body)
	object := a.json(t)
	for name, want := range map[string]any{
		"enabled": false, "level": "tenant", "origin": "api", "format": "auto", "retry": "standard", "ordered": false, "secretKeyAdded": false,
		"enableCloudEventDelivery": true, "checkCertificateRevocation": false, "eventTypes": []any{}, "encryptedHeaders": []any{},
		"contentType": "application/json", "payloadFormat": "json", "crcCheck": false, "probe": false,
		"headers": map[string]any{}, "timeoutSeconds": 0.0, "rateLimit": 0.0, "description": "", "filter": "", "ownerId": "",
	} {
		require.Equal(t, want, object[name], name)
	}
	require.NotContains(t, object, "secret")
	require.NotContains(t, object, "deactivationPolicy")
	require.NotContains(t, object, "schedule")
	require.NotContains(t, object, "disabledAt")
}

// TestPutWhatGetPrints sends a whole answer back, as some clients do.
func TestPutWhatGetPrints(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, fullWebhook)
	path := "/api/v1/webhooks/" + id
	before := e.call(t, "GET", path, "")
	a := e.call(t, "PUT", path, before.body)
	require.Equal(t, http.StatusOK, a.status, a.body)
	want, got := before.json(t), a.json(t)
	delete(want, "updatedAt")
	delete(got, "updatedAt")
	require.Equal(t, want, got)
	require.False(t, e.only(t).Secret.IsZero(), "secretKeyAdded keeps the secret")
	require.Equal(t, "Bearer top-secret", e.only(t).EncryptedHeaders[0].Value.Reveal(), "a listed name keeps its value")
	a = e.call(t, "PUT", path, `{"name":"b","url":"https://receiver.example.com/hook","encryptedHeaders":[]}`)
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.False(t, a.json(t)["secretKeyAdded"].(bool), "a PUT that says nothing of the secret takes it away")
}

func TestPut(t *testing.T) {
	minimal := map[string]string{"name": `"b"`, "url": `"https://receiver.example.com/hook?a=1&b=2"`}
	for name, c := range map[string]struct {
		members map[string]string
		status  int
		code    string
		field   string
	}{
		"minimal":                        {nil, 200, "", ""},
		"encrypted headers anew":         {map[string]string{"encryptedHeaders": `{"authorization":"x"}`, "url": `"https://b.example.com/"`}, 200, "", ""},
		"encrypted headers kept":         {map[string]string{"encryptedHeaders": `["Authorization"]`}, 200, "", ""},
		"encrypted header never stored":  {map[string]string{"encryptedHeaders": `["x-other"]`}, 400, "OUT_OF_RANGE", "encryptedHeaders[0]"},
		"encrypted headers to a new url": {map[string]string{"encryptedHeaders": `["authorization"]`, "url": `"https://b.example.com/"`}, 400, "REENTER_HEADERS", "encryptedHeaders"},
		"empty array":                    {map[string]string{"encryptedHeaders": `[]`, "url": `"https://b.example.com/"`}, 200, "", ""},
		"another id":                     {map[string]string{"id": `"0123456789abcdef0123456789abcdef"`}, 409, "READ_ONLY", "id"},
		"another creation":               {map[string]string{"createdAt": `"2026-01-01T00:00:00Z"`}, 409, "READ_ONLY", "createdAt"},
		"another creator":                {map[string]string{"createdByUserId": `"someone"`}, 409, "READ_ONLY", "createdByUserId"},
		"another reason":                 {map[string]string{"disabledReason": `"why not"`}, 409, "READ_ONLY", "disabledReason"},
		"another origin":                 {map[string]string{"origin": `"api"`}, 409, "READ_ONLY", "origin"},
		"the same origin":                {map[string]string{"origin": `"automations"`}, 200, "", ""},
		"secretKeyAdded is no setting":   {map[string]string{"secretKeyAdded": `true`}, 200, "", ""},
		"enabled without event types":    {map[string]string{"enabled": `true`}, 400, "REQUIRED", "eventTypes"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			id := e.create(t, fullWebhook)
			before := e.call(t, "GET", "/api/v1/webhooks/"+id, "").body
			members := maps.Clone(minimal)
			maps.Copy(members, c.members)
			body := map[string]jsontext.Value{}
			for name, value := range members {
				body[name] = jsontext.Value(value)
			}
			text, err := json.Marshal(body)
			require.NoError(t, err)
			a := e.call(t, "PUT", "/api/core/webhooks/"+id, string(text))
			require.Equal(t, c.status, a.status, a.body)
			if c.status == http.StatusOK {
				require.Equal(t, a.body, e.call(t, "GET", "/api/v1/webhooks/"+id, "").body)
				object := a.json(t)
				require.Equal(t, false, object["enabled"])
				require.Equal(t, "standard", object["retry"])
				require.Equal(t, "automations", object["origin"])
				require.Equal(t, false, object["enableCloudEventDelivery"], "what older clients do not know of stays")
				return
			}
			p := a.problem(t)
			require.Equal(t, c.code, p["code"])
			require.Equal(t, c.field, p["field"])
			require.NotContains(t, a.body, "top-secret")
			require.Equal(t, before, e.call(t, "GET", "/api/v1/webhooks/"+id, "").body, "nothing has changed")
		})
	}
}

func TestPatch(t *testing.T) {
	for name, c := range map[string]struct {
		patch  string
		status int
		code   string
		field  string
		check  func(t *testing.T, e *edge, w map[string]any)
	}{
		"enabled": {`[{"op":"replace","path":"/enabled","value":false}]`, 204, "", "", func(t *testing.T, e *edge, w map[string]any) {
			t.Helper()
			require.Equal(t, false, w["enabled"])
			require.Equal(t, secret, e.only(t).Secret.Reveal(), "the secret stays")
			require.Equal(t, "Bearer top-secret", e.only(t).EncryptedHeaders[0].Value.Reveal())
			require.Equal(t, "portal", w["format"])
		}},
		"several, judged as one": {`[{"op":"replace","path":"/eventTypes","value":[]},{"op":"add","path":"/eventTypes/-","value":"/items/add"},
			{"op":"add","path":"/headers/x-new","value":"1"},{"op":"remove","path":"/headers/X-ENV"},{"op":"remove","path":"/deactivationPolicy"},
			{"op":"replace","path":"/retry","value":"once"}]`, 204, "", "", func(t *testing.T, _ *edge, w map[string]any) {
			t.Helper()
			require.Equal(t, []any{"/items/add"}, w["eventTypes"])
			require.Equal(t, map[string]any{"X-Team": "gis", "x-new": "1"}, w["headers"])
			require.NotContains(t, w, "deactivationPolicy")
			require.Equal(t, "once", w["retry"])
		}},
		"secret anew": {`[{"op":"replace","path":"/secret","value":"` + strings.Repeat("n", 40) + `"}]`, 204, "", "", func(t *testing.T, e *edge, _ map[string]any) {
			t.Helper()
			require.Equal(t, strings.Repeat("n", 40), e.only(t).Secret.Reveal())
		}},
		"secret away": {`[{"op":"remove","path":"/secret"}]`, 204, "", "", func(t *testing.T, _ *edge, w map[string]any) {
			t.Helper()
			require.Equal(t, false, w["secretKeyAdded"])
		}},
		"one encrypted header": {`[{"op":"add","path":"/encryptedHeaders/x-two","value":"2"}]`, 204, "", "", func(t *testing.T, e *edge, w map[string]any) {
			t.Helper()
			require.Equal(t, []any{"authorization", "x-two"}, w["encryptedHeaders"])
			require.Equal(t, "Bearer top-secret", e.only(t).EncryptedHeaders[0].Value.Reveal())
		}},
		"url and its headers": {
			`[{"op":"replace","path":"/url","value":"https://b.example.com/"},{"op":"replace","path":"/encryptedHeaders/Authorization","value":"new"}]`,
			204, "", "", func(t *testing.T, e *edge, _ map[string]any) {
				t.Helper()
				require.Equal(t, "new", e.only(t).EncryptedHeaders[0].Value.Reveal())
			},
		},
		"test that holds":        {`[{"op":"test","path":"/ordered","value":true},{"op":"replace","path":"/ordered","value":false}]`, 204, "", "", nil},
		"nothing":                {`[]`, 204, "", "", nil},
		"url without headers":    {`[{"op":"replace","path":"/url","value":"https://b.example.com/"}]`, 400, "REENTER_HEADERS", "encryptedHeaders", nil},
		"test that fails":        {`[{"op":"test","path":"/ordered","value":false}]`, 400, "BAD_PATCH", "[0]", nil},
		"test of the secret":     {`[{"op":"test","path":"/secret","value":"` + secret + `"}]`, 400, "BAD_PATCH", "[0]", nil},
		"read-only":              {`[{"op":"replace","path":"/createdAt","value":"2026-01-01T00:00:00Z"}]`, 409, "READ_ONLY", "[0].path", nil},
		"id":                     {`[{"op":"remove","path":"/id"}]`, 409, "READ_ONLY", "[0].path", nil},
		"unknown":                {`[{"op":"add","path":"/colour","value":"red"}]`, 400, "UNKNOWN_FIELD", "[0].path", nil},
		"the whole document":     {`[{"op":"replace","path":"","value":{}}]`, 400, "BAD_PATCH", "[0].path", nil},
		"no value":               {`[{"op":"replace","path":"/enabled"}]`, 400, "REQUIRED", "[0].value", nil},
		"no path":                {`[{"op":"remove"}]`, 400, "REQUIRED", "[0].path", nil},
		"no op":                  {`[{"path":"/name","value":"x"}]`, 400, "REQUIRED", "[0].op", nil},
		"move":                   {`[{"op":"move","from":"/secret","path":"/name"}]`, 400, "UNKNOWN_FIELD", "[0].from", nil},
		"copy":                   {`[{"op":"copy","path":"/name"}]`, 400, "NOT_SUPPORTED", "[0].op", nil},
		"missing header":         {`[{"op":"remove","path":"/headers/x-none"}]`, 400, "BAD_PATCH", "[0]", nil},
		"far index":              {`[{"op":"add","path":"/eventTypes/99999999","value":"/items"}]`, 400, "BAD_PATCH", "[0]", nil},
		"name away":              {`[{"op":"remove","path":"/name"}]`, 400, "REQUIRED", "name", nil},
		"an object":              {`{"op":"remove","path":"/name"}`, 400, "WRONG_TYPE", "", nil},
		"bad result":             {`[{"op":"add","path":"/eventTypes/0","value":"/itemz"}]`, 400, "UNKNOWN_TRIGGER", "eventTypes[0]", nil},
		"not a member of policy": {`[{"op":"add","path":"/deactivationPolicy/x","value":1}]`, 400, "UNKNOWN_FIELD", "deactivationPolicy.x", nil},
		"too many":               {"[" + strings.Repeat(`{"op":"remove","path":"/name"},`, 200) + `{"op":"remove","path":"/name"}]`, 400, "OUT_OF_RANGE", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			path := "/api/v1/webhooks/" + e.create(t, fullWebhook)
			before := e.call(t, "GET", path, "").body
			// Doubled slashes, as one client sends them.
			a := e.do(t, request{method: "PATCH", path: strings.Replace(path, "v1/", "v1//", 1), key: adminKey, body: c.patch})
			require.Equal(t, c.status, a.status, a.body)
			after := e.call(t, "GET", path, "")
			if c.status == http.StatusNoContent {
				require.Empty(t, a.body)
				if c.check != nil {
					c.check(t, e, after.json(t))
				}
				return
			}
			p := a.problem(t)
			require.Equal(t, c.code, p["code"])
			if c.field != "" {
				require.Equal(t, c.field, p["field"])
			}
			require.NotContains(t, a.body, "top-secret")
			require.NotContains(t, a.body, secret)
			require.NotContains(t, a.body, "kept-")
			require.Equal(t, before, after.body, "nothing has changed")
		})
	}
}

func TestPatchContentTypes(t *testing.T) {
	e := newEdge(t)
	path := "/api/v1/webhooks/" + e.create(t, fullWebhook)
	for contentType, status := range map[string]int{
		"application/json-patch+json": 204, "application/json; charset=utf-8": 204, "application/merge-patch+json": 415,
	} {
		a := e.do(t, request{method: "PATCH", path: path, key: adminKey, contentType: contentType, body: "[]"})
		require.Equal(t, status, a.status, contentType)
	}
}

func TestSwitchWebhook(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, hook)
	path := "/api/v1/webhooks/" + id

	a := e.call(t, "POST", path+"/actions/disable", "")
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Equal(t, false, a.json(t)["enabled"])
	e.post(t, share)

	a = e.call(t, "POST", path+"/actions/enable", "{}")
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Equal(t, true, a.json(t)["enabled"])

	empty := e.create(t, `{"name":"a","url":"https://a.example.com/"}`)
	a = e.call(t, "POST", "/api/v1/webhooks/"+empty+"/actions/enable", "")
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Equal(t, "eventTypes", a.problem(t)["field"])

	a = e.call(t, "POST", path+"/actions/enable", `{"now":true}`)
	require.Equal(t, http.StatusBadRequest, a.status)
}

// TestReasonIsForgotten switches on what the server had switched off.
func TestReasonIsForgotten(t *testing.T) {
	for name, on := range map[string]func(e *edge, path string) answer{
		"by the action": func(e *edge, path string) answer { return e.call(t, "POST", path+"/actions/enable", "") },
		"by a patch": func(e *edge, path string) answer {
			return e.call(t, "PATCH", path, `[{"op":"replace","path":"/enabled","value":true}]`)
		},
		"by a put": func(e *edge, path string) answer { return e.call(t, "PUT", path, hook) },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			path := "/api/v1/webhooks/" + e.create(t, hook)
			w := e.only(t)
			w.Enabled, w.DisabledReason, w.DisabledReasonCode, w.DisabledAt = false, "the receiver answered 410 Gone", "GONE", w.CreatedAt
			before := e.call(t, "GET", path, "").json(t)
			require.Equal(t, "GONE", before["disabledReasonCode"])
			require.Equal(t, before["createdAt"], before["disabledAt"])

			a := e.call(t, "PATCH", path, `[{"op":"replace","path":"/name","value":"other"}]`)
			require.Equal(t, http.StatusNoContent, a.status, a.body)
			require.Equal(t, "GONE", e.call(t, "GET", path, "").json(t)["disabledReasonCode"], "another change leaves it")

			a = on(e, path)
			require.Less(t, a.status, 300, a.body)
			after := e.call(t, "GET", path, "").json(t)
			require.Equal(t, true, after["enabled"])
			require.Empty(t, after["disabledReason"])
			require.Empty(t, after["disabledReasonCode"])
			require.NotContains(t, after, "disabledAt")
		})
	}
}

func TestDeleteWebhook(t *testing.T) {
	e := newEdge(t)
	path := "/api/core/webhooks/" + e.create(t, hook)
	a := e.call(t, "DELETE", path, "")
	require.Equal(t, http.StatusNoContent, a.status)
	require.Empty(t, a.body)
	require.Equal(t, http.StatusNotFound, e.call(t, "DELETE", path, "").status)
	require.Equal(t, http.StatusNotFound, e.call(t, "GET", path, "").status)
}

func TestWebhookLimit(t *testing.T) {
	e := newEdge(t, func(c *web.Config) { c.MaxWebhooks = 2 })
	e.limit = 2
	e.create(t, hook)
	e.create(t, hook)
	a := e.call(t, "POST", "/api/v1/webhooks", hook)
	require.Equal(t, http.StatusForbidden, a.status)
	p := a.problem(t)
	require.Equal(t, "WEBHOOK_LIMIT", p["code"])
	require.Equal(t, "a tenant may have 2 webhooks; delete one first", p["detail"])
}

// names are those of a list's rows.
func names(t *testing.T, a answer) (list []string) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.body)
	for _, row := range a.json(t)["data"].([]any) {
		list = append(list, row.(map[string]any)["name"].(string))
	}
	return list
}

// href is the address of one of a list's links, empty when it is absent.
func href(t *testing.T, a answer, name string) string {
	t.Helper()
	link, ok := a.json(t)["links"].(map[string]any)[name].(map[string]any)
	if !ok {
		return ""
	}
	return link["href"].(string)
}

func (e *edge) follow(t *testing.T, href string) answer {
	t.Helper()
	path, ok := strings.CutPrefix(href, e.url)
	require.True(t, ok, href)
	require.Contains(t, path, "?")
	return e.call(t, "GET", path, "")
}

func TestListWebhooks(t *testing.T) {
	e := newEdge(t)
	for i := range 7 {
		e.create(t, fmt.Sprintf(`{"name":"Hook %c","url":"https://%d.example.com/","eventTypes":["/items/share"%s],"enabled":%t}`,
			'a'+i, i/3, strings.Repeat(`,"/users/{ann,bob}/signIn"`, i%2), i%2 == 0))
	}
	all := []string{"Hook a", "Hook b", "Hook c", "Hook d", "Hook e", "Hook f", "Hook g"}
	list := func(query string) answer { return e.call(t, "GET", "/api/v1/webhooks"+query, "") }

	t.Run("filters", func(t *testing.T) {
		for query, want := range map[string][]string{
			"?sort=name":                         all,
			"?sort=%2Bname":                      all,
			"?sort=+name":                        all,
			"?sort=name&name=HOOK+B":             {"Hook b"},
			"?sort=name&url=1.EXAMPLE":           {"Hook d", "Hook e", "Hook f"},
			"?sort=name&enabled=false":           {"Hook b", "Hook d", "Hook f"},
			"?sort=name&eventTypes=/items/share": all,
			"?sort=name&eventTypes=/ITEMS/share,/users/%7Bann,bob%7D/signIn": {"Hook b", "Hook d", "Hook f"},
			"?sort=name&eventType=/users/%7Bann,bob%7D/signIn":               {"Hook b", "Hook d", "Hook f"},
			"?sort=name&origins=api,automations":                             all,
			"?origins=management-console":                                    nil,
			"?sort=name&limit=2&limit=5&name=hook+":                          all[:2],
		} {
			require.Equal(t, want, names(t, list(query)), query)
		}
	})
	t.Run("there and back", func(t *testing.T) {
		for _, order := range []string{"name", "-name", "-createdAt", "createdAt", "url", "-url", "updatedAt"} {
			whole := names(t, list("?limit=100&sort="+order))
			require.Len(t, whole, 7)
			page := list("?limit=3&name=hook&sort=" + order)
			require.Empty(t, href(t, page, "prev"))
			var forth, back []string
			for {
				forth = append(forth, names(t, page)...)
				next := href(t, page, "next")
				if next == "" {
					break
				}
				require.Contains(t, next, "&name=hook", "links keep the filters")
				page = e.follow(t, next)
			}
			require.Equal(t, whole, forth, order)
			for {
				self := e.follow(t, href(t, page, "self"))
				require.Equal(t, page.body, self.body)
				back = append(names(t, page), back...)
				if href(t, page, "prev") == "" {
					break
				}
				page = e.follow(t, href(t, page, "prev"))
			}
			require.Equal(t, whole, back, order)
		}
	})
	t.Run("a cursor of another order", func(t *testing.T) {
		next := href(t, list("?limit=2&sort=name"), "next")
		a := e.follow(t, strings.Replace(next, "%2Bname", "-name", 1))
		require.Equal(t, http.StatusBadRequest, a.status)
		require.Equal(t, "next", a.problem(t)["field"])
	})
	t.Run("links do not grow", func(t *testing.T) {
		page := list("?limit=2&name=hook&limit=2&name=hook&page=7")
		require.Equal(t, e.url+"/api/v1/webhooks?limit=2&sort=-createdAt&name=hook", href(t, page, "self"))
	})
	t.Run("another tenant sees nothing", func(t *testing.T) {
		a := e.do(t, request{method: "GET", path: "/api/core/webhooks", key: otherKey})
		require.JSONEq(t, `{"data":[],"links":{"self":{"href":"`+e.url+`/api/core/webhooks?limit=20&sort=-createdAt"}}}`, a.body)
	})
}

func TestLinksBehindAProxy(t *testing.T) {
	self := func(e *edge, header http.Header, path string) string {
		return href(t, e.do(t, request{method: "GET", path: path, key: adminKey, header: header}), "self")
	}
	forwarded := http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil.example, hooks.example.com"}}
	const query = "?limit=20&sort=-createdAt"

	plain := newEdge(t)
	require.Equal(t, plain.url+"/api/v1/webhooks"+query, self(plain, forwarded, "/api/v1/webhooks"), "nobody is trusted by default")

	trusting := newEdge(t, func(c *web.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	require.Equal(t, "https://hooks.example.com/api/v1/webhooks"+query, self(trusting, forwarded, "/api/v1/webhooks"))
	require.Equal(t, trusting.url+"/api/v1/webhooks"+query, self(trusting, nil, "/api/v1/webhooks"))

	public := newEdge(t, func(c *web.Config) { c.PublicURL = mustURL(t, "https://portal.example.com/hooks/") })
	for _, path := range []string{"/hooks/api/v1/webhooks", "/api/v1/webhooks", "//hooks//api/v1///webhooks"} {
		require.Equal(t, "https://portal.example.com/hooks/api/v1/webhooks"+query, self(public, forwarded, path), path)
	}
	require.Equal(t, http.StatusNotFound, public.call(t, "GET", "/hooksapi/v1/webhooks", "").status)
}

// TestLevels goes between the levels, and sees who owns a webhook whose body does not say.
func TestLevels(t *testing.T) {
	e := newEdge(t)
	const user = `{"name":"a","url":"https://a.example.com/","eventTypes":["/items/share"],"level":"user"}`
	const tenant = `{"name":"a","url":"https://a.example.com/","eventTypes":["/items/share"]}`
	id := e.create(t, user)
	path := "/api/v1/webhooks/" + id
	owner := func() (level, owner string) { return string(e.only(t).Level), e.only(t).OwnerID }
	for _, step := range []struct{ name, method, body, level, owner string }{
		{"created: its creator", "GET", "", "user", "u-admin-key"},
		{"given away", "PATCH", `[{"op":"replace","path":"/ownerId","value":"ann"}]`, "user", "ann"},
		{"replaced without a word of the owner", "PUT", user, "user", "ann"},
		{"made the tenant's", "PATCH", `[{"op":"replace","path":"/level","value":"tenant"}]`, "tenant", ""},
		{"made a user's", "PATCH", `[{"op":"replace","path":"/level","value":"user"}]`, "user", "u-admin-key"},
		{"replaced by one of the tenant's", "PUT", tenant, "tenant", ""},
	} {
		a := e.call(t, step.method, path, step.body)
		require.Less(t, a.status, 300, "%s: %s", step.name, a.body)
		level, owner := owner()
		require.Equal(t, step.level, level, step.name)
		require.Equal(t, step.owner, owner, step.name)
	}
	a := e.call(t, "PATCH", path, `[{"op":"replace","path":"/level","value":"user"},{"op":"add","path":"/eventTypes/-","value":"/users"}]`)
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Equal(t, "eventTypes[1]", a.problem(t)["field"])
}

func TestFilters(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, `{"name":"a","url":"https://a.example.com/","eventTypes":["/items/share"],"filter":"username ne \"bot\""}`)
	path := "/api/v1/webhooks/" + id
	require.Equal(t, `username ne "bot"`, e.call(t, "GET", path, "").json(t)["filter"])
	require.Equal(t, `username ne "bot"`, e.only(t).Conditions.String())
	require.Equal(t, http.StatusNoContent, e.call(t, "PATCH", path, `[{"op":"replace","path":"/enabled","value":true}]`).status)
	require.Equal(t, `username ne "bot"`, e.only(t).Conditions.String(), "a patch of something else keeps it")

	a := e.call(t, "PATCH", path, `[{"op":"replace","path":"/eventTypes","value":["com.qlik.v1.app.created"]}]`)
	require.Equal(t, "FILTER", a.problem(t)["code"], "the new event types have no username")
	require.Equal(t, http.StatusNoContent, e.call(t, "PATCH", path, `[{"op":"remove","path":"/filter"}]`).status)
	require.True(t, e.only(t).Conditions.IsZero())
	require.Empty(t, e.only(t).Filter)
}
