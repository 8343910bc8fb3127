package reachability_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/hermetic-go/nstest/nstest"
)

// A plan is what an environment is to be like.
type plan struct {
	networks []network
	nodes    []node  // in the order in which they are made
	groups   [][]int // of nodes that are cut from each other
}

type network struct {
	name     string
	prefixes []netip.Prefix
}

// A node is a host or a router.
type node struct {
	name     string
	router   bool
	ports    []port
	routes   []nstest.Route
	firewall nstest.Firewall
}

// A port is a node's cable to a network.
type port struct {
	network   int // its place in the plan
	addrs     []netip.Addr
	noGateway bool
	down      bool
}

func (p port) addr(is4 bool) netip.Addr {
	for _, a := range p.addrs {
		if a.Is4() == is4 {
			return a
		}
	}
	return netip.Addr{}
}

// addrs are all addresses of a node.
func (n node) addrs() (list []netip.Addr) {
	for _, p := range n.ports {
		list = append(list, p.addrs...)
	}
	return list
}

// port is the port on a network, or nil.
func (n node) port(network int) *port {
	for i := range n.ports {
		if n.ports[i].network == network {
			return &n.ports[i]
		}
	}
	return nil
}

// newPlan is a random plan.
func newPlan(r *rand.Rand) *plan {
	p := &plan{}
	for i := range 2 + r.IntN(4) {
		n := network{name: fmt.Sprintf("net%d", i)}
		v4, v6 := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, byte(i), 0}), 24), netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0x77, 3: byte(i)}), 64)
		switch r.IntN(5) {
		case 0:
			n.prefixes = []netip.Prefix{v4}
		case 1:
			n.prefixes = []netip.Prefix{v6}
		default:
			n.prefixes = []netip.Prefix{v4, v6}
		}
		p.networks = append(p.networks, n)
	}
	for i := range 1 + r.IntN(4) {
		p.addNode(r, node{name: fmt.Sprintf("router%d", i), router: true}, 2+r.IntN(2))
	}
	for i := range 3 + r.IntN(6) {
		p.addNode(r, node{name: fmt.Sprintf("host%d", i)}, 1+max(0, r.IntN(10)-6)/2)
	}
	r.Shuffle(len(p.nodes), func(i, j int) { p.nodes[i], p.nodes[j] = p.nodes[j], p.nodes[i] })
	for i := range p.nodes {
		for range r.IntN(3) {
			p.addRoute(r, &p.nodes[i])
		}
		if r.IntN(3) == 0 {
			p.nodes[i].firewall = p.newFirewall(r)
		}
	}
	if r.IntN(2) == 0 {
		p.groups = make([][]int, 2+r.IntN(2))
		for i, n := range r.Perm(len(p.nodes)) {
			if g := i % (len(p.groups) + 1); g < len(p.groups) { // the rest is in none
				p.groups[g] = append(p.groups[g], n)
			}
		}
	}
	return p
}

func (p *plan) addNode(r *rand.Rand, n node, ports int) {
	number := byte(1 + 17*len(p.nodes)) // in both halves of the networks
	for _, i := range r.Perm(len(p.networks))[:min(ports, len(p.networks))] {
		port := port{network: i, noGateway: r.IntN(8) == 0, down: r.IntN(12) == 0}
		for _, prefix := range p.networks[i].prefixes {
			a := prefix.Addr().AsSlice()
			a[len(a)-1] = number
			addr, _ := netip.AddrFromSlice(a)
			port.addrs = append(port.addrs, addr)
		}
		n.ports = append(n.ports, port)
	}
	p.nodes = append(p.nodes, n)
}

// addRoute gives a node a route, if the one that chance brings makes sense: to a network, or to a half of one, through another
// node.
func (p *plan) addRoute(r *rand.Rand, n *node) {
	to := p.somePrefix(r)
	is4 := to.Addr().Is4()
	out := n.ports[r.IntN(len(n.ports))]
	next := p.nodes[r.IntN(len(p.nodes))]
	on := next.port(out.network)
	route := nstest.Route{To: to}
	if r.IntN(8) == 0 {
		route.Type = []nstest.RouteType{nstest.Blackhole, nstest.Unreachable, nstest.Prohibit}[r.IntN(3)]
	} else {
		if next.name == n.name || on == nil || !on.addr(is4).IsValid() {
			return
		}
		route.Via = on.addr(is4)
	}
	for _, own := range n.ports {
		if gw := p.gateway(own.network, is4); gw.IsValid() && to.Contains(gw) || slices.Contains(p.networks[own.network].prefixes, to) {
			return // the kernel would not take the one route because of the other
		}
	}
	for _, other := range append(n.routes, route) {
		if other.To == to && len(n.routes) > 0 && slices.ContainsFunc(n.routes, func(r nstest.Route) bool { return r.To == to }) ||
			to.Contains(other.Via) || route.Via.IsValid() && other.To.Contains(route.Via) {
			return
		}
	}
	n.routes = append(n.routes, route)
}

// somePrefix is a network's prefix, or one of its halves in which there are hosts.
func (p *plan) somePrefix(r *rand.Rand) netip.Prefix {
	n := p.networks[r.IntN(len(p.networks))]
	prefix := n.prefixes[r.IntN(len(n.prefixes))]
	half := r.IntN(3)
	if half == 2 {
		return prefix
	}
	a := prefix.Addr().AsSlice()
	a[len(a)-1] = byte(0x80 * half)
	addr, _ := netip.AddrFromSlice(a)
	return netip.PrefixFrom(addr, addr.BitLen()-7)
}

func (p *plan) newFirewall(r *rand.Rand) nstest.Firewall {
	f := nstest.Firewall{Stateless: r.IntN(4) == 0}
	verdict := nstest.Drop
	if r.IntN(3) == 0 {
		verdict, f.Default = nstest.Allow, nstest.Drop
	}
	for range 1 + r.IntN(4) {
		rule := nstest.FirewallRule{Verdict: verdict, From: p.somebody(r), To: p.somebody(r), Direction: nstest.Direction(r.IntN(4))}
		for family(rule.From)*family(rule.To) < 0 { // which is refused
			rule.To = p.somebody(r)
		}
		if r.IntN(4) == 0 {
			rule.Verdict = nstest.Drop - verdict
		}
		switch r.IntN(5) {
		case 0:
			rule.Protocol = "icmp"
		case 1:
			rule.Protocol = "tcp"
		case 2:
			rule.Protocol, rule.Ports = "tcp", []nstest.PortRange{{First: open}}
		case 3:
			rule.Protocol, rule.Ports = "tcp", []nstest.PortRange{{First: 1, Last: 79}, {First: closed, Last: 100}}
		}
		f.Rules = append(f.Rules, rule)
	}
	return f
}

// family is 1 for an address or prefix of IPv4, -1 for one of IPv6, and 0 for a name.
func family(somebody string) int {
	text, _, _ := strings.Cut(somebody, "/")
	switch a, err := netip.ParseAddr(text); {
	case err != nil:
		return 0
	case a.Is4():
		return 1
	}
	return -1
}

// somebody is whom a rule of a firewall may name.
func (p *plan) somebody(r *rand.Rand) string {
	n := p.nodes[r.IntN(len(p.nodes))]
	switch r.IntN(6) {
	case 0:
		return n.name
	case 1:
		return p.networks[r.IntN(len(p.networks))].name
	case 2:
		return n.addrs()[r.IntN(len(n.addrs()))].String()
	case 3:
		return p.somePrefix(r).String()
	}
	return ""
}

func (p *plan) String() string {
	var b strings.Builder
	for _, n := range p.networks {
		fmt.Fprintln(&b, n.name, n.prefixes)
	}
	for i, n := range p.nodes {
		fmt.Fprintf(&b, "%d %s", i, n.name)
		for _, port := range n.ports {
			fmt.Fprintf(&b, " %s%v", p.networks[port.network].name, port.addrs)
			if port.noGateway {
				b.WriteString(" no gateway")
			}
			if port.down {
				b.WriteString(" down")
			}
		}
		for _, r := range n.routes {
			fmt.Fprintf(&b, "\n  route %s via %s %s", r.To, r.Via, r.Type)
		}
		if f := n.firewall; len(f.Rules) > 0 {
			fmt.Fprintf(&b, "\n  firewall default %d stateless %t", f.Default, f.Stateless)
			for _, r := range f.Rules {
				fmt.Fprintf(&b, "\n    %+v", r)
			}
		}
		b.WriteString("\n")
	}
	fmt.Fprintln(&b, "cut:", p.groups)
	return b.String()
}
