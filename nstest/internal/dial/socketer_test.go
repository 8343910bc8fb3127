package dial

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/names"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// machine is a Socketer that makes sockets where the test runs. It keeps to loopback.
type machine struct {
	before func(ctx context.Context, spec wire.SocketParams) error // may refuse or hold up a socket

	mu    sync.Mutex
	specs []wire.SocketParams
}

func (m *machine) Socket(ctx context.Context, spec wire.SocketParams) (*os.File, error) {
	m.mu.Lock()
	m.specs = append(m.specs, spec)
	m.mu.Unlock()
	if m.before != nil {
		if err := m.before(ctx, spec); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Socket(spec.Family, spec.Type|unix.SOCK_CLOEXEC, spec.Protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "socket")
	if err := m.prepare(fd, spec); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (m *machine) prepare(fd int, spec wire.SocketParams) error {
	if spec.Family == unix.AF_INET6 {
		only := 0
		if spec.V6Only {
			only = 1
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if spec.Family != unix.AF_UNIX && spec.Type == unix.SOCK_STREAM {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if spec.Bind != nil {
		if err := rawCall(unix.SYS_BIND, fd, spec.Bind); err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	if spec.Listen > 0 {
		if err := unix.Listen(fd, spec.Listen); err != nil {
			return os.NewSyscallError("listen", err)
		}
	}
	if spec.Connect != nil {
		if err := rawCall(unix.SYS_CONNECT, fd, spec.Connect); err != nil {
			return os.NewSyscallError("connect", err)
		}
	}
	return nil
}

func rawCall(trap uintptr, fd int, sockaddr []byte) error {
	_, _, errno := unix.Syscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&sockaddr[0])), uintptr(len(sockaddr)))
	if errno != 0 {
		return errno
	}
	return nil
}

// families are those of the sockets made so far, in order.
func (m *machine) families() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []int
	for _, spec := range m.specs {
		if spec.Type == unix.SOCK_STREAM { // the look-ups are datagrams
			out = append(out, spec.Family)
		}
	}
	return out
}

// host returns a Dialer on a machine whose name server answers these names.
func host(t testing.TB, m *machine, zone map[string]string) *Dialer {
	t.Helper()
	var z names.Zone
	for name, list := range zone {
		var addrs []netip.Addr
		for s := range strings.FieldsSeq(list) {
			addrs = append(addrs, netip.MustParseAddr(s))
		}
		if err := z.Set(name, addrs); err != nil {
			t.Fatal(err)
		}
	}
	l, p := twins(t, "tcp4", "127.0.0.1", func(addr string) (net.PacketConn, error) { return net.ListenPacket("udp4", addr) })
	tcp, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	udp, err := p.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = l.Close(), p.Close()
	s, err := names.Serve(&z, "web", udp, tcp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Dialer{Sockets: m, Nameserver: l.Addr().(*net.TCPAddr).AddrPort()}
}

// twins listens on a free port of ip and opens a second socket of the same port.
func twins[T any](t testing.TB, network, ip string, second func(addr string) (T, error)) (net.Listener, T) {
	t.Helper()
	for range 20 {
		l, err := net.Listen(network, net.JoinHostPort(ip, "0"))
		if err != nil {
			t.Fatal(err)
		}
		if other, err := second(l.Addr().String()); err == nil {
			return l, other
		}
		_ = l.Close()
	}
	t.Fatal("no port that is free twice")
	panic("unreachable")
}

// noLeaks fails t if what runs after it leaves a file descriptor or a goroutine.
func noLeaks(t *testing.T) {
	t.Helper()
	warm, err := net.Listen("tcp", "127.0.0.1:0") // the runtime's poller, which stays
	if err != nil {
		t.Fatal(err)
	}
	_ = warm.Close()
	g, goroutines, before := gomega.NewWithT(t), gleak.Goroutines(), fds(t)
	t.Cleanup(func() {
		g.Eventually(gleak.Goroutines, "5s").ShouldNot(gleak.HaveLeaked(goroutines))
		g.Eventually(func() int { return fds(t) }, "5s").Should(gomega.BeNumerically("<=", before), "file descriptors") // fewer where a collection has closed some of before
	})
}

func fds(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
