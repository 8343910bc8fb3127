package nstest

import (
	"context"
	"fmt"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A Router is a host that forwards packets between its networks, IPv4 and IPv6. It has everything that a Host has, and
// RemoveHost ends it: the hosts then have no default route through it any more.
type Router struct{ *Host }

// RouterConfig describes a router. Name and Networks are required.
type RouterConfig struct {
	// Name is the router's name, as a host's.
	Name string

	// Networks are the networks that it connects, as eth0, eth1, ... in this order. It is the gateway of each that has none
	// yet and is not the Outside of a NAT or NAT64: it then has the network's first address of each family, unless one is
	// given or that is taken, and the network's hosts, those that are there and those to come, have their default route
	// through it. It is also the gateway of a network whose NetworkConfig.Gateway it has. On another network with a gateway
	// it has a default route as any host. With NoGateway it has to do with no gateway there, in either way.
	Networks []Attachment

	Routes    []Route         // see Host.AddRoute
	Rules     []Rule          // see Host.AddRule
	NAT       []NAT           // see SetNAT
	NAT64     *NAT64          // see SetNAT64
	Advertise []Advertisement // see Router.Advertise
	Firewall  Firewall        // see Host.SetFirewall
	NetOnly   bool            // as in HostConfig

	// Root and Layers give the router a root of its own, as those of HostConfig.
	Root   string
	Layers func(context.Context) ([]string, error)
}

func (c RouterConfig) params(ctx context.Context) (wire.RouterParams, error) {
	host, err := HostConfig{Name: c.Name, Networks: c.Networks, NetOnly: c.NetOnly, Root: c.Root, Layers: c.Layers}.params(ctx)
	p := wire.RouterParams{HostParams: host}
	if err != nil {
		return p, err
	}
	for _, r := range c.Routes {
		route, err := r.params()
		if err != nil {
			return p, err
		}
		p.Routes = append(p.Routes, route)
	}
	for _, r := range c.Rules {
		p.Rules = append(p.Rules, wire.Rule(r))
	}
	for _, n := range c.NAT {
		nat, err := n.params()
		if err != nil {
			return p, err
		}
		p.NAT = append(p.NAT, nat)
	}
	if c.NAT64 != nil {
		p.NAT64 = (*wire.NAT64)(c.NAT64)
	}
	for _, a := range c.Advertise {
		p.Advertise = append(p.Advertise, wire.Advertisement(a))
	}
	firewall, err := c.Firewall.params()
	p.Firewall = firewall
	return p, err
}

// Router is the router with this name. It panics if there is none: AddRouter makes them.
func (e *Env) Router(name string) *Router {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.routers[strings.ToLower(name)]; r != nil {
		return r
	}
	panic(fmt.Sprintf("nstest: environment %s has no router %q: make it with AddRouter", e.name, name))
}

// AddRouter makes a router and plugs it in. When it returns, the router forwards, and the hosts whose gateway it is have
// their default routes. After an error nothing of it is left.
//
// A host that has taken its device down, or has a default route of its own making, keeps what it has.
func (e *Env) AddRouter(cfg RouterConfig) (*Router, error) {
	params, err := cfg.params(context.Background())
	if err != nil {
		return nil, wrap("add router", e.name, cfg.Name, err)
	}
	h, err := e.makeHost(cfg.Name, wire.MethodRouter, params)
	if err != nil {
		return nil, wrap("add router", e.name, cfg.Name, err)
	}
	r := &Router{h}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.routers[strings.ToLower(cfg.Name)] = r
	return r, nil
}
