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

const encodedForm = "application/x-www-form-urlencoded"

// doors are all ways to give a key.
var doors = map[string]func(key string) request{
	"the JSON API":   func(key string) request { return request{method: "GET", path: "/api/v1/webhooks", key: key} },
	"the core alias": func(key string) request { return request{method: "GET", path: "/api/core/webhooks", key: key} },
	"events": func(key string) request {
		return request{method: "POST", path: "/api/v1/events", key: key, body: share}
	},
	"a parameter": func(key string) request {
		return request{method: "GET", path: organisation + "?f=json&token=" + url.QueryEscape(key)}
	},
	"Esri's header": func(key string) request {
		return request{method: "GET", path: organisation + "?f=json", header: http.Header{"X-Esri-Authorization": {"Bearer " + key}}}
	},
	"the server's administration": func(key string) request {
		return request{method: "POST", path: services + "/webhooks", contentType: encodedForm, body: "f=json&token=" + url.QueryEscape(key)}
	},
	"a password": func(key string) request {
		return request{method: "POST", path: generateToken, contentType: encodedForm, body: "f=json&username=a&password=" + url.QueryEscape(key)}
	},
	"the console": func(key string) request {
		return request{method: "POST", path: "/console/login", contentType: encodedForm, body: "key=" + url.QueryEscape(key)}
	},
}

// knock makes a request as if from an address, and gives the status, that of an envelope where the answer has one and 200 of any success, and
// Retry-After.
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
	switch {
	case a.status == http.StatusOK && json.Unmarshal([]byte(a.body), &envelope) == nil && envelope.Code+envelope.Error.Code > 0:
		a.status = envelope.Code + envelope.Error.Code
	case a.status == http.StatusAccepted, a.status == http.StatusSeeOther:
		a.status = http.StatusOK
	}
	return a.status, a.header.Get("Retry-After")
}

func behindProxy(c *web.Config) {
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// TestWrongKeys guesses at every door until the address must wait, and then sees who is let in there and elsewhere.
func TestWrongKeys(t *testing.T) {
	for name, door := range doors {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t, behindProxy)
			const guesser, neighbour = "2001:db8:0:7::1", "2001:db8:0:7:ffff::2"
			drawn := e.as(t, adminKey, "POST", "/api/v1/api-keys", `{"name":"drawn","role":"admin"}`).json(t)["key"].(string)
			token := e.server.NewToken(adminKey, time.Now().Add(time.Hour))
			status, _ := e.knock(t, neighbour, door(adminKey))
			require.Equal(t, http.StatusOK, status)
			for n := range 100 { // somebody has mistyped a key, and tries on; and others send keys that were good once
				status, _ = e.knock(t, guesser, door("mistyped"))
				require.Contains(t, []int{400, 401, 498}, status, n)
				status, _ = e.knock(t, guesser, door([]string{revokedKey, expiredKey}[n%2]))
				require.Contains(t, []int{400, 401, 498}, status, n)
			}
			for n := range 10 {
				status, _ = e.knock(t, guesser, door(fmt.Sprint("guess", n)))
				require.Contains(t, []int{400, 401, 498}, status, n)
			}
			require.Contains(t, e.log.String(), `msg="wrong keys" client=2001:db8:0:7:: wait=1s`)
			require.NotContains(t, e.log.String(), "guess9")
			for _, key := range []string{"another", "phk_" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "pht_AAAA", viewerKey} {
				status, wait := e.knock(t, guesser, door(key))
				require.Equal(t, http.StatusTooManyRequests, status, key)
				seconds, err := strconv.Atoi(wait)
				require.NoError(t, err)
				require.Positive(t, seconds)
			}
			// Every other door is shut to the address, too, but for whom it is no guess.
			for other, door := range doors {
				status, _ := e.knock(t, guesser, door(operatorKey))
				require.Equal(t, http.StatusTooManyRequests, status, other)
				for name, from := range map[string]string{"the same /64": guesser, "a neighbour": neighbour} {
					status, _ = e.knock(t, from, door(drawn))
					require.Equal(t, http.StatusOK, status, "%s: a key that the server drew, from %s", other, name)
					status, _ = e.knock(t, from, door(adminKey))
					require.Equal(t, http.StatusOK, status, "%s: a key that was used before, from %s", other, name)
				}
				status, _ = e.knock(t, "2001:db8:0:8::1", door(viewerKey))
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
