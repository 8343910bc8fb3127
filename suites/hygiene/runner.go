package hygiene

import (
	"context"
	"errors"
	"os"
	"os/exec"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/inside"
)

// seen is what a probe saw as an ordinary child of a runner, and as a command in an environment that the runner opened.
type seen[Out any] struct{ Child, Inside Out }

// compare runs a probe both ways. Its standard input is that of the calling program, as people hand down a terminal.
func compare[In, Out any](probe nsx.Probe[In, Out], in In) (s seen[Out], err error) {
	if s.Child, err = child(probe, in); err != nil {
		return s, err
	}
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, env.Close()) }()
	cmd, err := inside.Command(env.Self(), probe, in)
	if err != nil {
		return s, err
	}
	cmd.Stdin = os.Stdin
	s.Inside, err = inside.Result(cmd, probe)
	return s, err
}

// child runs a probe as an ordinary child of the calling program.
func child[In, Out any](probe nsx.Probe[In, Out], in In) (Out, error) {
	var none Out
	exe, err := os.Executable()
	if err != nil {
		return none, err
	}
	env, err := probe.Environ(in)
	if err != nil {
		return none, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = os.Stdin
	out, err := cmd.Output()
	if err != nil {
		return none, err
	}
	return probe.Read(out)
}

// A plant is an odd state that a runner puts itself into.
type plant string

var plants = map[plant]func() error{
	leakedFile:     leakFile,
	secretVariable: setSecret,
	strictUmask:    restrictUmask,
	lowerLimit:     lowerFiles,
	ignoredSignal:  ignoreHangup,
	extraGroups:    joinGroups,
	goneDirectory:  enterDirectory,
	pinnedThread:   pinThread,
}

// runner compares the state of its children, in the state that it is told to be in.
var runner = nsx.Register("hygiene/runner", func(_ *nsx.Parent, p plant) (seen[state], error) {
	if err := plants[p](); err != nil {
		return seen[state]{}, err
	}
	return compare(look, nil)
})

// run runs a runner.
func run(ctx SpecContext, p plant) seen[state] {
	GinkgoHelper()
	s, err := nsx.Run(ctx, nsx.Spec{}, runner, p)
	Expect(err).NotTo(HaveOccurred())
	return s
}

// start is the state with which a command begins in an environment, after change has changed its command.
func start(env *nstest.Env, change func(*nstest.Cmd)) state {
	GinkgoHelper()
	cmd, err := inside.Command(env.Self(), look, nil)
	Expect(err).NotTo(HaveOccurred())
	change(cmd)
	s, err := inside.Result(cmd, look)
	Expect(err).NotTo(HaveOccurred())
	return s
}
