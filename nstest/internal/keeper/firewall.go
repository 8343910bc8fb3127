package keeper

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/firewall"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// A fence is a host's firewall: the rules with the names that they were given with, and what is in force of them.
type fence struct {
	rules     []fenceRule
	verdict   firewall.Verdict // of what no rule fits
	stateless bool
	inForce   firewall.Firewall
}

type fenceRule struct {
	firewall.Rule // without addresses
	from, to      *peer
}

// A peer is somebody whom a rule names. What the name is, is decided once: a host that comes later does not take the place of
// a network.
type peer struct {
	host    string // as a key
	network *network
	prefix  netip.Prefix
}

// setFirewall replaces a host's firewall.
func (e *environment) setFirewall(p wire.FirewallParams) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	h, err := e.find(p.Host)
	if err != nil {
		return err
	}
	if h.route == nil {
		return refuse(unix.EOPNOTSUPP, "host %q has the network of whoever has made the environment: it cannot have a firewall", h.name)
	}
	f, err := e.newFence(p.Firewall)
	if err != nil {
		return err
	}
	return e.fence(h, f)
}

// fence puts a firewall into force; nil is none. The mutex is held.
func (e *environment) fence(h *host, f *fence) error {
	if f == nil && h.fence == nil {
		return nil
	}
	if h.filter == nil {
		if err := e.openFilter(h); err != nil {
			return err
		}
	}
	var rules firewall.Firewall
	var err error
	if f == nil {
		err = h.filter.Remove()
	} else {
		rules = e.resolve(h, f)
		err = h.filter.Set(rules)
	}
	if err != nil {
		err = errors.Join(err, h.filter.Close())
		h.filter = nil
		return err
	}
	if h.fence = f; f != nil {
		f.inForce = rules
	}
	return nil
}

func (e *environment) openFilter(h *host) error {
	netns, err := h.route.NetNS()
	if err != nil {
		return err
	}
	defer netns.Close()
	if err := e.owns(netns); err != nil {
		return err
	}
	h.filter, err = firewall.Open(netns)
	return err
}

// closeFilter is for a host that nobody finds any more.
func (h *host) closeFilter() error {
	if h.filter == nil {
		return nil
	}
	return h.filter.Close()
}

// fenceAgain has the firewalls follow the hosts that they name, which have come, gone, or changed their addresses. The mutex is
// held.
func (e *environment) fenceAgain() error {
	if e.closed {
		return nil
	}
	for _, h := range e.hosts {
		if h == nil || h.fence == nil || reflect.DeepEqual(e.resolve(h, h.fence), h.fence.inForce) {
			continue
		}
		if err := e.fence(h, h.fence); err != nil {
			return fmt.Errorf("firewall of host %q: %w", h.name, err)
		}
	}
	return nil
}

// resolve puts addresses in the place of names. The mutex is held.
func (e *environment) resolve(h *host, f *fence) firewall.Firewall {
	out := firewall.Firewall{Default: f.verdict, Stateless: f.stateless}
	for _, r := range f.rules {
		r.From, r.To = e.addressesOf(r.from), e.addressesOf(r.to)
		if r.Redirect.IsValid() {
			r.Segment = h.segment(r.Redirect.Addr())
		}
		out.Rules = append(out.Rules, r.Rule)
	}
	return out
}

// addressesOf is nil for anybody, and empty for a host that there is no more.
func (e *environment) addressesOf(p *peer) []netip.Prefix {
	switch {
	case p == nil:
		return nil
	case p.network != nil:
		return p.network.prefixes
	case p.host == "":
		return []netip.Prefix{p.prefix}
	}
	list := []netip.Prefix{}
	h := e.hosts[p.host]
	if h == nil {
		return list
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.cables {
		for _, a := range c.addrs {
			list = append(list, netip.PrefixFrom(a.Addr(), a.Addr().BitLen()))
			if a.Addr().Is6() {
				list = append(list, netip.PrefixFrom(linkLocal(c.mac), 128))
			}
		}
		if c.auto {
			list = append(list, netip.PrefixFrom(linkLocal(c.mac), 128))
			if p := c.network.ipv6(); p.Bits() == 64 {
				list = append(list, netip.PrefixFrom(automaticAddr(p, c.mac), 128))
			}
		}
	}
	return list
}

// automaticAddr is the address that a host makes itself of an advertised prefix (RFC 4862, RFC 4291 appendix A).
func automaticAddr(p netip.Prefix, mac net.HardwareAddr) netip.Addr {
	a, id := p.Addr().As16(), linkLocal(mac).As16()
	copy(a[8:], id[8:])
	return netip.AddrFrom16(a)
}

// segment is whoever reaches the address directly, if the host is among them and does not have the address itself.
func (h *host) segment(a netip.Addr) netip.Prefix {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found netip.Prefix
	for _, c := range h.cables {
		if c.has(a) {
			return netip.Prefix{}
		}
		for _, p := range c.addrs {
			if p.Contains(a) {
				found = p.Masked()
			}
		}
	}
	return found
}

// newFence checks a firewall; one that lets everything through is none. The mutex is held.
func (e *environment) newFence(f wire.Firewall) (*fence, error) {
	if len(f.Rules) > firewall.MostRules {
		return nil, refuse(unix.E2BIG, "%d rules are more than the %d that a firewall can have: have one for a network instead of one for each host", len(f.Rules), firewall.MostRules)
	}
	out := &fence{stateless: f.Stateless}
	var err error
	if out.verdict, err = verdictOf(f.Default); err != nil {
		return nil, err
	}
	for i, r := range f.Rules {
		rule, err := e.newFenceRule(r, f.Stateless)
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		out.rules = append(out.rules, rule)
	}
	if len(out.rules) == 0 && out.verdict == firewall.Allow {
		return nil, nil
	}
	return out, nil
}

func (e *environment) newFenceRule(r wire.FirewallRule, stateless bool) (out fenceRule, err error) {
	if out.Verdict, err = verdictOf(r.Verdict); err != nil {
		return out, err
	}
	switch r.Direction {
	case "":
	case "in":
		out.Directions = []firewall.Direction{firewall.In}
	case "out":
		out.Directions = []firewall.Direction{firewall.Out}
	case "forward":
		out.Directions = []firewall.Direction{firewall.Through}
	default:
		return out, refuse(unix.EINVAL, "there is no direction %q", r.Direction)
	}
	protocols := map[string]firewall.Protocol{"": firewall.AnyProtocol, "icmp": firewall.ICMP, "tcp": firewall.TCP, "udp": firewall.UDP}
	protocol, ok := protocols[r.Protocol]
	if out.Protocol = protocol; !ok {
		return out, refuse(unix.EPROTONOSUPPORT, "protocol %q is none of tcp, udp and icmp", r.Protocol)
	}
	if out.Ports, err = portsOf(r); err != nil {
		return out, err
	}
	if out.Redirect, err = redirectOf(r, stateless); err != nil {
		return out, err
	}
	if out.from, err = e.peer(r.From); err != nil {
		return out, err
	}
	if out.to, err = e.peer(r.To); err != nil {
		return out, err
	}
	return out, checkFamilies(r)
}

// checkFamilies refuses a rule that fits no packet, because its addresses are of both families.
func checkFamilies(r wire.FirewallRule) error {
	first, family := "", 0
	for _, said := range []string{r.From, r.To, r.Redirect.Addr().String()} {
		a, err := netip.ParseAddr(said)
		if p, prefixErr := netip.ParsePrefix(said); prefixErr == nil {
			a, err = p.Addr(), nil
		}
		switch {
		case err != nil: // a name: hosts and networks have addresses of both, or "" or no Redirect at all
		case first == "":
			first, family = said, a.BitLen()
		case a.BitLen() != family:
			return refuse(unix.EINVAL, "%s and %s are of different families: no packet has both", first, said)
		}
	}
	return nil
}

func verdictOf(name string) (firewall.Verdict, error) {
	switch name {
	case "", "allow":
		return firewall.Allow, nil
	case "drop":
		return firewall.Drop, nil
	case "reject":
		return firewall.Reject, nil
	}
	return 0, refuse(unix.EINVAL, "there is no verdict %q", name)
}

func portsOf(r wire.FirewallRule) (out []firewall.Ports, err error) {
	if len(r.Ports) > 0 && r.Protocol != "tcp" && r.Protocol != "udp" {
		return nil, refuse(unix.EINVAL, "ports are for tcp or udp: say which as its protocol, or make a rule for each")
	}
	if len(r.Ports) > firewall.MostPorts {
		return nil, refuse(unix.E2BIG, "%d ranges of ports are more than the %d that a rule can have: make several rules", len(r.Ports), firewall.MostPorts)
	}
	for _, p := range r.Ports {
		if p.Last == 0 {
			p.Last = p.First
		}
		switch {
		case p.First == 0:
			return nil, refuse(unix.EINVAL, "ports begin at 1")
		case p.First > p.Last:
			return nil, refuse(unix.EINVAL, "ports %d to %d are none: swap them", p.First, p.Last)
		}
		out = append(out, firewall.Ports(p))
	}
	return out, nil
}

func redirectOf(r wire.FirewallRule, stateless bool) (netip.AddrPort, error) {
	to := r.Redirect
	if to == (netip.AddrPort{}) {
		return to, nil
	}
	a := to.Addr()
	switch {
	case !to.IsValid() || to.Port() == 0:
		return to, refuse(unix.EINVAL, "redirect to %s: it takes an address and a port", to)
	case a.Is4In6() || a.Zone() != "" || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast():
		return to, refuse(unix.EADDRNOTAVAIL, "redirect to %s: it takes an address that a host has on a network, also where the portal is this host", to)
	case r.Protocol != "tcp":
		return to, refuse(unix.EINVAL, "redirect to %s: only tcp can be led elsewhere: say so as its protocol", to)
	case r.Verdict != "" && r.Verdict != "allow":
		return to, refuse(unix.EINVAL, "redirect to %s: what is led elsewhere cannot be dropped or rejected as well", to)
	case stateless:
		return to, refuse(unix.EINVAL, "redirect to %s: a stateless firewall cannot translate the answers", to)
	}
	return to, nil
}

// peer finds out who is meant: an address or a prefix, a host, or a network, in this order. The mutex is held.
func (e *environment) peer(name string) (*peer, error) {
	if name == "" {
		return nil, nil
	}
	if p, ok := prefixOf(name); ok {
		switch {
		case p.Addr().Is4In6() || strings.Contains(name, "%"):
			return nil, refuse(unix.EINVAL, "%s is neither a plain IPv4 nor a plain IPv6 address", name)
		case p != p.Masked():
			return nil, refuse(unix.EINVAL, "%s has host bits set: %s is the prefix", p, p.Masked())
		}
		return &peer{prefix: p}, nil
	}
	k := key(name)
	if k == key(e.params.Hostname) {
		k = self
	}
	if e.hosts[k] != nil {
		return &peer{host: k}, nil
	}
	for _, n := range e.networks {
		if n.name == name {
			return &peer{network: n}, nil
		}
	}
	return nil, refuse(unix.ENOENT, "%q is neither an address nor a prefix, and there is no host or network of that name: there are %s", name, e.whoIsThere())
}

func prefixOf(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p, err == nil
}

// whoIsThere lists names for a message.
func (e *environment) whoIsThere() string {
	const most = 20
	var hosts, networks []string
	for k, h := range e.hosts {
		if h != nil {
			hosts = append(hosts, k)
		}
	}
	for _, n := range e.networks {
		networks = append(networks, n.name)
	}
	list := func(names []string) string {
		slices.Sort(names)
		more := ""
		if len(names) > most {
			names, more = names[:most], fmt.Sprintf(" and %d more", len(names)-most)
		}
		return strings.Join(names, ", ") + more
	}
	return fmt.Sprintf("the hosts %s and the networks %s", list(hosts), list(networks))
}
