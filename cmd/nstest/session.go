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

// A session is a shell on a host, or another command, for somebody who sits at our terminal, if there is one.
type session struct {
	sys      *system
	relay    *relay
	host     *nstest.Host
	flags    *commandFlags
	terminal bool // it is to have one of its own, which is connected with ours

	// drain returns when enough was printed of what the command has left: printed is closed when nobody has its terminal any
	// more, and beats has something after each piece of output.
	drain func(printed, beats <-chan struct{})

	closed string // what to say if the environment ends before the command
}

// run runs a command, or a shell if there is none, and returns what to exit with.
func (s *session) run(ctx context.Context, command []string) error {
	candidates := [][]string{operands(command)}
	if len(candidates[0]) == 0 {
		candidates = [][]string{{"/bin/sh"}}
		if sh := s.sys.Getenv("SHELL"); sh != "" && sh != "/bin/sh" {
			candidates = [][]string{{sh}, {"/bin/sh"}}
		}
	}
	err := s.start(ctx, candidates[0])
	if len(candidates) > 1 && errors.Is(err, errNoShell) {
		err = s.start(ctx, candidates[1])
	}
	if errors.Is(err, errNoShell) {
		return startStatus(s.sys, candidates[len(candidates)-1][0], err)
	}
	return err
}

// errNoShell is an error of starting a command, not of the command.
var errNoShell = errors.New("start shell")

func (s *session) start(ctx context.Context, argv []string) error {
	cmd := s.host.CommandContext(ctx, argv[0], argv[1:]...)
	if err := s.flags.configure(cmd, s.sys); err != nil {
		return err
	}
	if s.terminal {
		return s.interactive(cmd)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.sys.Stdin, s.sys.Stdout, s.sys.Stderr
	if err := cmd.Start(); err != nil {
		return notStarted(err)
	}
	s.relay.to(func(sig unix.Signal) error { return cmd.Process.SignalGroup(sig) })
	return waitStatus(cmd.Wait(), s.closed)
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
func (s *session) interactive(cmd *nstest.Cmd) error {
	rows, cols := size(s.sys)
	terminal, err := cmd.StartTerminal(rows, cols)
	if err != nil {
		return notStarted(err)
	}
	mode, err := enterRaw(int(s.sys.Stdin.Fd()))
	if err != nil {
		return errors.Join(err, terminal.Close())
	}
	defer mode.restore()

	var ended unix.Signal // by which we were told to end
	gone := make(chan struct{})
	s.relay.to(func(sig unix.Signal) error {
		switch sig {
		case unix.SIGWINCH:
			rows, cols := size(s.sys)
			return terminal.Resize(rows, cols)
		case unix.SIGSTOP: // we are about to be stopped: see relay
			mode.restore()
			return nil
		case unix.SIGCONT: // whoever started us has had the terminal meanwhile
			rows, cols := size(s.sys)
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

	out := pulse{s.sys.Stdout, make(chan struct{}, 1)}
	printed, exited := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(printed)
		defer mode.guard()
		_, _ = io.Copy(out, terminal) // ends when nobody has the terminal any more
	}()
	go func() {
		defer mode.guard()
		_, _ = io.Copy(terminal, s.sys.Stdin) // ends with this process, or with the terminal
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
	s.drain(printed, out.beats)
	_ = terminal.Close()
	return waitStatus(err, s.closed)
}

// A pulse is a Writer that tells when it has written.
type pulse struct {
	w     io.Writer
	beats chan struct{}
}

// Write is w's.
func (p pulse) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	select {
	case p.beats <- struct{}{}:
	default:
	}
	return n, err
}

// size is that of our terminal, or the usual one if it does not tell.
func size(sys *system) (rows, cols uint16) {
	w, h, err := term.GetSize(int(sys.Stdin.Fd()))
	if err != nil || w <= 0 || h <= 0 {
		return 24, 80
	}
	return uint16(h), uint16(w)
}
