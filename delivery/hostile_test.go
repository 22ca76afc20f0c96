package delivery_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// notPublic are addresses that must not be reached unless they are allowed.
var notPublic = []struct{ name, addr string }{
	{"this network", "0.0.0.0"},
	{"this network, another", "0.1.2.3"},
	{"unspecified, version 6", "::"},
	{"loopback", "127.0.0.1"},
	{"loopback, another", "127.255.255.254"},
	{"loopback, version 6", "::1"},
	{"private 10", "10.1.2.3"},
	{"private 172", "172.16.0.1"},
	{"private 172, last", "172.31.255.255"},
	{"private 192", "192.168.1.1"},
	{"carrier's", "100.64.0.1"},
	{"carrier's, last", "100.127.255.255"},
	{"carrier's, metadata of Alibaba", "100.100.100.200"},
	{"link-local", "169.254.1.1"},
	{"metadata", "169.254.169.254"},
	{"metadata of ECS", "169.254.170.2"},
	{"metadata of Oracle", "192.0.0.192"},
	{"metadata, version 6", "fd00:ec2::254"},
	{"metadata of Google, version 6", "fd20:ce::254"},
	{"host of Azure", "168.63.129.16"},
	{"protocol assignments", "192.0.0.8"},
	{"documentation 1", "192.0.2.1"},
	{"documentation 2", "198.51.100.1"},
	{"documentation 3", "203.0.113.1"},
	{"documentation, version 6", "2001:db8::1"},
	{"documentation, version 6, second", "3fff::1"},
	{"benchmarking", "198.18.0.1"},
	{"benchmarking, last", "198.19.255.255"},
	{"benchmarking, version 6", "2001:2::1"},
	{"6to4 relay", "192.88.99.1"},
	{"AS112", "192.31.196.1"},
	{"AS112, direct", "192.175.48.1"},
	{"AS112, version 6", "2620:4f:8000::1"},
	{"AMT", "192.52.193.1"},
	{"multicast", "224.0.0.1"},
	{"multicast, last", "239.255.255.255"},
	{"multicast, version 6", "ff02::1"},
	{"class E", "240.0.0.1"},
	{"broadcast", "255.255.255.255"},
	{"mapped loopback", "::ffff:127.0.0.1"},
	{"mapped loopback, in hexadecimal", "::ffff:7f00:1"},
	{"mapped private", "::ffff:10.0.0.1"},
	{"mapped metadata", "::ffff:169.254.169.254"},
	{"compatible loopback", "::127.0.0.1"},
	{"compatible metadata", "::169.254.169.254"},
	{"translated", "::ffff:0:127.0.0.1"},
	{"6to4 of a private address", "2002:0a00:0001::1"},
	{"6to4 of loopback", "2002:7f00:0001::"},
	{"6to4 of a public address", "2002:5db8:d822::1"},
	{"NAT64 of a private address", "64:ff9b::10.0.0.1"},
	{"NAT64 of metadata", "64:ff9b::169.254.169.254"},
	{"NAT64 of a public address", "64:ff9b::93.184.216.34"},
	{"local NAT64", "64:ff9b:1::10.0.0.1"},
	{"local NAT64, last", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"},
	{"Teredo", "2001:0:53aa:64c::1"},
	{"ORCHID", "2001:20::1"},
	{"ISATAP", "2606:2800:220:1:0:5efe:10.0.0.1"},
	{"ISATAP, globally unique", "2606:2800:220:1:200:5efe:10.0.0.1"},
	{"ISATAP, link-local", "fe80::5efe:10.0.0.1"},
	{"unique local", "fc00::1"},
	{"unique local, fd", "fd12:3456:789a::1"},
	{"link-local, version 6", "fe80::1"},
	{"link-local with a zone", "fe80::1%eth0"},
	{"loopback with a zone", "::1%lo"},
	{"public with a zone", "2606:2800:220:1::1%eth0"},
	{"site-local", "fec0::1"},
	{"discard only", "100::1"},
	{"dummy", "100:0:0:1::1"},
	{"segment routing", "5f00::1"},
	{"outside of what is assigned", "4000::1"},
}

// post sends one request and says what came of it.
func post(t *testing.T, transport *delivery.Transport, url string) (delivery.Outcome, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return delivery.Unsendable, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return delivery.Classify(0, err), err
	}
	return delivery.Classify(response.StatusCode, nil), response.Body.Close()
}

// TestCase29Addresses holds that no address that is not public is saved as a literal, nor dialled as one, nor by a name; and by a proxy neither.
func TestCase29Addresses(t *testing.T) {
	names := make(map[string][]nameAnswer)
	for i, c := range notPublic {
		if !strings.Contains(c.addr, "%") {
			names[fmt.Sprintf("n%d.example.com", i)] = []nameAnswer{{addrs: []string{c.addr}}}
			names[fmt.Sprintf("c%d.example.com", i)] = []nameAnswer{{alias: "elsewhere.example.org", addrs: []string{c.addr}}}
		}
	}
	resolver := nameService(t, names)
	plain, err := triggers.ParseTargets(nil, true)
	require.NoError(t, err)
	for way, by := range ways(t) {
		config := delivery.TransportConfig{Guard: delivery.NewGuard(plain, 0), Resolver: resolver}
		if by != nil {
			config.Proxy = by.proxy(t)
		}
		transport := delivery.NewTransport(config)
		t.Cleanup(transport.CloseIdleConnections)
		for i, c := range notPublic {
			t.Run(way+"/"+c.name, func(t *testing.T) {
				addr := netip.MustParseAddr(c.addr)
				literal := addr.String()
				if addr.Is6() {
					literal = "[" + strings.Replace(literal, "%", "%25", 1) + "]"
				}
				for _, url := range []string{"http://" + literal + "/", "https://" + literal + "/", "http://" + literal + ":9000/hook"} {
					_, err := plain.CheckURL(url)
					var refused *triggers.FieldError
					require.ErrorAs(t, err, &refused, url)
					outcome, err := post(t, transport, url)
					require.Equal(t, delivery.Blocked, outcome, "%s: %v", url, err)
				}
				if addr.Zone() != "" {
					return // no record of a name has one
				}
				for _, name := range []string{fmt.Sprintf("n%d.example.com", i), fmt.Sprintf("c%d.example.com", i)} {
					url := "http://" + name + ":9000/hook"
					_, err := plain.CheckURL(url)
					require.NoError(t, err, "names are not looked up when they are saved")
					outcome, err := post(t, transport, url)
					require.Equal(t, delivery.Blocked, outcome, "%s: %v", url, err)
				}
			})
		}
		if by != nil {
			require.Empty(t, by.targets(), "a proxy is asked for none of them")
		}
	}
}

// spellings are other ways to write 127.0.0.1, or a URL that looks as if it led elsewhere.
var spellings = []string{
	"2130706433", "0x7f000001", "0x7F000001", "017700000001", "0177.0.0.1", "0177.0.0.01", "0x7f.0.0.1", "0x7f.0x0.0x0.0x1", "127.0.1", "127.1", "127.0x1", "0x7f.1", "127.0.0.1.",
	"127.00.00.01", "127.000.000.001", "00127.0.0.1", "4429185025", "localhost", "LOCALHOST", "localhost.", "ip6-localhost", "localhost.localdomain", "127.0.0.1.nip.example",
	"１２７.0.0.1", "127。0。0。1", "127．0．0．1", "127｡0｡0｡1", "①②⑦.⓪.⓪.①", "ｌocalhost", "%31%32%37.0.0.1", "127%2e0%2e0%2e1", "%6cocalhost", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]",
	"[::ffff:7f00:1]", "[::ffff:0127.0.0.1]", "[::127.0.0.1]", "[::1%25lo]", "[::1%25]", "[::1]%25lo", "[0x7f000001]", "0", "0.0.0.0", "[::]", "0x0", "user@127.0.0.1", "good.example.com@127.0.0.1",
	"user:password@127.0.0.1", "good.example.com#@127.0.0.1", `good.example.com\@127.0.0.1`, "good.example.com%00.127.0.0.1", "127.0.0.1%0d%0a", "127.0.0.1%20", "127.0.0.1\t", "-127.0.0.1", "127.0.0.1-", "127..0.0.1", ".127.0.0.1",
}

// TestCase29Spellings holds that none of them is saved, and that none is connected to where it is dialled all the same: as one that was saved by an
// older version, for instance. What listens at loopback counts.
func TestCase29Spellings(t *testing.T) {
	count, port := counted(t, "127.0.0.1:0", func(http.ResponseWriter, *http.Request) {})
	count6, _ := counted(t, fmt.Sprintf("[::1]:%d", port), func(http.ResponseWriter, *http.Request) {})
	resolver := nameService(t, map[string][]nameAnswer{"127.0.0.1.nip.example": {{addrs: []string{"127.0.0.1"}}}, "localhost.localdomain": {{addrs: []string{"::1"}}}})
	plain, err := triggers.ParseTargets([]string{"good.example.com"}, true)
	require.NoError(t, err)
	for way, by := range ways(t) {
		h := housed(t, by, delivery.TransportConfig{Guard: delivery.NewGuard(plain, 0), Resolver: resolver})
		for _, spelling := range spellings {
			t.Run(way+"/"+spelling, func(t *testing.T) {
				for _, url := range []string{fmt.Sprintf("http://%s:%d/hook", spelling, port), fmt.Sprintf("https://%s:%d/hook#x", spelling, port)} {
					named := strings.HasSuffix(spelling, ".nip.example") || spelling == "localhost.localdomain"
					if _, err := plain.CheckURL(url); !named || strings.Contains(url, "#") {
						require.Error(t, err, url)
					}
					var failed *delivery.HandshakeError
					require.ErrorAs(t, h.Reach(t.Context(), &triggers.Webhook{Tenant: h.tenant, URL: url, TimeoutSeconds: 5}), &failed, url)
				}
			})
		}
		if by != nil {
			require.Empty(t, by.targets())
		}
	}
	require.Zero(t, count.Load()+count6.Load(), "not one packet")
}

// TestCase30NamesCannotLeadAstray dials with real sockets: 127.0.0.2 stands for a public address, 127.0.0.1 for a private one.
func TestCase30NamesCannotLeadAstray(t *testing.T) {
	closing := func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }
	good, port := counted(t, "127.0.0.2:0", closing)
	bad, _ := counted(t, fmt.Sprintf("127.0.0.1:%d", port), closing)
	bad6, _ := counted(t, fmt.Sprintf("[::1]:%d", port), closing)
	targets, err := triggers.ParseTargets([]string{"127.0.0.2/32"}, true)
	require.NoError(t, err)
	for way, by := range ways(t) {
		t.Run(way, func(t *testing.T) {
			good.Store(0)
			config := delivery.TransportConfig{
				Guard: delivery.NewGuard(targets, 0),
				Resolver: nameService(t, map[string][]nameAnswer{
					"good.example.com":    {{addrs: []string{"127.0.0.2"}}},
					"bad.example.com":     {{addrs: []string{"127.0.0.1"}}},
					"rebind.example.com":  {{addrs: []string{"127.0.0.2"}}, {addrs: []string{"127.0.0.1"}}},
					"several.example.com": {{addrs: []string{"127.0.0.1", "127.0.0.2"}}},
					"turned.example.com":  {{addrs: []string{"127.0.0.2", "127.0.0.1", "::1"}}},
					"hidden.example.com":  {{addrs: []string{"::1", "127.0.0.1"}}},
					"alias.example.com":   {{alias: "good.example.com", addrs: []string{"127.0.0.1"}}},
				}),
			}
			if by != nil {
				config.Proxy = by.proxy(t)
			}
			transport := delivery.NewTransport(config)
			defer transport.CloseIdleConnections()
			to := func(host string) delivery.Outcome {
				outcome, _ := post(t, transport, "http://"+net.JoinHostPort(host, strconv.Itoa(port)))
				return outcome
			}
			require.Equal(t, delivery.Delivered, to("good.example.com"))
			require.Equal(t, delivery.Blocked, to("bad.example.com"))
			require.Equal(t, delivery.Delivered, to("rebind.example.com"))
			require.Equal(t, delivery.Blocked, to("rebind.example.com"), "the second answer is judged as well")
			require.Equal(t, delivery.Delivered, to("several.example.com"), "the address that may be reached is reached")
			require.Equal(t, delivery.Delivered, to("turned.example.com"))
			require.Equal(t, delivery.Delivered, to("::ffff:127.0.0.2"), "which a proxy is told as the address that it is")
			require.Equal(t, delivery.Blocked, to("hidden.example.com"))
			require.Equal(t, delivery.Blocked, to("alias.example.com"), "what it is an alias of is allowed under its own addresses only")
			require.Equal(t, delivery.Blocked, to("127.0.0.1"), "a literal that was not refused when it was saved")
			require.EqualValues(t, 5, good.Load())
			if by != nil {
				require.Equal(t, []string{net.JoinHostPort("127.0.0.2", strconv.Itoa(port))}, slices.Compact(by.targets()))
			}
		})
	}
	require.Zero(t, bad.Load()+bad6.Load(), "not one packet")
}

// TestCase31Redirects holds that no redirect to a private address is followed, whoever asked, and that it is recorded as a failure.
func TestCase31Redirects(t *testing.T) {
	private, port := counted(t, "127.0.0.1:0", func(http.ResponseWriter, *http.Request) {})
	status := new(atomic.Int32)
	_, at := counted(t, "127.0.0.2:0", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", fmt.Sprintf("http://127.0.0.1:%d/latest/meta-data/", port))
		w.Header().Set("Refresh", "0; url="+w.Header().Get("Location"))
		w.WriteHeader(int(status.Load()))
	})
	targets, err := triggers.ParseTargets([]string{"127.0.0.2", "receiver.example.com"}, true)
	require.NoError(t, err)
	c := newTrust(t)
	leaf := c.leaf(t, func(cert *x509.Certificate) {
		cert.OCSPServer = []string{fmt.Sprintf("http://authority.example.com:%d/ocsp", at)}
		cert.CRLDistributionPoints = []string{fmt.Sprintf("http://authority.example.com:%d/list.crl", at)}
	})
	secured, _ := c.receiver(t, leaf, nil)
	roots := x509.NewCertPool()
	roots.AddCert(c.root.cert)
	for way, by := range ways(t) {
		h := housed(t, by, delivery.TransportConfig{
			Guard: delivery.NewGuard(targets, 0), RootCAs: roots,
			Resolver: nameService(t, map[string][]nameAnswer{
				"authority.example.com": {{addrs: []string{"127.0.0.2"}}}, "receiver.example.com": {{addrs: []string{"127.0.0.1"}}},
			}),
		})
		w := h.subscribe(fmt.Sprintf("http://127.0.0.2:%d/hook", at), func(w *triggers.Webhook) { w.Retry.Profile = triggers.RetryOnce }, "/items/update")
		h.subscribe(secured, checked, "/items/add")
		for _, code := range []int{300, 301, 302, 303, 305, 307, 308} {
			t.Run(fmt.Sprintf("%s/%d", way, code), func(t *testing.T) {
				status.Store(int32(code))
				record := h.once(t)
				require.Equal(t, delivery.Exhausted, record.State)
				require.Equal(t, delivery.Redirected, record.Attempts[0].Outcome)
				require.Equal(t, code, record.Attempts[0].StatusCode)
				require.Contains(t, record.Reason, "redirects are forbidden")
				require.Equal(t, delivery.Redirected, tested(t.Context(), h, w, event(t, "/items/a/update")))
				require.NoError(t, h.Reach(t.Context(), w), "any answer will do")
				require.Error(t, h.Challenge(t.Context(), w))
				about := h.delivered(h.emit(event(t, "/items/a/add"))[0].ID+1, ended)
				require.Equal(t, delivery.Revocation, about.Attempts[0].Outcome, about.Reason)
				require.Equal(t, 2, strings.Count(about.Reason, strconv.Itoa(code)), about.Reason)
			})
		}
	}
	require.Zero(t, private.Load(), "not one packet")
}

// TestCase32EveryWayOut runs whatever sends anything against a private target, by literal and by name, directly and by proxies.
func TestCase32EveryWayOut(t *testing.T) {
	private, port := counted(t, "127.0.0.1:0", func(http.ResponseWriter, *http.Request) {})
	failing, at := counted(t, "127.0.0.2:0", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	targets, err := triggers.ParseTargets([]string{"127.0.0.2", "receiver.example.com"}, true)
	require.NoError(t, err)
	c := newTrust(t)
	roots := x509.NewCertPool()
	roots.AddCert(c.root.cert)
	secured := func(t *testing.T, change func(*x509.Certificate)) string {
		t.Helper()
		at, _ := c.served(t, c.leaf(t, change), nil, func(http.ResponseWriter, *http.Request) {})
		return fmt.Sprintf("https://receiver.example.com:%d/hook", portOf(t, at))
	}
	blocked := func(t *testing.T, r *delivery.Record) {
		t.Helper()
		require.Equal(t, delivery.Blocked, r.Attempts[0].Outcome, r.Reason)
	}
	refused := func(t *testing.T, err error) {
		t.Helper()
		var failed *delivery.HandshakeError
		require.ErrorAs(t, err, &failed)
		require.Equal(t, "the address must not be reached", failed.Reason)
	}
	unsaid := func(t *testing.T, h *house, target string) {
		t.Helper()
		h.subscribe(target, checked)
		record := h.once(t)
		require.Equal(t, delivery.Revocation, record.Attempts[0].Outcome, record.Reason)
		require.Regexp(t, "must not be reached|names a place that is not asked", record.Reason)
	}
	paths := map[string]func(h *house, hostile string){
		"a delivery": func(h *house, hostile string) {
			t := h.t.(*testing.T)
			h.subscribe(hostile, once)
			blocked(t, h.once(t))
		},
		"a resend": func(h *house, hostile string) {
			t := h.t.(*testing.T)
			h.subscribe(hostile, once)
			record, err := h.Resend(t.Context(), h.tenant, h.once(t).ID)
			require.NoError(t, err)
			blocked(t, record)
		},
		"an ordered delivery": func(h *house, hostile string) {
			t := h.t.(*testing.T)
			h.subscribe(hostile, func(w *triggers.Webhook) { once(w); w.Ordered = true })
			blocked(t, h.once(t))
		},
		"a test": func(h *house, hostile string) {
			t := h.t.(*testing.T)
			require.Equal(t, delivery.Blocked, tested(t.Context(), h, h.subscribe(hostile, nil, "/groups"), event(t, "/items/a/update")))
		},
		"the question whether a receiver is there": func(h *house, hostile string) {
			t := h.t.(*testing.T)
			refused(t, h.Reach(t.Context(), &triggers.Webhook{Tenant: h.tenant, URL: hostile}))
		},
		"a challenge": func(h *house, hostile string) {
			t := h.t.(*testing.T)
			refused(t, h.Challenge(t.Context(), &triggers.Webhook{Tenant: h.tenant, URL: hostile, Secret: triggers.NewSecret("the secret")}))
		},
		"an event of our own": func(h *house, hostile string) {
			t := h.t.(*testing.T)
			h.subscribe(fmt.Sprintf("http://127.0.0.2:%d/hook", at), once, "/items/update")
			told := h.subscribe(hostile, once, "/webhooks/exhaust")
			heard, err := h.Listen(delivery.TailQuery{Tenant: h.tenant, Webhook: told.Key, Kinds: []delivery.MomentKind{delivery.MomentEnd}})
			require.NoError(t, err)
			defer heard.Close()
			h.once(t)
			<-heard.Wake
			ends, _ := heard.Take(nil)
			require.Len(t, ends, 1)
			blocked(t, h.delivered(ends[0].Delivery, ended))
		},
		"an authority that is asked": func(h *house, hostile string) {
			t := h.t.(*testing.T)
			unsaid(t, h, secured(t, func(cert *x509.Certificate) { cert.OCSPServer = []string{hostile} }))
		},
		"an authority's list": func(h *house, hostile string) {
			t := h.t.(*testing.T)
			unsaid(t, h, secured(t, func(cert *x509.Certificate) { cert.CRLDistributionPoints = []string{hostile} }))
		},
	}
	for way, by := range ways(t) {
		for _, host := range []string{"private.example.com", "alias.example.com", "127.0.0.1", "[::ffff:127.0.0.1]"} {
			for _, path := range slices.Sorted(maps.Keys(paths)) {
				t.Run(way+"/"+host+"/"+path, func(t *testing.T) {
					paths[path](housed(t, by, delivery.TransportConfig{
						Guard: delivery.NewGuard(targets, 0), RootCAs: roots,
						Resolver: nameService(t, map[string][]nameAnswer{
							"receiver.example.com": {{addrs: []string{"127.0.0.1"}}}, "private.example.com": {{addrs: []string{"127.0.0.1"}}},
							"alias.example.com": {{alias: "receiver.example.com", addrs: []string{"127.0.0.1"}}},
						}),
					}), fmt.Sprintf("http://%s:%d/hook", host, port))
				})
			}
		}
	}
	require.Positive(t, failing.Load())
	require.Zero(t, private.Load(), "not one packet")
}

// TestOwnAddressIsClosedToEveryDial has what is allowed everywhere and our own port: by every address of this machine, and by names of them.
func TestOwnAddressIsClosedToEveryDial(t *testing.T) {
	own, port := counted(t, "127.0.0.1:0", func(http.ResponseWriter, *http.Request) {})
	own6, _ := counted(t, fmt.Sprintf("[::1]:%d", port), func(http.ResponseWriter, *http.Request) {})
	hosts := []string{"127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "::ffff:0.0.0.0", "localhost", "LocalHost", "own.example.com", "own6.example.com", "any.example.com"}
	names := map[string][]nameAnswer{
		"own.example.com": {{addrs: []string{"127.0.0.1"}}}, "own6.example.com": {{addrs: []string{"::1"}}}, "any.example.com": {{addrs: []string{"0.0.0.0", "::"}}},
	}
	local, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for i, entry := range local {
		addr := netip.MustParsePrefix(entry.String()).Addr()
		name := fmt.Sprintf("m%d.example.com", i)
		hosts, names[name] = append(hosts, addr.String(), name), []nameAnswer{{addrs: []string{addr.String()}}}
	}
	everything, err := triggers.ParseTargets(append([]string{"0.0.0.0/0", "::/0"}, slices.Sorted(maps.Keys(names))...), true)
	require.NoError(t, err)
	resolver := nameService(t, names)
	for way, by := range ways(t) {
		config := delivery.TransportConfig{Guard: delivery.NewGuard(everything, uint16(port)), Resolver: resolver}
		if by != nil {
			config.Proxy = by.proxy(t)
		}
		transport := delivery.NewTransport(config)
		t.Cleanup(transport.CloseIdleConnections)
		for _, host := range hosts {
			t.Run(way+"/"+host, func(t *testing.T) {
				_, err := post(t, transport, "http://"+net.JoinHostPort(host, strconv.Itoa(port)))
				var blocked *delivery.BlockedError
				require.ErrorAs(t, err, &blocked)
				require.Equal(t, "it is this server's own", blocked.Why)
			})
		}
		if by != nil {
			require.Empty(t, by.targets())
		}
	}
	require.Zero(t, own.Load()+own6.Load(), "not one packet")
}
