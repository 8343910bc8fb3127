package cgroup

import (
	"errors"
	"fmt"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// A trial is what a process may do to cgroups: "done", or the name of the errno.
type trial struct {
	Make string // a cgroup below its own
	Move string // itself into that one; "" if it could not be made
	Out  []string
}

// try makes the cgroup that the process is in the root of a new namespace, mounts it over /tmp, and tries what it may do
// there; and to leave for the cgroups that are at the given directories.
var try = nsx.Register("cgroup/try", func(_ *nsx.Parent, away []string) (trial, error) {
	var t trial
	if err := nsx.UnshareThread(nsx.Cgroup); err != nil {
		return t, err
	}
	if err := unix.Mount("cgroup", "/tmp", "cgroup2", 0, ""); err != nil {
		return t, fmt.Errorf("mount cgroup2: %w", err)
	}
	var err error
	if t.Make, err = said(os.Mkdir("/tmp/inner", 0o755)); err != nil {
		return t, err
	}
	if t.Make == "done" {
		if t.Move, err = said(move("/tmp/inner")); err != nil {
			return t, err
		}
	}
	for _, dir := range away {
		out, err := said(move(dir))
		if err != nil {
			return t, err
		}
		t.Out = append(t.Out, out)
	}
	return t, nil
})

// move moves the calling process.
func move(dir string) error { return write(dir+"/cgroup.procs", "0") }

// said is the outcome of a call. The error is one that has no number.
func said(err error) (string, error) {
	var errno unix.Errno
	if err != nil && !errors.As(err, &errno) {
		return "", err
	}
	if err == nil {
		return "done", nil
	}
	return unix.ErrnoName(errno), nil
}

func registerDelegation() {
	tried := func(ctx SpecContext, g group, away ...string) trial {
		GinkgoHelper()
		t, err := nsx.Run(ctx, shifted(nsx.Spec{How: nsx.Clone3, Kinds: nsx.Mount, Cgroup: g.open()}), try, away)
		Expect(err).NotTo(HaveOccurred())
		return t
	}

	property.It("C3", func(ctx SpecContext, c *property.Check) {
		require.MachineRoot()
		g, sibling := newGroup(c, unified("")), newGroup(c, unified(""))
		g.delegate()
		sibling.delegate()
		above, err := unified("")()
		Expect(err).NotTo(HaveOccurred())
		var t trial
		c.Positive("in its own cgroup, which is the root of its namespace, a process makes another and moves there", func() {
			t = tried(ctx, g, above, string(sibling))
			c.Saw("make", t.Make)
			c.Saw("move", t.Move)
			Expect(t).To(And(HaveField("Make", "done"), HaveField("Move", "done")))
		})
		c.Negative("it leaves neither for the cgroup above, nor for another one that it owns: what is above both is not its own", func() {
			c.Saw("up", t.Out[0])
			c.Saw("aside", t.Out[1])
			Expect(t.Out).To(Equal([]string{"EACCES", "EACCES"}))
		})
	}, nstest.InProcess)

	property.It("C4", func(ctx SpecContext, c *property.Check) {
		require.MachineRoot()
		g := newGroup(c, unified(""))
		c.Negative("in a cgroup that is not its own a process makes none, though it is root and the namespace its own", func() {
			t := tried(ctx, g)
			c.Saw("make", t.Make)
			Expect(t.Make).To(Equal("EACCES"))
		})
		c.Positive("when it was delegated, it does", func() {
			g.delegate()
			t := tried(ctx, g)
			c.Saw("make", t.Make)
			Expect(t.Make).To(Equal("done"))
		})
	}, nstest.InProcess)
}
