package ns

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TrialIDs are the maps of a trial's user namespace. The zero value leaves it without any, which is enough to learn
// whether user namespaces can be made at all.
type TrialIDs struct {
	UIDs, GIDs []syscall.SysProcIDMap
	Setgroups  bool // setgroups(2) stays allowed: only with CAP_SETGID in the parent user namespace
}

// trialPath is longer than PATH_MAX (4096 with its NUL): execve(2) answers ENAMETOOLONG before it looks at any file,
// so that no mount, no binary and no permission decides how a trial ends.
var trialPath = "/" + strings.Repeat("x", unix.PathMax)

// Trial finds out whether the caller could make a user namespace, write its maps and, with the capabilities that it has
// in there, unshare the given kinds (CLONE_NEWNET, ...; 0 is none; CLONE_NEWUSER is implied). It does so in a child that
// is gone when Trial returns and that never executes anything. nil means that all of it is possible. An error wraps the
// errno of the first step that is refused and names it: "clone user namespace", "write uid_map" or "unshare namespaces".
func Trial(kinds uintptr, ids TrialIDs) error {
	kinds &^= unix.CLONE_NEWUSER
	err := trialChild(kinds, ids)
	if err == nil {
		return nil
	}
	// The errno says what, never where: leave steps out until it works.
	if bare := trialChild(0, TrialIDs{}); bare != nil {
		return fmt.Errorf("clone user namespace: %w", bare)
	}
	if mapped := trialChild(0, ids); mapped != nil {
		return fmt.Errorf("write uid_map: %w", mapped)
	}
	return fmt.Errorf("unshare namespaces: %w", err)
}

func trialChild(kinds uintptr, ids TrialIDs) error {
	pid, err := syscall.ForkExec(trialPath, []string{"nstest-trial"}, &syscall.ProcAttr{
		Env: []string{},
		Sys: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER,
			// In the child and after the maps: clone(2) takes all kinds with the parent's confinement, while AppArmor
			// takes the capabilities away from the child.
			Unshareflags:               kinds,
			UidMappings:                ids.UIDs,
			GidMappings:                ids.GIDs,
			GidMappingsEnableSetgroups: ids.Setgroups,
			Pdeathsig:                  syscall.SIGKILL,
		},
	})
	switch {
	case err == nil:
		return errors.Join(errors.New("execute a path longer than PATH_MAX: no error"), trialReap(pid))
	case errors.Is(err, syscall.ENAMETOOLONG):
		return nil
	default:
		return err
	}
}

// TrialUserNS makes a user namespace with the given maps and returns a file that keeps it, which the caller closes. It is for
// mount_setattr(2). The child that had to be made for it is stopped by ptrace(2) before its first instruction and is
// gone when TrialUserNS returns.
func TrialUserNS(ids TrialIDs) (*os.File, error) {
	// The tracer is the thread that forks; it may neither change nor die while the child is stopped.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"nstest-trial"}, &syscall.ProcAttr{
		Env: []string{},
		Sys: &syscall.SysProcAttr{
			Cloneflags:                 unix.CLONE_NEWUSER,
			UidMappings:                ids.UIDs,
			GidMappings:                ids.GIDs,
			GidMappingsEnableSetgroups: ids.Setgroups,
			Pdeathsig:                  syscall.SIGKILL,
			Ptrace:                     true,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("clone user namespace: %w", err)
	}
	file, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
	if reaped := trialReap(pid); err == nil && reaped != nil {
		err = errors.Join(reaped, file.Close())
	}
	if err != nil {
		return nil, err
	}
	return file, nil
}

// trialReap ends a child and waits for it. A child that is stopped by ptrace reports that first.
func trialReap(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill trial: %w", err)
	}
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(pid, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for trial: %w", err)
		}
		if status.Exited() || status.Signaled() {
			return nil
		}
	}
}

// TrialThread unshares the given kinds on a thread of its own, calls f there (nil is nothing) and lets the thread die,
// which takes along whatever f made in those namespaces; that may happen shortly after TrialThread has returned. With
// CLONE_NEWNS all mounts are made private first. It needs CAP_SYS_ADMIN in the caller's user namespace. CLONE_NEWUSER is
// refused, because the kernel refuses it to a process with several threads. /proc/self is the process in f, not the
// thread: use /proc/thread-self. What f starts with `go` is not on the thread.
func TrialThread(kinds uintptr, f func() error) error {
	if kinds&unix.CLONE_NEWUSER != 0 {
		return errors.New("unshare namespaces on a thread: a user namespace needs a process: use Trial")
	}
	done := make(chan error, 1)
	go trialThread(kinds, f, done)
	return <-done
}

func trialThread(kinds uintptr, f func() error, done chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The runtime parks the main thread instead of ending it, and /proc/self is its namespaces. While it is held
		// here the next goroutine gets another one.
		defer runtime.UnlockOSThread()
		next := make(chan error, 1)
		go trialThread(kinds, f, next)
		done <- <-next
		return
	}
	// Not unlocked: the thread dies with the goroutine.
	err := errors.New("run on a thread: the function did not return")
	defer func() { done <- err }()
	if unshared := trialUnshare(kinds); unshared != nil || f == nil {
		err = unshared
		return
	}
	err = f()
}

func trialUnshare(kinds uintptr) error {
	if err := unix.Unshare(int(kinds)); err != nil {
		return fmt.Errorf("unshare namespaces: %w", err)
	}
	if kinds&unix.CLONE_NEWNS != 0 {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
	}
	return nil
}

// TrialClone3 finds out whether clone3(2) (Linux 5.3) is there, by a call that is too short to make a process. ENOSYS means
// that the kernel lacks it or that a seccomp filter hides it.
func TrialClone3() error {
	var args [8]byte
	_, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), 0, 0)
	if errno == unix.EINVAL {
		return nil
	}
	return errno
}
