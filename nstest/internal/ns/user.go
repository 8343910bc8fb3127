package ns

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// becoming is held while a thread is somebody else: whether the process may be looked at is one setting for all threads.
var becoming sync.Mutex

// AsUser runs f on a thread of its own whose effective user is uid: others see f's system calls as that user's. The caller
// is root. What f does to files of /proc/self is undefined.
func AsUser(uid int, f func() error) error {
	// The kernel makes a process that changes its user one that only root may look at, as if it were a setuid program.
	becoming.Lock()
	defer becoming.Unlock()
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		return fmt.Errorf("become user %d: %w", uid, err)
	}
	done := make(chan error, 1)
	go func() { offMain(func() { done <- asUser(uid, f) }) }()
	err = <-done
	if dumpable == 1 {
		err = errors.Join(err, unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0))
	}
	return err
}

// asUser is AsUser on the calling goroutine, whose thread ends with it if it cannot become what it was.
func asUser(uid int, f func() error) error {
	runtime.LockOSThread()
	before := unix.Geteuid()
	if err := setEffectiveUser(uid); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	err := f()
	if back := setEffectiveUser(before); back != nil {
		return errors.Join(err, back)
	}
	runtime.UnlockOSThread()
	return err
}

// setEffectiveUser is for the calling thread alone, and leaves it the real and the saved user.
func setEffectiveUser(uid int) error {
	const keep = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 {
		return fmt.Errorf("become user %d: %w", uid, errno)
	}
	return nil
}
