package keeper

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/lan"
	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// segment is what a network has to do with others: the switches that are cabled to its own, or those below an overlay.
// Nothing of it changes once the network is the environment's.
type segment struct {
	root    *network              // whose addresses the hosts have; nil = the network's own
	trunks  map[string]*lan.Trunk // those that were made with the network, by the name of the other one
	number  int                   // of the switch in the spanning tree; 0 = it does not speak the protocol
	overlay *overlay              // nil for a network with a switch
}

// head is the network whose addresses the segment has.
func (n *network) head() *network {
	if n.root != nil {
		return n.root
	}
	return n
}

// maxNetworks bounds the switches of an environment.
const maxNetworks = 250

// checkSegment refuses switches that cannot be cabled together.
func checkSegment(p wire.NetworkParams, others []*network) error {
	if len(others) >= maxNetworks {
		return refuse(unix.ENOSPC, "network %q: an environment has %d networks at most", p.Name, maxNetworks)
	}
	if len(p.Trunks) == 0 {
		return nil
	}
	switch {
	case len(p.Prefixes) > 0 || p.Gateway.IsValid() || p.NoIPv4 || p.NoIPv6:
		return refuse(unix.EINVAL, "network %q: its addresses are those of network %q, to which it is cabled: leave Prefixes, Gateway, NoIPv4 and NoIPv6 out", p.Name, p.Trunks[0])
	case p.PointToPoint:
		return refuse(unix.EINVAL, "network %q: a point-to-point link has no switch that could be cabled to network %q", p.Name, p.Trunks[0])
	}
	var first *network
	for i, name := range p.Trunks {
		at := slices.IndexFunc(others, func(o *network) bool { return o.name == name })
		switch {
		case name == p.Name:
			return refuse(unix.EINVAL, "network %q is to be cabled to itself", p.Name)
		case at < 0:
			return refuse(unix.ENOENT, "network %q: there is no network %q to be cabled to: make that first", p.Name, name)
		case slices.Contains(p.Trunks[:i], name):
			return refuse(unix.EINVAL, "network %q is to be cabled to network %q twice", p.Name, name)
		case others[at].pointToPoint:
			return refuse(unix.EINVAL, "network %q cannot be cabled to network %q, which is a point-to-point link", p.Name, name)
		case others[at].overlay != nil:
			return refuse(unix.EINVAL, "network %q: network %q has no switch to be cabled to, as it is carried by network %q", p.Name, name, others[at].overlay.over.name)
		}
		if first == nil {
			first = others[at]
		}
		if mine, theirs := first.head(), others[at].head(); mine != theirs {
			return refuse(unix.EINVAL, "network %q would make one segment of networks %q and %q, which have addresses of their own: give Trunks to one of these", p.Name, mine.name, theirs.name)
		}
	}
	return checkLoop(p, others)
}

// checkLoop refuses a loop, on which frames would go round for ever, unless every switch of it breaks loops.
func checkLoop(p wire.NetworkParams, others []*network) error {
	g := graph{cables: map[string]map[string]bool{}}
	for _, o := range others {
		for to := range o.trunks {
			g.cable(o.name, to)
		}
	}
	for _, to := range p.Trunks {
		g.cable(p.Name, to)
	}
	careless := []string{}
	for _, o := range others {
		if o.number == 0 {
			careless = append(careless, o.name)
		}
	}
	if !p.STP {
		careless = append(careless, p.Name)
	}
	for _, name := range careless {
		loop := g.loop(name)
		if loop == nil {
			continue
		}
		var names []string // in the order in which they were made
		for _, o := range others {
			if slices.Contains(loop, o.name) {
				names = append(names, o.name)
			}
		}
		return refuse(unix.ELOOP, "networks %s and %s form a loop: set STP on each", strings.Join(names, ", "), p.Name)
	}
	return nil
}

// A graph is which switch is cabled to which.
type graph struct{ cables map[string]map[string]bool }

func (g graph) cable(a, b string) {
	for _, end := range [][2]string{{a, b}, {b, a}} {
		if g.cables[end[0]] == nil {
			g.cables[end[0]] = map[string]bool{}
		}
		g.cables[end[0]][end[1]] = true
	}
}

// loop is a way from a switch to itself that uses no cable twice, or nil.
func (g graph) loop(name string) []string {
	from := map[string]string{} // which one each was reached from, without passing the first
	for _, first := range slices.Sorted(maps.Keys(g.cables[name])) {
		if _, seen := from[first]; seen { // from another neighbour
			loop := []string{name}
			for at := first; at != ""; at = from[at] {
				loop = append(loop, at)
			}
			return loop
		}
		from[first] = ""
		for queue := []string{first}; len(queue) > 0; queue = queue[1:] {
			for _, next := range slices.Sorted(maps.Keys(g.cables[queue[0]])) {
				if _, seen := from[next]; !seen && next != name {
					from[next] = queue[0]
					queue = append(queue, next)
				}
			}
		}
	}
	return nil
}

// extend makes a network that is a further switch of a segment.
func (e *environment) extend(ctx context.Context, p wire.NetworkParams, others []*network) (*network, error) {
	ends := make([]*network, len(p.Trunks))
	for i, name := range p.Trunks {
		ends[i] = others[slices.IndexFunc(others, func(o *network) bool { return o.name == name })]
	}
	root := ends[0].head()
	n := &network{name: p.Name, prefixes: root.prefixes, gateway: root.gateway, mtu: p.MTU, segment: segment{root: root, trunks: map[string]*lan.Trunk{}}}
	if n.mtu == 0 {
		n.mtu = root.mtu
	}
	var err error
	if n.lan, err = e.server.pool.Get(ctx); err != nil {
		return nil, err
	}
	if p.Hub {
		n.lan.SetHub()
	}
	if p.STP {
		err = n.span(others)
	}
	for _, end := range ends {
		if err == nil {
			n.trunks[end.name], err = n.lan.Trunk(ctx, end.lan)
		}
	}
	if err != nil {
		e.server.pool.Put(n.lan)
		return nil, fmt.Errorf("network %q: %w", p.Name, err)
	}
	return e.enlist(n)
}

// span has the network's switch speak the spanning tree protocol. Earlier ones are nearer to the root of the tree.
func (n *network) span(others []*network) error {
	for _, o := range others {
		n.number = max(n.number, o.number)
	}
	n.number++
	return n.lan.Span(n.number)
}

// setTrunk pulls or plugs the cable between two switches.
func (e *environment) setTrunk(p wire.TrunkParams) error {
	e.mu.Lock()
	var trunk *lan.Trunk
	err := e.closedError()
	for _, n := range e.networks {
		switch {
		case n.name == p.Network && n.trunks[p.To] != nil:
			trunk = n.trunks[p.To]
		case n.name == p.To && n.trunks[p.Network] != nil:
			trunk = n.trunks[p.Network]
		}
	}
	e.mu.Unlock()
	if err == nil && trunk == nil {
		err = refuse(unix.ENODEV, "there is no trunk between networks %q and %q", p.Network, p.To)
	}
	if err != nil {
		return err
	}
	if err := trunk.Set(p.Up); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inForce.trunk(p.Network, p.To, p.Up)
	e.happened(record.Event{Kind: record.KindLink, Network: p.Network, Text: "trunk to " + p.To + " " + plugged(p.Up)})
	return nil
}

// crossTrunks adds to blocked every port of n with a host in a, together with the addresses of those in b that are on
// other switches of the segment.
func (e *environment) crossTrunks(n *network, a, b []string, blocked map[lan.Remote]bool) {
	if n.root == nil && !slices.ContainsFunc(e.networks, func(o *network) bool { return o.root == n }) {
		return // a switch alone
	}
	ports := e.ports(n, a)
	if len(ports) == 0 {
		return
	}
	for _, name := range b {
		h := e.hosts[key(name)]
		if h == nil {
			continue
		}
		for _, mac := range h.macs(n) {
			for _, port := range ports {
				blocked[lan.Remote{Port: port, MAC: mac}] = true
			}
		}
	}
}

// macs are the addresses of the host on the segment of n, those aside that are on the switch of n.
func (h *host) macs(n *network) [][6]byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list [][6]byte
	for _, c := range h.cables {
		at := c.network
		if at.overlay != nil && at.overlay.kind == "macvlan" {
			at = at.overlay.over
		}
		if at != n && at.overlay == nil && at.head() == n.head() {
			list = append(list, [6]byte(c.mac))
		}
	}
	return list
}
