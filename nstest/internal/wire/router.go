package wire

import (
	"net/netip"
	"time"
)

// RouterParams describe a host that forwards.
type RouterParams struct {
	HostParams
	Routes    []Route
	Rules     []Rule
	NAT       []NAT
	NAT64     *NAT64
	Advertise []Advertisement
	Firewall  Firewall
}

// Route is one route of a host.
type Route struct {
	To      netip.Prefix // the zero value is the default route of Via's family
	Via     netip.Addr   // the zero value: on the link itself
	Network string       // "" is the network that Via is on
	Type    string       // "", "blackhole", "unreachable" or "prohibit"
	Table   int          // 0 = main
	Metric  int          // 0 = the kernel's
}

// RouteParams add a route, or take it away.
type RouteParams struct {
	Host   string
	Route  Route
	Remove bool
}

// Rule is one policy rule of a host (ip-rule(8)).
type Rule struct {
	From, To   netip.Prefix
	In         string // the network that the packet comes from
	Mark, Mask uint32
	IPv6       bool // where neither From nor To say
	Table      int
	Priority   int
}

// RuleParams add a rule, or take it away.
type RuleParams struct {
	Host   string
	Rule   Rule
	Remove bool
}

// NAT is one translation of a router.
type NAT struct {
	Outside    string
	Inside     []string
	Kind       string // "port-restricted", "address-restricted", "full-cone" or "symmetric"
	Hairpin    bool
	Forwards   []Forward
	UDPTimeout time.Duration
	TCPTimeout time.Duration
	NAT66      bool
	NPTv6      netip.Prefix
}

// Forward is a port of the outside that leads inside.
type Forward struct {
	Network string // "tcp" or "udp"
	Port    uint16
	To      netip.AddrPort
}

// NATParams replace all translations of a router.
type NATParams struct {
	Host string
	NAT  []NAT
}

// NAT64 lets hosts that have IPv6 alone reach those that have IPv4 (RFC 6146).
type NAT64 struct {
	Outside string
	Prefix  netip.Prefix // the zero value is 64:ff9b::/96
}

// NAT64Params replace the NAT64 of a router.
type NAT64Params struct {
	Host  string
	NAT64 *NAT64 // nil = none
}

// Advertisement is what a router tells the hosts of a network (RFC 4861).
type Advertisement struct {
	Network   string
	Prefixes  []netip.Prefix
	Interval  time.Duration
	Lifetime  time.Duration // as a default router; 0 = 30 min, negative = none
	MTU       int
	DNS       []netip.Addr
	Search    []string
	Managed   bool
	Other     bool
	NAT64     netip.Prefix
	Preferred time.Duration
	Valid     time.Duration
}

// AdvertiseParams replace all advertisements of a router.
type AdvertiseParams struct {
	Host      string
	Advertise []Advertisement
}
