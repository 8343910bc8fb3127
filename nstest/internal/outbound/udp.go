package outbound

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
)

// maxDatagram is the largest payload of UDP.
const maxDatagram = 65535

// A flowKey is who talks to whom.
type flowKey struct{ client, to netip.AddrPort }

// A flow is a pair of connected sockets: one inside, that answers in the place of the destination, and one outside.
type flow struct {
	in, out net.Conn
	seen    chan struct{} // one element after traffic
}

// receiveAll takes the first packet of every flow. Later ones come to the flow's own socket, except for those that were on
// their way before there was one.
func (p *Proxy) receiveAll(c *net.UDPConn) {
	buf, oob := make([]byte, maxDatagram), make([]byte, 128)
	for {
		n, noob, _, client, err := c.ReadMsgUDPAddrPort(buf, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		to, ok := destination(oob[:noob])
		if !ok || !p.policy.permits(to.Addr()) {
			continue
		}
		client = netip.AddrPortFrom(client.Addr().Unmap(), client.Port())
		if f := p.flow(flowKey{client, to}); f != nil {
			_, _ = f.out.Write(buf[:n])
		}
	}
}

// flow finds a flow, or begins it; nil if that is impossible.
func (p *Proxy) flow(k flowKey) *flow {
	p.mu.Lock()
	f, full := p.flows[k], len(p.flows) >= maxFlows
	p.mu.Unlock()
	if f != nil || full {
		return f
	}
	var d net.Dialer
	out, err := d.DialContext(p.ctx, "udp", k.to.String())
	if err != nil {
		return nil
	}
	var in net.Conn
	err = ns.InNet(p.netns, func() (err error) {
		d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(k.to), Control: transparent}
		in, err = d.DialContext(context.Background(), "udp", k.client.String())
		return err
	})
	if err != nil {
		_ = out.Close()
		return nil
	}
	if !p.hold(out) {
		_ = in.Close()
		return nil
	}
	if !p.hold(in) {
		return nil
	}
	f = &flow{in: in, out: out, seen: make(chan struct{}, 1)}
	p.mu.Lock()
	p.flows[k] = f
	p.mu.Unlock()
	p.done.Go(func() { f.copy(out, in) })
	p.done.Go(func() { f.copy(in, out) })
	p.done.Go(func() { p.expire(k, f) })
	return f
}

// copy carries datagrams until a socket is closed. An ICMP error that came to it is the other side's loss.
func (f *flow) copy(to, from net.Conn) {
	buf := make([]byte, maxDatagram)
	for {
		n, err := from.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		_, _ = to.Write(buf[:n])
		select {
		case f.seen <- struct{}{}:
		default:
		}
	}
}

// expire ends a flow that has nothing to carry any more.
func (p *Proxy) expire(k flowKey, f *flow) {
	idle := time.NewTimer(idleTimeout)
	defer idle.Stop()
	for ended := false; !ended; {
		select {
		case <-p.ctx.Done():
			ended = true
		case <-f.seen:
			idle.Reset(idleTimeout)
		case <-idle.C:
			ended = true
		}
	}
	p.mu.Lock()
	delete(p.flows, k)
	p.mu.Unlock()
	p.drop(f.in)
	p.drop(f.out)
}

// destination is what recvmsg(2) tells of where a packet was sent (IP_RECVORIGDSTADDR, Linux 2.6.29; IPv6 2.6.37).
func destination(oob []byte) (netip.AddrPort, bool) {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return netip.AddrPort{}, false
	}
	for _, m := range list {
		switch sa, err := unix.ParseOrigDstAddr(&m); sa := sa.(type) {
		case *unix.SockaddrInet4:
			return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), err == nil
		case *unix.SockaddrInet6:
			return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), err == nil
		}
	}
	return netip.AddrPort{}, false
}
