package keeper

import (
	"errors"
	"net/netip"
	"os"
	"slices"

	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"golang.org/x/sys/unix"
)

// A hop is where a default route leads; the zero value is nowhere.
type hop struct {
	via   netip.Addr
	index int // of the device
}

var families = [2]bool{true, false} // is it IPv4?

// via is the network's gateway for a family: the address that was asked for, or the router's. The environment's mutex is
// held.
func (n *network) via(is4 bool) netip.Addr {
	if n.gateway.IsValid() && n.gateway.Is4() == is4 {
		return n.gateway
	}
	if router := n.head().router; router != nil {
		for _, a := range router.addrs {
			if a.Addr().Is4() == is4 {
				return a.Addr()
			}
		}
	}
	return netip.Addr{}
}

// first is wanted and the first address of the network, of each family of which none is wanted, if it is free. The
// environment's mutex is held.
func (n *network) first(wanted []netip.Addr) []netip.Addr {
	n = n.head()
	out := slices.Clone(wanted)
	for _, prefix := range n.prefixes {
		a := nth(prefix.Addr(), 1)
		if _, err := n.explicit(a); err != nil || n.used[a] != "" {
			continue
		}
		if !slices.ContainsFunc(wanted, func(w netip.Addr) bool { return w.Is4() == a.Is4() }) {
			out = append(out, a)
		}
	}
	return out
}

// guide makes a host the gateway of the networks whose gateway it is to be, and gives every host that it concerns the
// default routes that it is to have. The mutex is held.
func (e *environment) guide(h *host) error {
	if h.router == nil {
		return e.direct(h)
	}
	h.mu.Lock()
	for _, c := range h.cables {
		switch n := c.network.head(); {
		case h.router.mayBeGateway(c):
			n.router = c
		case n.router == c:
			n.router = nil
		}
	}
	h.mu.Unlock()
	return e.directAll()
}

// misguide takes the gateways that are at the end of these cables away from their networks. The mutex is held.
func (e *environment) misguide(cables []*cable) error {
	lost := false
	for _, c := range cables {
		if n := c.subnet().head(); n.router == c {
			n.router, lost = nil, true
		}
	}
	if !lost || e.closed {
		return nil
	}
	return e.directAll()
}

// directAll gives every host the default routes of the gateways that there are now. The mutex is held.
func (e *environment) directAll() error {
	var errs []error
	for _, h := range e.hosts {
		if h != nil && h.route != nil {
			errs = append(errs, e.direct(h))
		}
	}
	return errors.Join(errs...)
}

// direct gives a host a default route of each family to the gateway of the first of its networks that has one. What the
// host's own processes, or AddRoute, have put in their place stays. The mutex is held.
func (e *environment) direct(h *host) error {
	var wanted [2]hop
	h.mu.Lock()
	for _, c := range h.cables {
		if c.noGateway {
			continue
		}
		for i, is4 := range families {
			if c.auto && !is4 {
				continue
			}
			if gw := c.subnet().via(is4); gw.IsValid() && !c.has(gw) && !wanted[i].via.IsValid() {
				wanted[i] = hop{gw, c.index}
			}
		}
	}
	h.mu.Unlock()
	for i, want := range wanted {
		have := h.defaults[i]
		if have == want {
			continue
		}
		if have.via.IsValid() {
			var msgs rtnl.Batch
			msgs.DelRoute(rtnl.RouteSpec{Gateway: have.via, Index: have.index})
			if err := h.route.Send(&msgs); !changedInside(err) {
				return err
			}
			h.defaults[i] = hop{}
		}
		if want.via.IsValid() {
			var msgs rtnl.Batch
			msgs.NewRoute(rtnl.RouteSpec{Gateway: want.via, Index: want.index})
			if err := h.route.Send(&msgs); !changedInside(err) {
				return err
			}
			h.defaults[i] = want
		}
	}
	return nil
}

// undirect takes away the default routes that a host has out of a cable, whose addresses are about to change.
func (e *environment) undirect(h *host, c *cable) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, have := range h.defaults {
		if !have.via.IsValid() || have.index != c.index {
			continue
		}
		var msgs rtnl.Batch
		msgs.DelRoute(rtnl.RouteSpec{Gateway: have.via, Index: have.index})
		if err := h.route.Send(&msgs); !changedInside(err) {
			return err
		}
		h.defaults[i] = hop{}
	}
	return nil
}

// changedInside tells of a default route that could not be set because the host's processes have changed its routes or
// devices, which is their right, or because the host is ending; or of none.
func changedInside(err error) bool {
	if err == nil || errors.Is(err, os.ErrClosed) {
		return true
	}
	var errno unix.Errno
	return errors.As(err, &errno) && slices.Contains([]unix.Errno{
		unix.EEXIST, unix.ESRCH, unix.ENODEV, unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTUNREACH,
	}, errno)
}
