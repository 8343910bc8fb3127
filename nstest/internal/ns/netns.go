package ns

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// InNewNet makes a network namespace, runs f in it and returns a file of it, which the caller closes.
// The namespace lives for as long as the file, a socket made in it, a process or a thread refers to it.
//
// f runs on an operating-system thread of its own, never the process's main one; goroutines that f starts run
// outside. When f returns an error, the error comes back and the file is closed. A panic or runtime.Goexit of f
// happens in the caller.
//
// It needs CAP_SYS_ADMIN in the user namespace of the process, which owns the new namespace (network_namespaces(7)).
func InNewNet(f func() error) (*os.File, error) {
	var file *os.File
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare network namespace: %w", err)
		}
		return nil
	}, func() (err error) {
		if file, err = currentNet(); err != nil {
			return err
		}
		done := false
		defer func() {
			if err != nil || !done {
				_ = file.Close()
			}
		}()
		err = f()
		done = true
		return err
	})
	if err != nil {
		return nil, err
	}
	return file, nil
}

// InNet runs f in the network namespace that ns refers to, in the same manner as InNewNet.
// It needs CAP_SYS_ADMIN both in the process's user namespace and in the one that owns the network namespace (setns(2)).
func InNet(ns *os.File, f func() error) error {
	return onThread(func() error {
		conn, err := ns.SyscallConn()
		if err != nil {
			return fmt.Errorf("join network namespace: %w", err)
		}
		var joined error
		if err := conn.Control(func(fd uintptr) { joined = unix.Setns(int(fd), unix.CLONE_NEWNET) }); err != nil {
			return fmt.Errorf("join network namespace: %w", err)
		}
		if joined != nil {
			return fmt.Errorf("join network namespace %s: %w", ns.Name(), joined)
		}
		return nil
	}, f)
}

// currentNet returns a file of the calling thread's network namespace. It asks a socket rather than /proc, which may be
// absent, or belong to a PID namespace in which the process does not exist.
func currentNet() (*os.File, error) {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	defer func() { _ = unix.Close(s) }()
	fd, err := unix.IoctlRetInt(s, unix.SIOCGSKNS)
	if err != nil {
		return nil, fmt.Errorf("open the socket's network namespace: %w", err)
	}
	return os.NewFile(uintptr(fd), "net"), nil
}

// onThread runs enter, and after its success f, on a locked thread, and waits. The thread returns to the Go runtime only
// when it is back in the network namespace of the process; otherwise it ends with its goroutine. An ordinary user's
// thread always ends: it lacks the rights over the namespace in which the process was started.
func onThread(enter, f func() error) error {
	var (
		err      error
		returned bool
		panicked any
		done     = make(chan struct{})
	)
	go func() {
		defer close(done)
		offMain(func() {
			runtime.LockOSThread()
			entered := false
			defer func() {
				if !entered {
					runtime.UnlockOSThread()
				} else if self, err := selfPIDFD(); err == nil && unix.Setns(self, unix.CLONE_NEWNET) == nil {
					runtime.UnlockOSThread()
				}
			}()
			if err = enter(); err != nil {
				returned = true
				return
			}
			entered = true
			defer func() {
				if !returned {
					panicked = recover() // nil after runtime.Goexit
				}
			}()
			err = f()
			returned = true
		})
	}()
	<-done
	switch {
	case returned:
		return err
	case panicked != nil:
		panic(panicked)
	default:
		runtime.Goexit()
		return nil
	}
}

// offMain calls f on a thread other than the process's main one, whose namespaces stand for the process's in /proc and
// which cannot end before the process does.
func offMain(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		runtime.UnlockOSThread()
		f()
		return
	}
	done := make(chan struct{})
	go func() { // the main thread is locked to this goroutine, so the other one gets another
		defer close(done)
		f()
	}()
	<-done
	runtime.UnlockOSThread()
}
