package nstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A Cmd is a command to be run on a host, with the fields and methods of exec.Cmd and their meaning, unless something
// else is said here. It is made by Host.Command, and cannot be used again after Start, StartTerminal, Run, Output or
// CombinedOutput.
//
// The process is not a child of the program. It has no files but those that are named here, leads a session of its own without a controlling
// terminal (StartTerminal gives it one), blocks and ignores no signal, and ends with its host.
type Cmd struct {
	// Path is the command to run. One with a slash is used as it is, relative to Dir. One without is looked up inside
	// the host, by Start, in the PATH of the command's own environment (if there is none, in the usual directories).
	// Entries of PATH that are not absolute are passed over.
	Path string

	// Args holds the arguments, including the command as Args[0]. If it is empty, {Path} is used.
	Args []string

	// Env is the environment of the process, as "key=value"; of duplicate keys the last one counts. If it is nil, the
	// program's own is used, with PWD set when Dir is.
	Env []string

	// Dir is the working directory, a path inside the host. If it is empty, that is the program's own if there is one of
	// that name inside, else "/".
	Dir string

	// Stdin is the standard input. If it is nil, that is /dev/null. An *os.File is handed to the process as it is;
	// everything else is copied to a pipe by a goroutine, for whose end Wait waits.
	Stdin io.Reader

	// Stdout and Stderr are the standard output and error. If one is nil, it is /dev/null. An *os.File is handed to the
	// process as it is; everything else is copied from a pipe by a goroutine, for whose end Wait waits. If both are the
	// same writer, of a type that can be compared with ==, at most one goroutine at a time calls Write.
	Stdout, Stderr io.Writer

	// ExtraFiles are the files that the process inherits beside its standard ones: entry i becomes its file 3+i. At most
	// 16. A command on a terminal has none.
	//
	// A process can open those of its files again that are pipes, as /dev/stdout or /dev/fd/3, whoever has made them. Other
	// files are as they are outside: as root, what root alone may open outside nobody can open again inside.
	ExtraFiles []*os.File

	// Cancel is called when the context is done, unless it is nil; the command must have been made by CommandContext,
	// which sets it to kill the process. If the command then succeeds nevertheless, Wait returns the context's error, or
	// what Cancel returned unless that is os.ErrProcessDone.
	Cancel func() error

	// WaitDelay bounds the time that Wait waits once the context is done or the process has ended, whichever comes
	// first: then the process is killed, and the pipes are closed although processes that it left may hold them. Wait
	// returns exec.ErrWaitDelay if that is all that went wrong. Zero waits without a bound.
	WaitDelay time.Duration

	// User is who the process is, inside the host. Default: root of the environment. In an environment of an ordinary
	// user who has no further ids, the process sees the wanted ids, and has the rights of that user's one.
	User *User

	// Umask is the file mode creation mask, 0 to 0o777. If it is nil, it is 0o022.
	Umask *int

	// SysProcAttr is here for code that is written for exec.Cmd: of its fields Credential can be set, which is another
	// way to say User. Start refuses every other.
	SysProcAttr *syscall.SysProcAttr

	// Process is the process, once it was started.
	Process *Process

	// ProcessState is how the process ended, once Wait or Run has returned.
	ProcessState *ProcessState

	// Err is returned by Start if it is not nil.
	Err error

	host      *Host
	ctx       context.Context
	streams   streams
	ctxResult <-chan ctxResult // receives the result of watch exactly once; nil if there is nothing to watch
	started   atomic.Bool      // Start was called, whatever came of it
}

// maxExtraFiles keeps a request below what one message of the keeper's takes.
const maxExtraFiles = 16

// A User is who a process is, in numbers that are valid inside the environment.
type User struct {
	UID, GID int
	Groups   []int // supplementary groups
}

// ctxResult is what came of watching a command's context. The timer, if any, ends with WaitDelay after the context.
type ctxResult struct {
	err   error
	timer *time.Timer
}

// Command returns the Cmd that runs the named program with these arguments on the host. It sets Path and Args.
func (h *Host) Command(name string, arg ...string) *Cmd {
	return &Cmd{host: h, Path: name, Args: append([]string{name}, arg...)}
}

// CommandContext is Command with a context: the process is killed if that is done before the command has ended by
// itself. See Cmd.Cancel and Cmd.WaitDelay for other ways. It panics if ctx is nil.
func (h *Host) CommandContext(ctx context.Context, name string, arg ...string) *Cmd {
	if ctx == nil {
		panic("nstest: nil Context")
	}
	c := h.Command(name, arg...)
	c.ctx = ctx
	c.Cancel = func() error { return c.Process.Kill() }
	return c
}

// String is the path with the arguments, for messages. It is not fit for a shell.
func (c *Cmd) String() string {
	if len(c.Args) < 2 {
		return c.Path
	}
	return c.Path + " " + strings.Join(c.Args[1:], " ")
}

// Run starts the command and waits for it to end. See Start and Wait for the errors.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Start starts the command and does not wait for it to end; Wait must be called then, to release what it holds. When
// Start returns nil, the program is being executed and Process is set.
//
// Errors are *Error. One that is exec.ErrNotFound says that nothing of that name is in PATH inside, one that is
// fs.ErrPermission that it may not be executed, one that is fs.ErrNotExist that Dir, or a Path with a slash, does not
// exist.
func (c *Cmd) Start() error {
	_, err := c.start(nil)
	return err
}

// start starts the command, on a terminal of that size if there is one.
func (c *Cmd) start(size *terminalSize) (_ *Terminal, err error) {
	if c.started.Swap(true) {
		return nil, errors.New("nstest: command was already started")
	}
	defer func() {
		c.streams.started()
		if err != nil {
			c.streams.abandon()
		}
	}()
	if err := c.check(); err != nil {
		return nil, err
	}
	params, err := c.params()
	if err != nil {
		return nil, c.wrap(err)
	}
	var files []*os.File
	if size == nil {
		if files, err = c.streams.open(c.Stdin, c.Stdout, c.Stderr); err != nil {
			return nil, c.wrap(err)
		}
		params.OwnStdout, params.OwnStderr = c.streams.owns(files[1]), c.streams.owns(files[2])
	} else {
		if c.Stdin != nil || c.Stdout != nil || c.Stderr != nil || c.ExtraFiles != nil {
			return nil, c.wrap(errors.New("a command on a terminal has no Stdin, Stdout, Stderr or ExtraFiles of its own"))
		}
		params.Terminal, params.Rows, params.Cols = true, size.rows, size.cols
	}
	for _, f := range c.ExtraFiles {
		if err := share(f); err != nil {
			return nil, c.wrap(err)
		}
	}
	process, master, err := c.host.spawn(params, append(files, c.ExtraFiles...))
	if err != nil {
		return nil, c.startError(err)
	}
	c.Process = process
	c.streams.run()
	if (c.Cancel != nil || c.WaitDelay != 0) && c.ctx != nil && c.ctx.Done() != nil {
		result := make(chan ctxResult)
		c.ctxResult = result
		go c.watch(result)
	}
	if master == nil {
		return nil, nil
	}
	return &Terminal{file: master}, nil
}

func (c *Cmd) check() error {
	switch {
	case c.host == nil:
		return errors.New("nstest: command was not made by Host.Command")
	case c.Err != nil:
		return c.Err
	case c.Path == "":
		return c.wrap(errors.New("no command"))
	case len(c.ExtraFiles) > maxExtraFiles || slices.Contains(c.ExtraFiles, nil):
		return c.wrap(fmt.Errorf("%d ExtraFiles: at most %d can be passed, and none may be nil", len(c.ExtraFiles), maxExtraFiles))
	case c.Cancel != nil && c.ctx == nil:
		return c.wrap(errors.New("command with a Cancel was not made by CommandContext"))
	case c.ctx != nil:
		return c.ctx.Err()
	}
	return nil
}

// watch watches the context until somebody receives its result. It cancels the command when the context is done, and
// after WaitDelay does what it takes for Wait to return.
func (c *Cmd) watch(result chan<- ctxResult) {
	select {
	case result <- ctxResult{}:
		return
	case <-c.ctx.Done():
	}
	var err error
	if c.Cancel != nil {
		switch cancelErr := c.Cancel(); {
		case cancelErr == nil:
			err = c.ctx.Err() // what the program does from here may be due to it, even exit with 0
		case !errors.Is(cancelErr, os.ErrProcessDone):
			err = c.wrapOp("cancel", cancelErr)
		}
	}
	if c.WaitDelay == 0 {
		result <- ctxResult{err: err}
		return
	}
	timer := time.NewTimer(c.WaitDelay)
	select {
	case result <- ctxResult{err: err, timer: timer}:
		return // the process has ended: Wait takes care of the pipes
	case <-timer.C:
	}
	killErr := c.Process.Kill()
	if killErr != nil && !errors.Is(killErr, os.ErrProcessDone) {
		err = killErr
	}
	forced, copyErr := c.streams.finish()
	switch {
	case err != nil:
	case forced:
		err = exec.ErrWaitDelay
	case killErr != nil: // else an error in copying may come from our killing
		err = copyErr
	}
	result <- ctxResult{err: err}
}

// Wait waits for the command to end and for the copying to and from it. The command must have been started by Start or
// StartTerminal.
//
// It returns nil if the exit status is 0 and copying went well, an *ExitError if the command was unsuccessful, and other
// errors where copying failed or the context was done. If the host ends first, the command was killed with it; the
// *ExitError is ErrClosed if that was because its environment has ended.
func (c *Cmd) Wait() error {
	if c.Process == nil {
		return errors.New("nstest: command was not started")
	}
	if c.ProcessState != nil {
		return errors.New("nstest: Wait was already called")
	}
	state, err := c.Process.Wait()
	if err == nil && !state.Success() {
		err = &ExitError{ProcessState: state, host: c.host.name, command: c.String()}
	}
	c.ProcessState = state
	var timer *time.Timer
	if c.ctxResult != nil {
		r := <-c.ctxResult
		timer = r.timer
		if err == nil {
			err = r.err
		}
	}
	if copyErr := c.streams.wait(timer, c.WaitDelay); err == nil {
		err = copyErr // else it may come from the command's own misfortune
	}
	return err
}

// Output runs the command and returns its standard output. If Stderr is nil, an *ExitError has the standard error, the
// middle of it left out if it is long.
func (c *Cmd) Output() ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("nstest: Stdout is already set")
	}
	var stdout bytes.Buffer
	c.Stdout = &stdout
	var ends *bothEnds
	if c.Stderr == nil {
		ends = &bothEnds{size: 32 << 10}
		c.Stderr = ends
	}
	err := c.Run()
	if ee, ok := err.(*ExitError); ok && ends != nil {
		ee.Stderr = ends.Bytes()
	}
	return stdout.Bytes(), err
}

// CombinedOutput runs the command and returns its standard output and standard error together.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("nstest: Stdout is already set")
	}
	if c.Stderr != nil {
		return nil, errors.New("nstest: Stderr is already set")
	}
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	err := c.Run()
	return b.Bytes(), err
}

// StdinPipe returns a pipe to the command's standard input. Wait closes it once the command has ended; a command that
// ends with its input needs it closed before.
func (c *Cmd) StdinPipe() (io.WriteCloser, error) {
	if c.Stdin != nil {
		return nil, errors.New("nstest: Stdin is already set")
	}
	ours, theirs, err := c.pipe("StdinPipe", toProcess)
	if err != nil {
		return nil, err
	}
	c.Stdin = theirs
	return ours, nil
}

// StdoutPipe returns a pipe from the command's standard output. Wait closes it once the command has ended: everything
// must be read before Wait is called, and Run cannot be used.
func (c *Cmd) StdoutPipe() (io.ReadCloser, error) {
	if c.Stdout != nil {
		return nil, errors.New("nstest: Stdout is already set")
	}
	ours, theirs, err := c.pipe("StdoutPipe", fromProcess)
	if err != nil {
		return nil, err
	}
	c.Stdout = theirs
	return ours, nil
}

// StderrPipe is StdoutPipe for the standard error.
func (c *Cmd) StderrPipe() (io.ReadCloser, error) {
	if c.Stderr != nil {
		return nil, errors.New("nstest: Stderr is already set")
	}
	ours, theirs, err := c.pipe("StderrPipe", fromProcess)
	if err != nil {
		return nil, err
	}
	c.Stderr = theirs
	return ours, nil
}

func (c *Cmd) pipe(method string, d direction) (ours, theirs *os.File, err error) {
	if c.started.Load() {
		return nil, nil, errors.New("nstest: " + method + " after the command was started")
	}
	ours, theirs, err = c.streams.pipe(d)
	if err != nil {
		return nil, nil, c.wrap(err)
	}
	return ours, theirs, nil
}

// wrap is err as an error of starting the command.
func (c *Cmd) wrap(err error) error { return c.wrapOp("start", err) }

func (c *Cmd) wrapOp(verb string, err error) error {
	return wrap(verb+" "+c.Path+" on", c.host.env.name, c.host.name, err)
}

// spawn starts a process. The files stay the caller's. master is the controlling end of its terminal, if it is to have
// one.
func (h *Host) spawn(params wire.SpawnParams, files []*os.File) (_ *Process, master *os.File, err error) {
	params.Host = h.name
	var r wire.SpawnResult
	got, err := h.env.callFiles(context.Background(), wire.MethodSpawn, params, &r, files...)
	if err != nil {
		return nil, nil, err
	}
	want := 1
	if params.Terminal {
		want = 2
	}
	if len(got) != want {
		return nil, nil, errors.Join(errors.New("the keeper answered without a process"), closeAll(got))
	}
	p, err := newProcess(h, r, got[0])
	if err != nil {
		return nil, nil, errors.Join(err, p.Kill(), closeAll(got))
	}
	if params.Terminal {
		master = got[1]
	}
	return p, master, nil
}
