package delivery_test

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/delivery"
	"portalhook/triggers"
)

// specialPurpose are the rows of IANA's special-purpose address registries (RFC 6890; IPv4 and IPv6, with RFC 9637, 9602 and 9780 in them), of its
// registries of multicast (RFC 5771, RFC 4291) and of what is deprecated (RFC 3879, 4291), and the host of Azure. Rows within others are there, too.
var specialPurpose = strings.Fields(`
	0.0.0.0/8 0.0.0.0/32 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.0.0/29 192.0.0.8/32 192.0.0.9/32
	192.0.0.10/32 192.0.0.170/32 192.0.0.171/32 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.88.99.2/32 192.168.0.0/16
	192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4 255.255.255.255/32 224.0.0.0/4 168.63.129.16/32
	::1/128 ::/128 64:ff9b::/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001::/32 2001:1::1/128 2001:1::2/128 2001:1::3/128 2001:2::/48
	2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28 2001:30::/28 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20 5f00::/16 fc00::/7 fe80::/10
	ff00::/8 fec0::/10 ::/96`)

// bits is an address digit by digit; of version 4 that of a mapped one, too.
func bits(addr netip.Addr) string {
	var b strings.Builder
	for _, octet := range addr.Unmap().AsSlice() {
		fmt.Fprintf(&b, "%08b", octet)
	}
	return b.String()
}

// within reports by digits whether an address is in a block; those of the other version never are.
func within(addr netip.Addr, cidr string) bool {
	text, length, _ := strings.Cut(cidr, "/")
	first := netip.MustParseAddr(text)
	n := len(bits(first))
	if length != "" {
		_, _ = fmt.Sscan(length, &n)
		if first.Is4In6() {
			n -= 96
		}
	}
	return len(bits(addr)) == len(bits(first)) && bits(addr)[:n] == bits(first)[:n]
}

var tunnelled = regexp.MustCompile(`^([0-9a-f]{4}:){4}0[02]00:5efe:`)

// mayBeReached is the rule in as many words: what the guard is held to.
func mayBeReached(host string, target netip.AddrPort, own uint16, local []netip.Addr, allowed []string) bool {
	addr := target.Addr()
	if target.Port() == own && own != 0 {
		plain := addr.WithZone("").Unmap()
		if within(plain, "127.0.0.0/8") || within(plain, "0.0.0.0/32") || within(plain, "::1/128") || within(plain, "::/128") {
			return false
		}
		for _, one := range local {
			if bits(one) == bits(plain) {
				return false
			}
		}
	}
	if addr.Zone() != "" {
		return false
	}
	for _, entry := range allowed {
		if strings.EqualFold(entry, host) || strings.ContainsAny(entry, ":/") && within(addr, entry) {
			return true
		}
	}
	for _, block := range specialPurpose {
		if within(addr, block) {
			return false
		}
	}
	return addr.Unmap().Is4() || strings.HasPrefix(bits(addr), "001") && !tunnelled.MatchString(addr.StringExpanded()) // RFC 4291: global unicast so far
}

// near draws an address: within a block or at its edges, or just beyond them.
func near(rt *rapid.T, blocks []string) netip.Addr {
	text, _, _ := strings.Cut(rapid.SampledFrom(blocks).Draw(rt, "block"), "/")
	octets := netip.MustParseAddr(text).AsSlice()
	random := rapid.SliceOfN(rapid.Byte(), len(octets), len(octets)).Draw(rt, "octets")
	keep := rapid.IntRange(0, len(octets)).Draw(rt, "kept")
	fill := rapid.IntRange(0, 2).Draw(rt, "fill")
	for i := keep; i < len(octets); i++ {
		switch fill {
		case 0:
			octets[i] = random[i]
		case 1:
			octets[i] = 0xff
		}
	}
	if keep < len(octets) {
		octets[keep] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "flipped")
	}
	addr, _ := netip.AddrFromSlice(octets)
	switch rapid.IntRange(0, 5).Draw(rt, "beyond") {
	case 0:
		addr = addr.Prev()
	case 1:
		addr = addr.Next()
	case 2:
		if addr.Is4() {
			addr = netip.AddrFrom16(addr.As16()) // mapped
		}
	case 3:
		if addr.Is6() {
			b := addr.As16()
			copy(b[8:], []byte{rapid.SampledFrom([]byte{0, 1, 2}).Draw(rt, "identifier"), 0, 0x5e, 0xfe})
			addr = netip.AddrFrom16(b)
		}
	}
	if !addr.IsValid() {
		return netip.MustParseAddr("::1")
	}
	if addr.Is6() && rapid.IntRange(0, 20).Draw(rt, "zone") == 0 {
		addr = addr.WithZone("lo")
	}
	return addr
}

// guardAsSpecified draws addresses, names and allow-lists, and holds the guard to mayBeReached.
func guardAsSpecified(local []netip.Addr) func(rt *rapid.T) {
	return func(rt *rapid.T) {
		blocks := append([]string{"93.184.216.34", "2606:2800:220:1::1", "127.0.0.1"}, specialPurpose...)
		for _, addr := range local {
			blocks = append(blocks, addr.String())
		}
		var allowed []string
		for range rapid.IntRange(0, 3).Draw(rt, "entries") {
			addr := near(rt, blocks).WithZone("")
			entry := addr.String()
			least := 0
			if addr.Is4In6() {
				least = 96 // a shorter one names none of version 4
			}
			if rapid.Bool().Draw(rt, "a block") {
				entry = fmt.Sprintf("%s/%d", entry, rapid.IntRange(least, addr.BitLen()).Draw(rt, "length"))
			}
			if !strings.ContainsAny(entry, ":/") {
				entry += "/32"
			}
			allowed = append(allowed, entry)
		}
		blocks = append(blocks, allowed...)
		names := []string{"a.example.com", "A.Example.com", "b.example.com", "sub.a.example.com", "example.com"}
		for range rapid.IntRange(0, 1).Draw(rt, "names") {
			allowed = append(allowed, rapid.SampledFrom(names).Draw(rt, "name"))
		}
		targets, err := triggers.ParseTargets(allowed, true)
		require.NoError(rt, err)
		own := rapid.SampledFrom([]uint16{0, 8080}).Draw(rt, "own port")
		guard := delivery.NewGuard(targets, own)
		for range 20 {
			target := netip.AddrPortFrom(near(rt, blocks), rapid.SampledFrom([]uint16{443, 8080}).Draw(rt, "port"))
			host := rapid.SampledFrom(append(names, target.Addr().String())).Draw(rt, "host")
			err := guard.Judge(host, target)
			require.Equal(rt, mayBeReached(host, target, own, local, allowed), err == nil, "%s as %s, allowed %v, own port %d: %v", target, host, allowed, own, err)
		}
	}
}

func localAddrs(tb testing.TB) []netip.Addr {
	tb.Helper()
	entries, err := net.InterfaceAddrs()
	require.NoError(tb, err)
	var local []netip.Addr
	for _, entry := range entries {
		local = append(local, netip.MustParsePrefix(entry.String()).Addr().WithZone(""))
	}
	return local
}

// TestCase29GuardIsItsSpecification holds the guard to the registries, block by block, and then to random allow-lists.
func TestCase29GuardIsItsSpecification(t *testing.T) {
	local := localAddrs(t)
	guard := delivery.NewGuard(triggers.Targets{}, 0)
	for _, block := range specialPurpose {
		prefix := netip.MustParsePrefix(block)
		last := prefix.Addr().AsSlice()
		for i := prefix.Bits(); i < prefix.Addr().BitLen(); i++ {
			last[i/8] |= 0x80 >> (i % 8)
		}
		end, _ := netip.AddrFromSlice(last)
		for _, addr := range []netip.Addr{prefix.Addr(), end, prefix.Addr().Prev(), end.Next()} {
			if !addr.IsValid() {
				continue
			}
			target := netip.AddrPortFrom(addr, 443)
			require.Equal(t, mayBeReached("a.example.com", target, 0, local, nil), guard.Judge("a.example.com", target) == nil, "%s of %s", addr, block)
		}
	}
	rapid.Check(t, guardAsSpecified(local))
}

func FuzzGuard(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(guardAsSpecified(localAddrs(f))))
}
