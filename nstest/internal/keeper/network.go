package keeper

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/hermetic-go/nstest/nstest/internal/lan"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// A network is a switch and the addresses of those who hang on it.
type network struct {
	name     string
	prefixes []netip.Prefix
	gateway  netip.Addr // as it was asked for; see via
	mtu      int
	lan      *lan.Switch // nil for an overlay
	segment

	pointToPoint bool // two hosts at most

	// Guarded by the environment's mutex.
	params  wire.NetworkParams          // as it was asked for
	used    map[netip.Addr]string       // by host name
	next    uint32                      // number of the next automatic address; 1 is left to a gateway
	members map[string]net.HardwareAddr // who has a cable to it, by the hosts' keys

	router *cable // of the router that is the gateway; nil if there is none

	// What hangs, or hung, on the ports of the switch: a label by lan.PortID, of which none is used twice. Captures see frames
	// after they have passed.
	labels sync.Map
}

// firstNumber is that of the first automatic address.
func (n *network) firstNumber() uint32 {
	if n.pointToPoint {
		return 0
	}
	return 2
}

// admits refuses a host for which there is no place. The environment's mutex is held.
func (n *network) admits(hostname string) error {
	if _, ok := n.members[key(hostname)]; ok {
		return refuse(unix.EEXIST, "host %q has a link to network %q already", hostname, n.name)
	}
	if !n.pointToPoint || len(n.members) < 2 {
		return nil
	}
	ends := slices.Sorted(maps.Keys(n.members))
	return refuse(unix.EMLINK, "network %q is point-to-point, between %s and %s: there is no place for host %q", n.name, ends[0], ends[1], hostname)
}

// join takes a place on the network that admits said there is. The environment's mutex is held.
func (n *network) join(hostname string, mac net.HardwareAddr) {
	if n.members == nil {
		n.members = map[string]net.HardwareAddr{}
	}
	n.members[key(hostname)] = mac
}

// leave gives it back. The environment's mutex is held.
func (n *network) leave(hostname string) { delete(n.members, key(hostname)) }

// owner is who has a MAC address; "" is nobody.
func (n *network) owner(mac net.HardwareAddr) string {
	for name, m := range n.members {
		if bytes.Equal(m, mac) {
			return name
		}
	}
	return ""
}

// result needs the environment's mutex once hosts can be on the network.
func (n *network) result() wire.NetworkResult {
	r := wire.NetworkResult{Name: n.name, Prefixes: n.prefixes, Gateway: n.via(true)}
	if !r.Gateway.IsValid() {
		r.Gateway = n.via(false)
	}
	return r
}

// checkNetwork refuses what cannot be a network beside the others.
func checkNetwork(p wire.NetworkParams, others []*network) error {
	if err := checkLabel(p.Name); err != nil {
		return fmt.Errorf("network name: %w", err)
	}
	for _, o := range others {
		if o.name == p.Name {
			return refuse(unix.EEXIST, "a network %q exists already", p.Name)
		}
	}
	if err := checkSegment(p, others); err != nil {
		return err
	}
	if err := checkOverlay(p, others); err != nil {
		return err
	}
	if p.NoIPv4 && p.NoIPv6 {
		return refuse(unix.EINVAL, "network %q: without IPv4 and IPv6 nothing is left", p.Name)
	}
	if p.MTU != 0 && (p.MTU < 1280 || p.MTU > 65535) {
		return refuse(unix.EINVAL, "network %q: an MTU of %d is not between 1280 and 65535 bytes", p.Name, p.MTU)
	}
	seen := map[bool]bool{}
	for _, prefix := range p.Prefixes {
		switch is4 := prefix.Addr().Is4(); {
		case !prefix.IsValid():
			return refuse(unix.EINVAL, "network %q: a prefix is malformed: use netip.MustParsePrefix(\"10.1.0.0/24\")", p.Name)
		case prefix.Addr().Is4In6() || prefix.Addr().Zone() != "":
			return refuse(unix.EINVAL, "network %q: %s is neither an IPv4 nor a plain IPv6 prefix", p.Name, prefix)
		case prefix != prefix.Masked():
			return refuse(unix.EINVAL, "network %q: %s has host bits set: %s is the network", p.Name, prefix, prefix.Masked())
		case seen[is4]:
			return refuse(unix.EINVAL, "network %q: %s is its second prefix of one family", p.Name, prefix)
		case is4 && p.NoIPv4 || !is4 && p.NoIPv6:
			return refuse(unix.EINVAL, "network %q: %s is of the family that it is to do without", p.Name, prefix)
		case hostBits(prefix) < 1 || hostBits(prefix) < 2 && !p.PointToPoint:
			return refuse(unix.EINVAL, "network %q: %s has no room for two hosts (a /31 or a /127 is for one that is PointToPoint)", p.Name, prefix)
		case prefix.Addr().IsMulticast() || prefix.Addr().IsLoopback() || prefix.Addr().IsLinkLocalUnicast() || prefix.Addr().IsUnspecified():
			return refuse(unix.EINVAL, "network %q: hosts cannot have addresses in %s", p.Name, prefix)
		default:
			seen[is4] = true
		}
		for _, o := range others {
			for _, theirs := range o.prefixes {
				if theirs.Overlaps(prefix) {
					return refuse(unix.EINVAL, "network %q: %s overlaps %s of network %q", p.Name, prefix, theirs, o.name)
				}
			}
		}
	}
	if p.Gateway.IsValid() {
		for _, prefix := range p.Prefixes {
			if !prefix.Contains(p.Gateway) {
				continue
			}
			if !assignable(prefix, p.Gateway) {
				return refuse(unix.EINVAL, "network %q: the gateway %s is the network's or its broadcast address", p.Name, p.Gateway)
			}
			return nil
		}
		return refuse(unix.EINVAL, "network %q: the gateway %s is in none of its prefixes", p.Name, p.Gateway)
	}
	return nil
}

// automatic is the first prefix of a family, from number on, that overlaps no other network.
func automatic(is4 bool, number int, others []*network) (netip.Prefix, error) {
	for i := number; i < 255; i++ {
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16)
		if !is4 {
			prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 'n', 's', 't', 'e', 's', 't', byte(i)}), 64)
		}
		free := true
		for _, o := range others {
			for _, p := range o.prefixes {
				free = free && !p.Overlaps(prefix)
			}
		}
		if free {
			return prefix, nil
		}
	}
	return netip.Prefix{}, refuse(unix.EADDRNOTAVAIL, "no automatic prefix is left: give explicit ones")
}

// makeNetwork makes the environment's first network.
func (e *environment) makeNetwork(ctx context.Context) error {
	if e.params.Loopback {
		return nil
	}
	n, err := e.addNetwork(ctx, e.params.Network)
	if err == nil {
		e.declareNetwork(n, e.params.Network)
	}
	return err
}

func (e *environment) addNetwork(ctx context.Context, p wire.NetworkParams) (*network, error) {
	e.wiring.Lock()
	defer e.wiring.Unlock()
	e.mu.Lock()
	others := append([]*network{}, e.networks...)
	e.mu.Unlock()
	if err := checkNetwork(p, others); err != nil {
		return nil, err
	}
	if len(p.Trunks) > 0 {
		return e.extend(ctx, p, others)
	}
	n := &network{
		name: p.Name, prefixes: append([]netip.Prefix{}, p.Prefixes...), gateway: p.Gateway, mtu: p.MTU, pointToPoint: p.PointToPoint,
		used: map[netip.Addr]string{},
	}
	n.next = n.firstNumber()
	for _, is4 := range []bool{true, false} {
		wanted := is4 && !p.NoIPv4 || !is4 && !p.NoIPv6
		for _, prefix := range p.Prefixes {
			wanted = wanted && prefix.Addr().Is4() != is4
		}
		if wanted {
			prefix, err := automatic(is4, len(others)+1, others)
			if err != nil {
				return nil, err
			}
			if p.PointToPoint { // RFC 3021, RFC 6164
				prefix = netip.PrefixFrom(prefix.Addr(), prefix.Addr().BitLen()-1)
			}
			n.prefixes = append(n.prefixes, prefix)
		}
	}
	if p.Medium != "" {
		n.overlay = newOverlay(p, others)
		n.mtu = n.overlay.mtu(p.MTU)
		return e.enlist(n)
	}
	var err error
	if n.lan, err = e.server.pool.Get(ctx); err != nil {
		return nil, err
	}
	if p.Hub {
		n.lan.SetHub()
	}
	if p.STP {
		if err := n.span(others); err != nil {
			e.server.pool.Put(n.lan)
			return nil, err
		}
	}
	return e.enlist(n)
}

// enlist makes a network one of the environment's.
func (e *environment) enlist(n *network) (*network, error) {
	e.mu.Lock()
	err := e.closedError()
	if err == nil {
		err = e.listenAll(n)
	}
	if err == nil {
		e.networks = append(e.networks, n)
		// Another switch, or the other end of a tunnel, goes on sending to where somebody of the same address was.
		e.announce = e.announce || n.root != nil || n.overlay != nil
	}
	e.mu.Unlock()
	if err != nil {
		e.server.pool.Put(n.lan)
		return nil, err
	}
	e.recordPackets(n)
	return n, nil
}

// closedError is what a late comer gets. The mutex is held.
func (e *environment) closedError() error {
	if e.closed {
		return refuse(unix.ESHUTDOWN, "the environment is closed")
	}
	return nil
}

// findNetwork is a network as it is now.
func (e *environment) findNetwork(name string) (wire.NetworkResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, err := e.network(name)
	if err != nil {
		return wire.NetworkResult{}, err
	}
	return n.result(), nil
}

// network finds a network by name; "" is the first one. The mutex is held.
func (e *environment) network(name string) (*network, error) {
	for _, n := range e.networks {
		if n.name == name || name == "" {
			return n, nil
		}
	}
	if name == "" {
		return nil, refuse(unix.ENETUNREACH, "the environment has no network")
	}
	return nil, refuse(unix.ENOENT, "there is no network %q: make it with AddNetwork", name)
}

// reserve takes addresses of the network for a host: those that are wanted, and the next free one of each family that
// none is wanted of. The environment's mutex is held.
func (n *network) reserve(hostname string, wanted []netip.Addr) ([]netip.Prefix, error) {
	if n.root != nil {
		return n.root.reserve(hostname, wanted)
	}
	var out []netip.Prefix
	for _, a := range wanted {
		p, err := n.explicit(a)
		if err == nil && n.used[a] != "" {
			err = refuse(unix.EADDRINUSE, "%s is the address of host %q", a, n.used[a])
		}
		for _, other := range out {
			if err == nil && other.Addr().Is4() == a.Is4() {
				err = refuse(unix.EINVAL, "%s is the second address of one family, after %s", a, other.Addr())
			}
		}
		if err != nil {
			return nil, fmt.Errorf("network %q: %w", n.name, err)
		}
		out = append(out, p)
	}
	number := n.next
	for _, prefix := range n.prefixes {
		chosen := false
		for _, p := range out {
			chosen = chosen || p.Addr().Is4() == prefix.Addr().Is4()
		}
		if chosen {
			continue
		}
		a, at, err := n.free(prefix, number)
		if err != nil {
			return nil, err
		}
		n.next = max(n.next, at+1)
		out = append(out, netip.PrefixFrom(a, prefix.Bits()))
	}
	for _, p := range out {
		n.used[p.Addr()] = hostname
	}
	return out, nil
}

// release gives addresses back; the last ones first are used again.
func (n *network) release(addrs []netip.Prefix) {
	if n.root != nil {
		n.root.release(addrs)
		return
	}
	for _, p := range addrs {
		delete(n.used, p.Addr())
	}
	n.next = n.firstNumber()
}

func (n *network) explicit(a netip.Addr) (netip.Prefix, error) {
	switch {
	case !a.IsValid():
		return netip.Prefix{}, refuse(unix.EADDRNOTAVAIL, "the zero Addr is no address: leave it out for an automatic one")
	case a.Is4In6():
		return netip.Prefix{}, refuse(unix.EADDRNOTAVAIL, "%s is an IPv4 address in an IPv6 one: say %s", a, a.Unmap())
	}
	for _, prefix := range n.prefixes {
		if !prefix.Contains(a) {
			continue
		}
		if !assignable(prefix, a) {
			return netip.Prefix{}, refuse(unix.EADDRNOTAVAIL, "%s is the network's or its broadcast address", a)
		}
		return netip.PrefixFrom(a, prefix.Bits()), nil
	}
	return netip.Prefix{}, refuse(unix.EADDRNOTAVAIL, "%s is in none of the prefixes %s", a, n.prefixes)
}

// free is the first address from number on that nobody has, and its number.
func (n *network) free(prefix netip.Prefix, number uint32) (netip.Addr, uint32, error) {
	for ; ; number++ {
		a := nth(prefix.Addr(), number)
		if !prefix.Contains(a) {
			return netip.Addr{}, 0, refuse(unix.EADDRNOTAVAIL, "network %q: every address of %s is in use", n.name, prefix)
		}
		if n.used[a] == "" && a != n.gateway && assignable(prefix, a) {
			return a, number, nil
		}
	}
}

// assignable tells of an address of the prefix whether a host can have it: it is neither the network's nor its broadcast
// address, which a prefix of two addresses does not have (RFC 3021, RFC 6164).
func assignable(prefix netip.Prefix, a netip.Addr) bool {
	return hostBits(prefix) == 1 || a != prefix.Addr() && (a.Is6() || a != last(prefix))
}

func hostBits(prefix netip.Prefix) int { return prefix.Addr().BitLen() - prefix.Bits() }

// nth is the address i places after base.
func nth(base netip.Addr, i uint32) netip.Addr {
	b := base.AsSlice()
	for k := len(b) - 1; k >= 0 && i > 0; k-- {
		sum := uint32(b[k]) + i&0xff
		b[k] = byte(sum)
		i = i>>8 + sum>>8
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// last is the highest address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
