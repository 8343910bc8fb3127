package main

import (
	"context"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"golang.org/x/term"
)

type enterCommand struct {
	commandFlags
	Target  string   `arg:"" name:"ENV[/HOST]" help:"The environment, as nstest ls names it, and the host; the one of the test itself if there is none."`
	Command []string `arg:"" optional:"" passthrough:"partial" name:"command" help:"A command instead of the shell."`
}

func (enterCommand) Help() string {
	return `The environment is that of a test, or another program, that runs: see "nstest ls" for which there are, and how they are named. The command sees what the processes there see: files, network, processes. Debuggers work: nstest enter ENV/HOST -- gdb -p 7.

The shell is $SHELL, or /bin/sh if that does not exist inside. It has a pseudo-terminal if standard input and output are a terminal. What it left in the background lives on, as long as the environment does; the environment does not wait for the command. The exit status is as with "nstest run", and 125 if the environment ends before the command.`
}

// Run starts the command.
func (c *enterCommand) Run(ctx context.Context, sys *system) error {
	if err := c.check(); err != nil {
		return err
	}
	return attached(ctx, sys, c.Target, 1, func(_ context.Context, env *nstest.Env, r *relay, names []string) error {
		host, err := hostOf(env, names)
		if err != nil {
			return err
		}
		s := session{
			sys: sys, relay: r, host: host, flags: &c.commandFlags, drain: drainQuiet, closed: "the environment has ended",
			terminal: term.IsTerminal(int(sys.Stdin.Fd())) && term.IsTerminal(int(sys.Stdout.Fd())),
		}
		return s.run(ctx, c.Command)
	})
}

// What a command prints at last comes within quiet after its end, and what it has left in the background may go on printing.
const (
	quiet   = 200 * time.Millisecond
	patient = 2 * time.Second
)

// drainQuiet waits until nothing more is printed.
func drainQuiet(printed, beats <-chan struct{}) {
	late := time.After(patient)
	for {
		select {
		case <-printed:
			return
		case <-late:
			return
		case <-time.After(quiet):
			return
		case <-beats:
		}
	}
}
