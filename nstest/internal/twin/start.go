package twin

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Attaching reports whether NSTEST_ATTACH asks for twins that wait for a debugger.
func Attaching() bool {
	on, _ := strconv.ParseBool(os.Getenv("NSTEST_ATTACH"))
	return on
}

// A Process is a twin's process, as whoever has started it sees it.
type Process interface {
	Wait() (state string, err error) // once; in words: "exit status 1", "signal: killed"
	Signal(sig os.Signal) error
	Kill() error
	HostPid() int
}

// Plan is what a twin is to be.
type Plan struct {
	Work           string    // what it is for: Self.Work
	Test           string    // that it runs, "" if that is not known yet
	Args           []string  // without the program's name
	Stdout, Stderr io.Writer // where its output goes; the same writer twice keeps the order
	Reports        io.Writer // where goes what package testing prints; nil is Stdout
	Connection     *os.File  // to the keeper, for the environment that the twin is in; Start closes it
	Environment    io.Closer // ends with the twin

	// Hold is called, unless it is nil, with the process's id, when the twin has started and does nothing else until Hold
	// has returned.
	Hold func(pid int) error

	// Named is called, unless it is nil, when it is known what runs in the twin. It does not wait.
	Named func(what string)

	// At is called, unless it is nil, with where that is: with a text for people, and a place in the code. It does not wait.
	At func(text, location string)

	// Linger is called, unless it is nil, when a test in the twin has failed, before anything is cleaned up, or when the twin
	// has ended badly. Everything waits until it has returned.
	Linger func(ctx context.Context, test, message string)

	// Invite is called, unless it is nil, when a spec in the twin has failed and Ginkgo waits by itself. It does not wait.
	Invite func(test, message string)

	// Collect is called, unless it is nil, between the end of the process and that of the environment, which may have
	// processes still. failed says what has failed in the twin, "" if nothing has.
	Collect func(failed string) error

	// Describe says what the environment is like, in lines for people, and does not take long. "" is nothing; nil is too.
	Describe func() string

	// Recorder makes a bundle of what the twin does; nil if there is to be none.
	Recorder Recorder

	// Start starts the program in the environment with these files from 0 on.
	Start func(args, env []string, files []*os.File) (Process, error)
}

// A Twin is one, as the original sees it.
type Twin struct {
	Link     *Link
	Output   *Output
	Recorder Recorder // the plan's
	results  *Results
	collect  func(failed string) error
	tell     func() string
	test     string
	named    func(what string)
	at       func(text, location string)
	linger   func(ctx context.Context, test, message string)
	invite   func(test, message string)

	process     Process
	environment io.Closer
	ended       chan struct{}
	state       string // how it ended
	err         error  // what was wrong at the end; both are written before ended is closed
	once        sync.Once
	stopErr     error // of once
	stopped     atomic.Bool
	lingering   context.Context // ends when it is stopped
	leave       context.CancelFunc
	failed      atomic.Bool
	mayEnd      atomic.Bool
	what        atomic.Pointer[string]
}

// Start starts a twin. Whatever it fails at, the environment is closed.
func Start(p Plan) (_ *Twin, err error) {
	t := &Twin{environment: p.Environment, Recorder: p.Recorder, collect: p.Collect, tell: p.Describe, linger: p.Linger, invite: p.Invite, test: p.Test, named: p.Named, at: p.At, ended: make(chan struct{})}
	t.lingering, t.leave = context.WithCancel(context.Background())
	defer func() {
		err = errors.Join(err, p.Connection.Close())
		if err != nil {
			err = errors.Join(err, t.abandon())
		}
	}()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "link")
	defer theirs.Close()
	if t.Link, err = newLink(fds[0]); err != nil {
		return nil, err
	}
	writers := []io.Writer{p.Stdout, p.Stderr}
	if p.Reports != nil {
		writers = append(writers, p.Reports)
	}
	if t.Output, err = newOutput(writers...); err != nil {
		return nil, err
	}
	if t.results, err = newResults(); err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	out := t.Output.theirs
	files := []*os.File{null, out[0], out[1], theirs, p.Connection, null}
	if t.results != nil {
		files[resultsFD] = t.results.dir
	}
	intro := introduction{Work: p.Work, Reports: p.Reports != nil, Hold: p.Hold != nil}
	if intro.Reports {
		files = append(files, out[2])
	}
	args := Arguments(os.Args[1:], append(t.results.flags(), p.Args...)...)
	process, err := p.Start(append([]string{os.Args[0]}, args...), intro.environ(os.Environ()), files)
	if err != nil {
		return nil, err
	}
	t.process = process
	err = t.Output.started() // before somebody closes it
	go t.wait()
	if p.Hold != nil && err == nil {
		err = errors.Join(p.Hold(t.process.HostPid()), t.Link.release())
	}
	return t, err
}

// Describe says what the twin's environment is like, if it can be said.
func (t *Twin) Describe() string {
	if t.tell == nil {
		return ""
	}
	return t.tell()
}

// Lingers reports whether somebody may want to look at the environment after a failure.
func (t *Twin) Lingers() bool { return t.linger != nil }

// Invite says how to look at the environment, where somebody may want to know.
func (t *Twin) Invite(test, message string) {
	if t.invite != nil {
		t.invite(test, message)
	}
}

// Linger lets somebody look at the environment, if anybody wants to, until ctx ends.
func (t *Twin) Linger(ctx context.Context, test, message string) {
	if t.linger != nil {
		t.linger(ctx, test, message)
	}
}

func (t *Twin) abandon() error {
	var errs []error
	if t.process != nil {
		return t.Stop()
	}
	if t.Link != nil {
		errs = append(errs, t.Link.Close())
	}
	errs = append(errs, t.environment.Close())
	if t.Output != nil {
		errs = append(errs, t.Output.close())
	}
	return errors.Join(append(errs, t.results.close())...)
}

// wait ends the environment with the process: nothing that the twin has left runs on.
func (t *Twin) wait() {
	defer close(t.ended)
	state, err := t.process.Wait()
	t.state = state
	failed := t.failure()
	if t.collect != nil {
		t.Output.Flush()
		err = errors.Join(err, t.collect(failed))
	}
	if failed != "" && !t.failed.Load() && !t.stopped.Load() && (t.test != "" || t.what.Load() != nil) { // else nobody waits for it yet, or any more
		test := t.test
		if what := t.what.Load(); what != nil {
			test = *what
		}
		t.Linger(t.lingering, test, "its process has ended: "+state)
	}
	err = errors.Join(err, t.environment.Close())
	t.Output.drain()
	t.err = errors.Join(err, t.Output.close(), t.results.collect(), t.results.close())
}

// Runs notes what runs in the twin, for the messages about it.
func (t *Twin) Runs(what string) {
	t.what.Store(&what)
	if t.named != nil {
		t.named(what)
	}
}

// At notes where that is: at a step, a node or a subtest, and at a place in the code, "" if that is not known.
func (t *Twin) At(text, location string) {
	if t.at != nil {
		t.at(text, location)
	}
}

// MayEnd notes that the twin has nothing left to do. One that ends before that has failed, with whatever status.
func (t *Twin) MayEnd() { t.mayEnd.Store(true) }

// Failed notes that it has failed. In a twin that ends badly by itself it has anyhow.
func (t *Twin) Failed() { t.failed.Store(true) }

func (t *Twin) failure() string {
	if !t.failed.Load() && (t.stopped.Load() || t.mayEnd.Load() && t.state == "exit status 0") {
		return ""
	}
	if what := t.what.Load(); what != nil {
		return *what
	}
	return t.state
}

// Wait waits until the process has ended, and its environment with it. It returns how the process ended, in words.
func (t *Twin) Wait() (state string, err error) {
	<-t.ended
	return t.state, t.err
}

// Signal sends the process a signal.
func (t *Twin) Signal(sig os.Signal) error { return t.process.Signal(sig) }

// Stop kills the twin if it still runs and waits for its end. It may be called more than once.
func (t *Twin) Stop() error {
	t.stopped.Store(true)
	t.leave()
	t.once.Do(func() {
		if err := t.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH) {
			t.stopErr = t.environment.Close() // it ends with that
		}
		<-t.ended
		t.stopErr = errors.Join(t.stopErr, t.Link.Close())
	})
	return errors.Join(t.err, t.stopErr)
}
