package keeper

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/nat"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// maxNATs bounds the translations of a router: they go to the kernel in one message.
const maxNATs = 4

// maxForwards bounds the forwards of a router likewise.
const maxForwards = 256

var natKinds = map[string]nat.Kind{
	"": nat.PortRestricted, "port-restricted": nat.PortRestricted, "address-restricted": nat.AddressRestricted,
	"full-cone": nat.FullCone, "symmetric": nat.Symmetric,
}

var protocols = map[string]uint8{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP}

// timeouts are those of a NAT, with the defaults.
func timeouts(n wire.NAT) nat.Timeouts {
	t := nat.Timeouts{UDP: n.UDPTimeout, TCP: n.TCPTimeout}
	if t.UDP == 0 {
		t.UDP = nat.DefaultUDP
	}
	if t.TCP == 0 {
		t.TCP = nat.DefaultTCP
	}
	return t
}

// checkNATs refuses what cannot be the translations of a router on these networks.
func checkNATs(router string, on []*network, nats []wire.NAT) error {
	if len(nats) > maxNATs {
		return refuse(unix.E2BIG, "%d NATs: a router has %d at most", len(nats), maxNATs)
	}
	forwards := 0
	for i, n := range nats {
		if err := checkNAT(router, on, n); err != nil {
			return err
		}
		for _, other := range nats[:i] {
			if other.Outside == n.Outside {
				return refuse(unix.EINVAL, "two NATs with the Outside %q: name all that one translates in Inside", n.Outside)
			}
			if timeouts(other) != timeouts(n) {
				return refuse(unix.EINVAL, "the NATs with the Outside %q and %q have different time limits: a router has one table of connections", other.Outside, n.Outside)
			}
		}
		if forwards += len(n.Forwards); forwards > maxForwards {
			return refuse(unix.E2BIG, "%d forwards: a router has %d at most", forwards, maxForwards)
		}
	}
	_, err := prefixNATs(router, nats, on)
	return err
}

func checkNAT(router string, on []*network, n wire.NAT) error {
	if n.Outside == "" {
		return refuse(unix.EINVAL, "a NAT of router %q has no Outside: name the network on which its addresses stand for those inside", router)
	}
	outside := find(on, n.Outside)
	if outside == nil {
		return refuse(unix.EINVAL, "NAT: router %q is not on the network %q, its Outside", router, n.Outside)
	}
	if _, known := natKinds[n.Kind]; !known {
		return refuse(unix.EINVAL, "NAT: %q is none of the kinds", n.Kind)
	}
	inside, err := insideOf(router, on, n)
	if err != nil {
		return err
	}
	for _, t := range []struct {
		name  string
		value time.Duration
	}{{"UDPTimeout", n.UDPTimeout}, {"TCPTimeout", n.TCPTimeout}} {
		if t.value != 0 && (t.value < time.Second || t.value%time.Second != 0 || t.value > maxTimeout) {
			return refuse(unix.EINVAL, "NAT: %s is %v: whole seconds from 1 s to %v are possible", t.name, t.value, maxTimeout)
		}
	}
	if n.NPTv6.IsValid() && n.NAT66 {
		return refuse(unix.EINVAL, "NAT: NAT66 and NPTv6 are two ways to translate the same packets: choose one")
	}
	for _, is4 := range families {
		if !is4 && !n.NAT66 || is4 && n.NAT66 && !outside.has(true) || n.NPTv6.IsValid() {
			continue
		}
		if !outside.has(is4) {
			return refuse(unix.EINVAL, "NAT: the network %q has no %s: see NAT66 and NPTv6", n.Outside, familyName(is4))
		}
		if !slices.ContainsFunc(inside, func(in *network) bool { return in.has(is4) }) {
			return refuse(unix.EINVAL, "NAT: no network inside of %q has %s", n.Outside, familyName(is4))
		}
	}
	return checkForwards(n, inside)
}

// maxTimeout keeps to what the kernel can count in ticks.
const maxTimeout = 14 * 24 * time.Hour

func familyName(is4 bool) string {
	if is4 {
		return "IPv4"
	}
	return "IPv6"
}

func checkForwards(n wire.NAT, inside []*network) error {
	for i, f := range n.Forwards {
		_, known := protocols[f.Network]
		switch {
		case !known:
			return refuse(unix.EINVAL, "NAT: a forward of %q: \"tcp\" and \"udp\" are possible", f.Network)
		case f.Port == 0 || f.To.Port() == 0:
			return refuse(unix.EINVAL, "NAT: the forward of %s port %d to %s: a port is from 1 to 65535", f.Network, f.Port, f.To)
		case !slices.ContainsFunc(inside, func(in *network) bool { return in.contains(f.To.Addr()) }):
			return refuse(unix.EINVAL, "NAT: the forward of %s port %d leads to %s, which is on no network inside", f.Network, f.Port, f.To.Addr())
		case f.To.Addr().Is6() && !n.NAT66:
			return refuse(unix.EINVAL, "NAT: the forward of %s port %d leads to %s: for IPv6, NAT66 is needed", f.Network, f.Port, f.To.Addr())
		}
		for _, other := range n.Forwards[:i] {
			if other.Network == f.Network && other.Port == f.Port && other.To.Addr().Is4() == f.To.Addr().Is4() {
				return refuse(unix.EINVAL, "NAT: two forwards of %s port %d, to %s and to %s", f.Network, f.Port, other.To, f.To)
			}
		}
	}
	return nil
}

// insideOf are the networks that a NAT translates.
func insideOf(router string, on []*network, n wire.NAT) ([]*network, error) {
	var inside []*network
	for i, name := range n.Inside {
		in := find(on, name)
		switch {
		case in == nil:
			return nil, refuse(unix.EINVAL, "NAT: router %q is not on the network %q, which is to be inside", router, name)
		case name == n.Outside:
			return nil, refuse(unix.EINVAL, "NAT: the network %q is to be both inside and outside", name)
		case slices.Contains(n.Inside[:i], name):
			return nil, refuse(unix.EINVAL, "NAT: the network %q is inside twice", name)
		}
		inside = append(inside, in)
	}
	if len(n.Inside) == 0 {
		for _, in := range on {
			if in.name != n.Outside {
				inside = append(inside, in)
			}
		}
	}
	if len(inside) == 0 {
		return nil, refuse(unix.EINVAL, "NAT: router %q is on no network but the Outside %q: there is nothing to translate", router, n.Outside)
	}
	return inside, nil
}

func find(on []*network, name string) *network {
	for _, n := range on {
		if n.name == name {
			return n
		}
	}
	return nil
}

// has reports whether the network has addresses of a family.
func (n *network) has(is4 bool) bool {
	return slices.ContainsFunc(n.prefixes, func(p netip.Prefix) bool { return p.Addr().Is4() == is4 })
}

// translate puts NATs, which were checked, in force in the router's network namespace: by nat.Set or nat.Replace.
func (h *host) translate(put func(*os.File, []nat.Spec) error, nats []wire.NAT) error {
	netns, err := h.route.NetNS()
	if err != nil {
		return err
	}
	defer netns.Close()
	return put(netns, h.natSpecs(nats))
}

func (h *host) natSpecs(nats []wire.NAT) []nat.Spec {
	h.mu.Lock()
	defer h.mu.Unlock()
	var specs []nat.Spec
	for _, n := range nats {
		s := nat.Spec{Kind: natKinds[n.Kind], Hairpin: n.Hairpin, Timeouts: timeouts(n)}
		for _, c := range h.cables {
			switch {
			case c.network.name == n.Outside:
				s.Outside = c.index
				for _, a := range c.addrs {
					if a.Addr().Is4() {
						s.Addr4 = a.Addr()
					} else if n.NAT66 {
						s.Addr6 = a.Addr()
					}
				}
			case len(n.Inside) == 0 || slices.Contains(n.Inside, c.network.name):
				s.Inside = append(s.Inside, c.index)
			}
		}
		for _, f := range n.Forwards {
			s.Forwards = append(s.Forwards, nat.Forward{Protocol: protocols[f.Network], Port: f.Port, To: f.To})
		}
		specs = append(specs, s)
	}
	return specs
}

// setNAT replaces the translations of a router. Networks that are its outside now have it for a gateway no longer.
func (e *environment) setNAT(p wire.NATParams) error {
	return e.changeRouter(p.Host, func(h *host) error {
		if err := checkNATs(h.name, h.networks(), p.NAT); err != nil {
			return err
		}
		err := h.translate(nat.Replace, p.NAT)
		if err == nil {
			err = e.setNPT(h, p.NAT)
		}
		if err != nil {
			return errors.Join(err, h.translate(nat.Replace, h.router.params.NAT))
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		h.router.params.NAT = p.NAT
		return e.guide(h)
	})
}

// renumber puts the router's translations in force for the addresses that its links have now. h.changing is held.
func (e *environment) renumber(h *host) error {
	if h.router == nil || len(h.router.params.NAT) == 0 {
		return nil
	}
	return errors.Join(h.translate(nat.Replace, h.router.params.NAT), e.setNPT(h, h.router.params.NAT))
}
