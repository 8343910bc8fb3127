package nstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// A Process is one that Cmd.Start started on a host. Its methods may be called from any goroutine.
type Process struct {
	// Pid is the process's id in the host's PID namespace, where it also names its session and process group.
	Pid int

	host   *Host
	number int      // the keeper's
	pidfd  *os.File // nonblocking; closed by Wait

	once  sync.Once
	state *ProcessState
	err   error
	ended chan struct{} // closed when state and err are set

	mu      sync.Mutex
	hostPid int // 0 = not known yet
}

// newProcess takes over pidfd unless it fails.
func newProcess(h *Host, r wire.SpawnResult, pidfd *os.File) (*Process, error) {
	p := &Process{Pid: r.PID, host: h, number: r.Proc, ended: make(chan struct{})}
	c, err := pidfd.SyscallConn()
	if err != nil {
		return p, err
	}
	fd := -1
	// A file that os.NewFile takes for nonblocking can be waited for without holding a thread.
	ctlErr := c.Control(func(n uintptr) {
		if err = unix.SetNonblock(int(n), true); err == nil {
			fd, err = unix.FcntlInt(n, unix.F_DUPFD_CLOEXEC, 0)
		}
	})
	if err = errors.Join(ctlErr, err); err != nil {
		return p, fmt.Errorf("use pidfd: %w", err)
	}
	p.pidfd = os.NewFile(uintptr(fd), "pidfd")
	return p, pidfd.Close()
}

// HostPid is the process's id in the program's own PID namespace. It is -1 if the process has ended before anybody
// asked, and where /proc does not tell: in Host.Do.
func (p *Process) HostPid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hostPid > 0 {
		return p.hostPid
	}
	c, err := p.pidfd.SyscallConn()
	if err != nil {
		return -1
	}
	pid := -1
	err = c.Control(func(fd uintptr) { pid = pidOf(fd) })
	if err != nil || pid <= 0 {
		return -1
	}
	p.hostPid = pid
	return pid
}

// pidOf is the process that a pidfd stands for, or not positive if that has ended or is not visible.
func pidOf(pidfd uintptr) int {
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(int(pidfd)))
	if err != nil {
		return -1
	}
	for line := range bytes.Lines(info) {
		if value, ok := bytes.CutPrefix(line, []byte("Pid:")); ok {
			if n, err := strconv.Atoi(string(bytes.TrimSpace(value))); err == nil {
				return n
			}
		}
	}
	return -1
}

// Signal sends a signal, a syscall.Signal, to the process. The error is os.ErrProcessDone if it has ended, and ErrClosed
// as well if that is because its environment has.
func (p *Process) Signal(sig os.Signal) error { return p.signal(sig, false) }

// SignalGroup sends a signal to the process and all others of its process group: those that it started, unless they
// moved to another. The error is os.ErrProcessDone if the process itself has ended.
func (p *Process) SignalGroup(sig os.Signal) error { return p.signal(sig, true) }

// Kill ends the process at once, by SIGKILL. Processes that it started live on: SignalGroup ends those as well.
func (p *Process) Kill() error { return p.signal(syscall.SIGKILL, false) }

func (p *Process) signal(sig os.Signal, group bool) error {
	n, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("nstest: %v is not a syscall.Signal", sig)
	}
	select {
	case <-p.ended:
		return os.ErrProcessDone
	default:
	}
	err := p.host.env.call(context.Background(), wire.MethodSignal, wire.SignalParams{Proc: p.number, Signal: int(n), Group: group}, nil)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ESRCH):
		return os.ErrProcessDone
	case isEnd(err):
		return fmt.Errorf("%w: %w", os.ErrProcessDone, ErrClosed)
	}
	return wrap(fmt.Sprintf("send %v to process %d on", n, p.Pid), p.host.env.name, p.host.name, err)
}

// isEnd reports whether err says that the environment has ended, and so every process of it.
func isEnd(err error) bool {
	return errors.Is(err, ErrClosed) || errors.Is(err, wire.ErrClosed) || errors.Is(err, syscall.ESHUTDOWN)
}

// Wait waits for the process to end and returns how it did. It may be called by several goroutines and again: all get
// the same. Where the process was started by a Cmd, call Cmd.Wait.
func (p *Process) Wait() (*ProcessState, error) {
	p.once.Do(func() {
		p.state, p.err = p.wait()
		p.err = errors.Join(p.err, p.pidfd.Close())
		close(p.ended)
	})
	return p.state, p.err
}

func (p *Process) wait() (*ProcessState, error) {
	op := fmt.Sprintf("wait for process %d on", p.Pid)
	// Only a process that has ended is asked about, since the keeper answers a limited number of calls at a time.
	if err := p.awaitEnd(); err != nil {
		return nil, wrap(op, p.host.env.name, p.host.name, err)
	}
	var r wire.WaitResult
	err := p.host.env.call(context.Background(), wire.MethodWait, wire.ProcParams{Proc: p.number}, &r)
	if isEnd(err) {
		return &ProcessState{pid: p.Pid, status: syscall.WaitStatus(syscall.SIGKILL), lost: true}, nil
	}
	if err != nil {
		return nil, wrap(op, p.host.env.name, p.host.name, err)
	}
	s := &ProcessState{pid: p.Pid, status: syscall.WaitStatus(r.Status), user: r.UserTime, system: r.SystemTime, maxRSS: r.MaxRSS}
	s.lost = s.Signal() == syscall.SIGKILL && p.host.env.closed.Load()
	return s, nil
}

// awaitEnd waits until the process has ended, be it by itself or with its environment.
func (p *Process) awaitEnd() error {
	c, err := p.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	var pollErr error
	err = c.Read(func(fd uintptr) bool {
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			var n int
			if n, pollErr = unix.Poll(polled, 0); pollErr != unix.EINTR {
				return n > 0 || pollErr != nil
			}
		}
	})
	return errors.Join(err, os.NewSyscallError("poll pidfd", pollErr))
}
