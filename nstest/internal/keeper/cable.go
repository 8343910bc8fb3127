package keeper

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/lan"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// A cable connects a host with a network.
type cable struct {
	network   *network
	left      *network // whose addresses it still has after a move; nil where these are the network's own
	addrs     []netip.Prefix
	mac       net.HardwareAddr
	index     int        // of the host's device, ethN, N+2; no other device has it
	port      lan.PortID // 0 = plugged in nowhere
	mtu       int        // 0 = 1500
	auto      bool       // the host takes its IPv6 address and default route from router advertisements
	noGateway bool       // its network's gateway is none of the host's, nor is the host the gateway
	pulled    bool
	since     time.Time // it is pulled
	flap      *flap
}

// draw takes what a further cable of a host to a network needs: a place, addresses, and a MAC address. The environment's mutex
// is held.
func (e *environment) draw(hostname string, r *routing, a wire.Attachment, others []*cable) (*cable, error) {
	n, err := e.network(a.Network)
	if err != nil {
		return nil, err
	}
	if err := n.admits(hostname); err != nil {
		return nil, err
	}
	if n.overlay != nil {
		if _, err := n.below(hostname, others); err != nil {
			return nil, err
		}
	}
	c := &cable{network: n, auto: a.Auto, noGateway: a.NoGateway, mtu: n.mtu}
	if a.MAC != "" {
		if c.mac, err = parseMAC(hostname, a.MAC); err != nil {
			return nil, err
		}
		if err := e.lacks(n, hostname, c.mac); err != nil {
			return nil, err
		}
	}
	if r.mayBeGateway(c) { // never one that is automatic
		a.Addrs = n.first(a.Addrs)
	}
	if c.addrs, err = n.reserveFor(hostname, a); err != nil {
		return nil, err
	}
	if c.mac == nil {
		c.mac = e.unusedMAC(n.macFor(e, c.addrs))
	}
	e.announce = e.announce || !c.tells()
	n.join(hostname, c.mac)
	return c, nil
}

// tells reports whether the MAC address is what follows from the addresses.
func (c *cable) tells() bool {
	return len(c.addrs) == 0 || bytes.Equal(c.mac, c.network.macFor(nil, c.addrs))
}

// giveBack undoes draw. The environment's mutex is held.
func (c *cable) giveBack(hostname string) {
	c.subnet().release(c.addrs)
	c.network.leave(hostname)
}

// subnet is the network that the cable's addresses are of.
func (c *cable) subnet() *network {
	if c.left != nil {
		return c.left
	}
	return c.network
}

func parseMAC(hostname, text string) (net.HardwareAddr, error) {
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 || mac[0]&1 != 0 || slices.Max(mac) == 0 {
		return nil, refuse(unix.EINVAL, "host %q: %q is not a unicast MAC address such as 02:00:00:00:00:01", hostname, text)
	}
	if lan.Reserved(mac) {
		return nil, refuse(unix.EINVAL, "host %q: %s is of the addresses of switches, which begin with %s", hostname, mac, mac[:3])
	}
	return mac, nil
}

// lacks refuses a MAC address that somebody else on the segment of a network has. The mutex is held.
func (e *environment) lacks(n *network, hostname string, mac net.HardwareAddr) error {
	for _, o := range e.networks {
		if other := o.owner(mac); other != "" && other != key(hostname) && o.head() == n.head() {
			return refuse(unix.EADDRINUSE, "host %q: %s is the MAC address of host %q on network %q", hostname, mac, other, o.name)
		}
	}
	return nil
}

// unusedMAC is mac, or one like it where somebody has that, on whichever network: links move. The mutex is held.
func (e *environment) unusedMAC(mac net.HardwareAddr) net.HardwareAddr {
	taken := func() bool {
		return slices.ContainsFunc(e.networks, func(n *network) bool { return n.owner(mac) != "" })
	}
	for b := mac[1]; taken() && mac[1] != b-1; { // 02:42, 02:43, …
		if mac[1]++; lan.Reserved(mac) {
			mac[1]++
		}
	}
	return mac
}

// number chooses the cable's device: the first ethN whose name and whose index, N+2, nothing in the host has.
func (h *host) number(c *cable) error {
	links, err := h.route.Links()
	if err != nil {
		return err
	}
	for c.index = 2; slices.ContainsFunc(links, func(l rtnl.Link) bool { return l.Index == c.index || l.Name == c.name() }); c.index++ {
	}
	return nil
}

// prefixes are the addresses that the device is given: the cable's, and a link-local one with those of IPv6.
func (c *cable) prefixes() []netip.Prefix {
	list := slices.Clone(c.addrs)
	if slices.ContainsFunc(c.addrs, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		list = append(list, netip.PrefixFrom(linkLocal(c.mac), 64))
	}
	return list
}

// size is the cable's MTU.
func (c *cable) size() int {
	if c.mtu == 0 {
		return defaultMTU
	}
	return c.mtu
}

// linkResult is the cable as its holders are told.
func (h *host) linkResult(c *cable) wire.LinkResult {
	h.mu.Lock()
	defer h.mu.Unlock()
	return c.result()
}

// result is linkResult for those who hold the mutex.
func (c *cable) result() wire.LinkResult {
	l := wire.LinkResult{Network: c.network.name, Interface: c.name(), MAC: c.mac.String(), MTU: c.size()}
	for _, a := range c.addrs {
		l.Addrs = append(l.Addrs, a.Addr())
	}
	return l
}

// configure appends to msgs what gives the host's end its addresses. It is up first: a device that goes up has IPv6 make the
// routes of its addresses anew, from memory that must not be waited for, and drop an address for which there is none.
func (c *cable) configure(msgs *rtnl.Batch) {
	msgs.AddrGenNone(c.index) // the kernel's own link-local address would be tentative for a second
	msgs.LinkUp(c.index)
	for _, a := range c.prefixes() {
		msgs.AddAddr(c.index, a)
	}
}

func (c *cable) has(a netip.Addr) bool {
	for _, p := range c.addrs {
		if p.Addr() == a {
			return true
		}
	}
	return false
}

// connectLimit is how long the kernel may take to make a cable ready. It takes milliseconds, with STP some seconds.
const connectLimit = time.Minute

// wait returns when the first frame that anybody sends will arrive: both ends are in operation, and the host listens to
// neighbour discovery.
func (c *cable) wait(ctx context.Context, route *rtnl.Conn) error {
	ctx, cancel := context.WithTimeoutCause(ctx, connectLimit, refuse(unix.ETIMEDOUT, "not within %v", connectLimit))
	defer cancel()
	if c.network.overlay == nil { // a device above another has no state of its own that could be waited for
		if err := c.network.lan.WaitUp(ctx, c.port); err != nil {
			return err
		}
		if err := route.WaitUp(ctx, c.index); err != nil {
			return err
		}
	}
	if c.auto {
		return c.solicit(ctx, route)
	}
	for _, a := range c.addrs {
		if a.Addr().Is6() {
			if err := route.WaitAddr(ctx, a.Addr()); err != nil {
				return err
			}
		}
	}
	return nil
}

// unplug pulls the cable of a host that has ended. Its network namespace lives on for a while, or for as long as somebody
// has a socket in it, and would answer for the next host with the same address.
func (c *cable) unplug() error {
	if c.port == 0 {
		return nil
	}
	err := c.network.lan.SetPort(c.port, false)
	if errors.Is(err, lan.ErrReleased) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}
