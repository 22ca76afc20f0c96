package delivery

import (
	"context"
	"net"
	"net/netip"
	"syscall"

	"code.dny.dev/ssrf"

	"portalhook/triggers"
)

// Guard judges every address at the moment it is dialled, or named to a proxy, so that no trick with names gets around it.
type Guard struct {
	targets triggers.Targets
	public  *ssrf.Guardian
	// listenPort is our own; 0 when there is none to protect.
	listenPort uint16
	// local tells the addresses of this machine; they may change while the server runs.
	local func() ([]net.Addr, error)
}

// wireServer is the address by which a virtual machine in Azure reaches its host: metadata, though it lies in public space.
var wireServer = netip.MustParsePrefix("168.63.129.16/32")

// NewGuard makes a guard that admits public addresses and what targets names, and never listenPort (0: none) on this machine.
func NewGuard(targets triggers.Targets, listenPort uint16) *Guard {
	return &Guard{
		targets:    targets,
		public:     ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(wireServer)),
		listenPort: listenPort,
		local:      net.InterfaceAddrs,
	}
}

// authorities are where may be asked about certificates: what receivers may be, and by plain http even where receivers may not.
func (g *Guard) authorities() triggers.Targets {
	targets := g.targets
	targets.AllowHTTP = true
	return targets
}

// hostKey carries the name that is being dialled to the guard, which is shown addresses only.
type hostKey struct{}

func withHost(ctx context.Context, host string) context.Context {
	return context.WithValue(ctx, hostKey{}, host)
}

// control is a net.Dialer's ControlContext: it runs after the name is resolved and before the first packet, once per address.
func (g *Guard) control(ctx context.Context, _, address string, _ syscall.RawConn) error {
	host, _ := ctx.Value(hostKey{}).(string)
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return &BlockedError{Address: address, Why: "it is not an address"}
	}
	return g.Judge(host, target)
}

// Judge says whether target, to which host was resolved, may be dialled; a *BlockedError when not.
func (g *Guard) Judge(host string, target netip.AddrPort) error {
	addr := target.Addr()
	blocked := func(why string) error { return &BlockedError{Address: target.String(), Why: why} }
	if g.listenPort != 0 && target.Port() == g.listenPort && g.isLocal(addr) {
		return blocked("it is this server's own")
	}
	if addr.Zone() != "" {
		return blocked("it names an interface of this machine")
	}
	addr = addr.Unmap()
	if g.targets.AdmitsHost(host) || g.targets.AdmitsAddr(addr) {
		return nil
	}
	if err := g.public.SafeAddr(addr); err != nil || isISATAP(addr) {
		return blocked("it is not a public address, and no allowed target")
	}
	return nil
}

// isISATAP reports whether an address is of a tunnel within a site (RFC 5214, section 6.1): the last half of it is an IPv4 address, a
// private one perhaps, after 00-00-5E-FE or 02-00-5E-FE.
func isISATAP(addr netip.Addr) bool {
	const globallyUnique = 0x02 // the bit of an interface's identifier
	b := addr.As16()
	return addr.Is6() && b[8]&^globallyUnique == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// isLocal reports whether addr is one of this machine's. When they cannot be listed, it is taken for one.
func (g *Guard) isLocal(addr netip.Addr) bool {
	addr = addr.WithZone("").Unmap()
	if addr.IsLoopback() || addr.IsUnspecified() {
		return true
	}
	own, err := g.local()
	if err != nil {
		return true
	}
	for _, entry := range own {
		prefix, err := netip.ParsePrefix(entry.String())
		if err == nil && prefix.Addr().WithZone("").Unmap() == addr {
			return true
		}
	}
	return false
}
