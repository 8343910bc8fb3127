package dial

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// connect connects the IP socket f to sa and returns it as a connection. The caller closes f.
func connect(ctx context.Context, f *os.File, sa unix.Sockaddr, n network) (net.Conn, error) {
	if n.isPacket() {
		if err := permitBroadcast(f); err != nil {
			return nil, err
		}
	}
	// The waiting is done on a net.Conn of its own, which is in the runtime's poller however f was made. It cannot be
	// the result: it learnt its addresses before there were any, and cancelling spoils its deadline.
	waiter, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	defer waiter.Close()
	stop := context.AfterFunc(ctx, func() { _ = waiter.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := waiter.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	started := false
	var connectErr error
	err = raw.Write(func(fd uintptr) (done bool) {
		if !started {
			started = true
			connectErr = unix.Connect(int(fd), sa)
		} else {
			connectErr = progress(int(fd))
		}
		switch connectErr {
		case unix.EINPROGRESS, unix.EALREADY, unix.EINTR:
			return false
		case unix.EISCONN:
			connectErr = nil
		}
		return true
	})
	switch {
	case err != nil: // the deadline; the kernel's answer no longer counts
		return nil, err
	case connectErr != nil:
		return nil, os.NewSyscallError("connect", connectErr)
	}
	return established(f)
}

// established is the connection of a socket whose connect(2) has succeeded. Package net asks the kernel for the peer's
// address: a connection that the peer has reset by then has none any more, and is the error that was waiting in it.
func established(f *os.File) (net.Conn, error) {
	conn, err := net.FileConn(f)
	if err != nil || conn.RemoteAddr() != nil {
		return conn, err
	}
	defer conn.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	reset := error(unix.ECONNRESET)
	if err := raw.Control(func(fd uintptr) {
		if pending, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); err == nil && pending != 0 {
			reset = syscall.Errno(pending)
		}
	}); err != nil {
		return nil, err
	}
	return nil, os.NewSyscallError("connect", reset)
}

// progress is what has become of a connect(2) that was in progress when the poller says that the socket is writable,
// which it also does spuriously.
func progress(fd int) error {
	pending, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if pending != 0 {
		return syscall.Errno(pending)
	}
	if _, err := unix.Getpeername(fd); errors.Is(err, unix.ENOTCONN) {
		return unix.EINPROGRESS
	}
	return nil
}

// permitBroadcast sets SO_BROADCAST, as package net does on every UDP socket.
func permitBroadcast(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var sockErr error
	if err := raw.Control(func(fd uintptr) {
		sockErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1)
	}); err != nil {
		return err
	}
	return os.NewSyscallError("setsockopt", sockErr)
}
