package lan

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
)

// requireRights skips where namespaces cannot be made; NSTEST_MUST_RUN=1 makes that a failure.
func requireRights(tb testing.TB) {
	tb.Helper()
	f, err := ns.InNewNet(func() error { return nil })
	if err == nil {
		_ = f.Close()
		return
	}
	if os.Getenv("NSTEST_MUST_RUN") == "1" {
		tb.Fatalf("NSTEST_MUST_RUN=1, and network namespaces cannot be made here: %v", err)
	}
	tb.Skipf("network namespaces cannot be made here: %v; run as root or under unshare --user --map-root-user", err)
}

func newPool(tb testing.TB) *Pool {
	tb.Helper()
	requireRights(tb)
	p := NewPool()
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

func get(tb testing.TB, p *Pool) *Switch {
	tb.Helper()
	s, err := p.Get(within(tb, 30*time.Second))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.Put(s) })
	return s
}

func within(tb testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	tb.Cleanup(cancel)
	return ctx
}

// eventually waits for a state of the kernel's or the pool's that nothing announces.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			tb.Fatalf("%s: not within a minute", what)
		case <-tick.C:
		}
	}
}

// host is a network namespace with eth0 (index 2) and the n-th addresses of 10.0.0.0/24 and fd00::/64.
type host struct {
	net    *os.File
	conn   *rtnl.Conn
	v4, v6 netip.Addr
}

func newHost(tb testing.TB, n byte) *host {
	tb.Helper()
	h := newBareHost(tb, n)
	tb.Cleanup(h.close)
	return h
}

// newBareHost makes a host that the caller closes.
func newBareHost(tb testing.TB, n byte) *host {
	tb.Helper()
	h := &host{v4: netip.AddrFrom4([4]byte{10, 0, 0, n}), v6: netip.AddrFrom16([16]byte{0: 0xfd, 15: n})}
	var err error
	h.net, err = ns.InNewNet(func() (err error) { h.conn, err = rtnl.Open(); return err })
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// close ends the host's namespace, and with it its cable.
func (h *host) close() { _ = h.conn.Close(); _ = h.net.Close() }

func (h *host) port() Port { return Port{NetNS: h.net, Name: "eth0", Index: 2} }

func (h *host) configure() error {
	var b rtnl.Batch
	b.LinkUp(1)
	b.AddrGenNone(2)
	b.LinkUp(2)
	b.AddAddr(2, netip.PrefixFrom(h.v4, 24))
	b.AddAddr(2, netip.PrefixFrom(h.v6, 64))
	return h.conn.Send(&b)
}

// attach connects hosts to s and waits until packets can flow.
func attach(tb testing.TB, s *Switch, hosts ...*host) []PortID {
	tb.Helper()
	ids, err := tryAttach(within(tb, 30*time.Second), s, hosts...)
	if err != nil {
		tb.Fatal(err)
	}
	return ids
}

func tryAttach(ctx context.Context, s *Switch, hosts ...*host) ([]PortID, error) {
	var ports []Port
	for _, h := range hosts {
		ports = append(ports, h.port())
	}
	ids, err := s.Attach(ctx, ports...)
	if err != nil {
		return nil, err
	}
	for _, h := range hosts {
		if err := h.configure(); err != nil {
			return nil, err
		}
	}
	if err := s.WaitUp(ctx, ids...); err != nil {
		return nil, err
	}
	for i, h := range hosts {
		if err := h.conn.WaitUp(ctx, ports[i].Index); err != nil {
			return nil, err
		}
		if err := h.conn.WaitAddr(ctx, h.v6); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// listen opens a UDP socket in the host's namespace.
func (h *host) listen(tb testing.TB, addr netip.Addr) *net.UDPConn {
	tb.Helper()
	var c *net.UDPConn
	err := ns.InNet(h.net, func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 7)))
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// roundTrip sends a datagram from a to b and back, and returns how long it took.
func roundTrip(a, b *net.UDPConn, limit time.Duration) (time.Duration, error) {
	begin := time.Now()
	deadline := begin.Add(limit)
	to := b.LocalAddr().(*net.UDPAddr).AddrPort()
	for _, c := range []*net.UDPConn{a, b} {
		if err := c.SetDeadline(deadline); err != nil {
			return 0, err
		}
	}
	buf := make([]byte, 16)
	if _, err := a.WriteToUDPAddrPort([]byte("ping"), to); err != nil {
		return 0, err
	}
	_, from, err := b.ReadFromUDPAddrPort(buf)
	if err != nil {
		return 0, err
	}
	if _, err := b.WriteToUDPAddrPort([]byte("pong"), from); err != nil {
		return 0, err
	}
	_, _, err = a.ReadFromUDPAddrPort(buf)
	return time.Since(begin), err
}

func mustReach(tb testing.TB, what string, a, b *net.UDPConn) {
	tb.Helper()
	if _, err := roundTrip(a, b, 30*time.Second); err != nil {
		tb.Errorf("%s: %v", what, err)
	}
}

func mustNotReach(tb testing.TB, what string, a, b *net.UDPConn) {
	tb.Helper()
	_, err := roundTrip(a, b, 50*time.Millisecond)
	if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, unix.EHOSTUNREACH) {
		tb.Errorf("%s: got %v, want silence", what, err)
	}
}
