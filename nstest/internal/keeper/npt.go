package keeper

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/translate"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// nptTable has the route of packets that are to be translated on their way out, and nptPriority is that of the rule by which
// they find it: before all others but that of the host's own addresses.
const (
	nptTable    = 0x6e707436
	nptPriority = 1
)

// A prefixNAT is one translation of prefixes.
type prefixNAT struct {
	translate.Site
	site       netip.Prefix // that all inside is in
	translated netip.Prefix // what the site is outside
	inside     []string
	outside    string
}

// prefixNATs are the translations of prefixes among nats, for a router on these networks.
func prefixNATs(router string, nats []wire.NAT, on []*network) (list []prefixNAT, err error) {
	for _, n := range nats {
		if n.NPTv6 == (netip.Prefix{}) {
			continue
		}
		p, err := prefixNATOf(router, n, on)
		if err != nil {
			return nil, fmt.Errorf("NPTv6 to %s: %w", n.NPTv6, err)
		}
		for _, other := range list {
			if other.site.Overlaps(p.site) || other.translated.Overlaps(n.NPTv6) {
				return nil, refuse(unix.EINVAL, "NPTv6 to %s and to %s: the prefixes of one overlap those of the other", n.NPTv6, other.translated)
			}
		}
		list = append(list, p)
	}
	return list, nil
}

func prefixNATOf(router string, n wire.NAT, on []*network) (p prefixNAT, err error) {
	switch {
	case !n.NPTv6.IsValid() || !n.NPTv6.Addr().Is6() || n.NPTv6.Addr().Is4In6():
		return p, refuse(unix.EINVAL, "it is not an IPv6 prefix such as 2001:db8:1::/48")
	case n.NPTv6.Bits() > 64:
		return p, refuse(unix.EINVAL, "it is longer than /64: RFC 6296 translates no part of the interface identifier")
	}
	if o := find(on, n.Outside); o == nil || !o.has(false) {
		return p, refuse(unix.EINVAL, "the network %q is outside and has no IPv6", n.Outside)
	}
	for _, o := range on {
		if prefix := o.ipv6(); prefix.IsValid() && prefix.Overlaps(n.NPTv6) {
			return p, refuse(unix.EINVAL, "network %q has %s, where hosts look for each other on the link: choose a prefix that is routed to router %q", o.name, prefix, router)
		}
	}
	inside, err := insideOf(router, on, n)
	if err != nil {
		return p, err
	}
	p = prefixNAT{outside: n.Outside, translated: n.NPTv6}
	for _, in := range inside {
		prefix := in.ipv6()
		site := netip.PrefixFrom(prefix.Addr(), n.NPTv6.Bits()).Masked()
		switch {
		case !prefix.IsValid() && len(n.Inside) == 0:
			continue
		case !prefix.IsValid():
			return p, refuse(unix.EINVAL, "the network %q is inside and has no IPv6", in.name)
		case prefix.Bits() < n.NPTv6.Bits():
			return p, refuse(unix.EINVAL, "the network %q is inside and larger: it has %s", in.name, prefix)
		case p.site.IsValid() && site != p.site:
			return p, refuse(unix.EINVAL, "the networks inside are not all in %s, as %s of network %q shows: name those that are in Inside", p.site, prefix, in.name)
		}
		p.site = site
		p.inside, p.Local = append(p.inside, in.name), append(p.Local, prefix)
	}
	if !p.site.IsValid() {
		return p, refuse(unix.EINVAL, "no network inside has IPv6")
	}
	if p.NPT, err = translate.NewNPT(p.site, n.NPTv6); err != nil {
		return p, refuse(unix.EINVAL, "%v", err)
	}
	return p, nil
}

// setNPT makes a router translate the prefixes of those nats that have NPTv6, in the place of all that it has translated.
//
// Packets to a prefix outside are routed to a device whose other end is the translator's, and so are those that come from inside
// and are about to leave on the network outside, whatever route leads them there. h.changing is held.
func (e *environment) setNPT(h *host, nats []wire.NAT) error {
	list, err := prefixNATs(h.name, nats, h.networks())
	if err != nil {
		return err
	}
	if old := h.take(&h.npt); old != nil {
		if err := errors.Join(old.remove(h), h.endNPT()); err != nil {
			return fmt.Errorf("end NPTv6: %w", err)
		}
	}
	if len(list) == 0 {
		return nil
	}
	index := func(network string) int {
		c, err := h.cable(network)
		if err != nil {
			return 0 // nobody is there
		}
		return c.index
	}
	var sites translate.Sites
	var leads []translate.Lead
	for _, p := range list {
		l := translate.Lead{From: p.site, Outside: index(p.outside)}
		for _, name := range p.inside {
			l.Inside = append(l.Inside, index(name))
		}
		sites, leads = append(sites, p.Site), append(leads, l)
	}
	x, err := newTranslator(h, "npt", nptIndex, sites)
	if err != nil {
		return err
	}
	var msgs rtnl.Batch
	for _, p := range list {
		msgs.NewRoute(rtnl.RouteSpec{Dst: p.translated, Gateway: beyond, Index: x.index})
	}
	msgs.NewRoute(rtnl.RouteSpec{Gateway: beyond, Index: x.index, Table: nptTable})
	msgs.NewRule(nptRule)
	if err = h.route.Send(&msgs); err == nil {
		err = h.inside(func() error { return translate.LeadOut(leads) })
	}
	if err == nil {
		err = h.keep(&h.npt, x)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("NPTv6: %w", err), x.remove(h), h.endNPT())
	}
	return nil
}

var nptRule = rtnl.RuleSpec{IPv6: true, Mark: translate.Mark, Table: nptTable, Priority: nptPriority}

// endNPT takes away what does not go with the device.
func (h *host) endNPT() error {
	var msgs rtnl.Batch
	msgs.DelRule(nptRule)
	err := h.route.Send(&msgs)
	if errors.Is(err, unix.ENOENT) {
		err = nil
	}
	return errors.Join(err, h.inside(translate.LeadNothing))
}
