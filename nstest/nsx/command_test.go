package nsx_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"golang.org/x/sys/unix"
)

// here executes a probe as an ordinary child.
func here(c nsx.Command) error {
	return (&exec.Cmd{Path: c.Path, Args: c.Args, Env: c.Env, ExtraFiles: c.Files}).Run()
}

// add is a sum of its input and all numbers below, each of which is added by a process of its own.
var add = nsx.Register("add", func(parent *nsx.Parent, n int) (int, error) {
	if n == 0 {
		return 0, nil
	}
	below, err := nsx.RunBy(here, nsx.Again[int, int](parent), n-1)
	return n + below, err
})

func TestProbeByACommand(t *testing.T) {
	if sum, err := nsx.RunBy(here, add, 3); sum != 6 || err != nil {
		t.Errorf("got %d, %v", sum, err)
	}
	_, err := nsx.RunBy(here, fail, unix.ENOTTY)
	if !errors.Is(err, unix.ENOTTY) || !strings.HasPrefix(err.Error(), "probe fail: ") {
		t.Errorf("of one that fails: %v", err)
	}
	if _, err := nsx.RunBy(here, where, struct{}{}); err == nil || !strings.Contains(err.Error(), "use Spawn") {
		t.Errorf("of one that reports: %v", err)
	}
	cause := errors.New("no such machine")
	if _, err := nsx.RunBy(func(nsx.Command) error { return cause }, add, 3); !errors.Is(err, cause) {
		t.Errorf("where none can be started: %v", err)
	}
}

func TestProbeThatRunsItselfFurtherInside(t *testing.T) {
	const deep = 3
	got, err := nsx.Run(t.Context(), nsx.Spec{}.AsRoot(), descend, deep)
	if err != nil || got != deep {
		t.Errorf("got %d, %v, want %d", got, err, deep)
	}
}

// descend counts the namespaces of users that it is run in, one in the other.
var descend = nsx.Register("descend", func(parent *nsx.Parent, more int) (int, error) {
	if more == 1 {
		return 1, nil
	}
	n, err := nsx.Run(context.Background(), nsx.Spec{}.AsRoot(), nsx.Again[int, int](parent), more-1)
	return n + 1, err
})
