package keeper

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"slices"

	"github.com/hermetic-go/nstest/nstest/internal/lan"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// declared is what a host was told to be, and what it says of itself nowhere else. It is guarded by the host's mutex.
type declared struct {
	nat       []wire.NAT
	nat64     *wire.NAT64
	advertise []wire.Advertisement
	firewall  *wire.FirewallTopology
}

// declare is err, or else has change remember what a host was told.
func (e *environment) declare(name string, err error, change func(d *declared)) error {
	if err != nil {
		return err
	}
	h, err := e.host(name)
	if err != nil {
		return nil // it was removed meanwhile
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	change(&h.declared)
	return nil
}

func (d *declared) router(p wire.RouterParams) {
	d.nat, d.nat64, d.advertise = p.NAT, p.NAT64, p.Advertise
	d.setFirewall(p.Firewall)
}

func (d *declared) setFirewall(f wire.Firewall) {
	if d.firewall = nil; len(f.Rules) > 0 || f.Default != "" && f.Default != "allow" {
		d.firewall = &wire.FirewallTopology{Default: cmp.Or(f.Default, "allow"), Rules: len(f.Rules), Stateless: f.Stateless}
	}
}

// declareNetwork remembers what a network was asked to be.
func (e *environment) declareNetwork(n *network, p wire.NetworkParams) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n.params = p
}

// topology is the environment as it is now. A host that goes meanwhile is left out.
func (e *environment) topology() (wire.TopologyResult, error) {
	var r wire.TopologyResult
	e.mu.Lock()
	if err := e.closedError(); err != nil {
		e.mu.Unlock()
		return r, err
	}
	for _, n := range e.networks {
		t := wire.NetworkTopology{Params: n.params, Prefixes: n.prefixes}
		t.Params.Name = n.name
		for _, is4 := range families {
			if a := n.via(is4); a.IsValid() {
				t.Gateways = append(t.Gateways, a)
			}
		}
		r.Networks = append(r.Networks, t)
	}
	for _, n := range slices.Sorted(maps.Keys(e.faults)) {
		r.Partitions = append(r.Partitions, e.faults[n])
	}
	hosts := e.inOrder()
	e.mu.Unlock()

	left := mostRoutesInAll
	for _, h := range hosts {
		t, err := h.topology(r.Networks, min(mostRoutes, left))
		if errors.Is(err, os.ErrClosed) || errors.Is(err, lan.ErrReleased) {
			continue
		}
		if err != nil {
			return r, err
		}
		r.Hosts = append(r.Hosts, t)
		left -= len(t.Routes)
	}
	return r, nil
}

// inOrder are the hosts that are there: the environment's own first, then by name. The mutex is held.
func (e *environment) inOrder() []*host {
	hosts := []*host{e.hosts[self]}
	for _, k := range slices.Sorted(maps.Keys(e.hosts)) {
		if h := e.hosts[k]; h != nil && k != self { // nil while it is being made
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// inventory is what there is, in the order of a topology.
func (e *environment) inventory() (r wire.InventoryResult, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.networks {
		r.Networks = append(r.Networks, n.result())
	}
	for _, h := range e.inOrder() {
		r.Hosts = append(r.Hosts, h.result())
	}
	return r, e.closedError()
}

// How many routes are told, of a host and in all: its processes may make as many as they like.
const (
	mostRoutes      = 1000
	mostRoutesInAll = 20000
)

// topology is the host as it is now, with so many routes at most.
func (h *host) topology(networks []wire.NetworkTopology, most int) (wire.HostTopology, error) {
	t := wire.HostTopology{HostResult: h.result(), Router: h.router != nil}
	h.mu.Lock()
	d := h.declared
	cables := make([]cable, 0, len(h.cables))
	for _, c := range h.cables {
		cables = append(cables, *c)
	}
	for _, l := range h.loans {
		t.Borrowed = append(t.Borrowed, l.Name)
	}
	h.mu.Unlock()
	t.NAT, t.NAT64, t.Advertise, t.Firewall = d.nat, d.nat64, d.advertise, d.firewall
	devices := map[int]string{} // network by index
	for _, c := range cables {
		devices[c.index] = c.network.name
		if c.port == 0 { // it has no cable of its own
			continue
		}
		plugged, err := c.network.lan.Plugged(c.port)
		if err != nil && (errors.Is(err, unix.ENODEV) || !h.has(c)) {
			continue // the host is going, or the cable has gone
		}
		if err != nil {
			return t, err
		}
		if !plugged {
			t.Down = append(t.Down, c.name())
		}
	}
	if !h.own.Net || h.route == nil {
		return t, nil // what there is, is the machine's
	}
	routes, more, err := h.route.FirstRoutes(most, func(r rtnl.Route) bool { return told(r, t.Router, networks) })
	if err != nil {
		return t, err
	}
	t.MoreRoutes = more
	for _, r := range routes {
		t.Routes = append(t.Routes, routeOf(r, devices))
	}
	return t, nil
}

// has reports whether a cable is where it was.
func (h *host) has(c cable) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.cables, func(now *cable) bool { return now.network == c.network && now.port == c.port })
}

// told reports whether a route belongs in a topology: not those that come with addresses, nor a host's default route
// through a gateway.
func told(r rtnl.Route, router bool, networks []wire.NetworkTopology) bool {
	if r.Proto == unix.RTPROT_KERNEL || r.Proto == unix.RTPROT_UNSPEC || r.Table == unix.RT_TABLE_LOCAL {
		return false
	}
	if router || r.Dst.Bits() > 0 {
		return true
	}
	return !slices.ContainsFunc(networks, func(n wire.NetworkTopology) bool { return slices.Contains(n.Gateways, r.Gateway) })
}

// routeNames are the names of the types of routes that are not unicast.
var routeNames = map[uint8]string{unix.RTN_BLACKHOLE: "blackhole", unix.RTN_UNREACHABLE: "unreachable", unix.RTN_PROHIBIT: "prohibit"}

func routeOf(r rtnl.Route, devices map[int]string) wire.Route {
	out := wire.Route{To: r.Dst, Via: r.Gateway, Type: routeNames[r.Type], Table: int(r.Table), Metric: int(r.Metric)}
	if out.Type == "" {
		out.Network = devices[r.Index]
	}
	if r.Table == unix.RT_TABLE_MAIN {
		out.Table = 0
	}
	if !r.Dst.Addr().Is4() && r.Metric == defaultMetric6 {
		out.Metric = 0
	}
	return out
}

// defaultMetric6 is the metric of an IPv6 route that was given none (IP6_RT_PRIO_USER).
const defaultMetric6 = 1024
