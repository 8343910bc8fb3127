package nstest

import "net/netip"

// A Route says where a host sends packets.
type Route struct {
	To      netip.Prefix // the zero value is the default route of Via's family
	Via     netip.Addr   // the next hop; the zero value: whoever has the address answers on the link itself
	Network string       // out of which link; "" is the one on whose network Via is
	Type    RouteType
	Table   int // of ip-route(8); 0 is the main one
	Metric  int // 0 is the kernel's default
}

// RouteType says what becomes of the packets.
type RouteType int

// The values of RouteType.
const (
	Unicast     RouteType = iota
	Blackhole             // dropped
	Unreachable           // answered by ICMP "host unreachable"
	Prohibit              // answered by ICMP "administratively prohibited"
)

// A Rule chooses a table of routes (ip-rule(8)).
type Rule struct {
	From, To   netip.Prefix
	In         string // the network that the packet comes from
	Mark, Mask uint32 // of fwmark; Mask 0 is all bits where there is a Mark
	IPv6       bool   // the family where neither From nor To says it
	Table      int
	Priority   int // 0 is the kernel's choice
}

// AddRoute gives the host a route.
func (h *Host) AddRoute(r Route) error { panic("still to be built") }

// RemoveRoute takes a route away.
func (h *Host) RemoveRoute(r Route) error { panic("still to be built") }

// AddRule gives the host a policy rule.
func (h *Host) AddRule(r Rule) error { panic("still to be built") }

// RemoveRule takes a policy rule away.
func (h *Host) RemoveRule(r Rule) error { panic("still to be built") }
