package keeper

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/idmap"
	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// A process is one that somebody started in a host.
type process struct {
	host     *host
	child    *pid1.Child
	args     []string
	began    time.Time
	pumps    []*pump
	signaled bool         // by us; guarded by the environment's mutex
	said     atomic.Int64 // when it has printed the last line that is recorded, in nanoseconds of Unix time
}

// spawn starts a process. files are its files from 0 on, at least three of them, or none for one on a terminal. It returns
// the files that the caller gets: a pidfd, and the controlling end of the terminal.
func (e *environment) spawn(p wire.SpawnParams, files []*os.File) (wire.SpawnResult, []*os.File, error) {
	h, err := e.host(p.Host)
	if err != nil {
		return wire.SpawnResult{}, nil, err
	}
	switch {
	case len(p.Paths) == 0 || len(p.Args) == 0:
		return wire.SpawnResult{}, nil, refuse(unix.EINVAL, "no command")
	case p.Terminal && len(files) != 0, !p.Terminal && len(files) < 3:
		return wire.SpawnResult{}, nil, refuse(unix.EINVAL, "%d files for standard input, output and error", len(files))
	}
	var master *os.File
	if p.Terminal {
		var slave *os.File
		if master, slave, err = h.terminal(p.Rows, p.Cols); err != nil {
			return wire.SpawnResult{}, nil, err
		}
		defer slave.Close()
		files = []*os.File{slave, slave, slave}
	}
	began := time.Now()
	files, pumps := e.interpose(p, files)
	child, err := e.start(h, p, files)
	handOver(pumps)
	if err != nil {
		dismantle(pumps)
		if _, gone := e.host(p.Host); gone != nil && errors.Is(err, pid1.ErrGone) { // removed meanwhile
			err = gone
		}
		if master != nil {
			err = errors.Join(err, master.Close())
		}
		return wire.SpawnResult{}, nil, err
	}
	out := []*os.File{}
	pidfd, err := unix.FcntlInt(child.PIDFD.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		out = append(out, os.NewFile(uintptr(pidfd), "pidfd"))
	}
	if master != nil {
		out = append(out, master)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err = errors.Join(err, e.closedError()); err != nil {
		for _, f := range out {
			err = errors.Join(err, f.Close())
		}
		dismantle(pumps)
		return wire.SpawnResult{}, nil, errors.Join(err, child.PIDFD.Close())
	}
	e.number++
	e.procs[e.number] = &process{host: h, child: child, args: brief(p.Args), began: began, pumps: pumps}
	e.recordProcess(e.number, e.procs[e.number])
	return wire.SpawnResult{Proc: e.number, PID: child.PID}, out, nil
}

// start puts together the program of the new process.
func (e *environment) start(h *host, p wire.SpawnParams, files []*os.File) (*pid1.Child, error) {
	var prog pid1.Program
	none := prog.Bytes(make([]byte, 8))
	prog.Call("unblock signals", unix.SYS_RT_SIGPROCMASK, pid1.Int(unix.SIG_SETMASK), none, pid1.Int(0), pid1.Int(8))
	prog.Call("setsid", unix.SYS_SETSID)
	for i, f := range files {
		prog.Dup3(prog.File(f), i)
	}
	if p.Terminal {
		prog.Call("take controlling terminal", unix.SYS_IOCTL, pid1.Int(0), pid1.Int(unix.TIOCSCTTY), pid1.Int(0))
	}
	prog.Call("umask", unix.SYS_UMASK, pid1.Int(p.Umask))
	if p.Credential {
		if err := e.credentials(&prog, p); err != nil {
			return nil, err
		}
	}
	dir := &prog
	switch {
	case p.Dir != "":
		dir.Chdir(p.Dir)
	default:
		dir.Try("chdir /", unix.SYS_CHDIR, prog.String("/"))
		if p.WantDir != "" {
			dir.Try("chdir "+p.WantDir, unix.SYS_CHDIR, prog.String(p.WantDir))
		}
	}
	prog.Call("close files", unix.SYS_CLOSE_RANGE, pid1.Int(len(files)), pid1.Int(^uint32(0)), pid1.Int(0))
	prog.Exec(p.Paths, p.Args, p.Env)
	agent, err := h.awake()
	if err != nil {
		return nil, err
	}
	child, err := agent.Start(&prog)
	var ce *pid1.CallError
	if errors.As(err, &ce) && strings.HasPrefix(ce.Name, "execute ") {
		return nil, &wire.Error{Op: "exec", Kind: "exec", Errno: uint32(ce.Errno)}
	}
	return child, err
}

// credentials appends to prog what makes the process another user's.
func (e *environment) credentials(prog *pid1.Program, p wire.SpawnParams) error {
	_, uok := idmap.Outside(e.ids.UIDs, p.UID)
	_, gok := idmap.Outside(e.ids.GIDs, p.GID)
	if uok && gok {
		prog.SetCredentials(p.UID, p.GID, p.Groups)
		return nil
	}
	if e.ids.Count() == 1 && len(e.ids.UIDs) == 1 {
		if p.UID == 0 {
			return refuse(unix.EINVAL, "group %d: this environment has group 0 alone (newgidmap and /etc/subgid give more)", p.GID)
		}
		ns.Renumber(prog, p.UID, p.GID)
		return nil
	}
	return refuse(unix.EINVAL, "uid %d or gid %d is not mapped into this environment, which has %d ids", p.UID, p.GID, e.ids.Count())
}

// terminal opens a new pseudo-terminal of the host's.
func (h *host) terminal(rows, cols uint16) (master, slave *os.File, err error) {
	var p pid1.Program
	m := p.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	unlock := p.Bytes(make([]byte, 4))
	p.Call("unlock terminal", unix.SYS_IOCTL, m.Arg(), pid1.Int(unix.TIOCSPTLCK), unlock)
	if rows != 0 && cols != 0 {
		size := []byte{byte(rows), byte(rows >> 8), byte(cols), byte(cols >> 8), 0, 0, 0, 0}
		p.Call("set terminal size", unix.SYS_IOCTL, m.Arg(), pid1.Int(unix.TIOCSWINSZ), p.Bytes(size))
	}
	s := p.Call("open terminal", unix.SYS_IOCTL, m.Arg(), pid1.Int(unix.TIOCGPTPEER), pid1.Int(unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC))
	p.Return(m)
	p.Return(s)
	agent, err := h.awake()
	if err != nil {
		return nil, nil, err
	}
	files, err := agent.Run(&p)
	if err != nil {
		return nil, nil, err
	}
	return files[0], files[1], nil
}

func (e *environment) process(n int) (*process, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.procs[n]; p != nil {
		return p, nil
	}
	if err := e.closedError(); err != nil {
		return nil, err
	}
	return nil, refuse(unix.ESRCH, "no process %d", n)
}

// wait waits for a process to end, once.
func (e *environment) wait(ctx context.Context, n int) (wire.WaitResult, error) {
	p, err := e.process(n)
	if err != nil {
		return wire.WaitResult{}, err
	}
	select {
	case <-p.child.Done():
	case <-ctx.Done():
		return wire.WaitResult{}, ctx.Err()
	}
	e.mu.Lock()
	if e.procs[n] == p {
		delete(e.procs, n)
		p.child.PIDFD.Close()
		p.host.bury(n, p)
	}
	e.mu.Unlock()
	x := p.child.Exit()
	return wire.WaitResult{Status: uint32(x.Status), UserTime: x.UserTime, SystemTime: x.SystemTime, MaxRSS: x.MaxRSS}, nil
}

// ends reports whether a signal is one by which somebody wants a process to end, however it does then.
func ends(s unix.Signal) bool {
	return slices.Contains([]unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGKILL, unix.SIGABRT}, s)
}

// signal sends a signal to a process, or to the process group that it leads.
func (e *environment) signal(s wire.SignalParams) error {
	p, err := e.process(s.Proc)
	if err != nil {
		return err
	}
	select {
	case <-p.child.Done():
		return refuse(unix.ESRCH, "the process has ended")
	default:
	}
	if unix.Signal(s.Signal) == unix.SIGKILL {
		e.recordLast(s.Proc, p)
	}
	e.mu.Lock()
	p.signaled = p.signaled || ends(unix.Signal(s.Signal))
	e.mu.Unlock()
	if s.Group {
		var prog pid1.Program
		prog.Call("kill", unix.SYS_KILL, pid1.Int(-p.child.PID), pid1.Int(s.Signal))
		agent, err := p.host.awake()
		if err != nil {
			return err
		}
		_, err = agent.Run(&prog)
		return err
	}
	e.mu.Lock() // or wait could close the pidfd meanwhile
	defer e.mu.Unlock()
	if e.procs[s.Proc] != p {
		return refuse(unix.ESRCH, "the process has ended")
	}
	return unix.PidfdSendSignal(int(p.child.PIDFD.Fd()), unix.Signal(s.Signal), nil, 0)
}
