package delivery_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

func TestCase29Judge(t *testing.T) {
	allowed := []struct{ name, addr string }{
		{"public", "93.184.216.34"},
		{"public, beside private", "172.32.0.1"},
		{"public, beside the carrier's", "100.128.0.1"},
		{"public, version 6", "2606:2800:220:1:248:1893:25c8:1946"},
		{"public, mapped", "::ffff:93.184.216.34"},
		{"public, beside ISATAP", "2606:2800:220:1:100:5efe:a00:1"},
	}
	guard := delivery.NewGuard(triggers.Targets{}, 0)
	for _, c := range notPublic {
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

func TestAllowListsOpenWhatTheySay(t *testing.T) {
	targets, err := triggers.ParseTargets([]string{
		"10.1.0.0/16", "10.9.8.7/32", "192.168.3.4", "::ffff:172.16.5.0/120", "fd00:1::/32", "fd00:2::5", "intra.example.com", "127.0.0.0/8", "64:ff9b::/96", "169.254.169.254",
	}, false)
	require.NoError(t, err)
	guard := delivery.NewGuard(targets, 8080)
	cases := []struct {
		name, host, addr string
		port             uint16
		admitted         bool
	}{
		{"within a CIDR", "a.example.com", "10.1.2.3", 443, true},
		{"within a CIDR, any port", "a.example.com", "10.1.2.3", 22, true},
		{"within a CIDR, mapped", "a.example.com", "::ffff:10.1.2.3", 443, true},
		{"within a CIDR, by 6to4", "a.example.com", "2002:a01:203::1", 443, false},
		{"within a CIDR, compatible", "a.example.com", "::10.1.2.3", 443, false},
		{"its first", "a.example.com", "10.1.0.0", 443, true},
		{"its last", "a.example.com", "10.1.255.255", 443, true},
		{"just before it", "a.example.com", "10.0.255.255", 443, false},
		{"just beyond it", "a.example.com", "10.2.0.0", 443, false},
		{"one address", "a.example.com", "10.9.8.7", 443, true},
		{"one address, mapped", "a.example.com", "::ffff:10.9.8.7", 443, true},
		{"the one before", "a.example.com", "10.9.8.6", 443, false},
		{"the one after", "a.example.com", "10.9.8.8", 443, false},
		{"one address without a length", "a.example.com", "192.168.3.4", 443, true},
		{"its neighbour", "a.example.com", "192.168.3.5", 443, false},
		{"a CIDR that was written mapped", "a.example.com", "172.16.5.200", 443, true},
		{"a CIDR that was written mapped, mapped", "a.example.com", "::ffff:172.16.5.200", 443, true},
		{"beside it", "a.example.com", "172.16.6.0", 443, false},
		{"version 6", "a.example.com", "fd00:1::5", 443, true},
		{"version 6, last", "a.example.com", "fd00:1:ffff:ffff:ffff:ffff:ffff:ffff", 443, true},
		{"version 6, with a zone", "a.example.com", "fd00:1::5%eth0", 443, false},
		{"beside it, version 6", "a.example.com", "fd00:3::", 443, false},
		{"one address, version 6", "a.example.com", "fd00:2::5", 443, true},
		{"its neighbour, version 6", "a.example.com", "fd00:2::6", 443, false},
		{"NAT64 that is allowed", "a.example.com", "64:ff9b::10.0.0.1", 443, true},
		{"local NAT64 is another", "a.example.com", "64:ff9b:1::10.0.0.1", 443, false},
		{"metadata that is allowed", "a.example.com", "169.254.169.254", 80, true},
		{"its neighbour", "a.example.com", "169.254.169.253", 80, false},
		{"a host whatever its address", "intra.example.com", "192.168.7.7", 9999, true},
		{"a host whatever its address, version 6", "intra.example.com", "fd99::1", 22, true},
		{"a host, with a zone", "intra.example.com", "fe80::1%eth0", 443, false},
		{"a host in capitals", "INTRA.example.com", "192.168.7.7", 9999, true},
		{"a host with a dot", "intra.example.com.", "192.168.7.7", 9999, false},
		{"another host at the same address", "other.example.com", "192.168.7.7", 9999, false},
		{"a host below it", "sub.intra.example.com", "192.168.7.7", 9999, false},
		{"a host above it", "example.com", "192.168.7.7", 9999, false},
		{"a host that ends like it", "xintra.example.com", "192.168.7.7", 9999, false},
		{"its address as a literal", "192.168.7.7", "192.168.7.7", 9999, false},
		{"what is public anyway", "a.example.com", "93.184.216.34", 443, true},
		{"loopback that is allowed", "a.example.com", "127.0.0.1", 9000, true},
		{"our own port on loopback", "a.example.com", "127.0.0.1", 8080, false},
		{"our own port on another loopback", "a.example.com", "127.9.9.9", 8080, false},
		{"our own port, version 6", "intra.example.com", "::1", 8080, false},
		{"our own port, mapped", "intra.example.com", "::ffff:127.0.0.1", 8080, false},
		{"our own port, unspecified", "intra.example.com", "0.0.0.0", 8080, false},
		{"our own port, unspecified, version 6", "intra.example.com", "::", 8080, false},
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
