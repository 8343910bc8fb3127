package nstest

import (
	"net/netip"
	"time"
)

// An Advertisement is what a router tells the hosts of a network, in ICMPv6 packets (RFC 4861, RFC 8106, RFC 8781).
type Advertisement struct {
	Network   string
	Prefixes  []netip.Prefix // for autonomous addresses (SLAAC); default: the network's IPv6 prefix
	Interval  time.Duration  // between two; default: 1 s
	Lifetime  time.Duration  // as a default router; default: 30 min; negative: not a default router
	MTU       int
	DNS       []netip.Addr
	Search    []string
	Managed   bool         // addresses come by DHCPv6
	Other     bool         // other settings come by DHCPv6
	NAT64     netip.Prefix // PREF64
	Preferred time.Duration
	Valid     time.Duration
}

// Advertise replaces the router's advertisements. Without any it says that it is no default router any more, and falls silent.
func (r *Router) Advertise(ads ...Advertisement) error { panic("still to be built") }
