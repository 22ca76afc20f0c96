package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

// as does a request with a key and a body, and gives the answer.
func (e *edge) as(tb testing.TB, key, method, path, body string) answer {
	tb.Helper()
	return e.do(tb, request{method: method, path: path, key: key, body: body})
}

// page is what a list answers.
type page struct {
	Data  []map[string]any `json:"data"`
	Links map[string]struct {
		Href string `json:"href"`
	} `json:"links"`
}

// list reads a page; path may be a link.
func (e *edge) list(tb testing.TB, key, path string) page {
	tb.Helper()
	address, err := url.Parse(path)
	require.NoError(tb, err)
	a := e.as(tb, key, "GET", address.RequestURI(), "")
	require.Equal(tb, http.StatusOK, a.status, a.body)
	var p page
	require.NoError(tb, json.Unmarshal([]byte(a.body), &p))
	return p
}

// names are a member of every row.
func (p page) names(member string) []string {
	var names []string
	for _, row := range p.Data {
		names = append(names, row[member].(string))
	}
	return names
}

func TestKeys(t *testing.T) {
	e := newEdge(t)
	a := e.as(t, adminKey, "POST", "/api/v1/api-keys", `{"name":"backend","role":"emitter","expiresAt":"2999-01-31T00:00:00+01:00"}`)
	require.Equal(t, http.StatusCreated, a.status, a.body)
	made := a.json(t)
	text, id := made["key"].(string), made["id"].(string)
	require.True(t, strings.HasPrefix(text, "phk_"))
	require.Equal(t, "2999-01-30T23:00:00.000Z", made["expiresAt"])
	require.Equal(t, []any{"default", "backend", "backend"}, []any{made["tenant"], made["userId"], made["userName"]})
	require.NotContains(t, made, "lastUsedAt")

	// It works at once, for what its role may.
	require.Equal(t, http.StatusAccepted, e.as(t, text, "POST", "/api/v1/events", share).status)
	require.Equal(t, http.StatusForbidden, e.as(t, text, "GET", "/api/v1/webhooks", "").status)

	shown := e.as(t, viewerKey, "GET", "/api/v1/api-keys/"+id, "")
	require.Contains(t, shown.json(t), "lastUsedAt")
	require.NotContains(t, shown.body, text)
	require.NotContains(t, e.log.String(), text)
	require.NoError(t, e.server.SaveKeyUse(t.Context()))
	require.Contains(t, e.uses, id)
	require.WithinDuration(t, time.Now(), e.uses[id], time.Hour)
	require.NoError(t, e.server.ReloadKeys(t.Context()))
	require.Contains(t, e.as(t, adminKey, "GET", "/api/v1/api-keys/"+id, "").json(t), "lastUsedAt", "not forgotten")

	// Revoked, it is refused by the next request, and stays in the list.
	require.Equal(t, http.StatusNotFound, e.as(t, otherKey, "DELETE", "/api/v1/api-keys/"+id, "").status)
	for range 2 {
		require.Equal(t, http.StatusNoContent, e.as(t, adminKey, "DELETE", "/api/v1/api-keys/"+id, "").status)
	}
	require.Equal(t, "the API key was revoked", e.as(t, text, "POST", "/api/v1/events", share).problem(t)["detail"])
	require.Equal(t, []string{"backend"}, e.list(t, adminKey, "/api/v1/api-keys?role=emitter&revoked=true").names("name"))
	require.Equal(t, []string{"api-key.revoke", "api-key.create"}, e.list(t, viewerKey, "/api/v1/audit?object=api-key&objectId="+id).names("action"))
}

func TestLastAdminKey(t *testing.T) {
	e := newEdge(t)
	a := e.as(t, otherKey, "DELETE", "/api/v1/api-keys/"+otherKey, "")
	require.Equal(t, http.StatusConflict, a.status)
	require.Equal(t, "LAST_ADMIN_KEY", a.problem(t)["code"])
	require.Equal(t, http.StatusForbidden, e.as(t, adminKey, "DELETE", "/api/v1/api-keys/"+operatorKey, "").status)

	// An operator may, whose own key stays; of his own tenant only while another admin is left.
	require.Equal(t, http.StatusNoContent, e.as(t, operatorKey, "DELETE", "/api/v1/api-keys/"+otherKey+"?tenant=other", "").status)
	require.Equal(t, http.StatusUnauthorized, e.as(t, otherKey, "GET", "/api/v1/api-keys", "").status)
	require.Equal(t, http.StatusNoContent, e.as(t, operatorKey, "DELETE", "/api/v1/api-keys/"+adminKey, "").status)
	require.Equal(t, http.StatusConflict, e.as(t, operatorKey, "DELETE", "/api/v1/api-keys/"+operatorKey, "").status)
}

func TestPagesOfWhatIsHeld(t *testing.T) {
	e := newEdge(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		require.Equal(t, http.StatusCreated, e.as(t, otherKey, "POST", "/api/v1/api-keys", `{"name":"`+name+`","role":"viewer"}`).status)
	}
	for _, sort := range []string{"createdAt", "-createdAt"} {
		whole := e.list(t, otherKey, "/api/v1/api-keys?role=viewer&sort="+sort).names("id")
		require.Len(t, whole, 5)
		p := e.list(t, otherKey, "/api/v1/api-keys?role=viewer&limit=2&sort="+sort)
		require.NotContains(t, p.Links, "prev")
		var seen []string
		for {
			seen = append(seen, p.names("id")...)
			if p.Links["next"].Href == "" {
				break
			}
			p = e.list(t, otherKey, p.Links["next"].Href)
		}
		require.Equal(t, whole, seen)
		p = e.list(t, otherKey, p.Links["prev"].Href)
		require.Equal(t, whole[2:4], p.names("id"))
		p = e.list(t, otherKey, p.Links["prev"].Href)
		require.Equal(t, whole[:2], p.names("id"))
		require.NotContains(t, p.Links, "prev")
		require.Contains(t, p.Links, "next")
	}
}

func TestTenants(t *testing.T) {
	e := newEdge(t)
	a := e.as(t, operatorKey, "POST", "/api/v1/tenants", `{"name":"harbour","portalUrl":"https://gis.harbour.example.com/portal"}`)
	require.Equal(t, http.StatusCreated, a.status, a.body)
	made := a.json(t)
	require.Equal(t, "https://gis.harbour.example.com/portal/", made["portalUrl"])
	portal := made["portalId"].(string)
	require.Len(t, portal, 16)
	for _, name := range []string{"harbour", portal} {
		require.JSONEq(t, a.body, e.as(t, operatorKey, "GET", "/api/v1/tenants/"+name, "").body)
	}
	require.Equal(t, []string{"default", "other", "harbour"}, e.list(t, operatorKey, "/api/v1/tenants").names("name"))

	a = e.as(t, operatorKey, "PATCH", "/api/v1/tenants/harbour", `{"name":"harbour","serverUrl":"https://gis.harbour.example.com/server/"}`)
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Equal(t, "https://gis.harbour.example.com/server/", a.json(t)["serverUrl"])
	require.Equal(t, made["portalUrl"], a.json(t)["portalUrl"])

	// Its first key is made by the operator, and opens this tenant only.
	a = e.as(t, operatorKey, "POST", "/api/v1/api-keys", `{"name":"first","role":"admin","tenant":"harbour"}`)
	require.Equal(t, http.StatusCreated, a.status, a.body)
	key := a.json(t)["key"].(string)
	require.Equal(t, []string{"first"}, e.list(t, key, "/api/v1/api-keys?tenant=harbour").names("name"))
	require.Equal(t, http.StatusForbidden, e.as(t, key, "GET", "/api/v1/tenants", "").status)
	for _, name := range []string{"default", "nobody"} {
		a = e.as(t, key, "GET", "/api/v1/api-keys?tenant="+name, "")
		require.Equal(t, http.StatusForbidden, a.status, "whether there is such a tenant is not told")
		require.Equal(t, "only an operator's key may name another tenant", a.problem(t)["detail"])
	}
	require.Equal(t, []string{"api-key.create", "tenant.update", "tenant.create"}, e.list(t, key, "/api/v1/audit").names("action"))
	require.Empty(t, e.list(t, operatorKey, "/api/v1/audit").Data)
	require.Len(t, e.list(t, operatorKey, "/api/v1/audit?tenant="+portal).Data, 3)
}

// TestStrangersTenant asks every route for the things of another tenant with a key that may do everything in its own.
func TestStrangersTenant(t *testing.T) {
	e := newEdge(t)
	webhook := e.create(t, hook)
	event := e.post(t, share)
	paths := strings.NewReplacer(":webhook", webhook, ":event", event, ":delivery", e.records[0].ID.Delivery(), ":key", viewerKey, ":tenant", "default")
	for _, route := range e.server.Routes() {
		if !strings.Contains(route.Path, ":") {
			continue
		}
		status := e.as(t, otherKey, route.Method, paths.Replace(route.Path), patchOrHook(route.Method)).status
		want := http.StatusNotFound
		if strings.Contains(route.Path, ":tenant") {
			want = http.StatusForbidden
		}
		require.Equal(t, want, status, "%s %s", route.Method, route.Path)
	}
	require.Empty(t, e.list(t, otherKey, "/api/v1/webhooks").Data)
	require.Empty(t, e.list(t, otherKey, "/api/v1/audit").Data)
	require.Len(t, e.list(t, adminKey, "/api/v1/webhooks").Data, 1)
}

// patchOrHook is a good body for a route of webhooks.
func patchOrHook(method string) string {
	switch method {
	case http.MethodPut:
		return hook
	case http.MethodPatch:
		return `[{"op":"replace","path":"/enabled","value":false}]`
	}
	return ""
}

func TestAudit(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, fullWebhook)
	const path = "/api/v1/webhooks/"
	fresh := strings.Repeat("n", 40)
	patch := `[{"op":"replace","path":"/secret","value":"` + fresh + `"},{"op":"replace","path":"/name","value":"renamed"}]`
	a := e.as(t, adminKey, "PATCH", path+id, patch)
	require.Equal(t, http.StatusNoContent, a.status, a.body)
	require.Equal(t, http.StatusBadRequest, e.as(t, adminKey, "PATCH", path+id, `[{"op":"replace","path":"/name","value":""}]`).status)
	require.Equal(t, http.StatusOK, e.as(t, adminKey, "POST", path+id+"/actions/disable", "").status)
	require.Equal(t, http.StatusOK, e.as(t, adminKey, "POST", path+id+"/actions/enable", "").status)
	require.Equal(t, http.StatusNoContent, e.as(t, adminKey, "DELETE", path+id, "").status)

	p := e.list(t, viewerKey, "/api/v1/audit?object=webhook&objectId="+id)
	require.Equal(t, []string{"webhook.delete", "webhook.enable", "webhook.disable", "webhook.update", "webhook.create"}, p.names("action"))
	for _, row := range p.Data {
		require.Equal(t, []any{adminKey, "u-" + adminKey, "webhook", id}, []any{row["keyId"], row["userId"], row["object"], row["objectId"]})
		require.Len(t, row["traceId"], 32)
	}
	require.Nil(t, p.Data[0]["after"])
	require.Nil(t, p.Data[4]["before"])
	update := p.Data[3]
	require.Equal(t, a.header.Get("X-Request-Id"), update["traceId"])
	require.Equal(t, "renamed", update["after"].(map[string]any)["name"])
	require.NotEqual(t, "renamed", update["before"].(map[string]any)["name"])
	require.Equal(t, []any{"secret"}, update["after"].(map[string]any)["changedSecrets"])
	whole := e.as(t, viewerKey, "GET", "/api/v1/audit", "").body
	for _, text := range []string{secret, fresh, "top-secret"} {
		require.NotContains(t, whole, text)
	}

	first := e.list(t, viewerKey, "/api/v1/audit?limit=2")
	second := e.list(t, viewerKey, first.Links["next"].Href)
	require.Equal(t, p.names("id")[2:4], second.names("id"))
	require.Equal(t, first.names("id"), e.list(t, viewerKey, second.Links["prev"].Href).names("id"))
	require.Equal(t, "webhook.create", e.list(t, viewerKey, "/api/v1/audit?sort=at").names("action")[0])
}

func TestBadPeople(t *testing.T) {
	const keys, tenants = "/api/v1/api-keys", "/api/v1/tenants"
	for name, c := range map[string]struct {
		key, method, path, body string
		status                  int
		code, field, detail     string
	}{
		"key without a name":     {adminKey, "POST", keys, `{"role":"admin"}`, 400, "REQUIRED", "name", "a key needs a name, by which people know what it is for"},
		"key without a role":     {adminKey, "POST", keys, `{"name":"a"}`, 400, "REQUIRED", "role", "a key needs a role: admin, user, emitter or viewer"},
		"key of an unknown role": {adminKey, "POST", keys, `{"name":"a","role":"root"}`, 400, "OUT_OF_RANGE", "role", `the role is "root"; it must be admin, user, emitter or viewer`},
		"user without an id":     {adminKey, "POST", keys, `{"name":"a","role":"user"}`, 400, "REQUIRED", "userId", "a key of the role user needs the userId whose webhooks it manages"},
		"key that is expired":    {adminKey, "POST", keys, `{"name":"a","role":"user","expiresAt":"2020-01-01T00:00:00Z"}`, 400, "OUT_OF_RANGE", "expiresAt", "the date is past"},
		"key that expires soon":  {adminKey, "POST", keys, `{"name":"a","role":"user","expiresAt":"soon"}`, 400, "OUT_OF_RANGE", "expiresAt", `"soon" is not a date such as 2027-01-31T00:00:00Z`},
		"key with its own text":  {adminKey, "POST", keys, `{"name":"a","role":"user","key":"x"}`, 400, "UNKNOWN_FIELD", "key", "an API key has name, role, userId, userName, expiresAt, tenant and operator only"},
		"key with a long name":   {adminKey, "POST", keys, `{"name":"` + strings.Repeat("é", 257) + `","role":"user"}`, 400, "TOO_LONG", "name", "name has at most 256 characters"},
		"an admin's operator":    {adminKey, "POST", keys, `{"name":"a","role":"admin","operator":true}`, 403, "FORBIDDEN", "operator", "only an operator's key may make an operator's key"},
		"an operator who views":  {operatorKey, "POST", keys, `{"name":"a","role":"viewer","operator":true}`, 400, "NOT_ALLOWED", "operator", "an operator's key has the role admin"},
		"key of another tenant":  {adminKey, "POST", keys, `{"name":"a","role":"viewer","tenant":"other"}`, 403, "FORBIDDEN", "tenant", "only an operator's key may name another tenant"},
		"key of no tenant":       {operatorKey, "POST", keys, `{"name":"a","role":"viewer","tenant":"nobody"}`, 400, "OUT_OF_RANGE", "tenant", `there is no tenant "nobody"`},
		"keys of a role":         {adminKey, "GET", keys + "?role=root", "", 400, "OUT_OF_RANGE", "role", `the role is "root"; it must be admin, user, emitter or viewer`},
		"keys revoked or not":    {adminKey, "GET", keys + "?revoked=maybe", "", 400, "OUT_OF_RANGE", "revoked", `revoked is "maybe"; it must be true or false`},
		"cursor of nothing":      {adminKey, "GET", keys + "?next=abc", "", 400, "OUT_OF_RANGE", "next", "the cursor is not one of this list in this order; follow the links as they are"},
		"no such key":            {adminKey, "GET", keys + "/x", "", 404, "NOT_FOUND", "", "there is no such API key"},

		"tenant by an admin":        {adminKey, "POST", tenants, `{"name":"a","portalUrl":"https://a.example.com/"}`, 403, "FORBIDDEN", "", "only an operator's key may do this"},
		"tenant without a name":     {operatorKey, "POST", tenants, `{"portalUrl":"https://a.example.com/"}`, 400, "REQUIRED", "name", "a tenant needs a name"},
		"tenant without an address": {operatorKey, "POST", tenants, `{"name":"a"}`, 400, "REQUIRED", "portalUrl", "a tenant needs a portalUrl: payloads name it"},
		"tenant with a bad address": {operatorKey, "POST", tenants, `{"name":"a","portalUrl":"ftp://a"}`, 400, "BAD_URI", "portalUrl", "portalUrl is not a complete URL, such as https://portal.example.com/portal/"},
		"tenant with a password":    {operatorKey, "POST", tenants, `{"name":"a","portalUrl":"https://a:b@c.example.com/"}`, 400, "NOT_ALLOWED", "portalUrl", "portalUrl must hold no user name, query or fragment"},
		"tenant with a bad name":    {operatorKey, "POST", tenants, `{"name":"A b","portalUrl":"https://a.example.com/"}`, 400, "OUT_OF_RANGE", "name", "a name has 1 to 64 lower-case letters, digits, dots, dashes and underscores, begins with a letter or digit, and is not self"},
		"tenant with a bad id":      {operatorKey, "POST", tenants, `{"name":"a","portalId":"self","portalUrl":"https://a.example.com/"}`, 400, "OUT_OF_RANGE", "portalId", "a portal id has 1 to 64 letters and digits, and is not self"},
		"tenant that exists":        {operatorKey, "POST", tenants, `{"name":"other","portalUrl":"https://a.example.com/"}`, 409, "EXISTS", "name", `another tenant has "other" as its name or portal id`},
		"tenant renamed":            {operatorKey, "PATCH", tenants + "/other", `{"name":"a"}`, 409, "READ_ONLY", "name", "it is fixed when a tenant is created; leave the member out"},
		"tenant with more":          {operatorKey, "PATCH", tenants + "/other", `{"keys":[]}`, 400, "UNKNOWN_FIELD", "keys", "a tenant has name, portalId, portalUrl and serverUrl only"},
		"no such tenant":            {operatorKey, "GET", tenants + "/nobody", "", 404, "NOT_FOUND", "", "there is no such tenant"},

		"audit of an action": {adminKey, "GET", "/api/v1/audit?action=webhook.paint", "", 400, "OUT_OF_RANGE", "action", `the action is "webhook.paint"; it must be one of webhook.create, webhook.update, webhook.enable, webhook.disable, webhook.delete, webhook.test, webhook.rotate-secret, tenant.create, tenant.update, api-key.create, api-key.revoke`},
		"audit of an object": {adminKey, "GET", "/api/v1/audit?object=hook", "", 400, "OUT_OF_RANGE", "object", `the object is "hook"; it must be one of webhook, tenant, api-key`},
		"audit of an id":     {adminKey, "GET", "/api/v1/audit?objectId=x", "", 400, "REQUIRED", "object", "an objectId needs the object, such as webhook"},
		"audit from a word":  {adminKey, "GET", "/api/v1/audit?from=today", "", 400, "OUT_OF_RANGE", "from", `"today" is not a date such as 2026-11-22T03:00:00Z`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t)
			a := e.as(t, c.key, c.method, c.path, c.body)
			p := a.problem(t)
			require.Equal(t, c.status, a.status)
			require.Equal(t, c.code, p["code"])
			if c.field != "" {
				require.Equal(t, c.field, p["field"])
			}
			require.Equal(t, c.detail, p["detail"])
			require.Empty(t, e.audit, "nothing is changed")
			require.Len(t, e.Tenants(), 2)
		})
	}
}

// TestUserRole holds a key of the role user to the webhooks of its user.
func TestUserRole(t *testing.T) {
	e := newEdge(t)
	const path, user = "/api/v1/webhooks", "u-" + userKey
	a := e.as(t, userKey, "POST", path, hook)
	require.Equal(t, http.StatusCreated, a.status, a.body)
	own := a.json(t)["id"].(string)
	require.Equal(t, []any{"user", user, user}, []any{a.json(t)["level"], a.json(t)["ownerId"], a.json(t)["createdByUserId"]})

	// His own he manages whole; an admin may make him others.
	a = e.as(t, adminKey, "POST", path, webhookWith("level", `"user","ownerId":"`+user+`"`))
	require.Equal(t, http.StatusCreated, a.status, a.body)
	given := a.json(t)["id"].(string)
	for _, id := range []string{own, given} {
		for _, step := range []struct {
			method, rest string
			want         int
		}{
			{"GET", "", 200},
			{"PUT", "", 200},
			{"PATCH", "", 204},
			{"GET", "/deliveries", 200},
			{"GET", "/stats", 200},
			{"POST", "/actions/disable", 200},
			{"POST", "/actions/enable", 200},
		} {
			a := e.as(t, userKey, step.method, path+"/"+id+step.rest, patchOrHook(step.method))
			require.Equal(t, step.want, a.status, "%s %s: %s", step.method, step.rest, a.body)
		}
		require.Equal(t, "user", e.as(t, userKey, "GET", path+"/"+id, "").json(t)["level"])
	}
	require.ElementsMatch(t, []string{own, given}, e.list(t, userKey, path).names("id"))

	// Nothing else is there for him: the tenant's, another user's, and what is another's by now, though he made it.
	tenants := e.create(t, hook)
	a = e.as(t, adminKey, "POST", path, webhookWith("level", `"user","ownerId":"u-somebody"`))
	require.Equal(t, http.StatusCreated, a.status, a.body)
	others := a.json(t)["id"].(string)
	a = e.as(t, adminKey, "PATCH", path+"/"+own, `[{"op":"replace","path":"/ownerId","value":"u-somebody"}]`)
	require.Equal(t, http.StatusNoContent, a.status, a.body)
	before := len(e.audit)
	for _, id := range []string{tenants, others, own} {
		for _, route := range e.server.Routes() {
			if !strings.HasPrefix(route.Path, path+"/:webhook") {
				continue
			}
			path := strings.NewReplacer(":webhook", id, ":delivery", "x").Replace(route.Path)
			require.Equal(t, http.StatusNotFound, e.as(t, userKey, route.Method, path, patchOrHook(route.Method)).status, "%s %s", route.Method, route.Path)
		}
	}
	require.Len(t, e.audit, before, "nothing is changed")
	require.Equal(t, []string{given}, e.list(t, userKey, path).names("id"))
	require.Empty(t, e.list(t, userKey, path+"?level=tenant").Data)
	require.Empty(t, e.list(t, userKey, path+"?ownerId=u-somebody").Data)

	// Nor can he make or turn one into what he may not have.
	for name, body := range map[string]string{"level": `"tenant"`, "ownerId": `"u-somebody"`} {
		a := e.as(t, userKey, "POST", path, webhookWith(name, body))
		require.Equal(t, http.StatusForbidden, a.status, a.body)
		require.Equal(t, name, a.problem(t)["field"])
		a = e.as(t, userKey, "PUT", path+"/"+given, webhookWith(name, body))
		require.Equal(t, http.StatusForbidden, a.status, a.body)
	}
	a = e.as(t, userKey, "PATCH", path+"/"+given, `[{"op":"remove","path":"/ownerId"},{"op":"replace","path":"/level","value":"tenant"}]`)
	require.Equal(t, http.StatusForbidden, a.status, a.body)
	require.Equal(t, http.StatusNoContent, e.as(t, userKey, "DELETE", path+"/"+given, "").status)
}
