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

// Gateway is the next hop of the default route of the network's hosts at this moment: the address from the NetworkConfig,
// or a Router's; the IPv4 one where there are two. It is the zero Addr where there is none, or the environment is closed.
func (n *Network) Gateway() netip.Addr {
	var r wire.NetworkResult
	if n.env.call(context.Background(), wire.MethodFindNetwork, wire.FindNetworkParams{Network: n.info.Name}, &r) != nil {
		return netip.Addr{}
	}
	return r.Gateway
}

// Hosts are the hosts that have a link to the network, sorted by name.
func (n *Network) Hosts() []*Host {
	n.env.mu.Lock()
	defer n.env.mu.Unlock()
	var out []*Host
	for _, h := range n.env.hosts {
		if slices.ContainsFunc(h.Links(), func(l *Link) bool { return l.Network() == n.info.Name }) {
			out = append(out, h)
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
