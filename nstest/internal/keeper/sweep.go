package keeper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"golang.org/x/sys/unix"
)

// sweep kills what is left of something that has no PID namespace for the kernel to end: every process in the namespace
// own, of this kind as /proc/PID/ns calls it, or in a user namespace below it, until none is found any more. When it returns
// they have ended, and closed their files.
func sweep(own *os.File, kind string) error {
	id, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", own.Fd()))
	if err != nil {
		return fmt.Errorf("sweep processes: %w", err)
	}
	for {
		links, err := filepath.Glob("/proc/[0-9]*/ns/" + kind)
		if err != nil {
			return fmt.Errorf("sweep processes: %w", err)
		}
		var b broom
		for _, link := range links {
			if err := b.kill(link, id); err != nil {
				b.rest()
				return err
			}
		}
		if b.rest(); b.found == 0 {
			return nil
		}
	}
}

const (
	// dyingAtOnce bounds the files of a broom.
	dyingAtOnce = 64
	// lookAgain is how long a process is waited for, in milliseconds, before others are found that keep it from its end, such
	// as a debugger.
	lookAgain = 100
)

// A broom is one pass of a sweep.
type broom struct {
	found int
	dying []mortal
}

// A mortal is a process that was killed.
type mortal struct{ pid, fd int }

// kill kills the process to which link belongs if it is in the namespace id. What is past the point of no return may be in none
// any more, and still have files open: whoever was killed is waited for by its descriptor.
func (b *broom) kill(link, id string) error {
	pid, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(link))))
	if err != nil {
		return nil
	}
	// The descriptor first: the process that is looked at is then the one that is killed.
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil // it has ended, and its number may be that of a thread: ENOENT since Linux 6.15
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	if !isWithin(link, id) {
		return unix.Close(fd)
	}
	if ns.EndsWithin(fd, 0) { // one that nobody has waited for is in its user namespace still
		reap(pid)
		return unix.Close(fd)
	}
	b.found++
	b.dying = append(b.dying, mortal{pid, fd})
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	if len(b.dying) == dyingAtOnce {
		b.rest()
	}
	return nil
}

// rest waits for those that were killed.
func (b *broom) rest() {
	for _, m := range b.dying {
		ns.EndsWithin(m.fd, lookAgain)
		_ = unix.Close(m.fd)
		reap(m.pid)
	}
	b.dying = nil
}

// reap reaps an orphan, which is ours; others are reaped by their parents, or become ours when these have ended.
func reap(pid int) { _, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) }

// isWithin reports whether the namespace behind link is the one that id names, or, for a user namespace, a descendant.
func isWithin(link, id string) bool {
	if ns, err := os.Readlink(link); err != nil || ns == id {
		return err == nil
	}
	f, err := os.Open(link)
	if err != nil {
		return false
	}
	for {
		fd, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_PARENT)
		f.Close()
		if err != nil { // EPERM: the parent is above our own; EINVAL: a kind without a hierarchy
			return false
		}
		f = os.NewFile(uintptr(fd), "parent")
		if ns, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil && ns == id {
			f.Close()
			return true
		}
	}
}
