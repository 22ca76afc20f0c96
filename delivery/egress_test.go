package delivery_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

func TestParseProxy(t *testing.T) {
	for text, want := range map[string]string{
		"http://proxy:3128":                        "http://proxy:3128",
		"http://proxy.example.com/":                "http://proxy.example.com:80",
		"https://proxy.example.com":                "https://proxy.example.com:443",
		"socks5://10.0.0.1":                        "socks5://10.0.0.1:1080",
		"socks5://[fd00::1]:1081":                  "socks5://[fd00::1]:1081",
		"http://ann:canary@proxy:3128":             "http://proxy:3128",
		"http://ann@proxy:3128":                    "http://proxy:3128",
		"http://ann:canary%3A%40canary@proxy:3128": "http://proxy:3128",
	} {
		p, err := delivery.ParseProxy(text)
		require.NoError(t, err, text)
		for _, form := range []string{"%v", "%s", "%+v"} {
			require.Equal(t, want, fmt.Sprintf(form, p))
		}
		require.NotContains(t, fmt.Sprintf("%#v %+v %v", p, *p, *p), "canary")
	}
	for _, text := range []string{
		"proxy:3128", "canary", "ftp://ann:canary@proxy", "socks5h://proxy", "socks4://proxy", "http://", "http://ann:canary@", "http://ann:canary@proxy:0",
		"http://ann:canary@proxy:65536", "http://ann:canary@proxy:x", "http://ann:canary@proxy/path", "http://ann:canary@proxy?a", "http://ann:canary@proxy#a",
		"http://:canary@proxy", "http://an%3An:canary@proxy", "http://ann:canary%zz@proxy", "socks5://ann:canary" + strings.Repeat("a", 255) + "@proxy",
	} {
		_, err := delivery.ParseProxy(text)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), "canary")
	}
}

// TestCase33TheProxyIsToldAddresses holds that a proxy is told the address that was judged and nothing else, while the receiver sees its name in TLS and in Host.
func TestCase33TheProxyIsToldAddresses(t *testing.T) {
	c := newTrust(t)
	leaf := c.leaf(t, func(*x509.Certificate) {})
	for name, by := range map[string]*middleman{
		"http":                  {scheme: "http"},
		"http with a password":  {scheme: "http", user: "ann", password: "canary"},
		"https":                 {scheme: "https"},
		"https with a password": {scheme: "https", user: "ann", password: "canary"},
		"socks5":                {scheme: "socks5"},
		"socks with a password": {scheme: "socks5", user: "ann", password: "canary"},
	} {
		for scheme, port := range map[string]string{"https": "443", "http": "80"} {
			t.Run(name+"/"+scheme, func(t *testing.T) {
				type seen struct{ sni, host string }
				requests := make(chan seen, 2)
				handler := func(w http.ResponseWriter, r *http.Request) {
					got := seen{host: r.Host}
					if r.TLS != nil {
						got.sni = r.TLS.ServerName
					}
					requests <- got
					w.WriteHeader(http.StatusNoContent)
				}
				want := seen{host: "receiver.example.com"}
				var at string
				if scheme == "https" {
					want.sni = want.host
					at, _ = c.served(t, leaf, nil, handler)
				} else {
					server := httptest.NewServer(http.HandlerFunc(handler))
					t.Cleanup(server.Close)
					at = server.Listener.Addr().String()
				}
				m := &middleman{scheme: by.scheme, user: by.user, password: by.password}
				m.lead = map[string]string{"93.184.216.34:" + port: at, "[2606:2800:220:1::1]:" + port: at}
				m.start(t)
				roots := m.roots
				if roots == nil {
					roots = x509.NewCertPool()
				}
				roots.AddCert(c.root.cert)
				for _, addr := range []string{"93.184.216.34", "2606:2800:220:1::1"} {
					h := housed(t, m, delivery.TransportConfig{
						Guard: delivery.NewGuard(triggers.Targets{}, 0), RootCAs: roots,
						Resolver: nameService(t, map[string][]nameAnswer{"receiver.example.com": {{addrs: []string{addr}}}}),
					})
					h.subscribe(scheme+"://receiver.example.com/hook", func(w *triggers.Webhook) { w.Retry.Profile = triggers.RetryOnce })
					for range 2 {
						record := h.once(t)
						require.Equal(t, delivery.Succeeded, record.State, record.Reason)
						require.Equal(t, want, <-requests)
					}
				}
				require.Equal(t, []string{"93.184.216.34:" + port, "[2606:2800:220:1::1]:" + port}, m.targets(), "each once: connections are used again")
			})
		}
	}
}

// TestCase33ProxyFailure holds that a proxy's failures are charged to no webhook, and that their reasons tell neither its address nor its password.
func TestCase33ProxyFailure(t *testing.T) {
	answers := func(text string) func(string) []byte { return func(string) []byte { return []byte(text) } }
	replies := func(code byte) func(string) []byte { return func(string) []byte { return []byte{code} } }
	wrong := &middleman{scheme: "http", user: "ann", password: "another"}
	wrongSOCKS := &middleman{scheme: "socks5", user: "ann", password: "another"}
	for _, c := range []struct {
		name  string
		by    *middleman
		proxy string // in place of it
		why   string
	}{
		{name: "nobody listens", proxy: strings.TrimSuffix(closedPort(t), "/hook"), why: "it cannot be reached: connection refused"},
		{name: "it hangs", by: &middleman{scheme: "http", hangs: true}, why: "no answer before the deadline"},
		{name: "it hangs, by SOCKS", by: &middleman{scheme: "socks5", hangs: true}, why: "no answer before the deadline"},
		{name: "502", by: &middleman{scheme: "http", refuse: answers("HTTP/1.1 502 Bad Gateway\r\n\r\n")}, why: "it answered 502 Bad Gateway"},
		{name: "503", by: &middleman{scheme: "http", refuse: answers("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nsorry")}, why: "it answered 503 Service Unavailable"},
		{name: "403", by: &middleman{scheme: "http", refuse: answers("HTTP/1.1 403 Forbidden\r\n\r\n")}, why: "it answered 403 Forbidden"},
		{name: "a redirect", by: &middleman{scheme: "http", refuse: answers("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n")}, why: "it answered 302 Found"},
		{name: "407", by: wrong, proxy: "http://ann:canary@", why: "it answered 407 Proxy Authentication Required"},
		{name: "407 without a password", by: wrong, proxy: "http://", why: "it answered 407 Proxy Authentication Required"},
		{name: "it ends the connection", by: &middleman{scheme: "http", refuse: answers("")}, why: "it ended the connection without an answer"},
		{name: "it speaks no HTTP", by: &middleman{scheme: "http", refuse: answers("SSH-2.0-OpenSSH_9.6\r\n")}, why: "its answer cannot be read"},
		{name: "headers without end", by: &middleman{scheme: "http", refuse: answers("HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: b\r\n", 10_000))}, why: "its answer cannot be read"},
		{name: "more than an answer", by: &middleman{scheme: "http", refuse: answers("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")}, why: "its answer was followed by what was not asked for"},
		{name: "a trouble of its own, named", by: &middleman{scheme: "http", refuse: answers("HTTP/1.1 502 No\r\nProxy-Status: p; error=proxy_internal_error\r\n\r\n")}, why: "it answered 502 Bad Gateway"},
		{name: "nobody vouches for it", by: &middleman{scheme: "https"}, why: "no trusted TLS connection to it: its certificate does not stand: x509: certificate signed by unknown authority"},
		{name: "it speaks no TLS", by: &middleman{scheme: "http"}, proxy: "https://", why: "no trusted TLS connection to it"},
		{name: "it speaks no SOCKS", by: &middleman{scheme: "https"}, proxy: "socks5://", why: "no answer before the deadline"},
		{name: "SOCKS failure", by: &middleman{scheme: "socks5", refuse: replies(1)}, why: "it answered: general SOCKS server failure"},
		{name: "SOCKS rules", by: &middleman{scheme: "socks5", refuse: replies(2)}, why: "it answered: connection not allowed by ruleset"},
		{name: "SOCKS password", by: wrongSOCKS, proxy: "socks5://ann:canary@", why: "it answered: username/password authentication failed"},
		{name: "SOCKS without a password", by: wrongSOCKS, proxy: "socks5://", why: "it answered: no acceptable authentication methods"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.by != nil {
				own := &middleman{scheme: c.by.scheme, user: c.by.user, password: c.by.password, refuse: c.by.refuse, hangs: c.by.hangs}
				own.start(t)
				if c.proxy == "" {
					c.proxy = own.scheme + "://"
				}
				c.proxy += own.address
			}
			proxy, err := delivery.ParseProxy(c.proxy)
			require.NoError(t, err)
			h := housed(t, nil, delivery.TransportConfig{Guard: delivery.NewGuard(loopback(t), 0), Proxy: proxy, RootCAs: x509.NewCertPool()})
			w := h.subscribe("http://127.0.0.2:9/hook", func(w *triggers.Webhook) { w.Retry.Profile, w.TimeoutSeconds = triggers.RetryOnce, 1 })
			record := h.delivered(h.emit(event(t, "/items/a/update"))[0].ID+1, func(r *delivery.Record) bool { return r.Reason != "" })
			require.Equal(t, delivery.Waiting, record.State, record.Reason)
			require.Zero(t, record.Tries)
			require.Equal(t, "trouble on our side, not charged to the webhook: the proxy: ", record.Reason[:min(len(record.Reason), 60)])
			require.Contains(t, record.Reason, c.why)
			require.NotContains(t, record.Reason, "canary")
			require.NotContains(t, record.Reason, "127.0.0")

			var failed *delivery.HandshakeError
			require.ErrorAs(t, h.Challenge(t.Context(), w), &failed)
			require.Contains(t, failed.Reason, "not charged to the webhook: the proxy: ")
		})
	}
}

// TestCase33ReceiverBehindAProxy holds that what a proxy says of the receiver is charged to it, as it would be without a proxy.
func TestCase33ReceiverBehindAProxy(t *testing.T) {
	answered := func(head string) []byte { return []byte("HTTP/1.1 503 No\r\n" + head + "\r\n\r\n") }
	for _, c := range []struct {
		name, scheme string
		answer       []byte
		want         delivery.Outcome
	}{
		{"504", "http", []byte("HTTP/1.1 504 Gateway Timeout\r\n\r\n"), delivery.TimedOut},
		{"refused, in Squid's words", "http", answered("X-Squid-Error: ERR_CONNECT_FAIL 111"), delivery.Refused},
		{"unreachable, in Squid's words", "http", answered("X-Squid-Error: ERR_CONNECT_FAIL 113"), delivery.Unreachable},
		{"refused, by Proxy-Status", "http", answered(`Proxy-Status: inner, outer; error=connection_refused; details="no"`), delivery.Refused},
		{"unavailable, by Proxy-Status", "https", answered("Proxy-Status: p;error=destination_unavailable"), delivery.Unreachable},
		{"timeout, by Proxy-Status", "http", answered("Proxy-Status: p;error=connection_timeout"), delivery.TimedOut},
		{"no network, by SOCKS", "socks5", []byte{3}, delivery.Unreachable},
		{"no host, by SOCKS", "socks5", []byte{4}, delivery.Unreachable},
		{"refused, by SOCKS", "socks5", []byte{5}, delivery.Refused},
		{"too far, by SOCKS", "socks5", []byte{6}, delivery.Unreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := (&middleman{scheme: c.scheme, refuse: func(string) []byte { return c.answer }}).start(t)
			h := housed(t, m, delivery.TransportConfig{Guard: delivery.NewGuard(loopback(t), 0), RootCAs: m.roots})
			h.subscribe("http://127.0.0.2:9/hook", func(w *triggers.Webhook) { w.Retry.Profile = triggers.RetryOnce })
			record := h.once(t)
			require.Equal(t, delivery.Exhausted, record.State)
			require.Equal(t, c.want, record.Attempts[0].Outcome, record.Reason)
		})
	}
}

// TestCase33AReceiverThatIsSilentBehindAProxy has a proxy that waits for one receiver and connects to another meanwhile. So it is alive.
func TestCase33AReceiverThatIsSilentBehindAProxy(t *testing.T) {
	well := receiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, scheme := range []string{"http", "socks5"} {
		t.Run(scheme, func(t *testing.T) {
			asked := make(chan struct{})
			m := &middleman{scheme: scheme}
			m.refuse = func(target string) []byte {
				if target != "127.0.0.2:9" {
					return nil
				}
				close(asked)
				<-m.closing
				return []byte{1}
			}
			m.start(t)
			h := housed(t, m, delivery.TransportConfig{Guard: delivery.NewGuard(loopback(t), 0)})
			h.subscribe("http://127.0.0.2:9/hook", func(w *triggers.Webhook) { w.Retry.Profile, w.TimeoutSeconds = triggers.RetryOnce, 2 }, "/items/add")
			h.subscribe(well, nil, "/items/update")
			silent := h.emit(event(t, "/items/a/add"))[0].ID + 1
			<-asked
			require.Equal(t, delivery.Succeeded, h.once(t).State)
			record := h.delivered(silent, ended)
			require.Equal(t, delivery.TimedOut, record.Attempts[0].Outcome, record.Reason)
		})
	}
}

// TestAReceiversAddressesAreTriedInTurn has a proxy without a way to one of them, and never names the one that is private.
func TestAReceiversAddressesAreTriedInTurn(t *testing.T) {
	count, port := counted(t, "127.0.0.1:0", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	lead := map[string]string{fmt.Sprintf("93.184.216.34:%d", port): fmt.Sprintf("127.0.0.1:%d", port)}
	resolver := nameService(t, map[string][]nameAnswer{"several.example.com": {{addrs: []string{"2606:2800:220:1::1", "10.0.0.1", "93.184.216.34", "93.184.216.35"}}}})
	targets, err := triggers.ParseTargets(nil, true)
	require.NoError(t, err)
	for _, c := range []struct {
		name   string
		dead   []byte // the answer for the other addresses
		all    bool
		want   delivery.Outcome
		scheme string
	}{
		{"the proxy has no way", []byte("HTTP/1.1 503 No\r\n\r\n"), false, delivery.Delivered, "http"},
		{"refused", []byte{5}, false, delivery.Delivered, "socks5"},
		{"none", []byte{5}, true, delivery.Refused, "socks5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := (&middleman{scheme: c.scheme, lead: lead, refuse: func(target string) []byte {
				if lead[target] != "" && !c.all {
					return nil
				}
				return c.dead
			}}).start(t)
			h := housed(t, m, delivery.TransportConfig{Guard: delivery.NewGuard(targets, 0), Resolver: resolver})
			h.subscribe(fmt.Sprintf("http://several.example.com:%d/hook", port), func(w *triggers.Webhook) { w.Retry.Profile = triggers.RetryOnce })
			record := h.once(t)
			require.Equal(t, c.want, record.Attempts[0].Outcome, record.Reason)
			require.False(t, slices.ContainsFunc(m.targets(), func(target string) bool { return strings.HasPrefix(target, "10.") }))
		})
	}
	require.EqualValues(t, 2, count.Load())
}

// TestAProxyIsNotJudged has it at an address that no receiver may have.
func TestAProxyIsNotJudged(t *testing.T) {
	var asked atomic.Int32
	target := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, "thanks")
	})
	port := portOf(t, strings.TrimSuffix(strings.TrimPrefix(target, "http://"), "/hook"))
	m := &middleman{scheme: "http", lead: map[string]string{fmt.Sprintf("93.184.216.34:%d", port): fmt.Sprintf("127.0.0.1:%d", port)}}
	m.start(t)
	transport := delivery.NewTransport(delivery.TransportConfig{
		Guard: delivery.NewGuard(triggers.Targets{}, 0), Proxy: m.proxy(t),
		Resolver: nameService(t, map[string][]nameAnswer{"a.example.com": {{addrs: []string{"93.184.216.34"}}}}),
	})
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+net.JoinHostPort("a.example.com", fmt.Sprint(port)), nil)
	require.NoError(t, err)
	response, err := transport.RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.EqualValues(t, 1, asked.Load())
}
