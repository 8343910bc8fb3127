package keeper

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/hermetic-go/nstest/nstest/internal/names"
	"github.com/hermetic-go/nstest/nstest/internal/outbound"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// loopbackIndex is lo in every namespace.
const loopbackIndex = 1

// outside is the name of the host by which an environment reaches the network of the program.
const outside = "outside"

// checkOutbound refuses what cannot be let out.
func checkOutbound(p wire.OpenParams) error {
	if p.Outbound == nil {
		return nil
	}
	if p.Loopback {
		return refuse(unix.EINVAL, "outbound access needs a first network: leave Loopback and Share.Net unset")
	}
	for _, list := range [][]netip.Prefix{p.Outbound.Allow, p.Outbound.Deny} {
		for _, prefix := range list {
			if !prefix.IsValid() {
				return refuse(unix.EINVAL, "outbound access: a prefix is malformed: use netip.MustParsePrefix(\"192.0.2.0/24\")")
			}
		}
	}
	return nil
}

// openOutbound makes the first network's gateway the way to the network of the program.
func (e *environment) openOutbound(ctx context.Context) error {
	p := e.params.Outbound
	if p == nil {
		return nil
	}
	a := wire.Attachment{Network: e.params.Network.Name}
	if g := e.params.Network.Gateway; g.IsValid() {
		a.Addrs = append(a.Addrs, g)
	}
	if _, err := e.addRouter(ctx, wire.RouterParams{HostParams: wire.HostParams{Name: outside, NetOnly: true, Networks: []wire.Attachment{a}}}); err != nil {
		return err
	}
	h, err := e.host(outside)
	if err != nil {
		return err
	}
	var routes rtnl.Batch
	for _, a := range h.addrs() {
		routes.NewRule(rtnl.RuleSpec{Mark: outbound.Mark, Table: outbound.Mark, IPv6: a.Is6()})
		everything := netip.PrefixFrom(a, 0).Masked()
		routes.NewRoute(rtnl.RouteSpec{Dst: everything, Type: unix.RTN_LOCAL, Index: loopbackIndex, Table: outbound.Mark})
	}
	if err := h.route.Send(&routes); err != nil {
		return fmt.Errorf("take what has no route: %w", err)
	}
	netns, err := h.route.NetNS()
	if err != nil {
		return err
	}
	defer netns.Close()
	if !p.NoNames {
		e.zone.Ask(names.NewUpstream())
	}
	h.outbound, err = outbound.Start(netns, outbound.Policy{Allow: p.Allow, Deny: p.Deny})
	return err
}
