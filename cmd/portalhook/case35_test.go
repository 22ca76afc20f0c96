package main_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// telltale is a receiver that sends back all that it was sent, as error pages of some frameworks do, and refuses it.
type telltale struct {
	mu  sync.Mutex
	got []byte
}

func (r *telltale) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	var head strings.Builder
	_ = request.Header.Write(&head)
	r.mu.Lock()
	r.got = append(append(r.got, head.String()...), body...)
	r.mu.Unlock()
	for name, values := range request.Header {
		w.Header().Set("X-Echo-"+name, strings.Join(values, ","))
	}
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = fmt.Fprintf(w, "%s\n%q\n%s", head.String(), head.String(), strings.Repeat(head.String(), 100))
}

func (r *telltale) all() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]byte(nil), r.got...)
}

// safeText is what several write to.
type safeText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *safeText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *safeText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

const answers = "the answer to "

// Secrets are unreadable wherever they are not asked for: a server at its most talkative is given one of every kind, on every surface, well and badly, and
// then each is looked for in its log, its answers, its metrics, its files, a backup, an export and what it leaves when it crashes. Where each may
// be seen is said where it is drawn: that is the whole list.
func TestCase35Canaries(t *testing.T) {
	c := newCanaries()
	folder := t.TempDir()
	key := c.draw("the admin key")
	w := c.watch(t, folder, key)
	receiver := &telltale{}
	echo := httptest.NewServer(receiver)
	t.Cleanup(echo.Close)

	// Webhooks made by ArcGIS try once, so that all is over soon.
	w.api(t, "", "PATCH", "/api/v1/tenants/default", map[string]any{
		"portalSettings": map[string]any{"notificationAttempts": 0}, "serviceSettings": map[string]any{"notificationAttempts": 1, "notificationElapsedTimeInSeconds": 1},
	})
	// Secrets of webhooks, by every surface that takes them.
	inQuery := "?code=" + c.draw("what stands in a webhook's URL", answers, "a page", "file", "command", "the receiver")
	secret := c.draw("a webhook's secret")
	header := "Bearer " + c.draw("the value of an encrypted header", "the receiver")
	plain := c.draw("a secret that is sent in a header", "the receiver")
	hook := func(name, url string, members map[string]any) string {
		whole := map[string]any{"name": name, "url": url + inQuery, "enabled": true, "eventTypes": []string{"/items", "/users"}, "retry": "once"}
		maps.Copy(whole, members)
		return w.api(t, "", "POST", "/api/v1/webhooks", whole)["id"].(string)
	}
	main := hook("main", echo.URL, map[string]any{"secret": secret, "encryptedHeaders": map[string]string{"authorization": header}})
	hook("plain", echo.URL, map[string]any{"secret": plain, "plainSecretHeader": true})
	whsecBytes := c.draw("the bytes of a whsec_ secret")
	hook("nobody", "http://127.0.0.1:1/x", map[string]any{"secret": "whsec_" + base64.StdEncoding.EncodeToString([]byte(whsecBytes))})
	hook("off", "https://receiver.example.com/x", map[string]any{"secret": c.draw("the secret of one that is off"), "enabled": false})
	put := c.draw("a secret by PUT")
	w.api(t, "", "PUT", "/api/v1/webhooks/"+main, map[string]any{
		"name": "main", "url": echo.URL + inQuery, "enabled": true, "eventTypes": []string{"/items", "/users"}, "retry": "once", "secret": put,
		"encryptedHeaders": map[string]string{"authorization": header, "x-api-key": c.draw("another encrypted header", "the receiver")},
	})
	form := func(named, path string, pairs ...string) []byte {
		values := url.Values{"f": {"json"}}
		for i := 0; i < len(pairs); i += 2 {
			values.Set(pairs[i], pairs[i+1])
		}
		_, answer, _ := w.ask(t, named, "POST", path, "application/x-www-form-urlencoded", values.Encode(), "X-Esri-Authorization", "Bearer "+key)
		return answer
	}
	const organisation, services = "/sharing/rest/portals/self/webhooks", "/server/admin/services"
	require.Contains(t, string(form("", organisation+"/createWebhook", "name", "esri", "url", echo.URL, "changes", "allChanges", "secret", c.draw("a secret by ArcGIS"))), "success")
	require.Contains(t, string(form("", services+"/roads.FeatureServer/webhooks/create", "name", "roads", "hookUrl", echo.URL, "changeTypes", "*", "signatureKey", c.draw("a signature key"))), "success")

	// Rotation: the old ones, those that were given, and those that the server draws, which its answer shows this once.
	rotated := w.api(t, "the answer that shows a drawn secret", "POST", "/api/v1/webhooks/"+main+"/actions/rotate-secret", map[string]any{})["secret"].(string)
	c.know("a drawn secret", rotated, "the answer that shows a drawn secret")
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(rotated, "whsec_"))
	require.NoError(t, err)
	c.know("the bytes of a drawn secret", string(decoded), "the answer that shows a drawn secret")
	given := c.draw("a secret given to rotate to", "the answer that shows a secret that it was given")
	w.api(t, "the answer that shows a secret that it was given", "POST", "/api/v1/webhooks/"+main+"/actions/rotate-secret", map[string]any{"secret": given})

	// Keys, tokens, sessions, receivers.
	made := w.api(t, "the answer that shows a key", "POST", "/api/v1/api-keys", map[string]any{"name": "short", "role": "admin"})
	short := c.know("an API key", made["key"].(string), "the answer that shows a key")
	token := regexp.MustCompile(`pht_[\w-]+`).FindString(string(form("the answer that shows a token", "/sharing/rest/generateToken", "username", "x", "password", key)))
	require.NotEmpty(t, token)
	c.know("a token", token, "the answer that shows a token", "a page asked for with the token")
	c.draw("a password that is wrong")
	form("", "/sharing/rest/generateToken", "username", "x", "password", string(c.secrets["a password that is wrong"]))
	form("", "/sharing/rest/generateToken", "username", "x", "password", short, "expiration", "never")
	w.ask(t, "", "GET", "/sharing/rest/generateToken", "", "")
	w.ask(t, "", "GET", "/sharing/rest/generateToken", "", "", "Authorization", "Basic "+c.draw("another scheme's credentials"))
	inside := w.api(t, "", "POST", "/api/v1/receivers", map[string]any{"name": "inside", "secret": c.draw("a receiver's secret")})
	c.know("a receiver's token", inside["token"].(string), answers, "a page", "file", "command")
	w.api(t, "", "POST", "/api/v1/webhooks", map[string]any{"name": "inside", "url": inside["url"], "enabled": true, "eventTypes": []string{"/items"}, "secret": c.draw("an inside webhook's secret")})
	_, _, cookies := w.ask(t, "", "POST", "/console/login", "application/x-www-form-urlencoded", "key="+url.QueryEscape(key))
	require.NotEmpty(t, cookies)
	c.know("a session's cookie", cookies[0].Value)
	session := cookies[0].Name + "=" + cookies[0].Value

	badly(t, w, main)

	// Things happen, and fail, and are told to a telltale.
	for _, uri := range []string{"/items/a/delete", "/users/jdoe/signIn", "/services/roads/FeatureServer/FeaturesCreated"} {
		w.api(t, "", "POST", "/api/v1/events", map[string]any{"uri": uri})
	}
	require.Eventually(t, func() bool {
		_, metrics, _ := w.ask(t, "", "GET", "/metrics", "", "")
		return strings.Contains(string(metrics), "\nportalhook_open_deliveries 0\n") && strings.Contains(string(receiver.all()), header)
	}, time.Minute, 100*time.Millisecond)
	w.ask(t, "", "POST", "/api/v1/webhooks/"+main+"/actions/test", "", "", "Authorization", "Bearer "+key)
	everything(t, w, main, token, session)
	c.see("the receiver", receiver.all())
	c.seeFiles(t, "while it runs", folder, "portalhook.db.key")

	// Commands: what they print, what they export, and the backup.
	backup, export := filepath.Join(t.TempDir(), "b"), filepath.Join(t.TempDir(), "e")
	require.NoError(t, os.Mkdir(backup, 0o700))
	require.NoError(t, os.Mkdir(export, 0o700))
	w.command(t, nil, "backup", filepath.Join(backup, "copy.db"))
	w.command(t, nil, "export", "arcgis", filepath.Join(export, "webhooks.json"))
	w.command(t, nil, "export", "arcgis", "--services", filepath.Join(export, "services.json"))
	for _, args := range []string{"webhooks list", "webhooks show main", "webhooks test main", "deliveries list main", "keys list", "tenants list", "match /items/a/delete", "recover main --dry-run"} {
		w.command(t, nil, strings.Fields(args)...)
	}
	badCommands(t, w)
	c.seeFiles(t, "backup", backup, "")
	c.seeFiles(t, "export", export, "")
	require.NotEmpty(t, c.found["file backup copy.db #1"])
	require.NotEmpty(t, c.found["file export webhooks.json #1"])

	// A stop, another start, with a drawn key and through a proxy that refuses, and a crash.
	var proxied safeText
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Proxy-Authorization"), "Basic "), ",")
		name, _ := base64.StdEncoding.DecodeString(who)
		_, _ = proxied.Write(name)
		http.Error(w, "not "+string(name)+" "+who, http.StatusProxyAuthRequired)
	}))
	t.Cleanup(refusing.Close)
	w.end(t, syscall.SIGTERM)
	c.seeFiles(t, "after the stop", folder, "portalhook.db.key")
	second := c.watch(t, t.TempDir(), "", "--egress-proxy", "http://user:"+c.draw("an egress proxy's password")+"@"+refusing.Listener.Addr().String())
	out, err := os.ReadFile(second.out)
	require.NoError(t, err)
	second.key = c.know("a drawn admin key", regexp.MustCompile(`phk_\w+`).FindString(string(out)), "standard output")
	second.api(t, "", "GET", "/api/v1/api-keys", nil)
	behind := second.api(t, "", "POST", "/api/v1/webhooks", map[string]any{"name": "behind", "url": "http://127.0.0.1:9/x", "eventTypes": []string{"/items"}})["id"].(string)
	told := second.api(t, "", "POST", "/api/v1/webhooks/"+behind+"/actions/test", map[string]any{})
	require.NotEqual(t, "delivered", told["outcome"], told)
	require.Contains(t, proxied.String(), "user", "the proxy was told who asks")
	second.ask(t, "", "GET", "/metrics", "", "")
	second.end(t, syscall.SIGQUIT)
	require.Contains(t, string(c.found["the log #2"]), "goroutine ", "it crashed")
	c.seeFiles(t, "after the crash", second.folder, "portalhook.db.key")

	file, err := os.ReadFile(filepath.Join(folder, "portalhook.db.key"))
	require.NoError(t, err)
	words := strings.Fields(string(file))
	raw, err := base64.StdEncoding.DecodeString(words[len(words)-1])
	require.NoError(t, err)
	c.know("the key file's key", string(raw))
	c.know("the key file's text", words[len(words)-1])
	c.hunt(t)
	require.Greater(t, len(c.secrets), 35)
	require.Greater(t, len(c.found), 150)
	require.Contains(t, string(c.found["the log #1"]), `"level":"DEBUG"`)
}

// badly gives secrets in requests that are refused.
func badly(t *testing.T, w *watched, main string) {
	t.Helper()
	bearer := []string{"Authorization", "Bearer " + w.key}
	n := 0
	bad := func() string {
		n++
		return w.draw(fmt.Sprint("a secret in bad request ", n))
	}
	const hooks = "/api/v1/webhooks"
	good := `{"name":"x","eventTypes":["/items"],"url":"https://a.example.com/"`
	for _, r := range []struct{ method, path, body string }{
		{"POST", hooks, good + `,"secret":"` + bad()},
		{"POST", hooks, good + `,"secret":"` + bad() + `"`},
		{"POST", hooks, good + `,"secret":"` + bad() + `","secret":"` + bad() + `"}`},
		{"POST", hooks, good + `,"secret":["` + bad() + `"]}`},
		{"POST", hooks, good + `,"secret":{"a":"` + bad() + `"}}`},
		{"POST", hooks, good + `,"secret":"` + strings.Repeat(bad(), 3) + `"}`},
		{"POST", hooks, good + `,"secret":"` + bad() + "\xff\"}"},
		{"POST", hooks, good + `,"secret":"` + bad() + `\ud800"}`},
		{"POST", hooks, good + `} "` + bad() + `"`},
		{"POST", hooks, good + `,"headers":{"x":"` + bad() + `\n"}}`},
		{"POST", hooks, good + `,"encryptedHeaders":{"authorization":"` + bad() + `\r\nx: y"}}`},
		{"POST", hooks, good + `,"encryptedHeaders":{"authorization":["` + bad() + `"]}}`},
		{"POST", hooks, good + `,"encryptedHeaders":{"content-length":"` + bad() + `"}}`},
		{"POST", hooks, good + `,"encryptedHeaders":["authorization"],"secret":"` + bad() + `"}`},
		{"POST", hooks, good + `,"encryptedHeaders":{"authorization":"` + strings.Repeat(bad(), 100) + `"}}`},
		{"POST", hooks, good + `,"eventTypes":7,"secret":"` + bad() + `"}`},
		{"POST", hooks, `{"name":"x","eventTypes":["/items"],"url":"https://user:` + bad() + `@a.example.com/"}`},
		{"POST", hooks, `{"name":"x","eventTypes":["/items"],"url":"https://` + bad() + `@a.example.com/"}`},
		{"POST", hooks, `{"name":"x","eventTypes":["/items"],"url":"https://user:` + bad() + `@a b/"}`},
		{"POST", hooks, `{"name":"x","eventTypes":["/items"],"url":"https://user:` + bad() + `@[::1/"}`},
		{"POST", hooks, `{"name":"x","eventTypes":["/items"],"url":"ftp://user:` + bad() + `@10.0.0.1:99999999/%zz"}`},
		{"PUT", hooks + "/" + main, good + `,"secret":"` + bad() + `","enabled":7}`},
		{"PATCH", hooks + "/" + main, `[{"op":"replace","path":"/secret","value":["` + bad() + `"]}]`},
		{"PATCH", hooks + "/" + main, `[{"op":"replace","path":"/secret","value":"` + strings.Repeat(bad(), 3) + `"}]`},
		{"PATCH", hooks + "/" + main, `[{"op":"test","path":"/secret","value":"` + bad() + `"}]`},
		{"PATCH", hooks + "/" + main, `[{"op":"add","path":"/encryptedHeaders/x","value":"` + bad() + `"},{"op":"remove","path":"/nothing"}]`},
		{"POST", hooks + "/" + main + "/actions/rotate-secret", `{"secret":"` + strings.Repeat(bad(), 3) + `"}`},
		{"POST", hooks + "/" + main + "/actions/rotate-secret", `{"secret":"` + bad() + `","validForHours":"long"}`},
		{"POST", hooks + "/" + main + "/actions/rotate-secret", `{"secret":"whsec_*` + bad() + `"}`},
		{"POST", "/api/v1/receivers", `{"secret":"` + strings.Repeat(bad(), 30) + `"}`},
		{"POST", "/api/v1/tenants", `{"name":"t","portalUrl":"https://user:` + bad() + `@a.example.com/"}`},
		{"PATCH", "/api/v1/tenants/default", `{"serverUrl":"https://user:` + bad() + `@a.example.com/"}`},
		{"PATCH", "/api/v1/tenants/default", `{"serverUrl":"https://user:` + bad() + `@[::1/"}`},
		{"GET", hooks + "?token=" + bad(), ""},
		{"GET", "/nothing?token=" + bad(), ""},
		{"DELETE", "/api/v1/events?token=" + bad(), ""},
	} {
		status, answer, _ := w.ask(t, "the answer to what is bad", r.method, r.path, "application/json", r.body, bearer...)
		require.True(t, status >= 400 && status < 500 || r.method == "GET", "%s %s: %d %s", r.path, r.body, status, answer)
	}
	// Keys that are none, at every door.
	for _, header := range [][]string{
		{"Authorization", "Bearer " + bad()},
		{"Authorization", "Basic " + bad()},
		{"Authorization", bad()},
		{"X-Esri-Authorization", "Bearer " + bad()},
		{"Cookie", "portalhook_session=" + bad()},
		{"X-Api-Key", bad()},
	} {
		for _, path := range []string{"/api/v1/webhooks", "/api/core/webhooks", "/sharing/rest/portals/self?f=json", "/sharing/rest/portals/self", "/server/admin/services/webhooks?f=json", "/console/webhooks"} {
			w.ask(t, "the answer to a wrong key", "GET", path, "", "", header...)
		}
	}
	const encoded = "application/x-www-form-urlencoded"
	for _, r := range []struct{ path, body string }{
		{"/sharing/rest/portals/self/webhooks/createWebhook", "f=json&token=" + bad() + "&secret=" + bad()},
		{"/sharing/rest/portals/self/webhooks/createWebhook?f=json&secret=" + bad(), "token=" + url.QueryEscape(w.key) + "&name=&url=x&secret=%zz" + bad()},
		{"/sharing/rest/portals/self/webhooks/createWebhook?f=json", "token=" + url.QueryEscape(w.key) + "&name=x&changes=allChanges&url=" + url.QueryEscape("https://user:"+bad()+"@a.example.com/") + "&secret=" + strings.Repeat(bad(), 20)},
		{"/sharing/rest/generateToken?f=json&password=" + bad(), ""},
		{"/sharing/rest/generateToken?f=json", "username=" + bad() + "&password=" + bad()},
		{"/server/admin/services/webhooks?f=json&token=" + bad(), "x=y"},
		{"/server/admin/services/roads.FeatureServer/webhooks/create?f=json", "token=" + url.QueryEscape(w.key) + "&name=x&changeTypes=nothing&hookUrl=x&signatureKey=" + bad()},
		{"/console/login", "key=" + bad()},
		{"/console/login", "key=%zz" + bad()},
	} {
		w.ask(t, "the answer to what is bad", "POST", r.path, encoded, r.body)
	}
}

// badCommands gives secrets to commands that fail with them.
func badCommands(t *testing.T, w *watched) {
	t.Helper()
	list := filepath.Join(t.TempDir(), "list.json")
	require.NoError(t, os.WriteFile(list, []byte(`{"webhooks":[{"name":"i","payloadUrl":"https://a.example.com/","secret":"`+w.draw("an imported secret")+`","events":["/items"]},
		{"name":"j","payloadUrl":"https://u:`+w.draw("an imported password")+`@a.example.com/","secret":"`+w.draw("a secret that is not imported")+`","events":["/items"]}]}`), 0o600))
	w.command(t, nil, "import", "arcgis", list, "--dry-run")
	w.command(t, nil, "import", "arcgis", list)
	w.command(t, nil, "import", "arcgis", "http://127.0.0.1:1/sharing/rest/portals/self/webhooks?token="+w.draw("a portal's token in a URL"), "--token", w.draw("a portal's token"))
	w.command(t, []string{"PORTALHOOK_KEY=" + w.draw("a client's wrong key")}, "keys", "list")
	w.command(t, []string{"PORTALHOOK_SERVER=http://user:" + w.draw("a client's password") + "@127.0.0.1:1"}, "keys", "list")
	w.command(t, []string{"PORTALHOOK_SERVER=ftp://user:" + w.draw("a client's password elsewhere") + "@127.0.0.1:1"}, "keys", "list")
	folder := "sqlite:" + filepath.Join(t.TempDir(), "x.db")
	for name, args := range map[string][]string{
		"a proxy's password, badly":   {"--egress-proxy", "ftp://user:%s@127.0.0.1:1"},
		"a proxy's password, worse":   {"--egress-proxy", "http://user:%s@a b:%%zz/"},
		"a database's password":       {"--store", "postgres://user:%s@127.0.0.1:1/x?sslmode=x"},
		"another database's password": {"--store", "mysql://user:%s@127.0.0.1:1/x"},
		"a public URL's password":     {"--public-url", "https://user:%s@a.example.com/"},
		"a portal URL's password":     {"--portal-url", "https://user:%s@a.example.com/"},
		"an admin key with a blank":   {"--admin-key", "%s x"},
		"an admin key that is long":   {"--admin-key", "%s" + strings.Repeat("x", 300)},
	} {
		args[1] = strings.Replace(args[1], "%s", w.draw(name), 1)
		w.command(t, nil, append([]string{"serve", "--listen", "127.0.0.1:0", "--store", folder}, args...)...)
	}
	w.command(t, nil, "listen", "--secret", w.draw("a receiver's secret at the command line"), "--listen", "nowhere")
}

// everything asks for all that there is to see.
func everything(t *testing.T, w *watched, main, token, session string) {
	t.Helper()
	bearer := []string{"Authorization", "Bearer " + w.key}
	events := w.api(t, "", "GET", "/api/v1/events?limit=100", nil)["data"].([]any)
	require.GreaterOrEqual(t, len(events), 3)
	paths := []string{
		"/api/v1/webhooks?include=summary&limit=100", "/api/v1/webhooks/" + main, "/api/v1/webhooks/" + main + "/stats", "/api/v1/audit?limit=100", "/api/v1/api-keys", "/api/v1/tenants",
		"/api/v1/stats", "/api/v1/routes", "/api/v1/triggers", "/api/v1/receivers", "/metrics", "/healthz", "/readyz", "/api/openapi.json", "/api/docs", "/debug/pprof/", "/debug/vars",
		"/sharing/rest/portals/self/webhooks?f=json", "/sharing/rest/portals/self/webhooks?f=pjson", "/sharing/rest/portals/self/webhooks", "/sharing/rest/portals/self/webhooks/" + main + "/notificationStatus?f=json",
		"/server/admin/services/webhooks?f=json", "/server/admin/services/webhooks", "/sharing/rest/portals/self/webhooks/settings?f=json",
	}
	var pages []string
	for _, event := range events {
		id := event.(map[string]any)["id"].(string)
		paths = append(paths, "/api/v1/events/"+id)
		pages = append(pages, "/events/"+id)
	}
	for _, hook := range w.api(t, "", "GET", "/api/v1/webhooks?limit=100", nil)["data"].([]any) {
		id := hook.(map[string]any)["id"].(string)
		pages = append(pages, "/webhooks/"+id, "/webhooks/"+id+"/edit", "/webhooks/"+id+"/secret", "/webhooks/"+id+"/test")
		for _, delivery := range w.api(t, "", "GET", "/api/v1/webhooks/"+id+"/deliveries?limit=100", nil)["data"].([]any) {
			of := "/webhooks/" + id + "/deliveries/" + delivery.(map[string]any)["id"].(string)
			paths, pages = append(paths, "/api/v1"+of), append(pages, of)
		}
	}
	for _, path := range paths {
		status, answer, _ := w.ask(t, "", "GET", path, "", "", bearer...)
		require.Equal(t, strings.HasPrefix(path, "/debug/"), status == http.StatusNotFound, "%s: %s", path, answer)
	}
	w.ask(t, "a page asked for with the token", "GET", "/sharing/rest/portals/self/webhooks?token="+token, "", "")
	for _, page := range append(pages, "/", "/webhooks", "/webhooks/new", "/events", "/keys", "/keys/new", "/settings", "/audit") {
		status, answer, _ := w.ask(t, "a page of the console "+page, "GET", "/console"+page, "", "", "Cookie", session)
		require.Contains(t, []int{http.StatusOK, http.StatusSeeOther}, status, "%s: %s", page, answer)
	}
}
