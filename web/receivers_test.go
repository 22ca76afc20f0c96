package web_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/storage"
	"portalhook/storage/storagetest"
	"portalhook/triggers"
	"portalhook/web"
)

// newReceiver makes a built-in receiver and gives its answer.
func (e *edge) newReceiver(tb testing.TB, key, body string) map[string]any {
	tb.Helper()
	a := e.do(tb, request{method: "POST", path: "/api/v1/receivers", key: key, body: body})
	require.Equal(tb, http.StatusCreated, a.status, a.body)
	return a.json(tb)
}

// arrivals are what a built-in receiver was sent, the newest first.
func (e *edge) arrivals(t *testing.T, token, query string) []map[string]any {
	t.Helper()
	a := e.call(t, "GET", "/api/v1/receivers/"+token+"/requests"+query, "")
	require.Equal(t, http.StatusOK, a.status, a.body)
	var list []map[string]any
	for _, row := range a.json(t)["data"].([]any) {
		list = append(list, row.(map[string]any))
	}
	return list
}

func TestReceivers(t *testing.T) {
	e := newEdge(t, func(c *web.Config) { c.Inbox = web.NewInbox("https://hooks.example.com/portal") })
	made := e.newReceiver(t, adminKey, `{"name":"mine","secret":"`+secret+`","status":202,"delayMs":1}`)
	token := made["token"].(string)
	require.Equal(t, "https://hooks.example.com/portal/receiver/"+token, made["url"])
	require.Equal(t, true, made["secretAdded"])
	path := "/receiver/" + token

	body := `{"events":[]}`
	now := time.Now()
	signed := http.Header{}
	for _, pair := range payload.Sign(payload.Signing{Secrets: []triggers.Secret{triggers.NewSecret(secret)}, ID: "x", At: now, Body: []byte(body)}) {
		signed.Set(pair[0], pair[1])
	}
	a := e.do(t, request{method: "POST", path: path, body: body, header: signed})
	require.Equal(t, http.StatusAccepted, a.status)
	require.Equal(t, "Accepted\n", a.body)
	signed.Set("Qlik-Signature", "00")
	require.Equal(t, http.StatusAccepted, e.do(t, request{method: "PUT", path: path, body: body, header: signed}).status)
	for _, method := range []string{"GET", "HEAD", "PATCH", "DELETE"} {
		require.Equal(t, http.StatusAccepted, e.do(t, request{method: method, path: path + "?q=1"}).status, method)
	}
	list := e.arrivals(t, token, "")
	require.Len(t, list, 6)
	first := list[5]
	require.Equal(t, "http", first["via"])
	require.Equal(t, "POST", first["method"])
	require.Equal(t, body, first["body"])
	require.EqualValues(t, len(body), first["bodyBytes"])
	require.Equal(t, "x", first["headers"].(map[string]any)["Webhook-Id"])
	require.Contains(t, first["headers"], "Host")
	require.Equal(t, true, first["verified"])
	require.JSONEq(t, `[{"header":"webhook-signature","family":"standard-webhooks","verified":true},
	  {"header":"x-esriHook-Signature","family":"esri","verified":true}]`, text(t, first["signatures"]))
	require.JSONEq(t, `{"status":202,"delayMs":1}`, text(t, first["answered"]))
	require.Equal(t, false, list[4]["verified"])
	require.JSONEq(t, `{"header":"Qlik-Signature","family":"qlik","verified":false,"reason":"signature does not match"}`,
		text(t, list[4]["signatures"].([]any)[2]))
	require.Equal(t, false, list[0]["verified"], "without a signature")
	require.Len(t, e.arrivals(t, token, "?after=4"), 2)
	require.NotContains(t, e.log.String(), token)

	one := e.call(t, "PATCH", "/api/v1/receivers/"+token, `{"status":204,"delayMs":0,"secret":""}`)
	require.Equal(t, http.StatusOK, one.status, one.body)
	require.EqualValues(t, 6, one.json(t)["received"])
	a = e.do(t, request{method: "POST", path: path, body: body, header: signed})
	require.Equal(t, http.StatusNoContent, a.status)
	require.Equal(t, "the receiver has no secret to check it with", e.arrivals(t, token, "?after=6")[0]["signatures"].([]any)[0].(map[string]any)["reason"])

	users := e.newReceiver(t, userKey, "")
	require.Len(t, e.call(t, "GET", "/api/v1/receivers", "").json(t)["data"], 2)
	own := e.do(t, request{method: "GET", path: "/api/v1/receivers", key: userKey}).json(t)["data"].([]any)
	require.Len(t, own, 1)
	require.Equal(t, users["token"], own[0].(map[string]any)["token"])
	for _, key := range []string{userKey, otherKey} {
		for _, r := range []request{
			{method: "GET", path: "/api/v1/receivers/" + token},
			{method: "GET", path: "/api/v1/receivers/" + token + "/requests"},
			{method: "DELETE", path: "/api/v1/receivers/" + token},
			{method: "PATCH", path: "/api/v1/receivers/" + token, body: "{}"},
			{method: "POST", path: "/api/v1/receivers/" + token + "/actions/sample", body: `{"trigger":"/items/share"}`},
		} {
			r.key = key
			require.Equal(t, http.StatusNotFound, e.do(t, r).status, "%s of another: %s", r.method, key)
		}
	}
	require.Equal(t, http.StatusNoContent, e.call(t, "DELETE", "/api/v1/receivers/"+token, "").status)
	require.Equal(t, http.StatusNotFound, e.do(t, request{method: "POST", path: path}).status)
	require.Equal(t, http.StatusNotFound, e.call(t, "GET", "/api/v1/receivers/"+token, "").status)

	for body, field := range map[string]string{
		`{"status":199}`: "status", `{"status":"x"}`: "status", `{"delayMs":10001}`: "delayMs", `{"delayMs":-1}`: "delayMs", `{"size":1}`: "size",
		`{"name":"` + strings.Repeat("n", 513) + `"}`: "name", `{"secret":"` + strings.Repeat("s", 257) + `"}`: "secret", `{"secret":1}`: "secret",
	} {
		a := e.call(t, "POST", "/api/v1/receivers", body)
		require.Equal(t, http.StatusBadRequest, a.status, body)
		require.Equal(t, field, a.problem(t)["field"], body)
	}
	require.Equal(t, http.StatusBadRequest, e.call(t, "GET", "/api/v1/receivers/"+users["token"].(string)+"/requests?after=x", "").status)
}

// TestReceiversAreBounded fills what there is to be filled.
func TestReceiversAreBounded(t *testing.T) {
	e := newEdge(t)
	var token string
	for range 10 {
		token = e.newReceiver(t, adminKey, "")["token"].(string)
	}
	a := e.call(t, "POST", "/api/v1/receivers", "{}")
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Equal(t, "TOO_MANY", a.problem(t)["code"])
	e.newReceiver(t, otherKey, "")

	for n := range 150 {
		e.do(t, request{method: "POST", path: "/receiver/" + token, body: fmt.Sprint(n)})
	}
	list := e.arrivals(t, token, "")
	require.Len(t, list, 100)
	require.Equal(t, "149", list[0]["body"])
	require.Equal(t, "50", list[99]["body"])

	large := strings.Repeat("x", 100<<10)
	for range 60 {
		e.do(t, request{method: "POST", path: "/receiver/" + token, body: large})
	}
	list = e.arrivals(t, token, "")
	require.Less(t, len(list), 35, "no more than fit into 2 MiB")
	require.Greater(t, len(list), 25)
	require.Len(t, list[0]["body"], 64<<10)
	require.Equal(t, true, list[0]["truncated"])
	require.EqualValues(t, 100<<10, list[0]["bodyBytes"])
	e.do(t, request{method: "POST", path: "/receiver/" + token, body: "\xff", contentType: "application/octet-stream"})
	require.Equal(t, true, e.arrivals(t, token, "")[0]["binary"])
}

// TestReceiversAreForgotten lets a day pass over receivers, one of which is used.
func TestReceiversAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newBareEdge(t)
		used, idle := e.newReceiver(t, adminKey, "{}"), e.newReceiver(t, adminKey, "{}")
		<-time.NewTimer(23 * time.Hour).C // of the bubble
		require.Equal(t, http.StatusOK, e.do(t, request{method: "POST", path: "/receiver/" + used["token"].(string)}).status)
		<-time.NewTimer(time.Hour).C
		require.Equal(t, http.StatusOK, e.do(t, request{method: "POST", path: "/receiver/" + used["token"].(string)}).status)
		require.Equal(t, http.StatusNotFound, e.do(t, request{method: "POST", path: "/receiver/" + idle["token"].(string)}).status)
		require.Len(t, e.call(t, "GET", "/api/v1/receivers", "").json(t)["data"], 1)
	})
}

// network counts what leaves the house, and lets nothing.
type network struct {
	mu   sync.Mutex
	seen []string
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = append(n.seen, r.URL.String())
	return nil, &delivery.BlockedError{Address: r.URL.Host, Why: "of the test"}
}

// TestWholeBuiltInReceiver sends a delivery, a test and a resend to a built-in receiver, whose URL the server would refuse otherwise, and sees
// that nothing goes by the network until the receiver is gone.
func TestWholeBuiltInReceiver(t *testing.T) { storagetest.OnEach(t, testWholeBuiltInReceiver) }

func testWholeBuiltInReceiver(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	out := &network{}
	inbox := web.NewInbox("http://127.0.0.1:1")
	w := newWholeWith(t, place(t), newReceiver(t), func(d *delivery.Config, c *web.Config) {
		d.Transport, d.Inside, c.Inbox, c.Targets = out, inbox, inbox, triggers.Targets{}
	})
	made := w.newReceiver(t, adminKey, `{"secret":"`+secret+`"}`)
	token, url := made["token"].(string), made["url"].(string)
	subscribe := func(url string) answer {
		return w.call(t, "POST", "/api/v1/webhooks", `{"name":"in","url":"`+url+`","enabled":true,"eventTypes":["/items/share"],"secret":"`+secret+`","retry":"once",
		  "encryptedHeaders":{"authorization":"Bearer top-secret"}}`)
	}
	for _, wrong := range []string{
		"http://127.0.0.1:1/", "http://127.0.0.1:1/receiver/" + strings.Repeat("a", 26), url + "/", url + "?", "http://127.0.0.2:1/receiver/" + token,
	} {
		require.Equal(t, http.StatusBadRequest, subscribe(wrong).status, wrong)
	}
	a := subscribe(url)
	require.Equal(t, http.StatusCreated, a.status, a.body)
	webhook := a.json(t)["id"].(string)
	event := w.post(t, share)
	sent := w.delivered(t, event)
	list := w.arrivals(t, token, "")
	require.Len(t, list, 1)
	require.Equal(t, "delivery", list[0]["via"])
	require.Equal(t, true, list[0]["verified"])
	require.Len(t, list[0]["signatures"], 2)
	headers := list[0]["headers"].(map[string]any)
	require.Equal(t, sent["id"], headers["Webhook-Id"])
	require.Equal(t, "Bearer top-secret", headers["Authorization"])
	require.Equal(t, "127.0.0.1:1", headers["Host"])
	path := "/api/v1/webhooks/" + webhook
	one := w.call(t, "GET", path+"/deliveries/"+sent["id"].(string), "")
	require.Contains(t, one.body, `"body":`+list[0]["body"].(string), "the bytes that history shows")
	require.Contains(t, one.body, `"response":{"statusCode":200`)

	require.Equal(t, http.StatusOK, w.call(t, "PATCH", "/api/v1/receivers/"+token, `{"status":418}`).status)
	tested := w.call(t, "POST", path+"/actions/test", "")
	require.Equal(t, http.StatusOK, tested.status, tested.body)
	require.EqualValues(t, 418, tested.json(t)["statusCode"])
	require.Len(t, w.arrivals(t, token, ""), 2)
	require.Equal(t, http.StatusCreated, w.call(t, "POST", path+"/deliveries/"+sent["id"].(string)+"/actions/resend", "").status)
	require.Equal(t, list[0]["body"], w.arrivals(t, token, "")[0]["body"])
	require.Equal(t, http.StatusOK, w.call(t, "POST", path+"/actions/disable", "").status)
	require.Equal(t, http.StatusOK, w.call(t, "POST", path+"/actions/enable", "").status)

	w.done(t, organisation+"/createWebhook", "name", "of a portal's client", "url", url, "events", "/groups/delete")

	// Slower than the webhook waits.
	require.Equal(t, http.StatusOK, w.call(t, "PATCH", "/api/v1/receivers/"+token, `{"delayMs":10000}`).status)
	require.Equal(t, http.StatusNoContent, w.call(t, "PATCH", path, `[{"op":"replace","path":"/timeoutSeconds","value":1}]`).status)
	require.Equal(t, "timeout", w.call(t, "POST", path+"/actions/test", "").json(t)["outcome"])
	require.Empty(t, out.seen)

	require.Equal(t, http.StatusNoContent, w.call(t, "DELETE", "/api/v1/receivers/"+token, "").status)
	require.Equal(t, "blocked", w.call(t, "POST", path+"/actions/test", "").json(t)["outcome"])
	require.Equal(t, []string{url}, out.seen, "who is gone is asked by the network, and there the guard stands")
}

// TestInsideIsOfOneTenant hands a URL to another tenant.
func TestInsideIsOfOneTenant(t *testing.T) {
	inbox := web.NewInbox("http://127.0.0.1:1")
	e := newEdge(t, func(c *web.Config) { c.Inbox = inbox })
	url := e.newReceiver(t, adminKey, "{}")["url"].(string)
	require.NotNil(t, inbox.Inside(1, url))
	require.Nil(t, inbox.Inside(2, url))
	require.Nil(t, inbox.Inside(1, strings.ToUpper(url)))
	require.Nil(t, inbox.Inside(1, "https://a.example.com/"))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("x"))
	require.NoError(t, err)
	resp, err := inbox.Inside(1, url).RoundTrip(r)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "OK\n", string(body))
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// TestSampleToReceiver sends samples of several families to receivers with and without a secret, without a webhook.
func TestSampleToReceiver(t *testing.T) { storagetest.OnEach(t, testSampleToReceiver) }

func testSampleToReceiver(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	inbox := web.NewInbox("http://127.0.0.1:1")
	w := newWholeWith(t, place(t), newReceiver(t), func(d *delivery.Config, c *web.Config) {
		d.Transport, d.Inside, c.Inbox = &network{}, inbox, inbox
	})
	token := w.newReceiver(t, adminKey, `{"name":"trying out","secret":"`+secret+`"}`)["token"].(string)
	sample := func(body string) map[string]any {
		a := w.call(t, "POST", "/api/v1/receivers/"+token+"/actions/sample", body)
		require.Equal(t, http.StatusOK, a.status, a.body)
		return a.json(t)
	}
	for i, trigger := range []string{"/items/share", "/items/<itemID>/share", "com.qlik.v1.app.created"} {
		told := sample(string(textBody(t, trigger)))
		require.Equal(t, "delivered", told["outcome"], trigger)
		arrived := w.arrivals(t, token, "")
		require.Len(t, arrived, i+1)
		require.Equal(t, true, arrived[0]["verified"], trigger)
		require.Equal(t, "delivery", arrived[0]["via"])
		require.Equal(t, told["id"], arrived[0]["headers"].(map[string]any)["Webhook-Id"])
	}
	require.Equal(t, http.StatusOK, w.call(t, "PATCH", "/api/v1/receivers/"+token, `{"status":503,"secret":""}`).status)
	told := sample(`{"event":{"uri":"/items/a/delete","username":"jdoe"}}`)
	require.Equal(t, "rejected", told["outcome"])
	require.Contains(t, w.arrivals(t, token, "")[0]["body"], `"operation":"delete"`, "an event of one's own")
	require.Empty(t, w.call(t, "GET", "/api/v1/webhooks", "").json(t)["data"])
	require.Empty(t, w.call(t, "GET", "/api/v1/audit?object=webhook", "").json(t)["data"])
	for _, body := range []string{"{}", `{"trigger":"/items/abc/share"}`} {
		a := w.call(t, "POST", "/api/v1/receivers/"+token+"/actions/sample", body)
		require.Equal(t, http.StatusBadRequest, a.status, a.body)
		require.Equal(t, "trigger", a.problem(t)["field"], a.body)
	}
	require.Len(t, w.arrivals(t, token, ""), 4)
}
