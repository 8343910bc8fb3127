package cgroup

import (
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

func registerBirth() {
	property.It("C9", func(ctx SpecContext, c *property.Check) {
		g := newGroup(c, unified(""))
		ours, err := find("")
		Expect(err).NotTo(HaveOccurred())
		// born is in which cgroup of version 2 a process is before it has executed a program, and the first that it sees.
		born := func(s nsx.Spec) (before, first string) {
			GinkgoHelper()
			s.How, s.Gate = nsx.Clone3, true
			p, err := nsx.Spawn(ctx, s, view, nil)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(p.Close)
			outside, err := memberships(p.PID())
			Expect(err).NotTo(HaveOccurred())
			Expect(p.OpenGate()).To(Succeed())
			var inside []membership
			Expect(p.Await(&inside)).To(Succeed())
			before, first = unifiedPath(outside), unifiedPath(inside)
			c.Saw("when it is born", before)
			c.Saw("when it looks first", first)
			return before, first
		}
		c.Positive("by clone3 alone a child is where we are", func() {
			before, first := born(nsx.Spec{})
			Expect([]string{before, first}).To(HaveEach(ours.Path))
		})
		c.Negative("with CLONE_INTO_CGROUP it is in the other cgroup, and never was here", func() {
			before, first := born(nsx.Spec{Cgroup: g.open()})
			Expect([]string{before, first}).To(HaveEach(filepath.Join(ours.Path, filepath.Base(string(g)))))
		})
	}, nstest.InProcess)
}

// unifiedPath is the cgroup of version 2 among memberships.
func unifiedPath(list []membership) string {
	for _, m := range list {
		if m.Controllers == "" {
			return m.Path
		}
	}
	return ""
}
