package keeper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// sweep kills what is left of something that has no PID namespace for the kernel to end: every process in the namespace
// own, of this kind as /proc/PID/ns calls it, or in a user namespace below it, until none is found any more.
func sweep(own *os.File, kind string) error {
	id, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", own.Fd()))
	if err != nil {
		return fmt.Errorf("sweep processes: %w", err)
	}
	for {
		found := 0
		links, err := filepath.Glob("/proc/[0-9]*/ns/" + kind)
		if err != nil {
			return fmt.Errorf("sweep processes: %w", err)
		}
		for _, link := range links {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(link))))
			if err != nil {
				continue
			}
			// The descriptor first: the process that is looked at is then the one that is killed.
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				continue // it has ended
			}
			if isWithin(link, id) {
				found++
				if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
					unix.Close(fd)
					return fmt.Errorf("kill process %d: %w", pid, err)
				}
				// An orphan is ours to reap; others are reaped by their parents, or become ours when these have ended.
				if _, err := unix.Wait4(pid, nil, 0, nil); err != nil && !errors.Is(err, unix.ECHILD) && !errors.Is(err, unix.EINTR) {
					unix.Close(fd)
					return fmt.Errorf("reap process %d: %w", pid, err)
				}
			}
			unix.Close(fd)
		}
		if found == 0 {
			return nil
		}
	}
}

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
