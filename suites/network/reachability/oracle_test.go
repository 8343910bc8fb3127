package reachability_test

import (
	"net/netip"
	"slices"

	"github.com/hermetic-go/nstest/nstest"
)

// Ports of the nodes. Connections are made from ports above both.
const (
	open      = 80
	closed    = 81
	ephemeral = 40000
)

// A question is whether a node reaches an address.
type question struct {
	from, to int // nodes
	addr     netip.Addr
	kind     kind
}

// A kind of reaching, and what shows it.
type kind int

const (
	echo    kind = iota // an ICMP echo request is answered
	connect             // a TCP connection comes about
	refusal             // a TCP connection is refused by the node, on whose port nobody listens
)

// A packet is one of a question's two.
type packet struct {
	from, to netip.Addr
	protocol string
	port     uint16
	refusal  bool // a TCP RST
}

// expect is the answer to a question: whether there and back again nothing is in the way.
func (p *plan) expect(q question) bool {
	is4 := q.addr.Is4()
	_, out, ok := p.route(q.from, q.addr)
	if !ok {
		return false
	}
	ask := packet{from: p.nodes[q.from].ports[out].addr(is4), to: q.addr, protocol: "tcp", port: open}
	switch q.kind {
	case echo:
		ask.protocol, ask.port = "icmp", 0
	case refusal:
		ask.port = closed
	}
	seen := map[int]bool{}
	if !p.arrives(q.from, ask, ask, seen) {
		return false
	}
	answer := packet{from: ask.to, to: ask.from, protocol: ask.protocol, refusal: q.kind == refusal}
	if answer.protocol == "tcp" {
		answer.port = ephemeral
	}
	return p.arrives(q.to, answer, ask, seen)
}

// arrives follows a packet to its destination. Nodes with a firewall that keeps state treat it as what it answers, if they
// have seen that.
func (p *plan) arrives(at int, k, ask packet, seen map[int]bool) bool {
	if !p.passes(at, nstest.Out, k, ask, seen) {
		return false
	}
	for range 64 {
		via, out, ok := p.route(at, k.to)
		if !ok {
			return false
		}
		next, ok := p.neighbour(at, out, via)
		if !ok {
			return false
		}
		if at = next; slices.Contains(p.nodes[at].addrs(), k.to) {
			return p.passes(at, nstest.In, k, ask, seen)
		}
		if _, _, ok := p.route(at, k.to); !ok || !p.nodes[at].router || !p.passes(at, nstest.Through, k, ask, seen) {
			return false
		}
	}
	return false
}

// route is the next hop to an address, and out of which port, by the longest prefix.
func (p *plan) route(at int, to netip.Addr) (via netip.Addr, out int, ok bool) {
	n := p.nodes[at]
	best := -1
	for i, port := range n.ports {
		for _, prefix := range p.networks[port.network].prefixes {
			if prefix.Contains(to) && prefix.Bits() > best {
				via, out, ok, best = to, i, true, prefix.Bits()
			}
		}
	}
	for _, r := range n.routes {
		if !r.To.Contains(to) || r.To.Bits() <= best {
			continue
		}
		best, ok = r.To.Bits(), false
		if r.Type != nstest.Unicast {
			continue
		}
		for i, port := range n.ports {
			for _, prefix := range p.networks[port.network].prefixes {
				if prefix.Contains(r.Via) {
					via, out, ok = r.Via, i, true
				}
			}
		}
	}
	if best >= 0 {
		return via, out, ok
	}
	for i, port := range n.ports { // the default route
		gw := p.gateway(port.network, to.Is4())
		if !port.noGateway && gw.IsValid() && !slices.Contains(port.addrs, gw) {
			return gw, i, true
		}
	}
	return netip.Addr{}, 0, false
}

// gateway is the first router that is made on a network.
func (p *plan) gateway(network int, is4 bool) netip.Addr {
	for _, n := range p.nodes {
		if port := n.port(network); n.router && port != nil && !port.noGateway {
			return port.addr(is4)
		}
	}
	return netip.Addr{}
}

// neighbour is who has an address at the other end of a port, if frames come that far.
func (p *plan) neighbour(at, out int, a netip.Addr) (int, bool) {
	own := p.nodes[at].ports[out]
	for i, n := range p.nodes {
		port := n.port(own.network)
		if i != at && port != nil && slices.Contains(port.addrs, a) {
			return i, !own.down && !port.down && !p.cut(at, i)
		}
	}
	return 0, false
}

func (p *plan) cut(a, b int) bool {
	group := func(n int) int {
		return slices.IndexFunc(p.groups, func(g []int) bool { return slices.Contains(g, n) })
	}
	return group(a) >= 0 && group(b) >= 0 && group(a) != group(b)
}

// passes asks a node's firewall.
func (p *plan) passes(at int, d nstest.Direction, k, ask packet, seen map[int]bool) bool {
	f := p.nodes[at].firewall
	switch {
	case !f.Stateless && seen[at]:
		return true // it let the connection through
	case f.Stateless && d == nstest.Out && k.refusal:
		return true // what the kernel refuses
	}
	verdict := f.Default
	if i := slices.IndexFunc(f.Rules, func(r nstest.FirewallRule) bool { return p.fits(r, d, k) }); i >= 0 {
		verdict = f.Rules[i].Verdict
	}
	if k == ask {
		seen[at] = true
	}
	return verdict == nstest.Allow
}

func (p *plan) fits(r nstest.FirewallRule, d nstest.Direction, k packet) bool {
	return (r.Direction == nstest.AnyDirection || r.Direction == d) &&
		(r.Protocol == "" || r.Protocol == k.protocol) &&
		(len(r.Ports) == 0 || slices.ContainsFunc(r.Ports, func(s nstest.PortRange) bool { return s.First <= k.port && k.port <= max(s.First, s.Last) })) &&
		p.is(r.From, k.from) && p.is(r.To, k.to)
}

// is reports whether an address is somebody's.
func (p *plan) is(name string, a netip.Addr) bool {
	if name == "" {
		return true
	}
	for _, n := range p.nodes {
		if n.name == name {
			return slices.Contains(n.addrs(), a)
		}
	}
	for _, n := range p.networks {
		if n.name == name {
			return slices.ContainsFunc(n.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
		}
	}
	if prefix, err := netip.ParsePrefix(name); err == nil {
		return prefix.Contains(a)
	}
	return netip.MustParseAddr(name) == a
}
