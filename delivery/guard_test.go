package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

func TestJudge(t *testing.T) {
	forbidden := []struct{ name, addr string }{
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
		{"carrier's, metadata of Alibaba", "100.100.100.200"},
		{"link-local", "169.254.1.1"},
		{"metadata", "169.254.169.254"},
		{"metadata of ECS", "169.254.170.2"},
		{"metadata of Oracle", "192.0.0.192"},
		{"metadata, version 6", "fd00:ec2::254"},
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
		{"multicast", "224.0.0.1"},
		{"multicast, last", "239.255.255.255"},
		{"multicast, version 6", "ff02::1"},
		{"class E", "240.0.0.1"},
		{"broadcast", "255.255.255.255"},
		{"mapped loopback", "::ffff:127.0.0.1"},
		{"mapped private", "::ffff:10.0.0.1"},
		{"mapped metadata", "::ffff:169.254.169.254"},
		{"compatible loopback", "::127.0.0.1"},
		{"translated", "::ffff:0:127.0.0.1"},
		{"6to4 of a private address", "2002:0a00:0001::1"},
		{"6to4 of loopback", "2002:7f00:0001::"},
		{"6to4 of a public address", "2002:5db8:d822::1"},
		{"NAT64 of a private address", "64:ff9b::10.0.0.1"},
		{"NAT64 of metadata", "64:ff9b::169.254.169.254"},
		{"NAT64 of a public address", "64:ff9b::93.184.216.34"},
		{"local NAT64", "64:ff9b:1::10.0.0.1"},
		{"Teredo", "2001:0:53aa:64c::1"},
		{"ORCHID", "2001:20::1"},
		{"unique local", "fc00::1"},
		{"unique local, fd", "fd12:3456:789a::1"},
		{"link-local, version 6", "fe80::1"},
		{"link-local with a zone", "fe80::1%eth0"},
		{"public with a zone", "2606:2800:220:1::1%eth0"},
		{"site-local", "fec0::1"},
		{"discard only", "100::1"},
		{"segment routing", "5f00::1"},
		{"outside of what is assigned", "4000::1"},
	}
	allowed := []struct{ name, addr string }{
		{"public", "93.184.216.34"},
		{"public, beside private", "172.32.0.1"},
		{"public, beside the carrier's", "100.128.0.1"},
		{"public, version 6", "2606:2800:220:1:248:1893:25c8:1946"},
		{"public, mapped", "::ffff:93.184.216.34"},
	}
	guard := delivery.NewGuard(triggers.Targets{}, 0)
	for _, c := range forbidden {
		t.Run("forbidden/"+c.name, func(t *testing.T) {
			var blocked *delivery.BlockedError
			require.ErrorAs(t, guard.Judge("hooks.example.com", netip.AddrPortFrom(netip.MustParseAddr(c.addr), 443)), &blocked)
		})
	}
	for _, c := range allowed {
		t.Run("allowed/"+c.name, func(t *testing.T) {
			require.NoError(t, guard.Judge("hooks.example.com", netip.AddrPortFrom(netip.MustParseAddr(c.addr), 443)))
		})
	}
}

func TestJudgeAllowedTargets(t *testing.T) {
	targets, err := triggers.ParseTargets([]string{"10.1.0.0/16", "fd00:1::/32", "intra.example.com", "127.0.0.0/8"}, false)
	require.NoError(t, err)
	guard := delivery.NewGuard(targets, 8080)
	cases := []struct {
		name, host, addr string
		port             uint16
		admitted         bool
	}{
		{"within a CIDR", "a.example.com", "10.1.2.3", 443, true},
		{"within a CIDR, mapped", "a.example.com", "::ffff:10.1.2.3", 443, true},
		{"beside it", "a.example.com", "10.2.2.3", 443, false},
		{"version 6", "a.example.com", "fd00:1::5", 443, true},
		{"a host whatever its address", "intra.example.com", "192.168.7.7", 9999, true},
		{"a host in capitals", "INTRA.example.com", "192.168.7.7", 9999, true},
		{"another host at the same address", "other.example.com", "192.168.7.7", 9999, false},
		{"loopback that is allowed", "a.example.com", "127.0.0.1", 9000, true},
		{"our own port on loopback", "a.example.com", "127.0.0.1", 8080, false},
		{"our own port on another loopback", "a.example.com", "127.9.9.9", 8080, false},
		{"our own port, version 6", "intra.example.com", "::1", 8080, false},
		{"our own port, mapped", "intra.example.com", "::ffff:127.0.0.1", 8080, false},
		{"our own port, unspecified", "intra.example.com", "0.0.0.0", 8080, false},
		{"our own port elsewhere", "a.example.com", "10.1.2.3", 8080, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := guard.Judge(c.host, netip.AddrPortFrom(netip.MustParseAddr(c.addr), c.port))
			if c.admitted {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
		})
	}
}

func TestOwnPortIsClosedOnEveryLocalAddress(t *testing.T) {
	addrs, err := net.InterfaceAddrs()
	require.NoError(t, err)
	everything, err := triggers.ParseTargets([]string{"0.0.0.0/0", "::/0"}, true)
	require.NoError(t, err)
	guard := delivery.NewGuard(everything, 8080)
	for _, entry := range addrs {
		prefix := netip.MustParsePrefix(entry.String())
		require.Error(t, guard.Judge("a.example.com", netip.AddrPortFrom(prefix.Addr(), 8080)), entry)
	}
}

// counted listens at an address of this machine and counts the connections.
func counted(t *testing.T, addr string, handler http.HandlerFunc) (count *atomic.Int32, port int) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	require.NoError(t, err)
	count = new(atomic.Int32)
	server := httptest.NewUnstartedServer(handler)
	require.NoError(t, server.Listener.Close())
	server.Listener = listener
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			count.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return count, listener.Addr().(*net.TCPAddr).Port
}

// TestNamesCannotLeadAstray dials with real sockets: 127.0.0.2 stands for a public address, 127.0.0.1 for a private one.
func TestNamesCannotLeadAstray(t *testing.T) {
	closing := func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }
	good, port := counted(t, "127.0.0.2:0", closing)
	bad, _ := counted(t, fmt.Sprintf("127.0.0.1:%d", port), closing)
	resolver := nameService(t, map[string][]nameAnswer{
		"good.example.com":    {{addrs: []string{"127.0.0.2"}}},
		"bad.example.com":     {{addrs: []string{"127.0.0.1"}}},
		"rebind.example.com":  {{addrs: []string{"127.0.0.2"}}, {addrs: []string{"127.0.0.1"}}},
		"several.example.com": {{addrs: []string{"127.0.0.1", "127.0.0.2"}}},
		"hidden.example.com":  {{addrs: []string{"::1", "127.0.0.1"}}},
	})
	targets, err := triggers.ParseTargets([]string{"127.0.0.2/32"}, true)
	require.NoError(t, err)
	transport := delivery.NewTransport(delivery.TransportConfig{Guard: delivery.NewGuard(targets, 0), Resolver: resolver})
	defer transport.CloseIdleConnections()
	post := func(host string) error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+net.JoinHostPort(host, strconv.Itoa(port)), nil)
		require.NoError(t, err)
		response, err := transport.RoundTrip(request)
		if err != nil {
			return err
		}
		return response.Body.Close()
	}
	isBlocked := func(err error) bool {
		var blocked *delivery.BlockedError
		return errors.As(err, &blocked)
	}
	require.NoError(t, post("good.example.com"))
	require.True(t, isBlocked(post("bad.example.com")))
	require.NoError(t, post("rebind.example.com"))
	require.True(t, isBlocked(post("rebind.example.com")), "the second answer is judged as well")
	require.NoError(t, post("several.example.com"), "the address that may be reached is reached")
	require.True(t, isBlocked(post("hidden.example.com")))
	require.True(t, isBlocked(post("127.0.0.1")), "a literal that was not refused when it was saved")
	require.EqualValues(t, 3, good.Load())
	require.Zero(t, bad.Load(), "not one packet")
}

func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	proxy, port := counted(t, "127.0.0.1:0", func(http.ResponseWriter, *http.Request) {})
	t.Setenv("HTTP_PROXY", fmt.Sprintf("http://127.0.0.1:%d", port))
	target := receiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	h := open(t, nil)
	h.subscribe(target, nil)
	id := h.emit(event(t, "/items/a/update"))[0].ID + 1
	require.Equal(t, delivery.Succeeded, h.delivered(id, ended).State)
	require.Zero(t, proxy.Load())
}
