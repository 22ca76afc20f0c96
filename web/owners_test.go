package web_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/web"
)

// TestOwnerLimit fills up what an owner may have, and tries every way around it.
func TestOwnerLimit(t *testing.T) {
	e := newBareEdge(t, func(c *web.Config) { c.MaxWebhooksPerOwner = 2 })
	e.owned = 2
	const (
		path   = "/api/v1/webhooks"
		user   = `{"name":"a","url":"https://a.example.com/","eventTypes":["/items/share"],"level":"user","ownerId":"ann"}`
		tenant = `{"name":"a","url":"https://a.example.com/","eventTypes":["/items/share"]}`
		bobs   = `{"name":"a","url":"https://a.example.com/","eventTypes":["/items/share"],"level":"user","ownerId":"bob"}`
	)
	first := e.create(t, user)
	e.create(t, user)
	shared, others := e.create(t, tenant), e.create(t, bobs)
	for name, r := range map[string]request{
		"a third":                    {method: "POST", path: path, body: user},
		"a third of the core prefix": {method: "POST", path: "/api/core/webhooks", body: user},
		"another's by a patch":       {method: "PATCH", path: path + "/" + others, body: `[{"op":"replace","path":"/ownerId","value":"ann"}]`},
		"another's by a put":         {method: "PUT", path: path + "/" + others, body: user},
		"the tenant's by a patch": {
			method: "PATCH", path: path + "/" + shared,
			body: `[{"op":"replace","path":"/level","value":"user"},{"op":"replace","path":"/ownerId","value":"ann"}]`,
		},
		"the tenant's by a put": {method: "PUT", path: path + "/" + shared, body: user},
	} {
		r.key = adminKey
		a := e.do(t, r)
		require.Equal(t, http.StatusForbidden, a.status, name)
		p := a.problem(t)
		require.Equal(t, "OWNER_LIMIT", p["code"], name)
		require.Equal(t, "ownerId", p["field"], name)
		require.Equal(t, "an owner may have 2 webhooks of user level; delete one of his first", p["detail"], name)
		require.Len(t, e.all(1), 4, name)
	}
	require.Equal(t, http.StatusOK, e.call(t, "PUT", path+"/"+first, user).status, "his own he may change")
	require.Equal(t, http.StatusOK, e.call(t, "PUT", path+"/"+first, tenant).status)
	require.Equal(t, http.StatusNoContent, e.call(t, "PATCH", path+"/"+others, `[{"op":"replace","path":"/ownerId","value":"ann"}]`).status, "there is room now")
}

// TestOwnershipIsNotTaken has a user try to give a webhook away, to take one, and to make one hear the whole tenant.
func TestOwnershipIsNotTaken(t *testing.T) {
	e := newBareEdge(t)
	const (
		path   = "/api/v1/webhooks"
		mine   = `{"name":"mine","url":"https://a.example.com/","eventTypes":["/items/share"]}`
		anns   = `{"name":"anns","url":"https://a.example.com/","eventTypes":["/items/share"],"level":"user","ownerId":"ann"}`
		tenant = `{"name":"all","url":"https://a.example.com/","eventTypes":["/items/share"],"level":"tenant"}`
	)
	own := e.as(t, userKey, "POST", path, mine).json(t)["id"].(string)
	foreign, shared := e.create(t, anns), e.create(t, tenant)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		code, field        string
	}{
		"given away by a put":           {"PUT", own, anns, 403, "FORBIDDEN", "ownerId"},
		"given away by a patch":         {"PATCH", own, `[{"op":"replace","path":"/ownerId","value":"ann"}]`, 403, "FORBIDDEN", "ownerId"},
		"made the tenant's by a put":    {"PUT", own, tenant, 403, "FORBIDDEN", "level"},
		"made the tenant's by a patch":  {"PATCH", own, `[{"op":"replace","path":"/level","value":"tenant"}]`, 403, "FORBIDDEN", "level"},
		"another's made":                {"POST", "", anns, 403, "FORBIDDEN", "ownerId"},
		"the tenant's made":             {"POST", "", tenant, 403, "FORBIDDEN", "level"},
		"another's taken by a put":      {"PUT", foreign, mine, 404, "NOT_FOUND", ""},
		"another's taken by a patch":    {"PATCH", foreign, `[{"op":"replace","path":"/ownerId","value":"u-user-key"}]`, 404, "NOT_FOUND", ""},
		"the tenant's taken by a patch": {"PATCH", shared, `[{"op":"replace","path":"/level","value":"user"}]`, 404, "NOT_FOUND", ""},
		"another's deleted":             {"DELETE", foreign, "", 404, "NOT_FOUND", ""},
		"another's switched off":        {"POST", foreign + "/actions/disable", "", 404, "NOT_FOUND", ""},
	} {
		to := path
		if c.path != "" {
			to += "/" + c.path
		}
		a := e.as(t, userKey, c.method, to, c.body)
		require.Equal(t, c.status, a.status, name)
		require.Equal(t, c.code, a.problem(t)["code"], name)
		if c.field != "" {
			require.Equal(t, c.field, a.problem(t)["field"], name)
		}
	}
	require.ElementsMatch(t, []string{"mine", "anns", "all"}, e.list(t, adminKey, path).names("name"), "nothing has changed")
	for query, want := range map[string][]string{
		"": {"mine"}, "?level=user": {"mine"}, "?level=tenant": nil, "?ownerId=ann": nil, "?ownerId=u-user-key": {"mine"}, "?name=a": nil,
		"?createdByUserId=u-admin-key": nil, "?sort=name&limit=1": {"mine"},
	} {
		require.Equal(t, want, e.list(t, userKey, path+query).names("name"), query)
	}
}
