package names

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

const (
	// maxUDPSize is the largest datagram that is sent, whatever the client offers (RFC 9715, section 3.1).
	maxUDPSize = 1232
	// maxWrites bounds the goroutines that a host can park in the keeper by filling its own socket's send buffer.
	// Answers above it are dropped, as a full buffer would drop them.
	maxWrites = 256
	// maxWaits bounds the answers by UDP that are late. Further ones are dropped.
	maxWaits = 256
	// udpReadTimeout only bounds how often an idle server wakes up.
	udpReadTimeout = time.Hour
)

// Server answers queries on the sockets of one host. It holds the host's network namespace alive until Close.
type Server struct {
	zone   *Zone
	host   string
	udp    *net.UDPConn
	tcp    *listener
	writes chan struct{}   // one element for each answer being written to udp
	waits  chan struct{}   // one element for each answer to udp that is late
	ctx    context.Context // ends with Close
	stop   context.CancelFunc
	done   sync.WaitGroup
	close  func() error

	mu  sync.Mutex
	err error // what ended serving before Close
}

// Serve answers queries for the names in zone on two sockets that were made inside the host named self: udp, which is
// bound, and tcp, which listens. The name serves messages alone; what it resolves to is up to the zone. Serve takes both
// files over and closes them, also on error. The server answers when Serve returns. The caller closes it.
func Serve(zone *Zone, self string, udp, tcp *os.File) (*Server, error) {
	s, err := serve(zone, self, udp, tcp)
	err = errors.Join(err, closeFile(udp), closeFile(tcp))
	if err != nil {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
		return nil, fmt.Errorf("serve names in host %q: %w", self, err)
	}
	return s, nil
}

func serve(zone *Zone, self string, udp, tcp *os.File) (*Server, error) {
	if zone == nil || udp == nil || tcp == nil {
		return nil, errors.New("the zone, the UDP and the TCP socket are all needed")
	}
	l, err := listenerOf(tcp)
	if err != nil {
		return nil, err
	}
	packets, err := packetsOf(udp)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s := &Server{
		zone: zone, host: self, udp: packets, tcp: l,
		writes: make(chan struct{}, maxWrites), waits: make(chan struct{}, maxWaits),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.close = sync.OnceValue(s.shutdown)
	for _, srv := range []*dns.Server{
		{PacketConn: packets, UDPSize: maxUDPSize, ReadTimeout: udpReadTimeout},
		{Listener: l},
	} {
		srv.Handler = s
		if err := s.start(srv); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// start returns when srv reads from its socket, or why it does not.
func (s *Server) start(srv *dns.Server) error {
	started, failed := make(chan struct{}), make(chan error, 1)
	srv.NotifyStartedFunc = func() { close(started) }
	s.done.Go(func() {
		err := srv.ActivateAndServe()
		failed <- err
		select {
		case <-s.ctx.Done():
		default:
			s.mu.Lock()
			s.err = errors.Join(s.err, err)
			s.mu.Unlock()
		}
	})
	select {
	case <-started:
		return nil
	case err := <-failed:
		return err
	}
}

// Close stops answering, cuts the connections that are open and returns when nothing of the server is left. The error
// says what ended serving earlier, if something did. Close may be called more than once and concurrently; every call
// waits and returns the same.
func (s *Server) Close() error { return s.close() }

func (s *Server) shutdown() error {
	s.stop()
	// The sockets are closed under the DNS servers: their own Shutdown waits for answers that a client refuses to read.
	err := errors.Join(s.udp.Close(), s.tcp.Close())
	s.done.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err = errors.Join(s.err, err); err != nil {
		return fmt.Errorf("close name server of host %q: %w", s.host, err)
	}
	return nil
}

// ServeDNS implements dns.Handler. An answer that cannot be sent is the client's to ask for again; one that a fault has
// lost leaves a connection as it is.
func (s *Server) ServeDNS(w dns.ResponseWriter, req *dns.Msg) {
	udp, size := w.LocalAddr().Network() == "udp", dns.MaxMsgSize
	if udp {
		size = dns.MinMsgSize
		if opt := req.IsEdns0(); opt != nil {
			size = min(max(int(opt.UDPSize()), dns.MinMsgSize), maxUDPSize)
		}
	}
	resp, delay := s.zone.answer(s.ctx, s.host, udp, req)
	if resp == nil || delay > 0 && !s.wait(udp, delay) {
		return
	}
	fit(resp, size)
	if udp {
		select {
		case s.writes <- struct{}{}:
			defer func() { <-s.writes }()
		default:
			return
		}
	}
	_ = w.WriteMsg(resp)
}

// wait returns after a delay, false if the answer is not to be sent any more. Connections are bounded in number anyway.
func (s *Server) wait(udp bool, delay time.Duration) bool {
	if udp {
		select {
		case s.waits <- struct{}{}:
			defer func() { <-s.waits }()
		default:
			return false
		}
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

func closeFile(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

func packetsOf(f *os.File) (*net.UDPConn, error) {
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("take over UDP socket: %w", err)
	}
	udp, ok := c.(*net.UDPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("take over UDP socket: it is a %T", c), c.Close())
	}
	return udp, nil
}

func listenerOf(f *os.File) (*listener, error) {
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("take over TCP socket: %w", err)
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("take over TCP socket: it is a %T", l), l.Close())
	}
	if err := checkListens(tcp); err != nil {
		return nil, errors.Join(fmt.Errorf("take over TCP socket: %w", err), l.Close())
	}
	return newListener(tcp), nil
}

func checkListens(l *net.TCPListener) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var on int
	var sockErr error
	if err := raw.Control(func(fd uintptr) {
		on, sockErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	}); err != nil {
		return err
	}
	if sockErr != nil {
		return os.NewSyscallError("getsockopt", sockErr)
	}
	if on == 0 {
		return errors.New("it does not listen")
	}
	return nil
}
