package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

type shellCommand struct {
	environmentFlags
	Command []string `arg:"" optional:"" passthrough:"partial" name:"command" help:"A command instead of the shell."`
}

func (shellCommand) Help() string {
	return `The shell is $SHELL, or /bin/sh if that does not exist inside. It has a pseudo-terminal of the environment's own with job control; leaving it ends everything that runs inside. The exit status is as with "nstest run".

If standard input is no terminal, the shell reads its commands from there.`
}

// Run starts the shell.
func (c *shellCommand) Run(ctx context.Context, sys *system) error {
	return c.inside(ctx, sys, func(env *nstest.Env, r *relay) error {
		candidates := [][]string{operands(c.Command)}
		if len(candidates[0]) == 0 {
			candidates = [][]string{{"/bin/sh"}}
			if sh := sys.Getenv("SHELL"); sh != "" && sh != "/bin/sh" {
				candidates = [][]string{{sh}, {"/bin/sh"}}
			}
		}
		err := c.start(ctx, sys, env, r, candidates[0])
		if len(candidates) > 1 && errors.Is(err, errNoShell) {
			err = c.start(ctx, sys, env, r, candidates[1])
		}
		if errors.Is(err, errNoShell) {
			return startStatus(sys, candidates[len(candidates)-1][0], err)
		}
		return err
	})
}

// errNoShell is an error of starting a command, not of the command.
var errNoShell = errors.New("start shell")

func (c *shellCommand) start(ctx context.Context, sys *system, env *nstest.Env, r *relay, argv []string) error {
	cmd := env.Self().CommandContext(ctx, argv[0], argv[1:]...)
	if err := c.configure(cmd, sys); err != nil {
		return err
	}
	if term.IsTerminal(int(sys.Stdin.Fd())) {
		return c.interactive(sys, env, r, cmd)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = sys.Stdin, sys.Stdout, sys.Stderr
	if err := cmd.Start(); err != nil {
		return notStarted(err)
	}
	r.to(func(sig unix.Signal) error { return cmd.Process.SignalGroup(sig) })
	return waitStatus(cmd.Wait())
}

func notStarted(err error) error {
	var lookup *exec.Error
	var path *os.PathError
	if errors.As(err, &lookup) || errors.As(err, &path) && path.Op == "exec" {
		return fmt.Errorf("%w: %w", errNoShell, err)
	}
	return err
}

// hangUp is how long a shell has to end once its terminal is gone.
const hangUp = 2 * time.Second

// interactive runs cmd on a pseudo-terminal that is connected with ours.
func (c *shellCommand) interactive(sys *system, env *nstest.Env, r *relay, cmd *nstest.Cmd) error {
	rows, cols := size(sys)
	terminal, err := cmd.StartTerminal(rows, cols)
	if err != nil {
		return notStarted(err)
	}
	mode, err := enterRaw(int(sys.Stdin.Fd()))
	if err != nil {
		return errors.Join(err, terminal.Close())
	}
	defer mode.restore()

	var ended unix.Signal // by which we were told to end
	gone := make(chan struct{})
	r.to(func(sig unix.Signal) error {
		switch sig {
		case unix.SIGWINCH:
			rows, cols := size(sys)
			return terminal.Resize(rows, cols)
		case unix.SIGSTOP: // we are about to be stopped: see relay
			mode.restore()
			return nil
		case unix.SIGCONT: // whoever started us has had the terminal meanwhile
			rows, cols := size(sys)
			return errors.Join(mode.enter(), terminal.Resize(rows, cols))
		case unix.SIGUSR1, unix.SIGUSR2:
			return cmd.Process.Signal(sig)
		}
		if ended == 0 {
			ended = sig
			close(gone)
		}
		return nil
	})

	printed, exited := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(printed)
		defer mode.guard()
		_, _ = io.Copy(sys.Stdout, terminal) // ends when nobody has the terminal any more
	}()
	go func() {
		defer mode.guard()
		_, _ = io.Copy(terminal, sys.Stdin) // ends with this process, or with the terminal
	}()
	go func() {
		defer close(exited)
		defer mode.guard()
		err = cmd.Wait()
	}()
	select {
	case <-exited:
	case <-gone:
		_ = terminal.Close() // SIGHUP for the shell, and for what runs in its foreground
		select {
		case <-exited:
		case <-time.After(hangUp):
		}
		return exitStatus(statusSignal + int(ended))
	}
	// What the shell left running holds the terminal: with it gone, the last output comes and then the end of file.
	if env.Close() == nil { // else it is tried and reported where the environment was opened
		<-printed
	}
	_ = terminal.Close()
	return waitStatus(err)
}

// size is that of our terminal, or the usual one if it does not tell.
func size(sys *system) (rows, cols uint16) {
	w, h, err := term.GetSize(int(sys.Stdin.Fd()))
	if err != nil || w <= 0 || h <= 0 {
		return 24, 80
	}
	return uint16(h), uint16(w)
}
