package nstest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Server serves the connections of a listener: an *http.Server, a *grpc.Server.
type Server interface{ Serve(net.Listener) error }

// errNothingServes refuses before anything listens: on its goroutine a nil server would end the whole program.
var errNothingServes = errors.New("what is to serve is nil")

// Serve has code of this program answer on a host: s.Serve runs with a TCP listener inside it, on a goroutine of this
// program. The address is as for Listen, and the one that Serve returns is where others reach the server: with the host's
// own address in the place of a wildcard, and the port that was chosen in the place of 0.
//
// It ends with the environment, or the host: the listener and the connections that it accepted are closed then, and Serve
// has returned when Close or RemoveHost does. If s.Serve returns earlier, with an error other than http.ErrServerClosed or
// net.ErrClosed, the test of the environment fails at that moment; in an environment from Open it is an error of Close. Then
// the listener is closed.
func (h *Host) Serve(address string, s Server) (net.Addr, error) {
	if s == nil {
		return nil, wrap("serve on", h.env.name, h.name, errNothingServes)
	}
	l, err := h.Listen("tcp", address)
	if err != nil {
		return nil, wrap("serve on", h.env.name, h.name, err)
	}
	tracked := &servedListener{Listener: l, serving: newServing(h, "tcp", l.Addr(), l.Close)}
	return tracked.serving.start(func() error { return s.Serve(tracked) })
}

// Handle serves HTTP on a host, as Serve does.
func (h *Host) Handle(address string, handler http.Handler) (net.Addr, error) {
	return h.Serve(address, &http.Server{Handler: handler, ReadHeaderTimeout: readHeaderTimeout})
}

const readHeaderTimeout = 30 * time.Second

// HandleConn calls f for each connection to a host, on a goroutine of its own, and closes the connection when f returns.
// Networks are those of Listen. Otherwise it is as Serve: at the end the connections are closed under f.
func (h *Host) HandleConn(network, address string, f func(net.Conn)) (net.Addr, error) {
	if f == nil {
		return nil, wrap("serve on", h.env.name, h.name, errNothingServes)
	}
	l, err := h.Listen(network, address)
	if err != nil {
		return nil, wrap("serve on", h.env.name, h.name, err)
	}
	s := newServing(h, network, l.Addr(), l.Close)
	return s.start(func() error {
		for {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			if !s.track(c) {
				_ = c.Close()
				continue
			}
			s.handlers.Go(func() {
				defer s.finish(c)
				f(c)
			})
		}
	})
}

// HandlePackets calls f for each packet to a host, one after the other; what f returns is the answer, unless it is nil. The
// packet is f's until it returns. Networks are those of ListenPacket. An answer comes from the address that the packet went
// to, on a host with several too; one that cannot be sent is lost, as on a network. On unixgram it reaches clients that have
// an abstract name: a path would be looked up where this program is. Otherwise it is as Serve.
func (h *Host) HandlePackets(network, address string, f func(from net.Addr, packet []byte) []byte) (net.Addr, error) {
	if f == nil {
		return nil, wrap("serve on", h.env.name, h.name, errNothingServes)
	}
	c, err := h.ListenPacket(network, address)
	if err != nil {
		return nil, wrap("serve on", h.env.name, h.name, err)
	}
	exchange, err := newPacketExchange(c)
	if err != nil {
		return nil, wrap("serve on", h.env.name, h.name, errors.Join(err, c.Close()))
	}
	return newServing(h, network, c.LocalAddr(), c.Close).start(func() error {
		for {
			if err := exchange.next(f); err != nil {
				return err
			}
		}
	})
}

// Go has code of this program run for as long as the host lives, on a goroutine: f's context is done when the host or the
// environment ends, or stop is called, each of which waits until f has returned. It is for what Serve and the others are not made
// for, such as a server with several sockets (ListenPacket). An error before the end is one as of Serve.
func (h *Host) Go(f func(ctx context.Context) error) (stop func() error, err error) {
	if f == nil {
		return nil, wrap("serve on", h.env.name, h.name, errNothingServes)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := newServing(h, "", nil, func() error { cancel(); return nil })
	if _, err := s.start(func() error {
		err := f(ctx)
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			return nil
		}
		return err
	}); err != nil {
		return nil, err
	}
	return sync.OnceValue(func() error {
		h.dismiss(s)
		return s.end()
	}), nil
}

// serving is code of this program that answers on a host.
type serving struct {
	host    *Host
	network string
	addr    net.Addr
	stop    func() error // closes what is listened on

	returned chan struct{}
	handlers sync.WaitGroup

	mu     sync.Mutex
	ending bool
	conns  map[net.Conn]struct{}
	err    error // of a server that ended on its own
}

func newServing(h *Host, network string, addr net.Addr, stop func() error) *serving {
	return &serving{host: h, network: network, addr: addr, stop: stop, returned: make(chan struct{}), conns: map[net.Conn]struct{}{}}
}

func (s *serving) String() string {
	if s.addr == nil {
		return "serve on host " + s.host.name
	}
	return fmt.Sprintf("serve %s %s on host %s", s.network, s.addr, s.host.name)
}

// start runs serve until the host or the environment ends.
func (s *serving) start(serve func() error) (net.Addr, error) {
	if !s.host.adopt(s) {
		return nil, wrap("serve on", s.host.env.name, s.host.name, errors.Join(ErrClosed, s.stop()))
	}
	go func() {
		defer close(s.returned)
		defer func() { _ = s.stop() }() // whoever calls is refused, as by a program that has ended
		s.ended(serve())
	}()
	return s.reachable(), nil
}

// ended takes note of how the server ended.
func (s *serving) ended(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending || err == nil || errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return
	}
	err = fmt.Errorf("nstest: %s: %w", s, err)
	tb := s.host.env.tb
	if tb == nil {
		s.err = err
		return
	}
	defer func() { _ = recover() }() // Ginkgo ends the goroutine that fails; package testing refuses a test that has ended
	tb.Errorf("%v", err)
}

// reachable is the address with the host's own in the place of a wildcard.
func (s *serving) reachable() net.Addr {
	port := func(ip net.IP, port int) (netip.AddrPort, bool) {
		if !ip.IsUnspecified() {
			return netip.AddrPort{}, false
		}
		for _, a := range append([]netip.Addr{s.host.Addr()}, s.host.Addrs()...) {
			if a.IsValid() && (a.Is4() && s.network[len(s.network)-1] != '6' || a.Is6() && ip.To4() == nil) {
				return netip.AddrPortFrom(a, uint16(port)), true
			}
		}
		return netip.AddrPort{}, false
	}
	switch a := s.addr.(type) {
	case *net.TCPAddr:
		if own, ok := port(a.IP, a.Port); ok {
			return net.TCPAddrFromAddrPort(own)
		}
	case *net.UDPAddr:
		if own, ok := port(a.IP, a.Port); ok {
			return net.UDPAddrFromAddrPort(own)
		}
	}
	return s.addr
}

// track has a connection closed at the end. It is false when that has come.
func (s *serving) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *serving) forget(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *serving) finish(c net.Conn) {
	s.forget(c)
	_ = c.Close()
}

// serveLimit bounds the wait for code of others to return once its connections are closed. It is a variable for tests.
var serveLimit = 5 * time.Second

// end closes the listener and the connections, and waits for the code that serves them.
func (s *serving) end() error {
	s.mu.Lock()
	s.ending = true
	conns := s.conns
	s.conns = map[net.Conn]struct{}{}
	err := s.err
	s.mu.Unlock()
	_ = s.stop() // that it is closed already is fine
	for c := range conns {
		_ = c.Close()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-s.returned
		s.handlers.Wait()
	}()
	select {
	case <-done:
	case <-time.After(serveLimit):
		err = errors.Join(err, fmt.Errorf("%s: it has not returned in %v after everything was closed", s, serveLimit))
	}
	return err
}

// servedListener is a listener whose connections end with the server's host.
type servedListener struct {
	net.Listener
	serving *serving
}

// Accept waits for a connection.
func (l *servedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok || !l.serving.track(tcp) {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	return &servedConn{TCPConn: tcp, serving: l.serving}, nil
}

// servedConn is a connection that is forgotten when it is closed.
type servedConn struct {
	*net.TCPConn
	serving *serving
}

// Close closes the connection.
func (c *servedConn) Close() error {
	c.serving.forget(c.TCPConn)
	return c.TCPConn.Close()
}

// packetExchange reads packets and answers them.
type packetExchange struct {
	conn        net.PacketConn
	packet, oob []byte
}

// newPacketExchange asks the kernel to tell where packets go to.
func newPacketExchange(c net.PacketConn) (*packetExchange, error) {
	x := &packetExchange{conn: c, packet: make([]byte, maxPacket), oob: make([]byte, unix.CmsgSpace(unix.SizeofInet4Pktinfo)+unix.CmsgSpace(unix.SizeofInet6Pktinfo))}
	udp, ok := c.(*net.UDPConn)
	if !ok {
		return x, nil
	}
	raw, err := udp.SyscallConn()
	if err != nil {
		return nil, err
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		var family int
		if family, inner = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN); inner != nil {
			return
		}
		if family == unix.AF_INET6 {
			inner = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		} else {
			inner = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
	})
	return x, errors.Join(err, inner)
}

const maxPacket = 64 << 10

// next has f answer the next packet.
func (x *packetExchange) next(f func(from net.Addr, packet []byte) []byte) error {
	udp, ok := x.conn.(*net.UDPConn)
	if !ok {
		n, from, err := x.conn.ReadFrom(x.packet)
		if err != nil {
			return err
		}
		if answer := f(from, x.packet[:n]); answer != nil && from != nil {
			_, _ = x.conn.WriteTo(answer, from)
		}
		return nil
	}
	n, oobn, _, from, err := udp.ReadMsgUDPAddrPort(x.packet, x.oob)
	if err != nil {
		return err
	}
	answer := f(net.UDPAddrFromAddrPort(netip.AddrPortFrom(from.Addr().Unmap(), from.Port())), x.packet[:n])
	if answer == nil {
		return nil
	}
	source := sourceOf(x.oob[:oobn])
	if _, _, err := udp.WriteMsgUDPAddrPort(answer, source, from); err != nil && source != nil { // it went to a group
		_, _, _ = udp.WriteMsgUDPAddrPort(answer, nil, from)
	}
	return nil
}

// sourceOf makes of where a packet came in (ip(7), ipv6(7): PKTINFO) where its answer goes out from: the same address, out
// of whichever link leads there.
func sourceOf(oob []byte) []byte {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO:
			clear(m.Data[:4]) // Ifindex
			return oob
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO:
			to := netip.AddrFrom16([16]byte(m.Data[:16]))
			if to.IsMulticast() {
				return nil
			}
			if !to.IsLinkLocalUnicast() {
				clear(m.Data[16:20])
			}
			return oob
		}
	}
	return nil
}

// adopt has s end with the host. It is false when the host has ended.
func (h *Host) adopt(s *serving) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return false
	}
	h.servings = append(h.servings, s)
	return true
}

// dismiss has s no longer end with the host.
func (h *Host) dismiss(s *serving) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.servings = slices.DeleteFunc(h.servings, func(other *serving) bool { return other == s })
}

// endServings ends what of this program serves on the host.
func (h *Host) endServings() error {
	h.mu.Lock()
	h.ended = true
	servings := h.servings
	h.servings = nil
	h.mu.Unlock()
	var errs []error
	for _, s := range servings {
		errs = append(errs, s.end())
	}
	return errors.Join(errs...)
}

// endServings ends what of this program serves on any host.
func (e *Env) endServings() error {
	e.mu.Lock()
	hosts := make([]*Host, 0, len(e.hosts))
	for _, h := range e.hosts {
		hosts = append(hosts, h)
	}
	e.mu.Unlock()
	var errs []error
	for _, h := range hosts {
		errs = append(errs, h.endServings())
	}
	return errors.Join(errs...)
}
