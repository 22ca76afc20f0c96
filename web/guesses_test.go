package web_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"portalhook/web"
)

// doors are all ways to give a key: each makes a request with it from an address and gives the status, that of an envelope where the
// answer has one, and Retry-After.
var doors = map[string]func(tb testing.TB, e *edge, from, key string) (status int, wait string){
	"the JSON API": func(tb testing.TB, e *edge, from, key string) (int, string) {
		return e.knock(tb, from, request{method: "GET", path: "/api/v1/webhooks", key: key})
	},
	"the core alias": func(tb testing.TB, e *edge, from, key string) (int, string) {
		return e.knock(tb, from, request{method: "GET", path: "/api/core/webhooks", key: key})
	},
	"events": func(tb testing.TB, e *edge, from, key string) (int, string) {
		status, wait := e.knock(tb, from, request{method: "POST", path: "/api/v1/events", key: key, body: share})
		if status == http.StatusAccepted {
			status = http.StatusOK
		}
		return status, wait
	},
	"a parameter": func(tb testing.TB, e *edge, from, key string) (int, string) {
		return e.knock(tb, from, request{method: "GET", path: organisation + "?f=json&token=" + url.QueryEscape(key)})
	},
	"Esri's header": func(tb testing.TB, e *edge, from, key string) (int, string) {
		return e.knock(tb, from, request{method: "GET", path: organisation + "?f=json", header: http.Header{"X-Esri-Authorization": {"Bearer " + key}}})
	},
	"the server's administration": func(tb testing.TB, e *edge, from, key string) (int, string) {
		return e.knock(tb, from, request{
			method: "POST", path: services + "/webhooks", contentType: "application/x-www-form-urlencoded", body: "f=json&token=" + url.QueryEscape(key),
		})
	},
	"a password": func(tb testing.TB, e *edge, from, key string) (int, string) {
		return e.knock(tb, from, request{
			method: "POST", path: generateToken, contentType: "application/x-www-form-urlencoded", body: "f=json&username=a&password=" + url.QueryEscape(key),
		})
	},
	"the console": func(tb testing.TB, e *edge, from, key string) (int, string) {
		status, wait := e.knock(tb, from, request{
			method: "POST", path: "/console/login", contentType: "application/x-www-form-urlencoded", body: "key=" + url.QueryEscape(key),
		})
		if status == http.StatusSeeOther {
			status = http.StatusOK
		}
		return status, wait
	},
}

// knock makes a request as if from an address.
func (e *edge) knock(tb testing.TB, from string, r request) (status int, wait string) {
	tb.Helper()
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Set("X-Forwarded-For", from)
	a := e.do(tb, r)
	var envelope struct {
		Code  int `json:"code"`
		Error struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	if a.status == http.StatusOK && json.Unmarshal([]byte(a.body), &envelope) == nil && envelope.Code+envelope.Error.Code > 0 {
		return envelope.Code + envelope.Error.Code, a.header.Get("Retry-After")
	}
	return a.status, a.header.Get("Retry-After")
}

func behindProxy(c *web.Config) {
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// TestWrongKeys guesses at every door until the address must wait, and then sees who is let in there and elsewhere.
func TestWrongKeys(t *testing.T) {
	for door, knock := range doors {
		t.Run(door, func(t *testing.T) {
			e := newEdge(t, behindProxy)
			const guesser, neighbour = "2001:db8:0:7::1", "2001:db8:0:7:ffff::2"
			drawn := e.as(t, adminKey, "POST", "/api/v1/api-keys", `{"name":"drawn","role":"admin"}`).json(t)["key"].(string)
			token := e.server.NewToken(adminKey, time.Now().Add(time.Hour))
			status, _ := knock(t, e, neighbour, adminKey)
			require.Equal(t, http.StatusOK, status)
			for n := range 100 { // somebody has mistyped a key, and tries on; and others send keys that were good once
				status, _ = knock(t, e, guesser, "mistyped")
				require.Contains(t, []int{400, 401, 498}, status, n)
				status, _ = knock(t, e, guesser, []string{revokedKey, expiredKey}[n%2])
				require.Contains(t, []int{400, 401, 498}, status, n)
			}
			for n := range 10 {
				status, _ = knock(t, e, guesser, fmt.Sprint("guess", n))
				require.Contains(t, []int{400, 401, 498}, status, n)
			}
			require.Contains(t, e.log.String(), `msg="wrong keys" client=2001:db8:0:7:: wait=1s`)
			require.NotContains(t, e.log.String(), "guess9")
			for _, key := range []string{"another", "phk_" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "pht_AAAA", viewerKey} {
				status, wait := knock(t, e, guesser, key)
				require.Equal(t, http.StatusTooManyRequests, status, key)
				seconds, err := strconv.Atoi(wait)
				require.NoError(t, err)
				require.Positive(t, seconds)
			}
			// Every other door is shut to the address, too, but for whom it is no guess.
			for other, knock := range doors {
				status, _ := knock(t, e, guesser, operatorKey)
				require.Equal(t, http.StatusTooManyRequests, status, other)
				for name, from := range map[string]string{"the same /64": guesser, "a neighbour": neighbour} {
					status, _ = knock(t, e, from, drawn)
					require.Equal(t, http.StatusOK, status, "%s: a key that the server drew, from %s", other, name)
					status, _ = knock(t, e, from, adminKey)
					require.Equal(t, http.StatusOK, status, "%s: a key that was used before, from %s", other, name)
				}
				status, _ = knock(t, e, "2001:db8:0:8::1", viewerKey)
				require.NotEqual(t, http.StatusTooManyRequests, status, "%s: from another address", other)
			}
			status, _ = e.knock(t, guesser, request{method: "GET", path: organisation + "?f=json&token=" + token})
			require.Equal(t, http.StatusOK, status, "a token")
			// What needs no key is nobody's guess.
			status, _ = e.knock(t, guesser, request{method: "GET", path: "/healthz"})
			require.Equal(t, http.StatusOK, status)
			status, _ = e.knock(t, guesser, request{method: "GET", path: "/api/v1/webhooks"})
			require.Equal(t, http.StatusUnauthorized, status)
		})
	}
}

// The word of a client about its own address counts only through a trusted proxy: whoever guesses cannot be many by it.
func TestWrongKeysFromForgedAddresses(t *testing.T) {
	e := newEdge(t)
	status := 0
	for n := range 12 {
		status, _ = e.knock(t, fmt.Sprintf("203.0.113.%d", n), request{method: "GET", path: "/api/v1/webhooks", key: fmt.Sprint("guess", n)})
	}
	require.Equal(t, http.StatusTooManyRequests, status)
	e = newEdge(t, behindProxy)
	for n := range 12 { // the proxy appends what it sees
		status, _ = e.knock(t, fmt.Sprintf("203.0.113.%d, 198.51.100.7", n), request{method: "GET", path: "/api/v1/webhooks", key: fmt.Sprint("guess", n)})
	}
	require.Equal(t, http.StatusTooManyRequests, status)
}
