package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// hosts are where nodes and their database run. Where the machine allows it each is a network namespace of its own, with an address of its
// own on a bridge that this process is on as well; else each has an address of loopback's, and a cable in this process.
type hosts struct {
	ctx    context.Context
	here   string // this process's address, for receivers
	prefix string // of all addresses, for --allow-target
	own    bool   // each is a namespace
	name   string // what interfaces and namespaces begin with
}

// host is one of them.
type host struct {
	space   string // its namespace; empty: this one
	address string
}

// hostsMade numbers those of this process.
var hostsMade atomic.Int32

// deadEnd is a hardware address that nobody has.
const deadEnd = "02:00:00:00:de:ad"

// newHosts makes the bridge. What an earlier run has left, since it was killed, is removed first.
func (r *rig) newHosts() *hosts {
	h := &hosts{ctx: r.ctx, name: fmt.Sprintf("t%dn%d", os.Getpid(), hostsMade.Add(1)), own: true}
	h.sweep()
	network, err := freeNetwork()
	if err == nil {
		h.here, h.prefix = network.Addr().Next().String(), network.String()
		r.cleanups = append(r.cleanups, h.remove)
		err = h.run(
			"link add "+h.name+"b type bridge", "addr add "+h.here+"/24 dev "+h.name+"b", "link set "+h.name+"b up",
			"netns add "+h.name+"-try", "netns del "+h.name+"-try",
		)
	}
	if err != nil {
		r.logf("no network namespaces here, so that hosts are addresses of loopback's: %v", err)
		return &hosts{ctx: r.ctx, here: "127.0.0.1", prefix: "127.0.0.0/8"}
	}
	return h
}

// run runs ip(8) with each of the lines.
func (h *hosts) run(lines ...string) error {
	for _, line := range lines {
		out, err := exec.CommandContext(context.WithoutCancel(h.ctx), "ip", strings.Fields(line)...).CombinedOutput() // #nosec G204 -- what it runs is ours
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, bytes.TrimSpace(out))
		}
	}
	return nil
}

// host makes the n-th host, from 1.
func (h *hosts) host(n int) (*host, error) {
	if !h.own {
		return &host{address: fmt.Sprintf("127.0.0.%d", 10+n)}, nil
	}
	base, err := netip.ParseAddr(h.here)
	if err != nil {
		return nil, err
	}
	four := base.As4()
	four[3] = byte(10 + n) // #nosec G115 -- a handful
	made := &host{space: fmt.Sprintf("%s-%d", h.name, n), address: netip.AddrFrom4(four).String()}
	cable := fmt.Sprintf("%sv%d", h.name, n)
	return made, h.run(
		"netns add "+made.space,
		"link add "+cable+" type veth peer name eth0 netns "+made.space, "link set "+cable+" master "+h.name+"b up",
		"-n "+made.space+" addr add "+made.address+"/24 dev eth0", "-n "+made.space+" link set eth0 up", "-n "+made.space+" link set lo up",
	)
}

// cut has packets between two hosts go where nobody takes them, in both directions, without a word to either; others are reached as ever.
func (h *hosts) cut(a, b *host) error {
	return h.run(
		"-n "+a.space+" neigh replace "+b.address+" lladdr "+deadEnd+" dev eth0 nud permanent",
		"-n "+b.space+" neigh replace "+a.address+" lladdr "+deadEnd+" dev eth0 nud permanent",
	)
}

// mend is the end of cut.
func (h *hosts) mend(a, b *host) error {
	return h.run("-n "+a.space+" neigh del "+b.address+" dev eth0", "-n "+b.space+" neigh del "+a.address+" dev eth0")
}

// wrap is the command line that runs another on the host; it ends up as the process itself.
func (h *host) wrap(line []string) []string {
	if h.space == "" {
		return line
	}
	return append([]string{"nsenter", "--net=/run/netns/" + h.space, "--"}, line...)
}

// enter takes the thread that it runs on to the host.
func (h *host) enter() error {
	if h.space == "" {
		return nil
	}
	space, err := os.Open("/run/netns/" + h.space)
	if err != nil {
		return err
	}
	defer space.Close()
	return unix.Setns(int(space.Fd()), unix.CLONE_NEWNET) // #nosec G115 -- a descriptor
}

// remove takes the bridge and the namespaces away; cables go with them.
func (h *hosts) remove() {
	removeHosts(h.ctx, func(name string) bool { return strings.HasPrefix(name, h.name) })
}

// sweep removes what processes have left that are not there any more.
func (h *hosts) sweep() {
	removeHosts(h.ctx, func(name string) bool {
		pid, numbered := strings.CutPrefix(name, "t")
		pid, _, found := strings.Cut(pid, "n")
		n, err := strconv.Atoi(pid)
		return numbered && found && err == nil && errors.Is(unix.Kill(n, 0), unix.ESRCH)
	})
}

// removeHosts removes namespaces and bridges whose names are of those to go. Several may do so at once: what is gone already is no error.
func removeHosts(ctx context.Context, gone func(name string) bool) {
	h := hosts{ctx: ctx}
	spaces, err := os.ReadDir("/run/netns")
	if err != nil {
		spaces = nil
	}
	for _, space := range spaces {
		if gone(space.Name()) {
			_ = h.run("netns del " + space.Name())
		}
	}
	links, err := net.Interfaces()
	if err != nil {
		return
	}
	for _, link := range links {
		if strings.HasSuffix(link.Name, "b") && gone(link.Name) {
			_ = h.run("link del " + link.Name)
		}
	}
}

// freeNetwork draws a network that no interface of this machine is in.
func freeNetwork() (netip.Prefix, error) {
	taken, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Prefix{}, err
	}
	for {
		drawn := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(rand.UintN(256)), byte(rand.UintN(256)), 0}), 24) // #nosec G404 G115 -- any will do
		overlaps := slices.ContainsFunc(taken, func(a net.Addr) bool {
			prefix, err := netip.ParsePrefix(a.String())
			return err == nil && prefix.Overlaps(drawn)
		})
		if !overlaps {
			return drawn, nil
		}
	}
}
