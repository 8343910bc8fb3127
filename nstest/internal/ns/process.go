package ns

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Spec says how to start the first process of new namespaces.
type Spec struct {
	Path      string
	Image     *os.File // executed instead of Path, if not nil; the process has it open after the last of Files
	Args      []string
	Env       []string
	Files     []*os.File // file descriptors 0, 1, 2, ..., blocking or not as they are; nil leaves one closed
	Kinds     Kinds
	DieWithUs bool // SIGKILL when this process ends, however it ends (PR_SET_PDEATHSIG)
	Session   bool // a session of its own: no controlling terminal, no signals of the caller's terminal

	// Owner, if not 0, is the user and group that makes the namespaces: limits that the kernel keeps for each user, such
	// as those of inotify and user namespaces, are then that user's, and the process never has another id. The caller
	// needs CAP_SETUID, CAP_SETGID and CAP_SETPCAP.
	Owner int

	// TimerSlack is by how much the kernel may delay what the process sleeps for (PR_SET_TIMERSLACK), and in turn what its
	// children do; 0 is the kernel's own default, whatever the caller has.
	TimerSlack time.Duration
}

// defaultTimerSlack is what the kernel gives its first process, and so almost every one.
const defaultTimerSlack = 50 * time.Microsecond

// A Process is a started Spec.
type Process struct {
	PID   int
	PIDFD *os.File // the owner of the process closes it
}

// Start starts s. A process in a new user namespace has no mapped id yet, but every capability there, also after
// execve (they are ambient): its first work is to wait until its maps are written.
func Start(s Spec) (*Process, error) {
	files, path := s.Files, s.Path
	if s.Image != nil {
		// By a number of the child's, never one of ours: syscall.ForkExec moves its own pipe to a number above those of the
		// files, whatever is there.
		path = "/proc/self/fd/" + strconv.Itoa(len(files))
		files = append(slices.Clip(files), s.Image)
	}
	fds := make([]uintptr, len(files))
	for i, f := range files {
		fds[i] = ^uintptr(0)
		if f == nil {
			continue
		}
		c, err := f.SyscallConn()
		if err != nil {
			return nil, fmt.Errorf("pass %s: %w", f.Name(), err)
		}
		if err := c.Control(func(fd uintptr) { fds[i] = fd }); err != nil {
			return nil, fmt.Errorf("pass %s: %w", f.Name(), err)
		}
	}
	pidfd := -1
	attr := &syscall.SysProcAttr{Cloneflags: uintptr(s.Kinds), PidFD: &pidfd, Setsid: s.Session}
	if s.Kinds.Has(User) {
		// Go copies the whole address space for a new user namespace, so that it can write the maps meanwhile. Ours
		// are written by another thread: the child may borrow the memory until it execs, as any other child does.
		attr.Cloneflags |= unix.CLONE_VM | unix.CLONE_VFORK
		attr.AmbientCaps = ambient()
	}
	if s.DieWithUs {
		attr.Pdeathsig = syscall.SIGKILL
	}
	var pid int
	var err error
	onImmortalThread(func() {
		// This thread does nothing but start processes: what it was told for the last one need not be undone.
		if err = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(cmp.Or(s.TimerSlack, defaultTimerSlack)), 0, 0, 0); err != nil {
			err = fmt.Errorf("set timer slack: %w", err)
			return
		}
		if s.Owner != 0 {
			uid, gid := os.Getuid(), os.Getgid() // of this thread
			defer func() { err = errors.Join(err, become(uid, gid)) }()
			if err = become(s.Owner, s.Owner); err != nil {
				return
			}
		}
		pid, err = syscall.ForkExec(path, s.Args, &syscall.ProcAttr{Env: s.Env, Files: fds, Sys: attr})
	})
	runtime.KeepAlive(files)
	if err != nil {
		return nil, fmt.Errorf("start %s in new %s namespaces: %w", s.Args[0], s.Kinds, err)
	}
	if pidfd < 0 { // before Linux 5.4
		if pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
			err = fmt.Errorf("open pidfd (Linux 5.3 or later is needed): %w", err)
			return nil, errors.Join(err, unix.Kill(pid, unix.SIGKILL), reapChild(pid))
		}
	}
	return &Process{PID: pid, PIDFD: os.NewFile(uintptr(pidfd), "pidfd "+strconv.Itoa(pid))}, nil
}

// Kill sends SIGKILL; a process that has ended already is fine.
func (p *Process) Kill() error {
	err := unix.PidfdSendSignal(int(p.PIDFD.Fd()), unix.SIGKILL, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// Ended tells whether the process has ended, whether or not it was waited for.
func (p *Process) Ended() bool { return EndsWithin(int(p.PIDFD.Fd()), 0) }

// EndsWithin reports whether all threads of the process behind a pidfd have ended within so many milliseconds.
func EndsWithin(pidfd, milliseconds int) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		// A signal of the runtime's that comes at this moment is an answer too, of poll(2), whatever its timeout.
		if n, err := unix.Poll(fds, milliseconds); err != unix.EINTR {
			return n != 0
		}
	}
}

// Exiting tells whether the process has ended or is past the point of return. Whoever has asked for one of its files in
// /proc needs it: with the memory of a process goes the owner of those files, so that an ordinary user is refused
// (EACCES) for a while before the directory is missing (proc(5)).
func (p *Process) Exiting() bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)
	}
	const exiting = 0x4                                                 // PF_EXITING
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // from the state on
	flags, err := strconv.ParseUint(fields[6], 10, 64)
	return err == nil && flags&exiting != 0
}

// Wait reaps the process. It must be called once.
func (p *Process) Wait() (unix.WaitStatus, error) {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(p.PID, &status, unix.WALL, nil) // whatever signal tells of its end
		if err == unix.EINTR {
			continue
		}
		return status, err
	}
}

func reapChild(pid int) error {
	p := Process{PID: pid}
	_, err := p.Wait()
	return err
}

// become changes the ids of the calling thread alone, and keeps its capabilities.
func become(uid, gid int) error {
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, secbitNoSetuidFixup, 0, 0, 0); err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	g, u := uintptr(gid), uintptr(uid)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, g, g, g); errno != 0 {
		return fmt.Errorf("become group %d: %w", gid, errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, u, u, u); errno != 0 {
		return fmt.Errorf("become user %d: %w", uid, errno)
	}
	return nil
}

// secbitNoSetuidFixup is SECBIT_NO_SETUID_FIXUP (capabilities(7)).
const secbitNoSetuidFixup = 1 << 2

// onImmortalThread runs f on one thread that lives as long as the process: PR_SET_PDEATHSIG fires when the forking
// thread ends, not when its process does.
func onImmortalThread(f func()) {
	done := make(chan struct{})
	immortal() <- func() { defer close(done); f() }
	<-done
}

var immortal = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// ambient lists every capability that the kernel knows.
var ambient = sync.OnceValue(func() []uintptr {
	last := 40 // CAP_CHECKPOINT_RESTORE, Linux 5.9
	if b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap"); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			last = n
		}
	}
	caps := make([]uintptr, 0, last+1)
	for c := range last + 1 {
		caps = append(caps, uintptr(c))
	}
	return caps
})
