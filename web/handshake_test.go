package web_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/web"
)

const (
	firstURL  = "https://a.example.com/hook"
	secondURL = "https://b.example.com/hook"
)

func hookTo(url, more string) string {
	return `{"name":"w","url":"` + url + `","eventTypes":["/items"],"secret":"` + secret + `"` + more + `}`
}

// failing is what a receiver that is not there comes to.
var failing = &delivery.HandshakeError{Reason: "the connection was refused"}

func TestReachabilityRequired(t *testing.T) {
	e := newEdge(t, func(c *web.Config) { c.Reachability = web.ReachabilityRequire })
	id := e.create(t, hookTo(firstURL, ""))
	require.Equal(t, []string{firstURL}, e.reached, "off or on")
	e.reach = failing
	a := e.call(t, "POST", "/api/v1/webhooks", hookTo(secondURL, ""))
	require.Equal(t, http.StatusBadRequest, a.status)
	p := a.problem(t)
	require.Equal(t, "UNREACHABLE", p["code"])
	require.Equal(t, "url", p["field"])
	require.Equal(t, "the receiver could not be reached: the connection was refused", p["detail"])
	require.Len(t, e.webhooks, 1, "nothing is stored")
	for _, refused := range []answer{
		e.call(t, "PUT", "/api/v1/webhooks/"+id, hookTo(secondURL, "")),
		e.call(t, "POST", "/api/v1/webhooks/"+id+"/actions/enable", ""),
		e.do(t, request{method: "PATCH", path: "/api/v1/webhooks/" + id, key: adminKey, body: `[{"op":"replace","path":"/enabled","value":true}]`}),
	} {
		require.Equal(t, "UNREACHABLE", refused.problem(t)["code"])
	}
	require.Equal(t, firstURL, e.call(t, "GET", "/api/v1/webhooks/"+id, "").json(t)["url"])
	asked := len(e.reached)
	require.Equal(t, http.StatusOK, e.call(t, "PUT", "/api/v1/webhooks/"+id, hookTo(firstURL, `,"description":"d"`)).status)
	require.Len(t, e.reached, asked, "what stays where it is, and off, is not asked again")
	e.reach = nil
	require.Equal(t, http.StatusOK, e.call(t, "POST", "/api/v1/webhooks/"+id+"/actions/enable", "").status)
	require.Equal(t, http.StatusOK, e.call(t, "POST", "/api/v1/webhooks/"+id+"/actions/disable", "").status)
	require.Len(t, e.reached, asked+1)
}

func TestReachabilityWarns(t *testing.T) {
	e := newEdge(t, func(c *web.Config) { c.Reachability = web.ReachabilityWarn })
	e.reach = failing
	a := e.call(t, "POST", "/api/v1/webhooks", hookTo(firstURL, ""))
	require.Equal(t, http.StatusCreated, a.status)
	require.Equal(t, `199 portalhook "the receiver could not be reached: the connection was refused"`, a.header.Get("Warning"))
	require.Contains(t, e.log.String(), "receiver not reached")
}

func TestReachabilityOff(t *testing.T) {
	e := newEdge(t)
	e.reach = failing
	e.create(t, hookTo(firstURL, ""))
	require.Empty(t, e.reached)
}

func TestReachabilityOfOrganisationWebhooks(t *testing.T) {
	e := newEdge(t, func(c *web.Config) { c.Reachability = web.ReachabilityRequire })
	create := func() map[string]any {
		return e.do(t, request{
			method: "POST", path: "/sharing/rest/portals/self/webhooks/createWebhook", key: adminKey, contentType: "application/x-www-form-urlencoded",
			body: "f=json&name=w&changes=allChanges&url=" + firstURL,
		}).json(t)
	}
	e.reach = failing
	refused := create()["error"].(map[string]any)
	require.EqualValues(t, 400, refused["code"])
	require.Equal(t, "UNREACHABLE", refused["messageCode"])
	require.Empty(t, e.webhooks)
	e.reach = nil
	id := create()["id"].(string)
	update := func(parameters string) map[string]any {
		return e.do(t, request{
			method: "POST", path: "/sharing/rest/portals/self/webhooks/" + id + "/update", key: adminKey, contentType: "application/x-www-form-urlencoded",
			body: "f=json&" + parameters,
		}).json(t)
	}
	e.reach = failing
	require.Contains(t, update("url="+secondURL), "error")
	require.Equal(t, map[string]any{"success": true}, update("name=other"))
	require.Equal(t, firstURL, e.call(t, "GET", "/api/v1/webhooks/"+id, "").json(t)["url"])
}

func TestChallenges(t *testing.T) {
	e := newEdge(t)
	e.prove = &delivery.HandshakeError{Reason: "the challenge was answered 404 Not Found"}
	id := e.create(t, hookTo(firstURL, `,"crcCheck":true`))
	require.Empty(t, e.proved, "while it is off nobody is asked")
	for name, refused := range map[string]answer{
		"new":     e.call(t, "POST", "/api/v1/webhooks", hookTo(secondURL, `,"crcCheck":true,"enabled":true`)),
		"enable":  e.call(t, "POST", "/api/v1/webhooks/"+id+"/actions/enable", ""),
		"replace": e.call(t, "PUT", "/api/v1/webhooks/"+id, hookTo(firstURL, `,"crcCheck":true,"enabled":true`)),
	} {
		p := refused.problem(t)
		require.Equal(t, "CHALLENGE_FAILED", p["code"], name)
		require.Equal(t, "url", p["field"])
		require.Equal(t, "the challenge was answered 404 Not Found", p["detail"])
	}
	require.Len(t, e.webhooks, 1)
	e.prove = nil
	require.Equal(t, http.StatusOK, e.call(t, "POST", "/api/v1/webhooks/"+id+"/actions/enable", "").status)
	proved := len(e.proved)
	put := func(body string) {
		t.Helper()
		require.Equal(t, http.StatusOK, e.call(t, "PUT", "/api/v1/webhooks/"+id, body).status)
	}
	put(hookTo(firstURL, `,"crcCheck":true,"enabled":true,"description":"d"`))
	require.Len(t, e.proved, proved)
	put(hookTo(secondURL, `,"crcCheck":true,"enabled":true`))
	require.Len(t, e.proved, proved+1)
	require.Equal(t, http.StatusOK, e.call(t, "POST", "/api/v1/webhooks/"+id+"/actions/rotate-secret", "").status)
	require.Len(t, e.proved, proved+2)
	put(hookTo(secondURL, `,"enabled":true`))
	require.Len(t, e.proved, proved+2)
}

func TestReceiversOfServicesAreAsked(t *testing.T) {
	e := newEdge(t, func(c *web.Config) { c.Reachability = web.ReachabilityRequire })
	call := func(path, parameters string) map[string]any {
		t.Helper()
		return e.do(t, request{
			method: "POST", path: "/server/admin/services/roads.FeatureServer/webhooks" + path, key: adminKey,
			contentType: "application/x-www-form-urlencoded", body: "f=json&" + parameters,
		}).json(t)
	}
	e.reach = failing
	refused := call("/create", "name=w&changeTypes=*&hookUrl="+firstURL)
	require.Equal(t, "UNREACHABLE", refused["messageCode"])
	require.Equal(t, []any{"hookUrl: the receiver could not be reached: the connection was refused"}, refused["messages"])
	require.Empty(t, e.webhooks)
	e.reach = nil
	id := call("/create", "name=w&changeTypes=*&crcCheck=true&signatureKey=key&hookUrl="+firstURL)["id"].(string)
	e.prove = &delivery.HandshakeError{Reason: "the challenge was answered 404 Not Found"}
	for path, parameters := range map[string]string{"/" + id + "/edit": "active=true", "/activateAll": ""} {
		require.Equal(t, "CHALLENGE_FAILED", call(path, parameters)["messageCode"], path)
	}
	e.prove = nil
	require.Equal(t, "success", call("/activateAll", "")["status"])
	require.Len(t, e.proved, 3)
}
