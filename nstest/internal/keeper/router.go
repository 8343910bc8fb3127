package keeper

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/hermetic-go/nstest/nstest/internal/nat"
	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// routing is what makes a host a router. A nil one is that of a host which is none.
type routing struct {
	params wire.RouterParams // once the host can be found: written with both the environment's mutex and the host's changing held, read with one
}

// mayBeGateway reports whether the router is, or becomes, the gateway at the other end of a cable. The environment's mutex
// is held.
func (r *routing) mayBeGateway(c *cable) bool {
	switch n, router := c.network, c.network.head().router; {
	case r == nil || c.noGateway || c.auto || c.left != nil || router != nil && router != c:
		return false
	case n.gateway.IsValid():
		return c.has(n.gateway)
	default:
		return !slices.Contains(r.outsides(), n.name)
	}
}

// outsides are the networks from which nobody is to find the way in.
func (r *routing) outsides() []string {
	var list []string
	for _, n := range r.params.NAT {
		list = append(list, n.Outside)
	}
	if n := r.params.NAT64; n != nil {
		list = append(list, n.Outside)
	}
	return list
}

// begin makes a host with all its cables a router, before anybody can find it.
func (r *routing) begin(h *host) error {
	h.declared.router(r.params)
	for _, route := range r.params.Routes {
		if err := h.setRoute(wire.RouteParams{Host: h.name, Route: route}); err != nil {
			return err
		}
	}
	for _, rule := range r.params.Rules {
		if err := h.setRule(wire.RuleParams{Host: h.name, Rule: rule}); err != nil {
			return err
		}
	}
	if len(r.params.NAT) > 0 {
		if err := h.translate(nat.Set, r.params.NAT); err != nil {
			return err
		}
	}
	r.params = wire.RouterParams{NAT: r.params.NAT, NAT64: r.params.NAT64} // what there is to be remembered
	return h.forward()
}

// forward has the host forward packets of both families. accept_ra stays as it is, and says "not while I forward".
func (h *host) forward() error {
	netns, err := h.route.NetNS()
	if err != nil {
		return err
	}
	defer netns.Close()
	return ns.InNet(netns, func() error {
		for _, name := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
			err := ns.WriteSysctl(ns.Sysctls, name, "1")
			if errors.Is(err, os.ErrNotExist) && name != "net/ipv4/ip_forward" {
				continue // a kernel without IPv6
			}
			if err != nil {
				return fmt.Errorf("forward packets: %w", err)
			}
		}
		return nil
	})
}

// checkRouter refuses what cannot be a router, before anything is made.
func (e *environment) checkRouter(p wire.RouterParams) error {
	if len(p.Networks) == 0 {
		return refuse(unix.EINVAL, "router %q is on no network: name at least one in Networks", p.Name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var on []*network
	for _, a := range p.Networks {
		n, err := e.network(a.Network)
		if err != nil {
			return err
		}
		on = append(on, n)
	}
	for _, r := range p.Routes {
		if err := checkRoute(r); err != nil {
			return err
		}
		if r.Network != "" && find(on, r.Network) == nil {
			return refuse(unix.EINVAL, "%s: router %q is not on network %q", routeName(r), p.Name, r.Network)
		}
		if r.Via.IsValid() && r.Network == "" && !slices.ContainsFunc(on, func(n *network) bool { return n.contains(r.Via) }) {
			return refuse(unix.ENETUNREACH, "%s: the next hop %s is on no network of router %q: say which in Network", routeName(r), r.Via, p.Name)
		}
	}
	for _, r := range p.Rules {
		if err := checkRule(r); err != nil {
			return err
		}
		if r.In != "" && find(on, r.In) == nil {
			return refuse(unix.EINVAL, "a rule for packets from network %q: router %q is not on it", r.In, p.Name)
		}
	}
	if err := checkNATs(p.Name, on, p.NAT); err != nil {
		return err
	}
	if err := checkNAT64(p.Name, p.NAT64, on); err != nil {
		return err
	}
	return checkAdvertise(p.Name, p.Advertise, on)
}

func (n *network) contains(a netip.Addr) bool {
	return slices.ContainsFunc(n.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// addRouter makes a router. When it fails, nothing of it is left.
func (e *environment) addRouter(ctx context.Context, p wire.RouterParams) (wire.HostResult, error) {
	if err := e.checkRouter(p); err != nil {
		return wire.HostResult{}, err
	}
	h, err := e.makeHost(ctx, p.HostParams, &routing{params: p})
	if err != nil {
		return wire.HostResult{}, err
	}
	if err := e.equip(h, p); err != nil {
		return wire.HostResult{}, errors.Join(err, e.remove(h))
	}
	return h.result(), nil
}

// changeRouter is change for a host that is a router.
func (e *environment) changeRouter(hostname string, f func(h *host) error) error {
	return e.change(hostname, func(h *host) error {
		if h.router == nil {
			return refuse(unix.EINVAL, "host %q is no router: make it with AddRouter", h.name)
		}
		return f(h)
	})
}

// equip gives a router what is made of a host that can be found.
func (e *environment) equip(h *host, p wire.RouterParams) error {
	return e.changeRouter(p.Name, func(now *host) error {
		if now != h {
			return refuse(unix.ENOENT, "host %q was removed", h.name)
		}
		if f := p.Firewall; len(f.Rules) > 0 || f.Default != "" || f.Stateless {
			if err := e.setFirewall(wire.FirewallParams{Host: p.Name, Firewall: f}); err != nil {
				return err
			}
		}
		if err := e.setNPT(h, p.NAT); err != nil {
			return err
		}
		if p.NAT64 != nil {
			if err := e.setNAT64(h, p.NAT64); err != nil {
				return err
			}
		}
		if len(p.Advertise) > 0 {
			return h.advertise(p.Advertise)
		}
		return nil
	})
}
