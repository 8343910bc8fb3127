package keeper

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// renewLink replaces a cable's addresses and its default route with those of the network that it is on.
func (e *environment) renewLink(ctx context.Context, p wire.RenewLinkParams) (r wire.LinkResult, err error) {
	err = e.changeLink(p.Host, p.Network, func(h *host, c *cable) error {
		device, err := h.route.Link(c.index)
		if err != nil {
			return err
		}
		if device.Flags&unix.IFF_UP == 0 {
			return refuse(unix.ENETDOWN, "%s of host %q is set down: set it up first", device.Name, h.name)
		}
		before := c.prefixes()
		if err := e.exchange(h, c, p.Addrs); err != nil {
			return err
		}
		r = h.linkResult(c)
		err = e.undirect(h, c)
		if err == nil {
			err = c.readdress(h.route, before)
		}
		if err == nil && !c.pulled {
			err = e.settled(ctx, h, c)
		}
		e.recordLink(h, c, fmt.Sprint("addresses ", addresses([]*cable{c})))
		return errors.Join(err, e.follow(h))
	})
	return r, err
}

// exchange gives a cable's addresses back and takes others: those that are wanted, those that it has already on this network,
// and the next free ones.
func (e *environment) exchange(h *host, c *cable, wanted []netip.Addr) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	old := c.subnet()
	old.release(c.addrs)
	c.left = nil
	restore := func() {
		for _, a := range c.addrs {
			old.head().used[a.Addr()] = h.name
		}
		if old.head() != c.network.head() {
			c.left = old
		}
	}
	if old.head() == c.network.head() {
		for _, a := range c.addrs {
			if !slices.ContainsFunc(wanted, func(w netip.Addr) bool { return w.Is4() == a.Addr().Is4() }) {
				wanted = append(slices.Clone(wanted), a.Addr())
			}
		}
	}
	if h.router.mayBeGateway(c) {
		wanted = c.network.first(wanted)
	}
	addrs, err := c.network.reserveFor(h.name, wire.Attachment{Addrs: wanted, Auto: c.auto})
	if err != nil {
		restore()
		return err
	}
	if head := old.head(); head.router == c && head != c.network.head() {
		head.router = nil
	}
	c.addrs = addrs
	e.announce = e.announce || !c.tells()
	return nil
}

// readdress makes the addresses of the device those of the cable. What a process of the host has done already, or undone, is
// fine.
func (c *cable) readdress(route *rtnl.Conn, before []netip.Prefix) error {
	var errs []error
	send := func(fine unix.Errno, add func(*rtnl.Batch)) {
		var msgs rtnl.Batch
		add(&msgs)
		if err := route.Send(&msgs); err != nil && !errors.Is(err, fine) {
			errs = append(errs, err)
		}
	}
	if c.auto {
		addrs, routes, err := c.learned(route)
		errs = append(errs, err)
		before = append(before, addrs...)
		for _, r := range routes {
			send(unix.ESRCH, func(b *rtnl.Batch) { b.DelRoute(r) })
		}
	}
	now := c.prefixes()
	for _, p := range before {
		if !slices.Contains(now, p) {
			send(unix.EADDRNOTAVAIL, func(b *rtnl.Batch) { b.DelAddr(c.index, p) })
		}
	}
	for _, p := range now {
		if !slices.Contains(before, p) {
			send(unix.EEXIST, func(b *rtnl.Batch) { b.AddAddr(c.index, p) })
		}
	}
	return errors.Join(errs...)
}

// learned is what the device has by router advertisements, and the link-local address by which it asked for one.
func (c *cable) learned(route *rtnl.Conn) (addrs []netip.Prefix, routes []rtnl.RouteSpec, err error) {
	all, err := route.Addrs()
	if err != nil {
		return nil, nil, err
	}
	for _, a := range all {
		if a.Index == c.index && a.Prefix.Addr().Is6() && (a.Flags&unix.IFA_F_PERMANENT == 0 || a.Prefix.Addr() == linkLocal(c.mac)) {
			addrs = append(addrs, a.Prefix)
		}
	}
	known, _, err := route.FirstRoutes(mostRoutes, func(r rtnl.Route) bool {
		return r.Index == c.index && r.Proto == unix.RTPROT_RA && r.Gateway.IsValid()
	})
	for _, r := range known {
		routes = append(routes, rtnl.RouteSpec{Dst: r.Dst, Gateway: r.Gateway, Index: r.Index})
	}
	return addrs, routes, err
}
