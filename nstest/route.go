package nstest

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A Route says where a host sends packets (ip-route(8)), or a router forwards them.
type Route struct {
	To      netip.Prefix // the zero value is the default route of Via's family
	Via     netip.Addr   // the next hop, of To's family; the zero value: whoever has the address answers on the link itself
	Network string       // out of which link; "" is the one on whose network Via is, or the host's only one
	Type    RouteType    // of those that are not Unicast, Via and Network are empty
	Table   int          // which Rules choose; 0 is the main one
	Metric  int          // the lowest wins; 0 is the kernel's default: 0 of IPv4, 1024 of IPv6
}

// RouteType says what becomes of the packets.
type RouteType int

// The values of RouteType. A host's own connections fail at once with the errno of the route.
const (
	Unicast     RouteType = iota
	Blackhole             // dropped; EINVAL
	Unreachable           // answered by ICMP "host unreachable", in IPv6 "no route to destination"; EHOSTUNREACH
	Prohibit              // answered by ICMP "administratively prohibited"; EACCES
)

func (t RouteType) String() string {
	if t < Unicast || t > Prohibit {
		return fmt.Sprintf("RouteType(%d)", int(t))
	}
	return [...]string{"unicast", "blackhole", "unreachable", "prohibit"}[t]
}

// MarshalText is String for encoding/json and the like.
func (t RouteType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText is the reverse of MarshalText.
func (t *RouteType) UnmarshalText(text []byte) (err error) {
	*t, err = named(string(text), Prohibit)
	return err
}

func (r Route) params() (wire.Route, error) {
	p := wire.Route{To: r.To, Via: r.Via, Network: r.Network, Table: r.Table, Metric: r.Metric}
	switch r.Type {
	case Unicast:
	case Blackhole, Unreachable, Prohibit:
		p.Type = r.Type.String()
	default:
		return p, fmt.Errorf("%v is none of the types of a route", r.Type)
	}
	return p, nil
}

// A Rule chooses a table of routes for packets to which all of it applies (ip-rule(8)). The rule with the lowest Priority
// counts whose table has a route; the main table's has 32766.
type Rule struct {
	From, To   netip.Prefix // the zero value is anybody
	In         string       // the network that the packet comes from
	Mark, Mask uint32       // of fwmark; Mask 0 is all bits where there is a Mark
	IPv6       bool         // the family where neither From nor To says it
	Table      int          // 0 is the main one
	Priority   int          // 0 is the kernel's choice: before all others but the local table's
}

// AddRoute gives the host a route. It is an EEXIST where the host has a route with the same To, Metric and Table, such as
// the default route through its network's gateway (see Attachment.NoGateway).
func (h *Host) AddRoute(r Route) error { return h.setRoute("add route of", r, false) }

// RemoveRoute takes a route away: the first that is as r says. It is an ESRCH where there is none.
func (h *Host) RemoveRoute(r Route) error { return h.setRoute("remove route of", r, true) }

// AddRule gives the host a policy rule. It is an EEXIST where the host has this one with this Priority.
func (h *Host) AddRule(r Rule) error { return h.setRule("add rule of", r, false) }

// RemoveRule takes a policy rule away: the first that is as r says, with any priority where Priority is 0. It is an ENOENT
// where there is none.
func (h *Host) RemoveRule(r Rule) error { return h.setRule("remove rule of", r, true) }

func (h *Host) setRoute(op string, r Route, remove bool) error {
	p, err := r.params()
	if err == nil {
		err = h.env.call(context.Background(), wire.MethodRoute, wire.RouteParams{Host: h.name, Route: p, Remove: remove}, nil)
	}
	return wrap(op, h.env.name, h.name, err)
}

func (h *Host) setRule(op string, r Rule, remove bool) error {
	p := wire.RuleParams{Host: h.name, Rule: wire.Rule(r), Remove: remove}
	return wrap(op, h.env.name, h.name, h.env.call(context.Background(), wire.MethodRule, p, nil))
}
