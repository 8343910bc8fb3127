// Package rtnl speaks rtnetlink(7) in batches: several messages go to the kernel in one sendmsg(2), and only the last asks
// for an answer. It is the only importer of github.com/vishvananda/netlink, of which it uses the message types alone.
package rtnl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a NETLINK_ROUTE socket. It acts on the network namespace in which it was made, whichever thread uses it.
// Its methods may be called concurrently; Close interrupts those that wait.
type Conn struct {
	file *os.File
	raw  syscall.RawConn

	closed atomic.Bool

	mu     sync.Mutex           // held from a request to its answer, and while WatchLinks waits
	seq    uint32               // of the last message sent
	kernel unix.SockaddrNetlink // the receiver; unix.Sendto writes to it
	dirty  bool                 // a link event, or the loss of one, was seen since WatchLinks cleared it
}

// answerTimeout bounds the wait for an answer. The kernel queues it before sendmsg(2) returns, so that a missing one was
// taken by another holder of the socket.
const answerTimeout = 10 * time.Second

// receiveSize is the largest datagram of a dump (netlink(7): the kernel fills at most 32 KiB).
const receiveSize = 32 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, receiveSize); return &b }}

// Open makes a socket in the calling thread's network namespace.
func Open() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	return newConn(fd)
}

// FromFile makes a Conn of a socket that was made elsewhere and passed on (SCM_RIGHTS). It takes ownership of f and
// closes it, in case of an error too. The socket becomes non-blocking for its other holders as well.
func FromFile(f *os.File) (*Conn, error) {
	defer func() { _ = f.Close() }()
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("use passed netlink socket: %w", err)
	}
	fd, inner := -1, error(nil)
	err = raw.Control(func(old uintptr) {
		for opt, want := range map[int]int{unix.SO_DOMAIN: unix.AF_NETLINK, unix.SO_PROTOCOL: unix.NETLINK_ROUTE} {
			got, err := unix.GetsockoptInt(int(old), unix.SOL_SOCKET, opt)
			if err == nil && got != want {
				err = unix.EPROTOTYPE
			}
			if err != nil {
				inner = err
				return
			}
		}
		if fd, inner = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0); inner == nil {
			inner = unix.SetNonblock(fd, true)
		}
	})
	if err == nil {
		err = inner
	}
	if err != nil {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
		return nil, fmt.Errorf("use passed netlink socket: %w", err)
	}
	return newConn(fd)
}

func newConn(fd int) (*Conn, error) {
	// Errors without the echoed request (Linux 4.3), with a text (Linux 4.12); older kernels do without.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	f := os.NewFile(uintptr(fd), "rtnetlink")
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	return &Conn{file: f, raw: raw, kernel: unix.SockaddrNetlink{Family: unix.AF_NETLINK}}, nil
}

// Close closes the socket. What waits on it returns an error that is os.ErrClosed.
func (c *Conn) Close() error {
	c.closed.Store(true)
	return c.file.Close()
}

// cause is err, or os.ErrClosed for what a syscall.RawConn returns after Close.
func (c *Conn) cause(err error) error {
	if err != nil && c.closed.Load() {
		return os.ErrClosed
	}
	return err
}

// NetNS returns a file of the network namespace on which c acts; the caller closes it.
// It needs CAP_NET_ADMIN in the namespace's owner (Linux 4.9).
func (c *Conn) NetNS() (*os.File, error) {
	fd, inner := -1, error(nil)
	if err := c.raw.Control(func(s uintptr) { fd, inner = unix.IoctlRetInt(int(s), unix.SIOCGSKNS) }); err != nil {
		return nil, fmt.Errorf("open the socket's network namespace: %w", err)
	}
	if inner != nil {
		return nil, fmt.Errorf("open the socket's network namespace: %w", inner)
	}
	return os.NewFile(uintptr(fd), "net"), nil
}

func (c *Conn) transmit(p []byte) error {
	var inner error
	err := c.raw.Write(func(fd uintptr) bool {
		inner = unix.Sendto(int(fd), p, 0, &c.kernel)
		return inner != unix.EAGAIN
	})
	if err != nil {
		return c.cause(err)
	}
	return inner
}

// receive returns the next datagram of the kernel's, in p, when there is one or ctx has ended.
func (c *Conn) receive(ctx context.Context, p []byte) (int, error) {
	n, err := c.receiveOnce(p, false)
	if err != unix.EAGAIN {
		return n, err
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.file.SetReadDeadline(time.Unix(1, 0))
		close(interrupted)
	})
	if n, err = c.receiveOnce(p, true); !stop() {
		<-interrupted // so that the deadline is not set after it was cleared below
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = context.Cause(ctx)
	}
	return n, c.clearDeadline(err)
}

// receiveAnswer is receive for what the kernel answers at once: it waits for answerTimeout at most.
func (c *Conn) receiveAnswer(p []byte) (int, error) {
	n, err := c.receiveOnce(p, false)
	if err != unix.EAGAIN {
		return n, err
	}
	if err := c.file.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
		return 0, c.cause(err)
	}
	n, err = c.receiveOnce(p, true)
	return n, c.clearDeadline(err)
}

func (c *Conn) clearDeadline(err error) error {
	if resetErr := c.file.SetReadDeadline(time.Time{}); err == nil {
		err = c.cause(resetErr)
	}
	return err
}

func (c *Conn) receiveOnce(p []byte, wait bool) (n int, err error) {
	var inner error
	err = c.raw.Read(func(fd uintptr) bool {
		for {
			var from unix.Sockaddr
			n, from, inner = unix.Recvfrom(int(fd), p, unix.MSG_TRUNC)
			if inner == unix.EINTR {
				continue
			}
			if sender, ok := from.(*unix.SockaddrNetlink); inner == nil && (!ok || sender.Pid != 0) {
				continue // another process wrote to the socket
			}
			return inner != unix.EAGAIN || !wait
		}
	})
	if err = c.cause(err); err == nil {
		err = inner
	}
	if err == nil && n > len(p) {
		err = unix.EMSGSIZE
	}
	return n, err
}

// A message is one netlink message as it was received; payload is valid until the buffer is used again.
type message struct {
	kind, flags uint16
	seq         uint32
	payload     []byte
}

// eachMessage calls f for every message of a datagram until f returns true, and reports whether it did.
func eachMessage(p []byte, f func(message) bool) (bool, error) {
	for len(p) >= unix.NLMSG_HDRLEN {
		size := int(native.Uint32(p))
		if size < unix.NLMSG_HDRLEN || size > len(p) {
			return false, fmt.Errorf("read netlink message: length %d of %d", size, len(p))
		}
		m := message{native.Uint16(p[4:]), native.Uint16(p[6:]), native.Uint32(p[8:]), p[unix.NLMSG_HDRLEN:size]}
		if f(m) {
			return true, nil
		}
		p = p[min((size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1), len(p)):]
	}
	return false, nil
}
