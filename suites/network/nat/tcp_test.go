package nat_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
)

// share lets several sockets have one port.
func share(_, _ string, c syscall.RawConn) error {
	var err error
	cerr := c.Control(func(fd uintptr) {
		err = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	})
	return errors.Join(cerr, err)
}

// listen listens on a port that others may share.
func listen(h *nstest.Host, at netip.AddrPort) net.Listener {
	GinkgoHelper()
	var l net.Listener
	Expect(h.Do(func() (err error) {
		l, err = (&net.ListenConfig{Control: share}).Listen(context.Background(), "tcp", at.String())
		return err
	})).To(Succeed())
	DeferCleanup(l.Close)
	return l
}

// dial connects from a port that others may share.
func dial(h *nstest.Host, from, to netip.AddrPort) (net.Conn, error) {
	var c net.Conn
	err := h.Do(func() (err error) {
		d := net.Dialer{Control: share, LocalAddr: net.TCPAddrFromAddrPort(from), Timeout: 10 * time.Second}
		c, err = d.Dial("tcp", to.String())
		return err
	})
	return c, err
}

// echo tells every caller which address it calls from, in a line, and then gives back what it says.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = io.WriteString(c, c.RemoteAddr().String()+"\n")
			_, _ = io.Copy(c, c)
		}()
	}
}

// serveTCP has both servers answer on both ports.
func (w *world) serveTCP() {
	GinkgoHelper()
	for i := range 2 {
		for k := range 2 {
			go echo(listen(w.servers[i], w.endpoint(i, k)))
		}
	}
}

// A caller is a connection to an echo server, which has seen it come from some address.
type caller struct {
	net.Conn
	seen netip.AddrPort
}

// call calls an echo server.
func call(h *nstest.Host, from, to netip.AddrPort) (*caller, error) {
	c, err := dial(h, from, to)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	var line []byte
	for b := make([]byte, 1); ; line = append(line, b[0]) {
		if _, err := io.ReadFull(c, b); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		if b[0] == '\n' {
			break
		}
	}
	seen, err := netip.ParseAddrPort(string(line))
	return &caller{c, seen}, err
}

// trip sends a byte to and fro.
func (c *caller) trip() error {
	b := []byte{'x'}
	if _, err := c.Write(b); err != nil {
		return err
	}
	_, err := io.ReadFull(c, b)
	return err
}

func mustCall(h *nstest.Host, from, to netip.AddrPort) *caller {
	GinkgoHelper()
	c, err := call(h, from, to)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(c.Close)
	return c
}

// connects reports whether a connection comes about while a byte goes to and fro on another some times, on the same way.
func connects(h *nstest.Host, from, to netip.AddrPort, other *caller) bool {
	GinkgoHelper()
	fd := -1
	Expect(h.Do(func() (err error) {
		family := unix.AF_INET6
		if from.Addr().Is4() {
			family = unix.AF_INET
		}
		if fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), "probe")
		DeferCleanup(f.Close)
		raw, err := f.SyscallConn()
		if err != nil {
			return err
		}
		if err := share("", "", raw); err != nil {
			return err
		}
		if err := unix.Bind(fd, sockaddr(from)); err != nil {
			return err
		}
		if err := unix.Connect(fd, sockaddr(to)); err != unix.EINPROGRESS { // the first packet is on its way
			return err
		}
		return nil
	})).To(Succeed())
	for range trips {
		Expect(other.trip()).To(Succeed())
	}
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(poll, int(silence.Milliseconds()))
	for err == unix.EINTR { // the runtime's own signals
		n, err = unix.Poll(poll, int(silence.Milliseconds()))
	}
	Expect(err).NotTo(HaveOccurred())
	if n == 0 {
		return false
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	Expect(err).NotTo(HaveOccurred())
	return errno == 0
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

// classifyTCP finds out how TCP from the host is treated.
func (w *world) classifyTCP(h *nstest.Host) behaviour {
	GinkgoHelper()
	w.serveTCP()
	local := netip.AddrPortFrom(w.of(h), 4000)
	first := mustCall(h, local, w.endpoint(0, 0)).seen
	address := mustCall(h, local, w.endpoint(1, 0)).seen
	port := mustCall(h, local, w.endpoint(1, 1)).seen
	AddReportEntry("seen", []netip.AddrPort{local, first, address, port}, ReportEntryVisibilityFailureOrVerbose)

	local = netip.AddrPortFrom(w.of(h), 4001) // one that nobody has heard of yet
	go echo(listen(h, local))
	open := mustCall(h, local, w.endpoint(0, 0))
	return behaviour{mapping(netip.AddrPortFrom(w.of(h), 4000), first, address, port), filtering(
		connects(w.servers[1], w.endpoint(1, 1), open.seen, open),
		connects(w.servers[0], w.endpoint(0, 1), open.seen, open),
	)}
}
