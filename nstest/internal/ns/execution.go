package ns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

// An Execution says what program an entrant executes.
type Execution struct {
	Image  *os.File // opened with O_PATH, so that it need not be found inside
	Args   []string
	Env    []string
	Output *os.File // standard output and standard error; standard input is /dev/null

	// Files are its further files, from number FirstFile on.
	Files []*os.File

	UID, GID *int // who it is before it executes; nil leaves the id

	// KeepCapabilities keeps those that the process has in a new user namespace, whatever its user id.
	KeepCapabilities bool
	NewUser          bool // it is in a user namespace that was made for it

	Blocked []unix.Signal // all others are unblocked
}

// FirstFile is the number of an executed program's first file that is not a standard one. The low numbers are the
// entrant's own until the moment that it executes.
const FirstFile = 64

// Execute lets the process execute a program, with the default action for every signal. It returns when the program begins,
// or the error why it cannot. The process ends when the thread of this program that has started it does, which lives as
// long as the program.
func (x *Entrant) Execute(e Execution) error {
	var p pid1.Program
	if e.UID != nil || e.GID != nil {
		uid, gid := -1, -1
		if e.UID != nil {
			uid = *e.UID
		}
		if e.GID != nil {
			gid = *e.GID
		}
		if e.NewUser { // until it executes; what it has then is decided below
			p.Call("keep capabilities", unix.SYS_PRCTL, pid1.Int(unix.PR_SET_KEEPCAPS), pid1.Int(1), pid1.Int(0), pid1.Int(0), pid1.Int(0))
		}
		p.SetCredentials(uid, gid, nil)
	}
	switch {
	case e.KeepCapabilities:
		keepCapabilities(&p)
	case e.NewUser:
		loseAmbient(&p)
	}
	p.Call("block signals", unix.SYS_RT_SIGPROCMASK, pid1.Int(unix.SIG_SETMASK), p.Bytes(signalSet(e.Blocked)), pid1.Int(0), pid1.Int(8))
	p.Dup3(p.File(e.Output), 1)
	p.Dup3(p.File(e.Output), 2)
	for i, f := range e.Files {
		p.Dup3(p.File(f), FirstFile+i)
	}
	dieWithParent(&p) // after the ids: their change takes it back
	p.ExecFile(p.File(e.Image), e.Args, e.Env)
	_, err := x.agent.Run(&p)
	switch {
	case errors.Is(err, pid1.ErrGone): // the connection is closed on exec
		return x.agent.Close()
	case err == nil:
		err = unix.ENOEXEC
	}
	return fmt.Errorf("start probe: %w", err)
}

// signalSet is a set of signals as system calls take it.
func signalSet(signals []unix.Signal) []byte {
	var set uint64
	for _, s := range signals {
		set |= 1 << (s - 1)
	}
	return binary.NativeEndian.AppendUint64(nil, set)
}

// Wait returns when the process has ended, and how. It must be called once, and then Close; or End alone.
func (x *Entrant) Wait() (unix.WaitStatus, error) {
	if x.forked == nil {
		return x.child.Wait()
	}
	<-x.forked.Done()
	return x.forked.Exit().Status, nil
}

// Close lets go of a process that was waited for.
func (x *Entrant) Close() error {
	errs := []error{x.agent.Close(), x.PIDFD.Close()}
	if x.forked != nil {
		errs = append(errs, x.outer.Close()) // the one between ends with it
		_, err := x.child.Wait()
		errs = append(errs, err, x.child.PIDFD.Close())
	}
	return errors.Join(errs...)
}

// End kills the process, waits for its end and lets go of it.
func (x *Entrant) End() error {
	err := x.Kill()
	_, waited := x.Wait()
	return errors.Join(err, waited, x.Close())
}

// Kill sends SIGKILL; a process that has ended already is fine.
func (x *Entrant) Kill() error { return (&Process{PIDFD: x.PIDFD}).Kill() }
