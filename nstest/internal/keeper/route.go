package keeper

import (
	"errors"
	"math"
	"net/netip"

	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

func (e *environment) setRoute(p wire.RouteParams) error {
	h, err := e.host(p.Host)
	if err != nil {
		return err
	}
	return h.setRoute(p)
}

func (e *environment) setRule(p wire.RuleParams) error {
	h, err := e.host(p.Host)
	if err != nil {
		return err
	}
	return h.setRule(p)
}

var routeTypes = map[string]uint8{"": unix.RTN_UNICAST, "blackhole": unix.RTN_BLACKHOLE, "unreachable": unix.RTN_UNREACHABLE, "prohibit": unix.RTN_PROHIBIT}

// checkRoute refuses what can be no route of any host.
func checkRoute(r wire.Route) error {
	kind, known := routeTypes[r.Type]
	switch {
	case !known:
		return refuse(unix.EINVAL, "a route has the type %q: unicast, blackhole, unreachable and prohibit are possible", r.Type)
	case !r.To.IsValid() && r.To != netip.Prefix{}:
		return refuse(unix.EINVAL, "a route to a malformed prefix: use netip.MustParsePrefix(\"10.1.0.0/24\")")
	case !r.To.IsValid() && !r.Via.IsValid():
		return refuse(unix.EINVAL, "a route with neither To nor Via: the default routes are to 0.0.0.0/0 and ::/0")
	case r.To.IsValid() && r.To != r.To.Masked():
		return refuse(unix.EINVAL, "route to %s: it has host bits set: %s is the prefix", r.To, r.To.Masked())
	case r.To.Addr().Is4In6() || r.Via.Is4In6() || r.Via.Zone() != "":
		return refuse(unix.EINVAL, "%s: addresses are plain IPv4 or IPv6, and a zone is said by Network", routeName(r))
	case r.To.IsValid() && r.Via.IsValid() && r.To.Addr().Is4() != r.Via.Is4():
		return refuse(unix.EINVAL, "%s: the next hop %s is of the other family", routeName(r), r.Via)
	case kind != unix.RTN_UNICAST && (r.Via.IsValid() || r.Network != ""):
		return refuse(unix.EINVAL, "%s: packets that go nowhere need neither Via nor Network", routeName(r))
	case r.Table < 0 || r.Table > math.MaxUint32 || r.Metric < 0 || r.Metric > math.MaxUint32:
		return refuse(unix.EINVAL, "%s: table %d and metric %d must be between 0 and 4294967295", routeName(r), r.Table, r.Metric)
	}
	return nil
}

// routeName is the route in messages.
func routeName(r wire.Route) string {
	if !r.To.IsValid() || r.To.Bits() == 0 {
		return "default route"
	}
	return "route to " + r.To.String()
}

func (h *host) setRoute(p wire.RouteParams) error {
	r := p.Route
	if err := checkRoute(r); err != nil {
		return err
	}
	spec := rtnl.RouteSpec{Dst: r.To, Gateway: r.Via, Type: routeTypes[r.Type], Table: uint32(r.Table), Metric: uint32(r.Metric)}
	if r.Type == "" {
		c, err := h.way(r)
		if err != nil {
			return err
		}
		spec.Index = c.index
	}
	if h.owns(r.Via) && !p.Remove {
		return refuse(unix.EINVAL, "%s: the next hop %s is the host's own address", routeName(r), r.Via)
	}
	var msgs rtnl.Batch
	if p.Remove {
		msgs.DelRoute(spec)
	} else {
		msgs.NewRoute(spec)
	}
	err := h.route.Send(&msgs)
	switch {
	case errors.Is(err, unix.EEXIST):
		return refuse(unix.EEXIST, "host %q has a %s with this metric in this table already", h.name, routeName(r))
	case errors.Is(err, unix.ESRCH) && p.Remove:
		return refuse(unix.ESRCH, "host %q has no such %s", h.name, routeName(r))
	}
	return err
}

// way is the cable that a route leads out of.
func (h *host) way(r wire.Route) (*cable, error) {
	if r.Network != "" || !r.Via.IsValid() {
		return h.cable(r.Network)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.cables {
		for _, a := range c.addrs {
			if a.Masked().Contains(r.Via) {
				return c, nil
			}
		}
	}
	return nil, refuse(unix.ENETUNREACH, "%s: the next hop %s is on no network of host %q: say which in Network", routeName(r), r.Via, h.name)
}

// owns reports whether a is an address that the host was given.
func (h *host) owns(a netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.cables {
		for _, p := range c.addrs {
			if p.Addr() == a {
				return true
			}
		}
	}
	return false
}

// checkRule refuses what can be no rule of any host.
func checkRule(r wire.Rule) error {
	for _, p := range []netip.Prefix{r.From, r.To} {
		switch {
		case !p.IsValid() && p != netip.Prefix{}:
			return refuse(unix.EINVAL, "a rule with a malformed prefix: use netip.MustParsePrefix(\"10.1.0.0/24\")")
		case p.Addr().Is4In6() || p.IsValid() && p != p.Masked():
			return refuse(unix.EINVAL, "a rule with the prefix %s: %s is plain and without host bits", p, p.Masked())
		case p.IsValid() && r.IPv6 && p.Addr().Is4():
			return refuse(unix.EINVAL, "a rule of IPv6 with the IPv4 prefix %s", p)
		}
	}
	switch {
	case r.From.IsValid() && r.To.IsValid() && r.From.Addr().Is4() != r.To.Addr().Is4():
		return refuse(unix.EINVAL, "a rule from %s to %s: they are of different families", r.From, r.To)
	case r.Table < 0 || r.Table > math.MaxUint32 || r.Priority < 0 || r.Priority > math.MaxUint32:
		return refuse(unix.EINVAL, "a rule with table %d and priority %d: they must be between 0 and 4294967295", r.Table, r.Priority)
	}
	return nil
}

func (h *host) setRule(p wire.RuleParams) error {
	r := p.Rule
	if err := checkRule(r); err != nil {
		return err
	}
	spec := rtnl.RuleSpec{
		From: r.From, To: r.To, Mark: r.Mark, Mask: r.Mask, Table: uint32(r.Table), Priority: uint32(r.Priority),
		IPv6: r.IPv6 || r.From.Addr().Is6() || r.To.Addr().Is6(),
	}
	if r.In != "" {
		c, err := h.cable(r.In)
		if err != nil {
			return err
		}
		spec.In = c.name()
	}
	var msgs rtnl.Batch
	if p.Remove {
		msgs.DelRule(spec)
	} else {
		msgs.NewRule(spec)
	}
	err := h.route.Send(&msgs)
	switch {
	case errors.Is(err, unix.EEXIST):
		return refuse(unix.EEXIST, "host %q has this rule with this priority already", h.name)
	case errors.Is(err, unix.ENOENT) && p.Remove:
		return refuse(unix.ENOENT, "host %q has no such rule", h.name)
	}
	return err
}
