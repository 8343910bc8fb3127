package keeper

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/ndp"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// What an advertisement says where nothing else is asked for. The times are those of RFC 4861, the interval is one for tests.
const (
	defaultInterval  = time.Second
	defaultLifetime  = 30 * time.Minute
	defaultPreferred = 7 * 24 * time.Hour
	defaultValid     = 30 * 24 * time.Hour
)

// The intervals that are possible: RFC 6275, section 7.5, has the least, RFC 4861, section 6.2.1, the greatest.
const (
	leastInterval    = 30 * time.Millisecond
	greatestInterval = 30 * time.Minute
)

// greatestLifetime is that of a default router (RFC 4861, section 6.2.1).
const greatestLifetime = 9000 * time.Second

// checkAdvertise refuses advertisements that a router on these networks cannot send.
func checkAdvertise(router string, ads []wire.Advertisement, on []*network) error {
	seen := map[string]bool{}
	for _, a := range ads {
		i := slices.IndexFunc(on, func(n *network) bool { return n.name == a.Network })
		switch {
		case a.Network == "":
			return refuse(unix.EINVAL, "an advertisement of router %q has no Network: name the one whose hosts are to hear it", router)
		case i < 0:
			return refuse(unix.EINVAL, "an advertisement for network %q: router %q is not on it", a.Network, router)
		case seen[a.Network]:
			return refuse(unix.EINVAL, "network %q: a router sends one advertisement: put all into it", a.Network)
		}
		seen[a.Network] = true
		if err := checkAdvertisement(a, on[i]); err != nil {
			return fmt.Errorf("advertisement for network %q: %w", a.Network, err)
		}
	}
	return nil
}

func checkAdvertisement(a wire.Advertisement, n *network) error {
	switch mtu := n.size(); {
	case !n.ipv6().IsValid():
		return refuse(unix.EINVAL, "it has no IPv6")
	case a.Interval != 0 && (a.Interval < leastInterval || a.Interval > greatestInterval):
		return refuse(unix.EINVAL, "an interval of %v: it must be between %v and %v", a.Interval, leastInterval, greatestInterval)
	case a.Lifetime > greatestLifetime || a.Lifetime > 0 && a.Lifetime < time.Second:
		return refuse(unix.EINVAL, "a lifetime of %v: it must be between 1s and %v", a.Lifetime, greatestLifetime)
	case a.MTU != 0 && (a.MTU < 1280 || a.MTU > mtu):
		return refuse(unix.EINVAL, "an MTU of %d: it must be between 1280 and the network's own, %d", a.MTU, mtu)
	case len(a.Prefixes) == 0 && n.ipv6().Bits() != 64:
		return refuse(unix.EINVAL, "hosts make no address from %s: it must be a /64: give Prefixes", n.ipv6())
	}
	for _, p := range a.Prefixes {
		switch {
		case !p.IsValid() || !p.Addr().Is6() || p.Addr().Is4In6() || !p.Addr().IsGlobalUnicast():
			return refuse(unix.EINVAL, "%s is not a prefix of IPv6 from which hosts have addresses", p)
		case p.Bits() != 64:
			return refuse(unix.EINVAL, "hosts make no address from %s: it must be a /64", p)
		case p != p.Masked():
			return refuse(unix.EINVAL, "%s has host bits set: %s is the prefix", p, p.Masked())
		}
	}
	for _, d := range a.DNS {
		if !d.Is6() || d.Is4In6() || d.Zone() != "" {
			return refuse(unix.EINVAL, "the name server %s is not a plain IPv6 address", d)
		}
	}
	for _, s := range a.Search {
		if err := checkHostname(s); err != nil {
			return err
		}
	}
	if p := a.NAT64; p != (netip.Prefix{}) && (!p.IsValid() || !p.Addr().Is6() || p != p.Masked()) {
		return refuse(unix.EINVAL, "the NAT64 prefix %s is not a prefix of IPv6 such as 64:ff9b::/96", p)
	}
	if preferred, valid := lifetimes(a); preferred > valid {
		return refuse(unix.EINVAL, "addresses are preferred for %v and valid for %v only", preferred, valid)
	}
	if _, err := message(a, n, nil).Marshal(); err != nil {
		return refuse(unix.EINVAL, "%v", err)
	}
	return nil
}

// lifetimes are those of addresses. Negative ones have ended.
func lifetimes(a wire.Advertisement) (preferred, valid time.Duration) {
	preferred, valid = a.Preferred, a.Valid
	if valid == 0 {
		valid = defaultValid
	}
	if preferred == 0 {
		preferred = min(defaultPreferred, valid)
	}
	return max(preferred, 0), max(valid, 0)
}

// message is what is sent; c is nil where it is not known yet by which cable.
func message(a wire.Advertisement, n *network, c *cable) ndp.Advertisement {
	m := ndp.Advertisement{
		HopLimit: 64, Managed: a.Managed, Other: a.Other, Lifetime: a.Lifetime, MTU: uint32(a.MTU),
		DNS: a.DNS, Search: a.Search, NAT64: a.NAT64, Source: make([]byte, 6), Known: defaultLifetime,
	}
	if c != nil {
		m.Source = c.mac
	}
	if m.Lifetime == 0 {
		m.Lifetime = defaultLifetime
	}
	prefixes := a.Prefixes
	if len(prefixes) == 0 {
		prefixes = []netip.Prefix{n.ipv6()}
	}
	preferred, valid := lifetimes(a)
	for _, p := range prefixes {
		m.Prefixes = append(m.Prefixes, ndp.Prefix{Prefix: p, Valid: valid, Preferred: preferred})
	}
	return m
}

// ipv6 is the network's IPv6 prefix, or the zero one.
func (n *network) ipv6() netip.Prefix {
	for _, p := range n.prefixes {
		if p.Addr().Is6() {
			return p
		}
	}
	return netip.Prefix{}
}

// size is the network's MTU.
func (n *network) size() int {
	if n.mtu == 0 {
		return 1500
	}
	return n.mtu
}

// networks are those that the host is on.
func (h *host) networks() []*network {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []*network
	for _, c := range h.cables {
		list = append(list, c.network)
	}
	return list
}

// advertise replaces a router's advertisements.
func (e *environment) advertise(p wire.AdvertiseParams) error {
	return e.changeRouter(p.Host, func(h *host) error { return h.advertise(p.Advertise) })
}

// advertise has the host send these advertisements and no others. Where one ends and none takes its place, hosts are told.
// h.changing is held.
func (h *host) advertise(ads []wire.Advertisement) (err error) {
	if err := checkAdvertise(h.name, ads, h.networks()); err != nil {
		return err
	}
	var next []*advertiser
	defer func() {
		if err != nil {
			for _, a := range next {
				err = errors.Join(err, a.close())
			}
		}
	}()
	for _, ad := range ads {
		c, err := h.cable(ad.Network)
		if err != nil {
			return err
		}
		a, err := newAdvertiser(h, c, ad)
		if err != nil {
			return err
		}
		next = append(next, a)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone {
		return refuse(unix.ESHUTDOWN, "host %q is being removed", h.name)
	}
	var errs []error
	for _, old := range h.advertisers {
		if !slices.ContainsFunc(next, func(a *advertiser) bool { return a.network == old.network }) {
			old.cease()
		}
		errs = append(errs, old.close())
	}
	h.advertisers = next
	for _, a := range next {
		a.start()
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("end advertisements: %w", err)
	}
	return nil
}
