package dial

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A peer that resets at once does it between connect(2) and the first look at the connection, where it has no address
// any more.
func TestConnectionResetBeforeItIsLookedAt(t *testing.T) {
	noLeaks(t)
	for _, reset := range []bool{true, false} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "socket")
		port := l.Addr().(*net.TCPAddr).Port
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		peer, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if reset {
			if err := peer.(*net.TCPConn).SetLinger(0); err != nil {
				t.Fatal(err)
			}
		}
		_ = peer.Close()
		err = unix.EINTR
		for errors.Is(err, unix.EINTR) {
			_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000) // the end has arrived
		}
		if err != nil {
			t.Fatal(err)
		}
		conn, err := established(f)
		switch {
		case reset && (conn != nil || !errors.Is(err, syscall.ECONNRESET)):
			t.Errorf("of a connection that was reset: %v, %v, want ECONNRESET", conn, err)
		case !reset && err != nil:
			t.Errorf("of a connection that the peer has closed: %v", err)
		case !reset && conn.RemoteAddr().String() != l.Addr().String():
			t.Errorf("the remote address is %v, want %v", conn.RemoteAddr(), l.Addr())
		}
		if conn != nil {
			_ = conn.Close()
		}
		_, _ = f.Close(), l.Close()
	}
}
