package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"golang.org/x/sys/unix"
)

type runCommand struct {
	environmentFlags
	Timeout time.Duration `placeholder:"DURATION" help:"End the command after so long: SIGTERM, and SIGKILL 5 seconds later. The exit status is 124."`
	Command []string      `arg:"" optional:"" passthrough:"partial" name:"command" help:"The command and its arguments."`
}

// grace is how long a command has for its own clean-up when its time is over.
const grace = 5 * time.Second

func (runCommand) Help() string {
	return `Standard input, output and error are the command's own. When the command ends, everything that it left running ends too.

Exit status: the command's; 128+N if signal N ended it; 124 if --timeout did; 125 if nstest failed or was called wrongly; 126 if the command cannot be executed; 127 if there is none of that name inside.

Signals: SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH and SIGCONT are passed on to the command's process group, SIGTSTP stops it with nstest. Three Ctrl-C within a second kill it.

Terminals: the command is in a session of its own without a controlling terminal. It can read and write the terminal that nstest was started on; job control and /dev/tty take "nstest shell -- COMMAND".`
}

// Run runs the command.
func (c *runCommand) Run(ctx context.Context, sys *system) error {
	argv := operands(c.Command)
	if len(argv) == 0 {
		return errors.New("no command: name one, as in nstest run -- ls /")
	}
	if c.Timeout < 0 {
		return fmt.Errorf("--timeout %v is negative", c.Timeout)
	}
	return c.inside(ctx, sys, func(env *nstest.Env, r *relay) error {
		return c.command(ctx, sys, env, r, argv)
	})
}

func (c *runCommand) command(ctx context.Context, sys *system, env *nstest.Env, r *relay, argv []string) error {
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	cmd := env.Self().CommandContext(ctx, argv[0], argv[1:]...)
	if err := c.configure(cmd, sys); err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = sys.Stdin, sys.Stdout, sys.Stderr
	var late atomic.Bool
	cmd.Cancel = func() error {
		late.Store(true)
		return cmd.Process.SignalGroup(unix.SIGTERM)
	}
	cmd.WaitDelay = grace
	if err := cmd.Start(); err != nil {
		return startStatus(sys, argv[0], err)
	}
	r.to(func(sig unix.Signal) error { return cmd.Process.SignalGroup(sig) })
	err := cmd.Wait()
	if late.Load() {
		sys.warnf("the command was ended after %v", c.Timeout)
		return exitStatus(statusTimeout)
	}
	return waitStatus(err, keeperKilled)
}

// keeperKilled is why an environment of ours ends before its command.
const keeperKilled = "the environment ended before the command: its keeper was killed, perhaps for want of memory (dmesg)"

// operands are the command and its arguments, without the -- that may stand before them.
func operands(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}

// waitStatus is how a command ended. closed says what has happened if its environment did.
func waitStatus(err error, closed string) error {
	var ended *nstest.ExitError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nstest.ErrClosed):
		return errors.New(closed)
	case !errors.As(err, &ended):
		return err
	case ended.Exited():
		return exitStatus(ended.ExitCode())
	}
	return exitStatus(statusSignal + int(ended.Signal()))
}

// startStatus reports why a command could not be started, and is what to exit with.
func startStatus(sys *system, name string, err error) error {
	var path *fs.PathError
	var lookup *exec.Error
	switch {
	case errors.Is(err, exec.ErrNotFound):
		sys.warnf("%s: command not found%s", name, hidden(name))
		return exitStatus(statusNotFound)
	case errors.As(err, &lookup):
		sys.warnf("%s: %v", name, lookup.Err)
		return exitStatus(statusNotExecutable)
	case !errors.As(err, &path) || path.Op != "exec":
		return err
	case errors.Is(path.Err, syscall.ENOENT), errors.Is(path.Err, syscall.ENOTDIR):
		sys.warnf("%s: %v%s", name, path.Err, hidden(name))
		return exitStatus(statusNotFound)
	}
	sys.warnf("%s: %v", name, path.Err)
	return exitStatus(statusNotExecutable)
}

// hidden says what to do about a command that the machine has, and the environment has not.
func hidden(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	text := "\nThe machine has " + path + ". Add --visible " + filepath.Dir(path) + " if that is meant"
	if strings.Contains(name, "/") {
		text += ";\nif the file is there, its interpreter is not: look at its first line, or at what ldd(1) says"
	}
	return text + "."
}
