package nstest

import (
	"context"
	"net/netip"
	"slices"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A Network is a switch with the hosts that hang on it.
type Network struct {
	env  *Env
	info wire.NetworkResult
}

func newNetwork(e *Env, r wire.NetworkResult) *Network { return &Network{env: e, info: r} }

// Name is the network's name.
func (n *Network) Name() string { return n.info.Name }

// Prefixes are the network's prefixes, at most one of each family, IPv4 first unless the Config said otherwise.
func (n *Network) Prefixes() []netip.Prefix { return slices.Clone(n.info.Prefixes) }

// Gateway is the default route of the network's hosts, or the zero Addr.
func (n *Network) Gateway() netip.Addr { return n.info.Gateway }

// Hosts are the hosts that have a link to the network, sorted by name.
func (n *Network) Hosts() []*Host {
	n.env.mu.Lock()
	defer n.env.mu.Unlock()
	var out []*Host
	for _, h := range n.env.hosts {
		for _, l := range h.links {
			if l.info.Network == n.info.Name {
				out = append(out, h)
				break
			}
		}
	}
	slices.SortFunc(out, func(a, b *Host) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return out
}

// A Link is the cable between a host and a network.
type Link struct {
	host *Host
	info wire.LinkResult
}

// Host is the host at the one end.
func (l *Link) Host() *Host { return l.host }

// Network is the name of the network at the other end.
func (l *Link) Network() string { return l.info.Network }

// Interface is the name of the host's network device: "eth0".
func (l *Link) Interface() string { return l.info.Interface }

// Addrs are the addresses that the host was given on this link.
func (l *Link) Addrs() []netip.Addr { return slices.Clone(l.info.Addrs) }

// MAC is the device's hardware address.
func (l *Link) MAC() string { return l.info.MAC }

// Up plugs the cable in again. Frames pass when it returns.
func (l *Link) Up() error { return l.set(true) }

// Down pulls the cable out of the switch. The host sees NO-CARRIER; its device's administrative state, addresses and
// routes stay as they are.
func (l *Link) Down() error { return l.set(false) }

func (l *Link) set(up bool) error {
	op := "pull link of"
	if up {
		op = "plug link of"
	}
	e := l.host.env
	return wrap(op, e.name, l.host.name, e.call(context.Background(), wire.MethodLink, wire.LinkParams{Host: l.host.name, Network: l.info.Network, Up: up}, nil))
}
