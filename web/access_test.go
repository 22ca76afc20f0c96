package web_test

import (
	"crypto/sha256"
	"database/sql"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/storage/storagetest"
	"portalhook/triggers"
	"portalhook/web"
)

// mark stands in everything of the tenant that is attacked, and nowhere else.
const mark = "quay"

// besieged is the real product over a database file with two tenants in it: the first has something of every kind, the second has an
// administrator.
type besieged struct {
	*whole
	// version changes whenever anything is written to the database.
	version func(t *testing.T) string
	// mine are the ids of what the first tenant and its user ann have, by the name of the parameter that takes them; absent are others of
	// the same form that nobody has.
	mine, absent map[string]string
}

const annKey, bobKey = "ann-key", "bob-key"

func newBesieged(t *testing.T, at storage.Config) *besieged {
	t.Helper()
	w := &besieged{whole: newWholeWith(t, at, newReceiver(t), func(_ *delivery.Config, c *web.Config) {
		c.Inbox = web.NewInbox("https://hooks.example.com")
	})}
	other := &triggers.Tenant{Name: "other", PortalID: "FEDCBA9876543210", PortalURL: "https://other.example.com/", CreatedAt: time.Now()}
	require.NoError(t, w.directory.SaveTenant(t.Context(), other))
	for text, key := range map[string]triggers.APIKey{
		annKey:      {Role: triggers.RoleUser, UserID: "u-" + mark + "-ann", UserName: mark + "-ann"},
		bobKey:      {Role: triggers.RoleUser, UserID: "bob", UserName: "bob"},
		emitterKey:  {Role: triggers.RoleEmitter},
		viewerKey:   {Role: triggers.RoleViewer},
		operatorKey: {Role: triggers.RoleAdmin, Operator: true},
		expiredKey:  {Role: triggers.RoleAdmin, Expires: time.Unix(1, 0)},
		revokedKey:  {Role: triggers.RoleAdmin},
		otherKey:    {Tenant: other.Key, Role: triggers.RoleAdmin},
	} {
		key.ID, key.Hash, key.Name, key.Created = text, sha256.Sum256([]byte(text)), text, time.Now()
		key.Tenant = max(key.Tenant, 1)
		require.NoError(t, w.store.AddAPIKey(t.Context(), key))
	}
	require.NoError(t, w.store.RevokeAPIKey(t.Context(), 1, revokedKey))
	require.NoError(t, w.server.ReloadKeys(t.Context()))

	// Ann's own, which all of the others want.
	made := w.as(t, annKey, "POST", "/api/v1/webhooks", `{"name":"`+mark+`","url":"`+w.receiver.URL+`/`+mark+`","enabled":true,"eventTypes":["/items/share"],"secret":"`+secret+`"}`)
	require.Equal(t, http.StatusCreated, made.status, made.body)
	webhook := made.json(t)["id"].(string)
	event := w.post(t, `{"uri":"/items/`+mark+`/share","username":"`+mark+`","ownerId":"u-`+mark+`-ann","properties":{"sharedToGroups":["`+mark+`"]}}`)
	w.receiver.next(t)
	sent := w.delivered(t, event)["id"].(string)
	recovery := w.recover(t, webhook)
	require.Eventually(t, func() bool {
		return w.call(t, "GET", "/api/v1/webhooks/"+webhook+"/recoveries/"+recovery, "").json(t)["state"] == "done"
	}, 10*time.Second, 5*time.Millisecond)
	w.hookOf(t, roads, mark, "changeTypes", "*", "active", "false")
	w.mine = map[string]string{
		"webhook": webhook, "event": event, "delivery": sent, "recovery": recovery, "tenant": "default", "key": viewerKey,
		"receiver": w.newReceiver(t, annKey, `{"name":"`+mark+`"}`)["token"].(string), "portal": "0123456789ABCDEF", "user": mark + "-ann",
		"folder": "traffic", "service": "roads.FeatureServer",
	}
	near := func(id string) string { // the last digit of some is not free
		at := len(id) - 2
		return id[:at] + map[bool]string{true: "1", false: "0"}[id[at] == '0'] + id[at+1:]
	}
	w.absent = map[string]string{
		"webhook": near(webhook), "event": near(event), "delivery": near(sent), "recovery": near(recovery),
		"tenant": "nobody1", "key": strings.Repeat("A", len(viewerKey)), "receiver": strings.Repeat("a", 26),
		"portal": "ABCDEFABCDEFABCD", "user": "nobody-ann", "folder": "traffic", "service": "roads.FeatureServer",
	}
	w.version = watch(t, at)
	return w
}

// watch gives what changes whenever anything is written to a database: but for what a node says of itself every other second, and of how
// far it has folded counters.
func watch(t *testing.T, at storage.Config) (version func(t *testing.T) string) {
	t.Helper()
	driver, source, statement := "sqlite3", "file:"+at.Path+"?mode=ro", "PRAGMA data_version" // the drivers are the stores'
	if at.URL != "" {
		driver, source = "pgx", at.URL
	}
	db, err := sql.Open(driver, source)
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	if at.URL != "" {
		// Of every table how many rows there are, and by which transactions they were written.
		require.NoError(t, db.QueryRowContext(t.Context(), `SELECT 'SELECT concat_ws('','', ' || string_agg(
  format('(SELECT concat(count(*), ''/'', sum(xmin::text::bigint)) FROM %s)',
    CASE relname WHEN 'meta' THEN 'meta WHERE name <> ''folded''' ELSE quote_ident(relname) END), ', ') || ')'
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'node'`).Scan(&statement))
		require.Contains(t, statement, " webhook)")
	}
	return func(t *testing.T) (version string) {
		t.Helper()
		require.NoError(t, db.QueryRowContext(t.Context(), statement).Scan(&version))
		return version
	}
}

// all is everything of the first tenant that its administrator can see, but when keys were used.
func (w *besieged) all(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	webhook := "/api/v1/webhooks/" + w.mine["webhook"]
	for _, path := range []string{
		"/api/v1/webhooks", "/api/v1/events", "/api/v1/events/" + w.mine["event"], "/api/v1/audit", "/api/v1/api-keys", webhook, webhook + "/deliveries",
		webhook + "/deliveries/" + w.mine["delivery"], webhook + "/recoveries", "/api/v1/receivers", "/api/v1/receivers/" + w.mine["receiver"] + "/requests",
		organisation + "/settings?f=json", services + "/webhooks/settings?f=json", services + "/webhooks?f=json",
	} {
		a := w.call(t, "GET", path, "")
		require.Equal(t, http.StatusOK, a.status, a.body)
		text.WriteString(regexp.MustCompile(`,"(lastUsedAt|expiresAt)":"[^"]*"`).ReplaceAllString(a.body, "") + "\n")
	}
	require.Contains(t, text.String(), mark)
	return text.String()
}

var parameter = regexp.MustCompile(`[:{](\w+)}?`)

// filled puts ids in the place of a path's parameters. One that has none is a test to be written.
func filled(t *testing.T, path string, ids map[string]string) string {
	t.Helper()
	return parameter.ReplaceAllStringFunc(path, func(name string) string {
		if name == "{do}" {
			return "pause" // what is to be done with the thing, and no id
		}
		id, ok := ids[strings.Trim(name, ":{}")]
		require.True(t, ok, "%s: say what %s is", path, name)
		return id
	})
}

// asks makes a good request of a route.
func asks(route web.Route, path, key string) request {
	r := request{method: route.Method, path: path, key: key}
	switch {
	case path == "/api/v1/tail":
		r.method = http.MethodHead // a GET would listen on
	case strings.HasPrefix(path, "/sharing/") || strings.HasPrefix(path, "/server/"):
		if r.method == http.MethodGet {
			r.path += "?f=json"
			break
		}
		r.contentType = "application/x-www-form-urlencoded"
		r.body = "f=json&name=x&active=false"
		if strings.HasPrefix(path, "/sharing/") {
			r.body += "&url=https%3A%2F%2Fa.example.com%2F&changes=allChanges"
		} else {
			r.body += "&hookUrl=https%3A%2F%2Fa.example.com%2F&changeTypes=*"
		}
	case r.method == http.MethodGet || r.method == http.MethodDelete:
	case strings.HasSuffix(path, "/webhooks") || r.method == http.MethodPut:
		r.body = strings.Replace(hook, `"enabled":true`, `"enabled":false`, 1)
	case strings.Contains(path, "/webhooks/") && r.method == http.MethodPatch:
		r.body = patchOrHook(http.MethodPatch)
	default:
		r.body = goodBodies[route.Method+" "+route.Path]
	}
	return r
}

// goodBodies are those of routes that need one and are no webhooks.
var goodBodies = map[string]string{
	"POST /api/v1/events": `{"uri":"/users/x/update"}`, "POST /api/v1/match": `{"uri":"/items/x/share"}`, "POST /api/v1/triggers/check": `{"eventTypes":["/items"]}`,
	"POST /api/v1/tenants": `{"name":"third","portalUrl":"https://third.example.com/"}`, "PATCH /api/v1/tenants/:tenant": `{"portalUrl":"https://evil.example.com/"}`,
	"POST /api/v1/api-keys": `{"name":"x","role":"viewer"}`, "POST /api/v1/receivers": `{}`, "PATCH /api/v1/receivers/:receiver": `{"status":500}`,
}

// open are the routes that need no key. Each is meant to be open; one more is for somebody to think about.
var open = []string{
	"/api/openapi.json", "/api/docs", "/console", "/console/*", "/healthz", "/readyz", "/metrics", "/resources/autogenerated/product-info.json", "/receiver/:receiver",
	"/sharing/rest", "/sharing/rest/info", "/sharing/rest/generateToken",
}

// alike is an answer without what differs from request to request, and without any ids.
func (w *besieged) alike(body string) string {
	for _, ids := range []map[string]string{w.mine, w.absent} {
		for _, id := range ids {
			body = strings.ReplaceAll(body, id, "")
		}
	}
	return regexp.MustCompile(`[0-9a-f]{32}`).ReplaceAllString(body, "")
}

// TestNobodyGetsIn goes through every route, as strangers, as every role that may not, as another tenant's administrator with this tenant's ids, and as a user
// with another user's: what is refused is refused in the surface's own way, looks the same whether the thing is there or not, tells nothing of it, and writes nothing.
func TestNobodyGetsIn(t *testing.T) { storagetest.OnEach(t, testNobodyGetsIn) }

func testNobodyGetsIn(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	w := newBesieged(t, place(t))
	before, keys := w.all(t), map[string]string{"user": bobKey, "emitter": emitterKey, "viewer": viewerKey, "admin": otherKey}
	for _, route := range w.server.Routes() {
		name := route.Method + " " + route.Path
		path := filled(t, route.Path, w.mine)
		if route.Public {
			require.Contains(t, open, route.Path)
			for _, key := range []string{"", "phk_broken", otherKey} {
				if r := asks(route, path, key); !strings.HasPrefix(path, "/receiver/") {
					require.NotContains(t, strings.ToLower(w.do(t, r).body), mark, name)
				}
			}
			continue
		}
		refused := func(key, why string, want ...int) {
			version := w.version(t)
			r := asks(route, path, key)
			a := w.do(t, r)
			require.Contains(t, want, a.outcome(t), "%s %s: %s", name, why, a.body)
			require.NotContains(t, strings.ToLower(strings.ReplaceAll(a.body, w.mine["user"], "")), mark, "%s %s", name, why)
			require.Equal(t, version, w.version(t), "%s %s: something was written", name, why)
			absent := maps.Clone(w.absent)
			if key == bobKey {
				absent["portal"] = w.mine["portal"] // which is his
			}
			there := w.do(t, asks(route, filled(t, route.Path, absent), key))
			require.Equal(t, []any{there.status, w.alike(there.body)}, []any{a.status, w.alike(a.body)}, "%s %s: it looks otherwise than what is not there", name, why)
		}
		for _, key := range []string{"", "broken", "phk_ABCDEFGHIJKLMNOPQRSTUVWXYZ", expiredKey, revokedKey, "pht_AAAA"} {
			refused(key, "with the key "+key, http.StatusUnauthorized)
		}
		for role, key := range keys {
			if !slices.Contains(route.Roles, role) {
				refused(key, "as "+role, http.StatusForbidden)
			}
		}
		names := parameter.FindAllStringSubmatch(route.Path, -1)
		has := func(parameters ...string) bool {
			return slices.ContainsFunc(names, func(n []string) bool { return slices.Contains(parameters, n[1]) })
		}
		if slices.Contains(route.Roles, "admin") {
			switch {
			case has("portal"):
				refused(otherKey, "as another portal's administrator", http.StatusForbidden)
			case has("webhook", "event", "delivery", "recovery", "receiver", "key", "user"):
				refused(otherKey, "as another tenant's administrator", http.StatusNotFound)
			default: // it is about the tenant of whoever asks
				a := w.do(t, asks(route, path, otherKey))
				require.Less(t, a.outcome(t), 300, "%s: %s", name, a.body)
				require.NotContains(t, strings.ToLower(a.body), mark, name)
			}
		}
		if slices.Contains(route.Roles, "user") && has("webhook", "delivery", "recovery", "receiver", "user") {
			refused(bobKey, "as another user", http.StatusNotFound)
		}
		// Ids of one thing under another that is one's own open nothing either.
		if slices.Contains(route.Roles, "admin") && has("webhook") && !has("portal") && !has("service") && has("delivery", "recovery") {
			theirs := w.do(t, request{method: "POST", path: "/api/v1/webhooks", key: otherKey, body: strings.Replace(hook, `"enabled":true`, `"enabled":false`, 1)}).json(t)["id"].(string)
			a := w.do(t, asks(route, strings.Replace(path, w.mine["webhook"], theirs, 1), otherKey))
			require.Equal(t, http.StatusNotFound, a.status, "%s: %s", name, a.body)
			require.Equal(t, http.StatusNoContent, w.do(t, request{method: "DELETE", path: "/api/v1/webhooks/" + theirs, key: otherKey}).status)
		}
	}
	require.Equal(t, before, w.all(t), "the first tenant is as it was")
	require.Empty(t, w.receiver.got, "and nothing was sent")
}

// TestNobodyNamesAnother names what is another's in parameters and bodies instead of paths.
func TestNobodyNamesAnother(t *testing.T) { storagetest.OnEach(t, testNobodyNamesAnother) }

func testNobodyNamesAnother(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	w := newBesieged(t, place(t))
	before := w.all(t)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
	}{
		"tail of a webhook":     {"HEAD", "/api/v1/tail?webhook={webhook}", "", 400},
		"keys of a tenant":      {"GET", "/api/v1/api-keys?tenant={tenant}", "", 403},
		"key of a tenant":       {"GET", "/api/v1/api-keys/{key}?tenant={tenant}", "", 403},
		"revoke of a tenant":    {"DELETE", "/api/v1/api-keys/{key}?tenant={tenant}", "", 403},
		"make in a tenant":      {"POST", "/api/v1/api-keys", `{"name":"x","role":"admin","tenant":"{tenant}"}`, 403},
		"make an operator":      {"POST", "/api/v1/api-keys", `{"name":"x","role":"admin","operator":true}`, 403},
		"audit of a tenant":     {"GET", "/api/v1/audit?tenant={tenant}", "", 403},
		"audit of a webhook":    {"GET", "/api/v1/audit?object=webhook&objectId={webhook}", "", 200},
		"audit of a key":        {"GET", "/api/v1/audit?object=api-key&objectId={key}", "", 200},
		"a webhook by its id":   {"PUT", "/api/v1/webhooks/{webhook}", `{"id":"{webhook}","name":"x","url":"https://a.example.com/","eventTypes":["/items"]}`, 404},
		"to another's receiver": {"POST", "/api/v1/webhooks", `{"name":"x","url":"https://hooks.example.com/receiver/{receiver}","eventTypes":["/items"],"tenant":"{tenant}"}`, 400},
		"search of a user":      {"GET", "/api/v1/events?username=" + mark, "", 200},
		"search of a thing":     {"GET", "/api/v1/events?uri=/items/" + mark + "/share", "", 200},
		"a dry run":             {"POST", "/api/v1/match", `{"uri":"/items/` + mark + `/share"}`, 200},
		"a dry run of the past": {"POST", "/api/v1/match", `{"draft":{"eventTypes":["/items/share"]},"past":{"from":"2026-11-22T03:00:00Z","to":"2098-11-22T03:00:00Z"}}`, 200},
	} {
		put := func(text string, ids map[string]string) string {
			for id, value := range ids {
				text = strings.ReplaceAll(text, "{"+id+"}", value)
			}
			return text
		}
		do := func(ids map[string]string) answer {
			return w.do(t, request{method: c.method, path: put(c.path, ids), key: otherKey, body: put(c.body, ids)})
		}
		a, there := do(w.mine), do(w.absent)
		require.Equal(t, c.status, a.status, "%s: %s", name, a.body)
		require.Equal(t, []any{there.status, w.alike(there.body)}, []any{a.status, w.alike(a.body)}, name)
		if !strings.Contains(c.path+c.body, mark) {
			require.NotContains(t, a.body, mark, name)
		}
		require.NotContains(t, a.body, "u-"+mark, name)
	}
	require.Equal(t, before, w.all(t), "the first tenant is as it was")
}

// consolePatterns are all routes of the console, as its sources have them.
func consolePatterns(t *testing.T) (list []string) {
	t.Helper()
	files, err := filepath.Glob("console/*.go")
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == "console/doc.go" {
			continue
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, match := range regexp.MustCompile(`pattern: *"((?:GET|POST) [^"]+)"`).FindAllStringSubmatch(string(text), -1) {
			list = append(list, strings.ReplaceAll(match[1], "{$}", ""))
		}
	}
	require.Greater(t, len(list), 25)
	return list
}

// TestNobodyGetsInByTheConsole opens every page and sends every form of the console with what is another's.
func TestNobodyGetsInByTheConsole(t *testing.T) { storagetest.OnEach(t, testNobodyGetsInByTheConsole) }

func testNobodyGetsInByTheConsole(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	w := newBesieged(t, place(t))
	before := w.all(t)
	// Every form has what any of them needs.
	form := func(token string, ids map[string]string) url.Values {
		return url.Values{
			"csrf": {token}, "id": {ids["webhook"]}, "webhook": {ids["webhook"]}, "do": {"disable"}, "confirmed": {"true"}, "name": {"x"}, "url": {"https://a.example.com/"},
			"role": {"viewer"}, "portalUrl": {"https://evil.example.com/"}, "trigger": {"/items"}, "eventTypes": {"/items"}, "tenant": {ids["tenant"]},
		}
	}
	// What is not there is answered by 404, or 403 where the role decides before.
	tried := 0
	for _, pattern := range consolePatterns(t) {
		method, path, _ := strings.Cut(pattern, " ")
		// Whoever is not signed in comes to the door.
		if !slices.Contains([]string{"/login", "/logout", "/preferences"}, path) {
			a := newVisitor(&w.edge).ask(method, "/console"+filled(t, path, w.mine), form("", w.mine))
			require.Equal(t, http.StatusSeeOther, a.StatusCode, pattern)
			require.True(t, strings.HasPrefix(a.Header.Get("Location"), "/console/login"), pattern)
			require.NotContains(t, strings.ToLower(a.body), mark)
		}
		for _, key := range []string{otherKey, bobKey} {
			v := newVisitor(&w.edge)
			v.signIn(t, key)
			if path == "/logout" {
				continue // it would end the visit
			}
			mine := v.ask(method, "/console"+filled(t, path, w.mine), form(v.token, w.mine))
			there := v.ask(method, "/console"+filled(t, path, w.absent), form(v.token, w.absent))
			require.NotContains(t, strings.ToLower(mine.body), mark, "%s with the %s", pattern, key)
			if strings.Contains(path, "{") {
				tried++
				want := []int{http.StatusNotFound, http.StatusForbidden}
				if path == "/receivers/{receiver}/arrivals" {
					want = append(want, http.StatusOK) // a piece of a page that is open: it says there that the receiver is gone
				}
				require.Contains(t, want, mine.StatusCode, "%s with the %s", pattern, key)
				require.Equal(t, []any{there.StatusCode, w.alike(there.body)}, []any{mine.StatusCode, w.alike(mine.body)}, "%s with the %s", pattern, key)
			}
		}
	}
	require.Greater(t, tried, 20)
	require.Equal(t, before, w.all(t), "the first tenant is as it was")
	require.Empty(t, w.receiver.got)
}
