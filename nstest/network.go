package nstest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

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

// Network is the network with this name; "" is the first one. In an environment of a test it is made on first use. In
// an environment from Open it must exist: Network panics otherwise.
func (e *Env) Network(name string) *Network {
	e.mu.Lock()
	if name == "" {
		name = e.info.Network.Name
	}
	n := e.networks[name]
	e.mu.Unlock()
	if n != nil {
		return n
	}
	if e.guest {
		n, err := e.findNetwork(name)
		if err != nil {
			panic(err.Error())
		}
		return n
	}
	if e.tb == nil {
		panic(fmt.Sprintf("nstest: environment %s has no network %q: make it with AddNetwork", e.name, name))
	}
	e.tb.Helper()
	n, err := e.AddNetwork(NetworkConfig{Name: name})
	if errors.Is(err, errExists) { // another goroutine or process has made it
		n, err = e.findNetwork(name)
	}
	if err != nil {
		e.tb.Fatalf("%v", err)
	}
	return n
}

func (e *Env) findNetwork(name string) (*Network, error) {
	var r wire.NetworkResult
	if err := e.call(context.Background(), wire.MethodFindNetwork, wire.FindNetworkParams{Network: name}, &r); err != nil {
		return nil, wrap("find network "+name, e.name, "", err)
	}
	return e.network(r), nil
}

// network is the one Network for what the keeper has told.
func (e *Env) network(r wire.NetworkResult) *Network {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.networks[r.Name] == nil {
		e.networks[r.Name] = newNetwork(e, r)
	}
	return e.networks[r.Name]
}

// Networks are all networks that there are now, whoever has made them, in the order in which they were made. There are none once
// the environment is closed.
func (e *Env) Networks() (list []*Network) {
	for _, r := range e.inventory().Networks {
		list = append(list, e.network(r))
	}
	return list
}

// AddNetwork makes a network. It is there until the environment ends: what is recorded and captured, trunks and overlays refer to
// it. One of which there are no links any more is as good as none, but for its name, its prefixes, and its place among the 250
// networks that an environment can have.
func (e *Env) AddNetwork(cfg NetworkConfig) (*Network, error) {
	var r wire.NetworkResult
	if err := e.call(context.Background(), wire.MethodNetwork, cfg.params(), &r); err != nil {
		return nil, wrap(strings.TrimSpace("add network "+cfg.Name), e.name, "", err)
	}
	return e.network(r), nil
}
