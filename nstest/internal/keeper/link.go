package keeper

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/lan"
	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"github.com/hermetic-go/nstest/nstest/internal/rootfs"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// readyLimit bounds the wait for a link on a running host, whose processes may do with the device what they like.
const readyLimit = 20 * time.Second // the spanning tree protocol takes some of it

// change runs f while nobody else changes the cables of the host, and nobody removes it.
func (e *environment) change(hostname string, f func(h *host) error) error {
	h, err := e.host(hostname)
	if err != nil {
		return err
	}
	h.changing.Lock()
	defer h.changing.Unlock()
	if now, err := e.host(hostname); err != nil || now != h {
		return refuse(unix.ENOENT, "host %q is being removed", hostname)
	}
	if err = f(h); err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		if closed := e.closedError(); closed != nil {
			return closed
		}
	}
	return err
}

// changeLink is change for one cable.
func (e *environment) changeLink(hostname, networkName string, f func(h *host, c *cable) error) error {
	return e.change(hostname, func(h *host) error {
		c, err := h.cable(networkName)
		if err != nil {
			return err
		}
		return f(h, c)
	})
}

// cable finds the cable of a host to a network; "" is its only one.
func (h *host) cable(networkName string) (*cable, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found *cable
	for _, c := range h.cables {
		if networkName == "" && found != nil {
			return nil, refuse(unix.EINVAL, "host %q is on several networks: say which", h.name)
		}
		if c.network.name == networkName || networkName == "" {
			found = c
		}
	}
	if found == nil {
		return nil, refuse(unix.ENODEV, "host %q has no link to network %q", h.name, networkName)
	}
	return found, nil
}

// link pulls or plugs a cable. A plugged one passes frames again when link returns.
func (e *environment) link(_ context.Context, p wire.LinkParams) error {
	return e.changeLink(p.Host, p.Network, func(h *host, c *cable) error {
		if err := h.plug(c, p.Up); err != nil {
			return err
		}
		e.recordLink(h, c, plugged(p.Up))
		return nil
	})
}

// plug pulls or plugs a cable. h.changing is held.
func (h *host) plug(c *cable, up bool) error {
	if o := c.network.overlay; o != nil {
		return refuse(unix.EOPNOTSUPP, "network %q has no cable: pull that to network %q, which carries it, or set device %s of the host down", c.network.name, o.over.name, c.name())
	}
	if err := c.network.lan.SetPort(c.port, up); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !up && !c.pulled {
		c.since = time.Now()
	}
	c.pulled = !up
	return nil
}

// addLink gives a running host a further cable.
func (e *environment) addLink(ctx context.Context, p wire.AddLinkParams) (r wire.LinkResult, err error) {
	err = e.change(p.Host, func(h *host) error {
		if !h.own.Net {
			return refuse(unix.EPERM, "host %q is in the machine's network, which is not to be changed", h.name)
		}
		e.mu.Lock()
		c, err := e.draw(h.name, h.router, p.Attachment, h.cables)
		e.mu.Unlock()
		if err != nil {
			return err
		}
		if err := e.addCable(ctx, h, c); err != nil {
			return errors.Join(err, e.removeCable(h, c))
		}
		r = h.linkResult(c)
		e.recordLink(h, c, "added as "+c.name())
		return e.follow(h)
	})
	return r, err
}

// addCable plugs in a cable that was drawn. The partitions in force hold from its first frame on.
func (e *environment) addCable(ctx context.Context, h *host, c *cable) error {
	if err := h.number(c); err != nil {
		return err
	}
	netns, err := h.route.NetNS()
	if err != nil {
		return err
	}
	defer netns.Close()
	if err := e.owns(netns); err != nil {
		return err
	}
	if c.network.overlay != nil {
		if err = c.lay(h, h.cables); err == nil {
			err = e.adopt(h, c, 0)
		}
	} else {
		var ids []lan.PortID
		if ids, err = c.network.lan.Attach(ctx, lan.Port{NetNS: netns, Name: c.name(), Index: c.index, MAC: c.mac, MTU: c.mtu}); err == nil {
			err = e.adopt(h, c, ids[0])
		}
	}
	if err != nil {
		return err
	}
	if err := heed(netns, []*cable{c}); err != nil {
		return err
	}
	var msgs rtnl.Batch
	c.configure(&msgs)
	if err := h.route.Send(&msgs); err != nil {
		return err
	}
	return e.settled(ctx, h, c)
}

// settled returns when a cable whose addresses were set is ready.
func (e *environment) settled(ctx context.Context, h *host, c *cable) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	if err := c.wait(ctx, h.route); err != nil {
		return err
	}
	return e.introduce(h, c)
}

// introduce makes the cable's addresses known to the neighbours, and where they are to the switches between, if these may know
// them as another's: where a MAC address is or was not what follows from an IP address, or a segment has several switches.
func (e *environment) introduce(h *host, c *cable) error {
	e.mu.Lock()
	needed := e.announce
	e.mu.Unlock()
	if !needed {
		return nil
	}
	return c.announce(h.route)
}

// adopt makes a cable whose port is there the host's, in the order of the devices, and has the faults in force hold for it.
func (e *environment) adopt(h *host, c *cable, port lan.PortID) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	h.mu.Lock()
	c.port = port
	c.label(port, h.name)
	if !slices.Contains(h.cables, c) {
		h.cables = append(slices.Clone(h.cables), c)
		slices.SortFunc(h.cables, func(a, b *cable) int { return a.index - b.index })
	}
	h.mu.Unlock()
	if len(e.faults) == 0 {
		return nil
	}
	return e.enforce()
}

func (e *environment) removeLink(p wire.LinkParams) error {
	return e.changeLink(p.Host, p.Network, func(h *host, c *cable) error {
		if err := e.spares(h, c, nil); err != nil {
			return err
		}
		e.recordLink(h, c, "removed")
		return errors.Join(e.removeCable(h, c), e.follow(h))
	})
}

// removeCable takes a cable away, as far as it was plugged in. h.changing is held.
func (e *environment) removeCable(h *host, c *cable) error {
	e.mu.Lock()
	err := e.misguide([]*cable{c})
	h.mu.Lock()
	h.cables = slices.DeleteFunc(slices.Clone(h.cables), func(other *cable) bool { return other == c })
	h.mu.Unlock()
	e.endFlap(c)
	e.mu.Unlock()
	switch {
	case c.port != 0:
		err = errors.Join(err, c.network.lan.Detach(c.port))
	case c.network.overlay != nil:
		err = errors.Join(err, h.unlay(c))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c.giveBack(h.name)
	return err
}

// unlay deletes the device of a cable that goes over another one.
func (h *host) unlay(c *cable) error {
	links, err := h.route.Links()
	if err != nil {
		return err
	}
	// A process of the host may have deleted it, and what has its number now is another's.
	if !slices.ContainsFunc(links, func(l rtnl.Link) bool { return l.Index == c.index && l.Kind == c.network.overlay.kind }) {
		return nil
	}
	var msgs rtnl.Batch
	msgs.DelLink(c.index)
	return h.route.Send(&msgs)
}

// moveLink plugs a cable into the switch of another network. Addresses and routes of the host stay as they are. One that is
// pulled stays so.
func (e *environment) moveLink(ctx context.Context, p wire.MoveLinkParams) (r wire.LinkResult, err error) {
	err = e.changeLink(p.Host, p.Network, func(h *host, c *cable) error {
		to, err := e.prepareMove(h, c, p.To)
		if err != nil {
			return err
		}
		e.recordLink(h, c, "moved to "+to.name)
		port, err := e.carry(context.WithoutCancel(ctx), h, c, to)
		if err != nil {
			return errors.Join(err, e.removeCable(h, c), e.follow(h))
		}
		if err := e.adopt(h, c, port); err != nil {
			return err
		}
		r = h.linkResult(c)
		if c.pulled {
			return nil
		}
		if err := h.plug(c, true); err != nil || c.left != nil {
			return err
		}
		return c.announce(h.route) // the switches of the segment have the host where it was
	})
	return r, err
}

// advertisesOn refuses a network on which a router advertises.
func (h *host) advertisesOn(n *network) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if slices.ContainsFunc(h.advertisers, func(a *advertiser) bool { return a.network == n.name }) {
		return refuse(unix.EBUSY, "router %q advertises there: end that first", h.name)
	}
	return nil
}

// spares refuses to take a cable from a host that has another network over it, or a router that translates or advertises by it. to is where it goes instead; nil is nowhere.
func (e *environment) spares(h *host, c *cable, to *network) error {
	for _, other := range h.cables {
		if o := other.network.overlay; o != nil && o.over == c.network {
			return refuse(unix.EBUSY, "network %q of host %q goes over its link to network %q: remove that first", other.network.name, h.name, c.network.name)
		}
	}
	if h.router == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var on []*network
	for _, other := range h.cables {
		if other != c {
			on = append(on, other.network)
		}
	}
	if to != nil {
		on = append(on, to)
	}
	err := checkNATs(h.name, on, h.router.params.NAT)
	if n := h.router.params.NAT64; err == nil && n != nil && find(on, n.Outside) == nil {
		err = refuse(unix.EINVAL, "NAT64: router %q is not on the network %q, its Outside", h.name, n.Outside)
	}
	if err == nil {
		_, err = prefixNATs(h.name, h.router.params.NAT, on)
	}
	if err == nil {
		err = h.advertisesOn(c.network)
	}
	if err != nil {
		return fmt.Errorf("without its link to network %q: %w", c.network.name, err)
	}
	return nil
}

// prepareMove finds the network that a cable is to move to, and takes the host's place there.
func (e *environment) prepareMove(h *host, c *cable, name string) (*network, error) {
	e.mu.Lock()
	to, err := e.network(name)
	e.mu.Unlock()
	for _, n := range []*network{c.network, to} {
		if err == nil && n.overlay != nil {
			err = refuse(unix.EOPNOTSUPP, "network %q has no switch that a cable could be moved from or to: it is carried by network %q", n.name, n.overlay.over.name)
		}
	}
	if err == nil {
		err = e.spares(h, c, to)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil && to == c.network {
		err = refuse(unix.EALREADY, "the link is on network %q already", to.name)
	}
	if err == nil {
		err = to.admits(h.name)
	}
	if err == nil {
		err = e.lacks(to, h.name, c.mac)
	}
	if err != nil {
		return nil, err
	}
	to.join(h.name, c.mac)
	return to, nil
}

// carry moves the switch's end of a cable. Afterwards the cable is one to the other network, with or without a port.
func (e *environment) carry(ctx context.Context, h *host, c *cable, to *network) (lan.PortID, error) {
	from := c.network
	h.mu.Lock()
	port := c.port
	c.port = 0 // it is on no switch that a partition could be about
	h.mu.Unlock()
	moved, err := from.lan.Move(ctx, port, to.lan)
	if err != nil {
		_ = from.lan.Detach(port) // where it did not even begin
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	from.leave(h.name)
	h.mu.Lock()
	defer h.mu.Unlock()
	was := c.subnet()
	if c.network, c.left = to, nil; was.head() != to.head() {
		c.left = was
	}
	return moved, err
}

// Sizes of packets on a veth. With less than leastMTU the kernel takes IPv6 from a device.
const (
	minMTU = 68
	maxMTU = 65535
)

// setLinkMTU sets the largest packet at both ends of a cable. No end is ever offered more than the other takes.
func (e *environment) setLinkMTU(p wire.LinkMTUParams) error {
	return e.changeLink(p.Host, p.Network, func(h *host, c *cable) error {
		least, why := minMTU, ""
		if slices.ContainsFunc(c.addrs, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
			least, why = leastMTU, ", which is the least for IPv6,"
		}
		if p.MTU < least || p.MTU > maxMTU {
			return refuse(unix.EINVAL, "an MTU of %d is not between %d%s and %d bytes", p.MTU, least, why, maxMTU)
		}
		here := func(n int) error {
			var msgs rtnl.Batch
			msgs.MTU(c.index, n)
			return h.route.Send(&msgs)
		}
		there := func(n int) error {
			if c.network.overlay != nil {
				return nil
			}
			return c.network.lan.SetMTU(c.port, n)
		}
		first, second := here, there
		if p.MTU > c.size() {
			first, second = there, here
		}
		err := first(p.MTU)
		if err == nil {
			err = second(p.MTU)
		}
		if err != nil {
			_ = first(c.size())
			if o := c.network.overlay; o != nil && errors.Is(err, unix.EINVAL) {
				return refuse(unix.EINVAL, "an MTU of %d is more than network %q, which carries network %q, leaves for it", p.MTU, o.over.name, c.network.name)
			}
			return err
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		c.mtu = p.MTU
		e.recordLink(h, c, fmt.Sprint("MTU ", p.MTU))
		return nil
	})
}

// follow has everything that depends on the host's links follow them: its name in DNS and in its own /etc/hosts, the default
// routes, its own and those of hosts whose gateway it is, the firewalls that name it, and its own translations.
func (e *environment) follow(h *host) error {
	addrs := h.addrs()
	e.mu.Lock()
	err := e.closedError()
	if err == nil {
		err = e.setNames(h, addrs)
	}
	if err == nil {
		err = errors.Join(e.guide(h), e.fenceAgain())
	}
	e.mu.Unlock()
	if err != nil {
		return err
	}
	return errors.Join(e.renumber(h), e.rewriteHosts(h, addrs))
}

// setNames makes the host's names stand for these addresses. The mutex is held.
func (e *environment) setNames(h *host, addrs []netip.Addr) error {
	err := e.zone.Set(h.name, addrs)
	if hostname := e.hostname(); err == nil && h.name == self && hostname != self {
		err = e.zone.Set(hostname, addrs)
	}
	return err
}

// rewriteHosts makes the host's own /etc/hosts say that it has these addresses.
func (e *environment) rewriteHosts(h *host, addrs []netip.Addr) error {
	hostname := h.name
	if h.name == self {
		hostname = e.hostname()
	}
	if h.name == self && !e.kinds.Has(ns.Mount) || h.name != self && !h.own.UTS {
		return nil // it is not the host's own
	}
	var p pid1.Program
	rootfs.RewriteHosts(&p, hostname, addrs)
	if _, err := h.agent.Run(&p); err != nil {
		return fmt.Errorf("write /etc/hosts: %w", err)
	}
	return nil
}
