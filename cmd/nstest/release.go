package main

import (
	"context"

	"github.com/hermetic-go/nstest/nstest"
)

type releaseCommand struct {
	Target string `arg:"" name:"ENV" help:"The environment, as nstest ls names it."`
}

func (releaseCommand) Help() string {
	return `With NSTEST_HOLD=1 a test that fails waits before it cleans up, so that somebody can look at its environment: see "nstest enter" and "nstest capture". This is one way to let it go on. The others are Enter and Ctrl-C on the terminal on which the tests run.

The exit status is 0, and 125 if there is no such environment, or none that waits.`
}

// Run releases the environment.
func (c *releaseCommand) Run(ctx context.Context, sys *system) error {
	return attached(ctx, sys, c.Target, 0, func(_ context.Context, env *nstest.Env, _ *relay, _ []string) error {
		return env.Release()
	})
}
