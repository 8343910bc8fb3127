package keeper

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/translate"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// checkNAT64 refuses a NAT64 that a router on these networks cannot be.
func checkNAT64(router string, n *wire.NAT64, on []*network) error {
	if n == nil {
		return nil
	}
	if n.Outside == "" {
		return refuse(unix.EINVAL, "the NAT64 of router %q has no Outside: name the network on which its IPv4 address stands for those inside", router)
	}
	outside := find(on, n.Outside)
	if outside == nil {
		return refuse(unix.EINVAL, "NAT64: router %q is not on the network %q, its Outside", router, n.Outside)
	}
	if !outside.has(true) {
		return refuse(unix.EINVAL, "NAT64 with the network %q outside: it has no IPv4", n.Outside)
	}
	if !slices.ContainsFunc(on, func(o *network) bool { return o.ipv6().IsValid() }) {
		return refuse(unix.EINVAL, "NAT64: router %q is on no network that has IPv6", router)
	}
	prefix := prefixOfNAT64(n)
	if _, err := translate.NewNAT64(prefix); err != nil {
		return refuse(unix.EINVAL, "NAT64: %v", err)
	}
	for _, o := range on {
		for _, p := range o.prefixes {
			if p.Overlaps(prefix) {
				return refuse(unix.EINVAL, "NAT64: the prefix %s overlaps %s of network %q", prefix, p, o.name)
			}
			if p.Overlaps(translate.Pool) {
				return refuse(unix.EINVAL, "NAT64: network %q has %s, and %s is what the router uses itself", o.name, p, translate.Pool)
			}
		}
	}
	return nil
}

func prefixOfNAT64(n *wire.NAT64) netip.Prefix {
	if n.Prefix == (netip.Prefix{}) {
		return translate.WellKnown
	}
	return n.Prefix
}

// replaceNAT64 is setNAT64 for a router that was found by name. A network that is its outside now has it for a gateway no
// longer.
func (e *environment) replaceNAT64(p wire.NAT64Params) error {
	return e.changeRouter(p.Host, func(h *host) error {
		if err := e.setNAT64(h, p.NAT64); err != nil {
			return err
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		h.router.params.NAT64 = p.NAT64
		return e.guide(h)
	})
}

// setNAT64 makes a router a NAT64, in the place of the one that it is; nil makes it none.
//
// Packets to the prefix are routed to a device whose other end is the translator's. It gives each IPv6 host an IPv4 address of
// its own, of a pool that nobody else sees: the kernel's masquerade makes one out of many. h.changing is held.
func (e *environment) setNAT64(h *host, n *wire.NAT64) error {
	if err := checkNAT64(h.name, n, h.networks()); err != nil {
		return err
	}
	if old := h.take(&h.nat64); old != nil {
		if err := errors.Join(old.remove(h), h.inside(translate.Unmasquerade)); err != nil {
			return fmt.Errorf("end NAT64: %w", err)
		}
	}
	if n == nil {
		return nil
	}
	t, err := translate.NewNAT64(prefixOfNAT64(n))
	if err != nil {
		return err
	}
	outside, err := h.cable(n.Outside)
	if err != nil {
		return err
	}
	x, err := newTranslator(h, "nat64", nat64Index, t)
	if err != nil {
		return err
	}
	if err = h.inside(func() error { return translate.Masquerade(outside.index, x.index) }); err == nil {
		var msgs rtnl.Batch
		msgs.NewRoute(rtnl.RouteSpec{Dst: translate.Pool, Index: x.index})
		msgs.NewRoute(rtnl.RouteSpec{Dst: prefixOfNAT64(n), Gateway: beyond, Index: x.index})
		err = h.route.Send(&msgs)
	}
	if err == nil {
		err = h.keep(&h.nat64, x)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("NAT64: %w", err), x.remove(h), h.inside(translate.Unmasquerade))
	}
	return nil
}
