package nstest

import (
	"context"
	"net/netip"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// An Advertisement is what a router tells the hosts of a network, in ICMPv6 packets (RFC 4861, RFC 8106, RFC 8781). Only
// Network is required, and it has IPv6. Hosts listen whose Attachment is Auto, and whatever programs do. Times are sent in whole
// seconds.
type Advertisement struct {
	Network  string
	Prefixes []netip.Prefix // that hosts make addresses from (SLAAC): of 64 bits, on the link; default: the network's
	Interval time.Duration  // between two, from 30 ms to 30 min; default: 1 s. A host that asks is answered at once
	Lifetime time.Duration  // as a default router, up to 9000 s; default: 30 min; negative: not a default router
	MTU      int            // of IPv6 packets, from 1280 to the network's; 0 says nothing
	DNS      []netip.Addr   // name servers; no program in a host makes a resolv.conf of them by itself
	Search   []string       // domains, as DNS
	Managed  bool           // the flag that addresses come by DHCPv6
	Other    bool           // the flag that other settings come by DHCPv6
	NAT64    netip.Prefix   // PREF64: of 32, 40, 48, 56, 64 or 96 bits

	// Preferred and Valid are how long addresses are used for new connections, and at all. Default: 7 and 30 days; negative:
	// no longer. A host keeps an address for two hours even if it hears that it is not valid any more (RFC 4862, section 5.5.3).
	Preferred, Valid time.Duration
}

// Advertise replaces the router's advertisements, for all its networks. On a network for which there is none any more it says
// that it is no default router now, and falls silent; so Advertise() ends all. When the router is removed it falls silent
// without a word, as one that crashes.
func (r *Router) Advertise(ads ...Advertisement) error {
	p := wire.AdvertiseParams{Host: r.name}
	for _, a := range ads {
		p.Advertise = append(p.Advertise, wire.Advertisement(a))
	}
	return wrap("advertise by", r.env.name, r.name, r.env.call(context.Background(), wire.MethodAdvertise, p, nil))
}
