package web_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/web"
)

// TestWaysToSend sends one create in every encoding, and the token in every place.
func TestWaysToSend(t *testing.T) {
	values := url.Values{"name": {"ä & b"}, "url": {"https://a.example.com/?a=1&b=2"}, "changes": {"allChanges"}, "f": {"json"}}
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	for name, list := range values {
		require.NoError(t, parts.WriteField(name, list[0]))
	}
	require.NoError(t, parts.Close())
	const encoded = "application/x-www-form-urlencoded"
	for name, r := range map[string]request{
		"body":         {contentType: encoded, body: values.Encode()},
		"address":      {path: "?" + values.Encode()},
		"multipart":    {contentType: parts.FormDataContentType(), body: form.String()},
		"with charset": {contentType: encoded + "; charset=UTF-8", body: values.Encode()},
		"body first":   {path: "?f=pjson&name=other", contentType: encoded, body: values.Encode()},
		"blanks":       {contentType: encoded, body: strings.Replace(values.Encode(), "name=", "name+=", 1)},
		"a slash more": {path: "/", contentType: encoded, body: values.Encode()},
	} {
		for place, header := range map[string]http.Header{
			"Authorization": {"Authorization": {"Bearer " + adminKey}},
			"Esri's":        {"X-Esri-Authorization": {"Bearer " + adminKey}, "Authorization": {"Basic bm9ib2R5"}},
		} {
			t.Run(name+" "+place, func(t *testing.T) {
				e := newBareEdge(t)
				one := r
				one.method, one.path, one.header = "POST", organisation+"/createWebhook"+r.path, header
				a := e.do(t, one)
				require.Contains(t, a.body, `{"success":true,"id":"`)
				require.Equal(t, "application/json", a.header.Get("Content-Type"))
				require.Equal(t, "ä & b", e.only(t).Name)
				require.Equal(t, "https://a.example.com/?a=1&b=2", e.only(t).URL)
			})
		}
	}
	e := newBareEdge(t)
	for name, r := range map[string]request{
		"JSON":        {contentType: "application/json", body: `{"f":"json"}`},
		"compressed":  {contentType: encoded, body: "f=json", header: http.Header{"Content-Encoding": {"gzip"}}},
		"a file":      {contentType: "multipart/form-data; boundary=x", body: "--x\r\nContent-Disposition: form-data; name=\"name\"; filename=\"f\"\r\n\r\nv\r\n--x--\r\n"},
		"half a form": {contentType: "multipart/form-data; boundary=x", body: "--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nv"},
		"bad escape":  {contentType: encoded, body: "name=%zz"},
	} {
		r.method, r.path, r.key = "POST", organisation+"/createWebhook?f=json", adminKey
		code, _, _ := e.do(t, r).envelope(t)
		require.True(t, code == 400 || code == 415, name)
		require.Zero(t, e.stored(), name)
	}
}

func TestFormats(t *testing.T) {
	e := newBareEdge(t)
	get := func(query string) answer {
		return e.do(t, request{method: "GET", path: organisation + "/settings" + query, key: viewerKey})
	}
	compact := get("?f=json").body
	require.JSONEq(t, `{"notificationAttempts":3,"notificationTimeOutInSeconds":10,"notificationElapsedTimeInSeconds":5,"featureServerMetricIntervalInMinutes":10}`, compact)
	require.Equal(t, "{\n  \"notificationAttempts\": 3,", strings.Join(strings.SplitN(get("?f=PJSON").body, "\n", 3)[:2], "\n"))
	for _, query := range []string{"", "?f=html", "?f="} {
		a := get(query)
		require.Equal(t, "text/html; charset=utf-8", a.header.Get("Content-Type"))
		require.Contains(t, a.header.Get("Content-Security-Policy"), "default-src 'none'")
		require.Contains(t, a.body, `<th scope="row">notificationAttempts</th><td>3</td>`)
	}
	code, messageCode, _ := get("?f=xml").envelope(t)
	require.Equal(t, 400, code)
	require.Equal(t, "OUT_OF_RANGE", messageCode)

	// What is served nowhere is refused in the surface's own way.
	for _, path := range []string{"/sharing/rest/content?f=json", "/sharing?f=json", organisation + "/x/y/z?f=json"} {
		code, _, _ := e.do(t, request{method: "GET", path: path, key: adminKey}).envelope(t)
		require.Equal(t, 404, code)
	}
	a := e.do(t, request{method: "GET", path: organisation + "/settings/update?f=json", key: adminKey})
	code, _, _ = a.envelope(t)
	require.Equal(t, 405, code)
	require.Contains(t, a.header.Get("Allow"), "POST")
	require.Contains(t, e.do(t, request{method: "GET", path: "/sharing/rest/nothing"}).body, "<h1>Error</h1>")
}

// TestPages shows what people wrote as they wrote it, and leads on with the token that stood in the address.
func TestPages(t *testing.T) {
	e := newEdge(t, func(c *web.Config) { c.PublicURL = mustURL(t, "https://hooks.example.com/portal") })
	id := e.makeOne(t, `<script>alert("x")</script>`, "events", "/items")
	token := e.server.NewToken(adminKey, time.Now().Add(time.Minute))
	a := e.do(t, request{method: "GET", path: "/portal" + organisation + "?token=" + token})
	require.NotContains(t, a.body, "<script")
	require.Contains(t, a.body, "&lt;script&gt;")
	require.Contains(t, a.body, `href="/portal`+organisation+"/"+id+`?f=html&amp;token=`+token+`"`)
	require.Equal(t, "no-referrer", a.header.Get("Referrer-Policy"))
	require.Equal(t, "no-store", a.header.Get("Cache-Control"))
	a = e.do(t, request{method: "GET", path: organisation + "/" + id, key: adminKey})
	require.NotContains(t, a.body, "token=", "one that stood in a header is not written into the page")
	require.NotContains(t, a.body, "ZgotmplZ")

	form := e.do(t, request{method: "GET", path: "/sharing/rest/generateToken"})
	require.Contains(t, form.body, `<form method="post"`)
	a = e.do(t, request{method: "POST", path: "/sharing/rest/generateToken", contentType: "application/x-www-form-urlencoded", body: "f=html&username=a&password=" + adminKey})
	require.Contains(t, a.body, "/sharing/rest/portals/self?f=html&amp;token=pht_")
	require.NotContains(t, a.body, adminKey)
}
