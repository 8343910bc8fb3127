package keeper

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// deaf is what keeps a host from taking addresses and routes from whoever sends router advertisements, beside those that it
// was given: the newer address would be the one that it speaks from.
var deaf = sysctl{"net/ipv6/conf/default/accept_ra", "0"}

// heed has the cables that are to be automatic listen to router advertisements. It comes before they have an address.
func heed(netns *os.File, cables []*cable) error {
	if !slices.ContainsFunc(cables, func(c *cable) bool { return c.auto }) {
		return nil
	}
	return ns.InNet(netns, func() error {
		for _, c := range cables {
			if !c.auto {
				continue
			}
			for _, s := range []sysctl{
				{"accept_ra", "2"},  // also from a router that forwards itself
				{"accept_dad", "0"}, // an address is there at once, and not a second later
			} {
				if err := ns.WriteSysctl(ns.Sysctls, "net/ipv6/conf/"+c.name()+"/"+s.name, s.value); err != nil {
					return fmt.Errorf("listen to router advertisements on %s: %w", c.name(), err)
				}
			}
		}
		return nil
	})
}

// solicit gives an automatic cable, which is up, its link-local address. By this the kernel asks for a router.
func (c *cable) solicit(ctx context.Context, route *rtnl.Conn) error {
	var msgs rtnl.Batch
	msgs.AddAddr(c.index, netip.PrefixFrom(linkLocal(c.mac), 64))
	if err := route.Send(&msgs); err != nil {
		return err
	}
	return route.WaitMulticast(ctx, c.index, rtnl.SolicitedNode(linkLocal(c.mac)))
}

// reserveFor is reserve for what an attachment wants. An automatic one gets no IPv6 address. The environment's mutex is held.
func (n *network) reserveFor(hostname string, a wire.Attachment) ([]netip.Prefix, error) {
	if !a.Auto {
		return n.reserve(hostname, a.Addrs)
	}
	if !n.ipv6().IsValid() {
		return nil, refuse(unix.EINVAL, "network %q has no IPv6, so that host %q cannot be Auto there", n.name, hostname)
	}
	for _, wanted := range a.Addrs {
		if wanted.Is6() {
			return nil, refuse(unix.EINVAL, "network %q: host %q is Auto and finds its IPv6 address by itself: do not give %s", n.name, hostname, wanted)
		}
	}
	addrs, err := n.reserve(hostname, a.Addrs)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(addrs, func(p netip.Prefix) bool {
		if p.Addr().Is6() {
			delete(n.head().used, p.Addr())
		}
		return p.Addr().Is6()
	}), nil
}

// macFor is derivedMAC, or for a host without an address one of another range. The mutex is held.
func (e *environment) macFor(addrs []netip.Prefix) net.HardwareAddr {
	if len(addrs) > 0 {
		return derivedMAC(addrs)
	}
	e.nameless++
	n := e.nameless
	return net.HardwareAddr{0x02, 0x61, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}
