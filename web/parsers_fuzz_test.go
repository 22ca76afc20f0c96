package web_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http/httpguts"

	"portalhook/delivery"
	"portalhook/triggers"
	"portalhook/web"
)

// consoleForms are the console's routes that read a form; {webhook} and the like stand for what exists.
var consoleForms = []string{
	"/webhooks", "/webhooks/{webhook}", "/webhooks/actions", "/webhooks/triggers", "/webhooks/{webhook}/secret", "/webhooks/{webhook}/test",
	"/webhooks/{webhook}/deliveries/{delivery}/resend", "/keys", "/keys/{key}/revoke", "/settings/tenants", "/settings/tenants/{tenant}", "/preferences", "/login",
	"/receivers", "/receivers/{receiver}", "/receivers/{receiver}/delete", "/catalogue/sample", "/routes", "/webhooks/{webhook}/recover",
	"/webhooks/{webhook}/recoveries/{recovery}/pause",
}

// FuzzConsole sends any form to every route of the console that reads one, from somebody signed in. It is never our fault, what is refused
// stores nothing, and nobody is sent elsewhere.
func FuzzConsole(f *testing.F) {
	for i, form := range []string{
		"name=a&url=https://a.example.com/&eventTypes=/items&enabled=true&secretChoice=generate", "name=b&seenAt=x&level=user&ownerId=o&policy=own&numberOfFailures=&daysInPast=x",
		"id={webhook}&do=delete&confirmed=true&back=//evil.example.com/", "eventTypes=/items%0a/itemz&level=tenant", "validForHours=1e3&secret=short", "trigger=/items/*/share",
		"", "name=k&role=user&userId=u&userName=U&life=own&expiresAt=2030-02-30T10:00", "confirmed=true", "name=n&portalId=X&portalUrl=ftp://a", "portalUrl=&serverUrl=%00",
		"theme=dark&language=it&back=%5C%5Cevil.example.com", "key=" + viewerKey + "&back=https://evil.example.com",
		"name=r&status=99&delayMs=x&secret=", "status=204", "confirmed=true", "trigger=/items/*/share&sample={", "uri=/items/x/share&path=/items", "from=2026-11-25T10:00&to=&what=failed", "",
	} {
		f.Add(uint8(i), form)
	}
	f.Add(uint8(2), "id=%ff&do=enable&back=/webhooks%0d%0aX-A:%201")
	f.Fuzz(func(t *testing.T, route uint8, form string) {
		w := newWorld(t, operatorKey)
		v := newVisitor(w.edge)
		v.signIn(t, operatorKey)
		before := w.state()
		path := "/console" + w.paths.Replace(consoleForms[int(route)%len(consoleForms)])
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(w.paths.Replace(form)))
		r.URL = &url.URL{Path: path}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Csrf-Token", v.token)
		for name, value := range v.cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		got := httptest.NewRecorder()
		w.server.ServeHTTP(got, r)
		require.Less(t, got.Code, http.StatusInternalServerError, "%s\n%s", got.Body, w.log)
		require.NotContains(t, w.log.String(), "panic")
		if to := got.Header().Get("Location"); to != "" {
			require.Regexp(t, `^/console(/|$)`, to)
			require.NotContains(t, to, "\\")
		}
		if got.Code >= http.StatusBadRequest {
			require.Equal(t, before, w.state())
		}
	})
}

// FuzzCursors: a place in a list comes back from its cursor, and nothing else is taken for one.
func FuzzCursors(f *testing.F) {
	f.Add(uint32(1), int64(1), "name", "1 1 name")
	f.Add(uint32(0), int64(0), "", "-1 0 x")
	f.Add(uint32(1<<31), int64(-1), " a  b\x00", "1  2")
	f.Fuzz(func(t *testing.T, key uint32, at int64, text, cursor string) {
		place := delivery.WebhookPlace{Key: key, Text: text}
		if at != 0 {
			place.At = time.UnixMilli(at)
		}
		require.Equal(t, &place, web.ParseWebhookCursor(web.WebhookCursor(place)))
		if read := web.ParseWebhookCursor(cursor); read != nil {
			require.Equal(t, read, web.ParseWebhookCursor(web.WebhookCursor(*read)))
			require.Regexp(t, `^\+?[0-9]+ [+-]?[0-9]+ `, cursor)
		}
	})
}

// FuzzForwarded: what a proxy that nobody trusts says counts for nothing, and what a trusted one says is at most what the nearest of its own
// hops said.
func FuzzForwarded(f *testing.F) {
	for _, seed := range [][4]string{
		{"10.0.0.1:1", "1.2.3.4, 10.0.0.2", "https", "hooks.example.com"},
		{"192.0.2.1:1", "1.2.3.4", "https", "evil.example.com"},
		{"10.0.0.1:1", "x,,1.2.3.4:80", "javascript", "a, b"},
		{"[fe80::1%eth0]:1", "::ffff:10.0.0.1", "http,https", "\"<>"},
		{"", "", "", ""},
		{"10.0.0.1:1", "[::1]:80", "ftp", "a b"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	e := newBareEdge(f, func(c *web.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fe80::/10")}
	})
	f.Fuzz(func(t *testing.T, remote, forwardedFor, proto, host string) {
		peer, err := netip.ParseAddrPort(remote)
		if err != nil {
			return // a connection has both
		}
		ask := func(header http.Header) answer {
			r := httptest.NewRequest(http.MethodGet, "/api/v1/webhooks", nil)
			r.RemoteAddr = remote
			r.Header = header
			r.Header.Set("Authorization", "Bearer "+adminKey)
			w := newRecorder()
			e.server.ServeHTTP(w, r)
			require.Equal(t, http.StatusOK, w.Code)
			return answer{w.Code, w.Header(), w.Body.String()}
		}
		got := ask(http.Header{"X-Forwarded-For": {forwardedFor}, "X-Forwarded-Proto": {proto}, "X-Forwarded-Host": {host}})
		self := got.json(t)["links"].(map[string]any)["self"].(map[string]any)["href"].(string)
		if by := peer.Addr().Unmap().WithZone(""); !netip.MustParsePrefix("10.0.0.0/8").Contains(by) && !netip.MustParsePrefix("fe80::/10").Contains(by) {
			require.Equal(t, ask(http.Header{}).body, got.body)
			return
		}
		require.Regexp(t, `^https?://`, self)
		nearest := strings.TrimSpace(host[strings.LastIndexByte(host, ',')+1:])
		if regexp.MustCompile(`^[a-z0-9.-]+(:[0-9]+)?$`).MatchString(nearest) {
			require.Contains(t, self, "://"+nearest+"/api/v1/webhooks")
		} else if strings.ContainsFunc(nearest, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/?#@\\\"<>%", r) }) {
			require.Contains(t, self, "://example.com/api/v1/webhooks", "what cannot be a host is none")
		}
	})
}

// FuzzTokens: no token opens anything but those that were made, as long as they last.
func FuzzTokens(f *testing.F) {
	e := newBareEdge(f)
	f.Add("pht_", 0, byte(0), int64(60))
	f.Add("pht_AAAA", 3, byte(1), int64(-1))
	f.Add("\xbd", 133, byte(0x80), int64(1))
	f.Add("a\x00", 2, byte(0), int64(0))
	f.Add("Bearer ", 60, byte(0x20), int64(1<<40))
	f.Fuzz(func(t *testing.T, forged string, where int, flip byte, seconds int64) {
		seconds %= 1 << 40
		status := func(token string) int {
			a := e.do(t, request{method: "POST", path: organisation, contentType: "application/x-www-form-urlencoded", body: url.Values{"f": {"json"}, "token": {token}}.Encode()})
			if outcome := a.outcome(t); outcome != http.StatusTooManyRequests {
				return outcome
			}
			return http.StatusUnauthorized // so many wrong ones have come from the address that it has to wait, which the right ones need not
		}
		refused := func(token string) int {
			if !utf8.ValidString(token) || strings.Contains(token, "\x00") { // no text at all
				return http.StatusBadRequest
			}
			return http.StatusUnauthorized
		}
		if e.keys[0].ID != forged && !strings.HasSuffix(forged, "-key") { // the keys of the tests
			require.Equal(t, refused(forged), status(forged))
		}
		token := []byte(e.server.NewToken(adminKey, time.Now().Add(time.Duration(seconds)*time.Second)))
		at := len("pht_") + int(uint(where)%uint(len(token)-len("pht_")-1)) // the last digit has bits that are not read
		token[at] ^= flip
		want := refused(string(token))
		if seconds > 0 && flip == 0 {
			want = http.StatusOK
		}
		if seconds != 0 {
			require.Equal(t, want, status(string(token)), "%q", token)
		}
	})
}

// FuzzArrivals: what a built-in receiver is sent is shown as it came, in JSON, whatever it is.
func FuzzArrivals(f *testing.F) {
	f.Add("X-A", "b", []byte(`{}`), "POST")
	f.Add("Webhook-Signature", "v1,\xff", []byte("\xff\x00"), "PUT")
	f.Add("Content-Encoding", "gzip", []byte(strings.Repeat("a", 70<<10)), "PATCH")
	e := newBareEdge(f)
	token := e.newReceiver(f, adminKey, `{"secret":"`+secret+`"}`)["token"].(string)
	f.Fuzz(func(t *testing.T, name, value string, body []byte, method string) {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return // the server itself refuses them
		}
		if !slices.Contains([]string{"POST", "PUT", "PATCH", "DELETE"}, method) {
			method = http.MethodPost
		}
		r := httptest.NewRequest(method, "/receiver/"+token, strings.NewReader(string(body)))
		r.Header[textproto.CanonicalMIMEHeaderKey(name)] = []string{value}
		w := newRecorder()
		e.server.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code)
		a := e.call(t, "GET", "/api/v1/receivers/"+token+"/requests", "")
		require.Equal(t, http.StatusOK, a.status, a.body)
		shown := a.json(t)["data"].([]any)[0].(map[string]any)
		require.Equal(t, false, shown["verified"])
		require.EqualValues(t, len(body), shown["bodyBytes"])
		if utf8.Valid(body) && shown["truncated"] == nil {
			require.Equal(t, string(body), shown["body"])
		}
		if key := textproto.CanonicalMIMEHeaderKey(name); utf8.ValidString(value) && key != "Host" {
			require.Equal(t, value, shown["headers"].(map[string]any)[key])
		}
	})
}

// FuzzRateLimit holds the setting to its two words and its two numbers.
func FuzzRateLimit(f *testing.F) {
	for _, text := range []string{"", "off", "qlik", "600,60", " 1 , 1000000", "1,1000001", "0,1", "1", "1,2,3", "+1,1", "1e3,1", "off "} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		limit, err := web.ParseRateLimit(text)
		first, second, ok := strings.Cut(text, ",")
		a, errA := strconv.Atoi(strings.TrimSpace(first))
		b, errB := strconv.Atoi(strings.TrimSpace(second))
		numbers := ok && errA == nil && errB == nil && a >= 1 && a <= 1_000_000 && b >= 1 && b <= 1_000_000
		words := text == "" || text == "off" || text == "qlik"
		require.Equal(t, numbers || words, err == nil)
		if numbers {
			require.Equal(t, fmt.Sprintf("{%d %d}", a, b), fmt.Sprint(limit))
		}
		if err != nil {
			require.Equal(t, web.RateLimit{}, limit)
		}
	})
}

// FuzzMoments: a time that is asked for is one that an id can have, spelt in either way, and comes back from both.
func FuzzMoments(f *testing.F) {
	for _, text := range []string{"", "1", "0", "-1", "2026-11-22T03:00:00Z", "1969-12-31T23:59:59Z", "2099-12-31T23:59:59.999999999-23:59", "4102444800000", "4102444800001", "2026-02-30T00:00:00Z"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := web.MomentParam("from", text)
		if err != nil {
			var field *triggers.FieldError
			require.ErrorAs(t, err, &field)
			require.Equal(t, "from", field.Field)
			return
		}
		if text == "" {
			require.True(t, at.IsZero())
			return
		}
		require.True(t, at.UnixMilli() > 0 && at.Year() <= 2100, at)
		again, err := web.MomentParam("from", at.Format(time.RFC3339Nano))
		require.NoError(t, err)
		require.True(t, at.Equal(again))
		again, err = web.MomentParam("from", strconv.FormatInt(at.UnixMilli(), 10))
		require.NoError(t, err)
		require.True(t, at.Truncate(time.Millisecond).Equal(again))
	})
}

// FuzzLists: items of a comma list come back whole, and a comma within braces divides none.
func FuzzLists(f *testing.F) {
	for _, text := range []string{"a,b", "/items/{a,b}/share,/", "{,},,", "}a,b{", "{{a,b},c},d", " , "} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		items := web.SplitList(text)
		for _, item := range items {
			require.NotEmpty(t, strings.TrimSpace(item))
			require.Contains(t, text, item)
		}
		if !strings.ContainsAny(text, "{}") {
			var want []string
			for item := range strings.SplitSeq(text, ",") {
				if strings.TrimSpace(item) != "" {
					want = append(want, item)
				}
			}
			require.ElementsMatch(t, want, items)
		}
	})
}

// FuzzParameters holds forms to the reader of the standard library, but for blanks around names; both of their encodings say the same.
func FuzzParameters(f *testing.F) {
	for _, text := range []string{"a=1&b=2&a=3", "a =1&a=2", "f=json&", "%zz", "a;b", "=", "a=%00&b=+", strings.Repeat("&", 100)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, errWant := url.ParseQuery(text)
		got, err := web.FormOf("application/x-www-form-urlencoded", text)
		noText := false
		for _, values := range want {
			for _, value := range values {
				noText = noText || !utf8.ValidString(value) || strings.Contains(value, "\x00")
			}
		}
		require.Equal(t, errWant != nil || noText, err != nil)
		if err != nil {
			return
		}
		count := 0
		for name, values := range want {
			count += len(values)
			require.Subset(t, got[strings.TrimSpace(name)], values)
		}
		var parts strings.Builder
		plain := true
		for name, values := range got {
			count -= len(values)
			for _, value := range values {
				plain = plain && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '"' || r == '\\' }) && utf8.ValidString(name+value) && name != "" && !strings.Contains(value, "--x")
				fmt.Fprintf(&parts, "--x\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n", name, value)
			}
		}
		require.Zero(t, count, "no value is lost or made")
		if plain && len(got) > 0 {
			again, err := web.FormOf("multipart/form-data; boundary=x", parts.String()+"--x--\r\n")
			require.NoError(t, err)
			require.Equal(t, maps.Collect(maps.All(got)), maps.Collect(maps.All(again)))
		}
	})
}
