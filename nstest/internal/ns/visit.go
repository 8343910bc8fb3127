package ns

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Visit runs f on a thread that has joined the given namespaces of the process behind pidfd (setns(2) with a pidfd,
// Linux 5.8), and returns what f returns. A panic of f, and runtime.Goexit in it, happen in the caller. Goroutines that
// f starts run elsewhere. User and Time cannot be joined by a process with several threads.
//
// Threads are kept for later visits; one whose namespaces cannot be restored ends.
func Visit(pidfd *os.File, kinds Kinds, f func() error) error {
	if kinds&(User|Time) != 0 {
		return fmt.Errorf("join %s namespace on one thread of many: %w", kinds&(User|Time), unix.EINVAL)
	}
	v := visit{pidfd: pidfd, kinds: kinds, f: f, done: make(chan outcome, 1)}
	select {
	case visits <- v:
	default:
		go visitor(v)
	}
	o := <-v.done
	switch {
	case o.panicked:
		panic(o.value)
	case o.exited:
		runtime.Goexit()
	}
	return o.err
}

type visit struct {
	pidfd *os.File
	kinds Kinds
	f     func() error
	done  chan outcome
}

type outcome struct {
	err              error
	panicked, exited bool
	value            any
}

var (
	visits = make(chan visit)
	idle   = make(chan struct{}, 4) // threads that are kept
)

// visitor serves v and then further visits. Its goroutine never unlocks its thread, so that the thread ends with it.
func visitor(v visit) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The process's first thread stands for the process in /proc/PID/ns, and setns back to it would be a no-op.
		// While it is held here, the next goroutine gets another one.
		done := make(chan struct{})
		go func() { defer close(done); visitor(v) }()
		<-done
		runtime.UnlockOSThread()
		return
	}
	// Its own working directory and root, without which a mount namespace cannot be joined.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		v.done <- outcome{err: fmt.Errorf("unshare file system attributes: %w", err)}
		return
	}
	for {
		if !serve(v) {
			return
		}
		select {
		case idle <- struct{}{}:
		default:
			return
		}
		v = <-visits
		<-idle
	}
}

// serve reports whether the thread can be used again.
func serve(v visit) (restored bool) {
	self, err := selfPIDFD()
	if err != nil {
		v.done <- outcome{err: err}
		return true
	}
	if err := unix.Setns(int(v.pidfd.Fd()), int(v.kinds)); err != nil {
		v.done <- outcome{err: fmt.Errorf("join %s namespaces: %w", v.kinds, err)}
		return unix.Setns(self, int(v.kinds)) == nil
	}
	o := outcome{exited: true}
	defer func() {
		if o.exited { // f called runtime.Goexit: this goroutine is ending, and its thread with it
			v.done <- o
		}
	}()
	func() {
		defer func() {
			if r := recover(); r != nil {
				o = outcome{panicked: true, value: r}
			}
		}()
		o = outcome{err: v.f()}
	}()
	restored = unix.Setns(self, int(v.kinds)) == nil
	v.done <- o
	return restored
}

// selfPIDFD stands for this process; one setns(2) with it restores every namespace of a thread.
var selfPIDFD = sync.OnceValues(func() (int, error) {
	fd, err := unix.PidfdOpen(unix.Getpid(), 0)
	if err != nil {
		return -1, errors.Join(errors.New("open pidfd of this process"), err)
	}
	return fd, nil
})
