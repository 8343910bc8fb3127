package time

import (
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// stay keeps a process, and so its namespace, until it may go on.
var stay = nsx.Register("time/stay", func(parent *nsx.Parent, _ any) (any, error) { return nil, parent.Report(nil, nil) })

// staying is a process of the given spec that stays until the spec ends.
func staying(ctx SpecContext, s nsx.Spec) *nsx.Process[any] {
	GinkgoHelper()
	p, err := nsx.Spawn(ctx, s, stay, nil)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	Expect(p.Await(nil)).To(Succeed())
	return p
}

// join takes a thread of a Go program, which has several, into the namespace that it was passed.
var join = nsx.Register("time/join", func(parent *nsx.Parent, _ any) (any, error) {
	return nil, nsx.JoinThread(parent.Files[0])
})

// threads is the number of threads of a Go program.
var threads = nsx.Register("time/threads", func(*nsx.Parent, any) (int, error) {
	list, err := os.ReadDir("/proc/self/task")
	return len(list), err
})

func registerEntry() {
	property.It("T4", func(ctx SpecContext, c *property.Check) {
		c.Positive("clone3(2) with CLONE_NEWTIME makes a new namespace", func() {
			p := staying(ctx, nsx.Spec{How: nsx.Clone3, Kinds: nsx.Time})
			sawInodes(c, p)
			Expect(p).NotTo(matchers.ShareNamespace(nsx.Time, os.Getpid()))
		})
		c.Negative("clone(2) with the same bit, 0x80, says nothing and makes none: the lowest byte of its flags is a signal", func() {
			p := staying(ctx, nsx.Spec{How: nsx.Clone, Kinds: nsx.Time})
			sawInodes(c, p)
			Expect(p).To(matchers.ShareNamespace(nsx.Time, os.Getpid()))
		})
	})

	property.It("T7", func(ctx SpecContext, c *property.Check) {
		member := staying(ctx, nsx.Spec{How: nsx.Unshare, Kinds: nsx.Time, TimeOffsets: &ahead})
		namespace, err := member.Open(nsx.Time)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(namespace.Close)
		c.Positive("a process with one thread may join", func() {
			s := look(ctx, c, nsx.Spec{How: nsx.Setns, Kinds: nsx.Time, Into: []*os.File{namespace}})
			s.expectShift("CLOCK_MONOTONIC", ahead.Monotonic)
		})
		c.Negative("one with several may not", func() {
			n, err := nsx.Run(ctx, nsx.Spec{}, threads, nil)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("threads", n)
			Expect(n).To(BeNumerically(">", 1))
			_, err = nsx.Run(ctx, nsx.Spec{Files: []*os.File{namespace}}, join, nil)
			c.Saw("error", err)
			Expect(err).To(MatchError(unix.EUSERS))
		})
	})

	property.It("T10", func(ctx SpecContext, c *property.Check) {
		member := staying(ctx, nsx.Spec{How: nsx.Unshare, Kinds: nsx.Time, TimeOffsets: &ahead})
		namespace, err := member.Open(nsx.Time)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(namespace.Close)
		c.Positive("who does not join sees our clocks", func() {
			s := look(ctx, c, nsx.Spec{})
			s.expectShift("CLOCK_MONOTONIC", 0)
			s.expectShift("CLOCK_BOOTTIME", 0)
		})
		for _, by := range []struct {
			what string
			file *os.File
		}{{"the namespace's file", namespace}, {"a pidfd of a member", member.PIDFD()}} {
			c.Negative("who joins by "+by.what+" sees the shifted ones", func() {
				s := look(ctx, c, nsx.Spec{How: nsx.Setns, Kinds: nsx.Time, Into: []*os.File{by.file}})
				s.expectShift("CLOCK_MONOTONIC", ahead.Monotonic)
				s.expectShift("CLOCK_BOOTTIME", ahead.Boottime)
			})
		}
	})
}

// sawInodes keeps the time namespaces of a process and of ours.
func sawInodes(c *property.Check, p *nsx.Process[any]) {
	GinkgoHelper()
	theirs, err := p.Inode(nsx.Time)
	Expect(err).NotTo(HaveOccurred())
	ours, err := nsx.Inode(0, nsx.Time)
	Expect(err).NotTo(HaveOccurred())
	c.Saw("the child's namespace", theirs)
	c.Saw("ours", ours)
}
