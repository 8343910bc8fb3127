package main

import (
	"context"

	"github.com/hermetic-go/nstest/nstest"
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
		s := session{
			sys: sys, relay: r, host: env.Self(), flags: &c.commandFlags, terminal: term.IsTerminal(int(sys.Stdin.Fd())),
			// What the shell left running holds the terminal: with it gone, the last output comes and then the end of file.
			drain: func(printed, _ <-chan struct{}) {
				if env.Close() == nil { // else it is tried and reported where the environment was opened
					<-printed
				}
			},
			closed: keeperKilled,
		}
		return s.run(ctx, c.Command)
	})
}
