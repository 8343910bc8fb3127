package nstest

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A Topology is what an environment was like at one moment: networks, hosts, routers, cables, and what was broken. It is a
// plain value that encoding/json writes and reads. String, DOT and SVG show it, and what a program makes or changes of it,
// to people.
type Topology struct {
	Name       string            // of the environment
	Networks   []TopologyNetwork // in the order in which they were made
	Hosts      []TopologyHost    // routers among them; Self first, the others by name
	Partitions [][][]string      // the groups of hosts, by name, of each that is in force
}

// A TopologyNetwork is a network of a Topology. The fields are those of NetworkConfig; MTU is 1500 where that was 0.
type TopologyNetwork struct {
	Name         string
	Prefixes     []netip.Prefix `json:",omitempty"`
	Gateways     []netip.Addr   `json:",omitempty"` // where its hosts' default routes lead, at most one of each family
	MTU          int
	PointToPoint bool     `json:",omitempty"`
	Hub          bool     `json:",omitempty"`
	STP          bool     `json:",omitempty"`
	Trunks       []string `json:",omitempty"`
	Medium       string   `json:",omitempty"` // "vxlan" or "macvlan"; "" is a switch
	Over         string   `json:",omitempty"`
	VNI          int      `json:",omitempty"` // as asked for
}

// A TopologyHost is a host of a Topology, or a router.
type TopologyHost struct {
	Name  string
	Links []TopologyLink

	// Routes are those in the host's kernel, whoever made them, but for the ones that come with an address, and, of a host
	// that is no router, default routes through a gateway of a network. There are 1000 at most, and 20000 in all:
	// MoreRoutes says that some are left out.
	Routes     []Route `json:",omitempty"`
	MoreRoutes bool    `json:",omitempty"`

	Router    bool              `json:",omitempty"` // made by AddRouter
	NAT       []NAT             `json:",omitempty"`
	NAT64     *NAT64            `json:",omitempty"`
	Advertise []Advertisement   `json:",omitempty"`
	Firewall  *TopologyFirewall `json:",omitempty"` // nil where everything is let through
	Borrowed  []string          `json:",omitempty"` // devices of the machine
}

// A TopologyLink is the cable of a host to a network.
type TopologyLink struct {
	Network   string
	Interface string
	Addrs     []netip.Addr
	MAC       string
	Down      bool // the cable is pulled: Link.Down
}

// A TopologyFirewall says how a host's firewall is made.
type TopologyFirewall struct {
	Default   string // "allow", "drop" or "reject"
	Rules     int    // how many there are
	Stateless bool
}

// Topology looks at the environment.
func (e *Env) Topology() (*Topology, error) {
	var r wire.TopologyResult
	if err := e.call(context.Background(), wire.MethodTopology, struct{}{}, &r); err != nil {
		return nil, wrap("look at topology", e.name, "", err)
	}
	t := &Topology{Name: e.name, Partitions: r.Partitions}
	for _, n := range r.Networks {
		p := n.Params
		if p.MTU == 0 {
			p.MTU = 1500
		}
		t.Networks = append(t.Networks, TopologyNetwork{Name: p.Name, Prefixes: n.Prefixes, Gateways: n.Gateways, MTU: p.MTU,
			PointToPoint: p.PointToPoint, Hub: p.Hub, STP: p.STP, Trunks: p.Trunks, Medium: p.Medium, Over: p.Over, VNI: p.VNI})
	}
	for _, h := range r.Hosts {
		host, err := newTopologyHost(h)
		if err != nil {
			return nil, wrap("look at topology", e.name, h.Name, err)
		}
		t.Hosts = append(t.Hosts, host)
	}
	return t, nil
}

func newTopologyHost(h wire.HostTopology) (TopologyHost, error) {
	t := TopologyHost{Name: h.Name, Router: h.Router, MoreRoutes: h.MoreRoutes, NAT64: (*NAT64)(h.NAT64), Firewall: (*TopologyFirewall)(h.Firewall), Borrowed: h.Borrowed}
	down := map[string]bool{}
	for _, name := range h.Down {
		down[name] = true
	}
	for _, l := range h.Links {
		t.Links = append(t.Links, TopologyLink{l.Network, l.Interface, l.Addrs, l.MAC, down[l.Interface]})
	}
	for _, r := range h.Routes {
		route := Route{To: r.To, Via: r.Via, Network: r.Network, Table: r.Table, Metric: r.Metric}
		if r.Type != "" {
			var err error
			if route.Type, err = named(r.Type, Prohibit); err != nil {
				return t, err
			}
		}
		t.Routes = append(t.Routes, route)
	}
	for _, n := range h.NAT {
		kind, err := named(n.Kind, Symmetric)
		if err != nil {
			return t, err
		}
		nat := NAT{Outside: n.Outside, Inside: n.Inside, Kind: kind, Hairpin: n.Hairpin, UDPTimeout: n.UDPTimeout, TCPTimeout: n.TCPTimeout, NAT66: n.NAT66, NPTv6: n.NPTv6}
		for _, f := range n.Forwards {
			nat.Forwards = append(nat.Forwards, Forward(f))
		}
		t.NAT = append(t.NAT, nat)
	}
	for _, a := range h.Advertise {
		t.Advertise = append(t.Advertise, Advertisement(a))
	}
	return t, nil
}

// named is the value up to last whose String is text.
func named[T interface {
	~int
	fmt.Stringer
}](text string, last T) (T, error) {
	for v := T(0); v <= last; v++ {
		if v.String() == text {
			return v, nil
		}
	}
	return 0, fmt.Errorf("%q is no %T", text, last)
}

// String is a text for a terminal, with a line for each network and each cable.
func (t *Topology) String() string { return strings.TrimSuffix(t.graph().Text(), "\n") }

// DOT is the topology in the language of Graphviz: networks are rounded boxes, hosts boxes, routers hexagons, and pulled
// cables dashed.
func (t *Topology) DOT() string { return t.graph().DOT() }

// SVG is a drawing, for light and dark backgrounds, that needs nothing else: networks are bars, hosts boxes, routers
// hexagons, and pulled cables dashed; hosts that a partition cuts from each other are marked. Pointing at something tells
// more about it.
func (t *Topology) SVG() string { return t.graph().SVG() }
