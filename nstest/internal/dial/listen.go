package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// backlog is asked for; the kernel takes net.core.somaxconn of the host's network namespace if that is less.
const backlog = 4096

// Listen listens on address, as net.ListenConfig's Listen: network is tcp, tcp4, tcp6, unix or unixpacket. Without a
// host it listens on all addresses, on network tcp in both families; port 0 is a free port. ctx bounds the call, not the
// listener.
func (d *Dialer) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	return bind(ctx, d, network, address, false, net.FileListener)
}

// ListenPacket binds a socket to address, as net.ListenConfig's ListenPacket: network is udp, udp4, udp6 or unixgram.
// Without a host it receives on all addresses, on network udp in both families; port 0 is a free port. A multicast address
// means all of its family, at a port that several sockets may have. ctx bounds the call, not the socket.
func (d *Dialer) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	return bind(ctx, d, network, address, true, net.FilePacketConn)
}

// bind makes a bound socket in the host and hands it to open.
func bind[T any](ctx context.Context, d *Dialer, network, address string, packet bool, open func(*os.File) (T, error)) (T, error) {
	var none T
	refuse := func(addr net.Addr, err error) (T, error) {
		return none, &net.OpError{Op: "listen", Net: network, Addr: addr, Err: err}
	}
	n, err := parseNetwork(network)
	if err != nil {
		return refuse(nil, err)
	}
	list, err := d.resolve(ctx, n, address)
	if err != nil {
		return refuse(nil, err)
	}
	e := list[0]
	for _, other := range list { // as package net has it, whatever the order
		if other.ip.Addr().Is4() {
			e = other
			break
		}
	}
	if n.isPacket() != packet {
		return refuse(e.addr(n), &net.AddrError{Err: "unexpected address type", Addr: address})
	}
	if err := ctx.Err(); err != nil {
		return refuse(e.addr(n), plain(ctx, err))
	}
	f, err := d.bound(ctx, n, e)
	if err != nil {
		return refuse(e.addr(n), plain(ctx, err))
	}
	defer f.Close()
	opened, err := open(f)
	if err != nil {
		return refuse(e.addr(n), plain(ctx, err))
	}
	return opened, nil
}

// bound makes a socket in the host that is bound to e and, unless its network is one of packets, listens. The wildcard
// of either family means both where the network permits both and the host has both.
func (d *Dialer) bound(ctx context.Context, n network, e endpoint) (*os.File, error) {
	if n.isUnix() || !e.isWildcard() {
		return d.boundTo(ctx, n, e)
	}
	if n.family != unix.AF_INET {
		f, err := d.boundTo(ctx, n, e.at(netip.IPv6Unspecified()))
		if n.family == unix.AF_INET6 || !errors.Is(err, unix.EAFNOSUPPORT) {
			return f, err
		}
	}
	return d.boundTo(ctx, n, e.at(netip.IPv4Unspecified()))
}

func (d *Dialer) boundTo(ctx context.Context, n network, e endpoint) (*os.File, error) {
	shared := n.isPacket() && !n.isUnix() && e.ip.Addr().IsMulticast()
	if shared { // as package net has it: mDNS and its like are heard by several programs of a machine, at their own addresses too
		all := netip.IPv6Unspecified()
		if e.ip.Addr().Unmap().Is4() {
			all = netip.IPv4Unspecified()
		}
		e = e.at(all)
	}
	family, raw, err := e.raw(n)
	if err != nil {
		return nil, err
	}
	spec := wire.SocketParams{Family: family, Type: n.typ, V6Only: n.family == unix.AF_INET6, Reuse: shared, Bind: raw}
	if !n.isPacket() {
		spec.Listen = backlog
	}
	f, err := d.Sockets.Socket(ctx, spec)
	if err != nil {
		return nil, err
	}
	if n.isPacket() && !n.isUnix() {
		if err := permitBroadcast(f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}
