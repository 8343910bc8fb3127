package pid

import (
	"context"
	"errors"
	"slices"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// ids are the numbers that a process has, in its own PID namespace.
type ids struct{ PID, Parent, Session, Group int }

func ownIDs() (ids, error) {
	session, err1 := unix.Getsid(0)
	group, err2 := unix.Getpgid(0)
	return ids{unix.Getpid(), unix.Getppid(), session, group}, errors.Join(err1, err2)
}

// tellIDs reports its ids, and returns those that it has as the leader of a session of its own.
var tellIDs = nsx.Register("pid/tellIDs", func(parent *nsx.Parent, _ any) (ids, error) {
	before, err := ownIDs()
	if err != nil {
		return before, err
	}
	if err := parent.Report(before, nil); err != nil {
		return before, err
	}
	if _, err := unix.Setsid(); err != nil {
		return before, err
	}
	return ownIDs()
})

// nest is a process in a chain of PID namespaces, of which so many are to follow. It reports how far they came, and the
// chain ends when it may go on.
var nest = nsx.Register("pid/nest", func(parent *nsx.Parent, levels int) (_ any, err error) {
	if err := mountProc(); err != nil {
		return nil, err
	}
	var c chain
	if levels > 0 {
		next := nsx.Named[int, any]("pid/nest")
		p, err := nsx.Spawn(context.Background(), nsx.Spec{Kinds: nsx.PID | nsx.Mount}, next, levels-1)
		switch {
		case errors.As(err, &c.Refused): // no further one
		case err != nil:
			return nil, err
		default:
			defer func() { err = errors.Join(err, p.Close()) }()
			if err := p.Await(&c); err != nil {
				return nil, err
			}
		}
	}
	deepest, err := innermost()
	if err != nil {
		return nil, err
	}
	return nil, parent.Report(chain{append([][]int{deepest.NSpid}, c.Views...), c.Refused}, nil)
})

// A chain is of PID namespaces, each in the one before.
type chain struct {
	Views   [][]int       // the numbers of the process in the last one, as each of them sees it
	Refused syscall.Errno // why there is no further one
}

// innermost is the process that is in most PID namespaces.
func innermost() (process, error) {
	list, err := processes()
	if err != nil {
		return process{}, err
	}
	return slices.MaxFunc(list, func(a, b process) int { return len(a.NSpid) - len(b.NSpid) }), nil
}

// nested is a chain of so many PID namespaces in the spec's; it lives as long as the spec, or until it is let go.
func nested(ctx SpecContext, levels int) (c chain, letGo func()) {
	GinkgoHelper()
	p := spawn(ctx, nsx.Spec{Kinds: nsx.PID | nsx.Mount}, nest, levels-1)
	Expect(p.Await(&c)).To(Succeed())
	return c, func() {
		GinkgoHelper()
		Expect(p.Close()).To(Succeed())
	}
}

func registerNumbers() {
	property.It("P1", func(ctx SpecContext, c *property.Check) {
		look := func(s nsx.Spec) (before, after ids, outside int) {
			p := spawn(ctx, s, tellIDs, nil)
			Expect(p.Await(&before)).To(Succeed())
			Expect(p.Continue(nil)).To(Succeed())
			after, err := p.Result()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("as it begins", before)
			c.Saw("leading a session of its own", after)
			c.Saw("its number outside", p.PID())
			return before, after, p.PID()
		}
		c.Positive("without CLONE_NEWPID a child has our numbers", func() {
			before, after, outside := look(nsx.Spec{})
			ours, err := ownIDs()
			Expect(err).NotTo(HaveOccurred())
			Expect(before).To(Equal(ids{outside, ours.PID, ours.Session, ours.Group}))
			Expect(after).To(Equal(ids{outside, ours.PID, outside, outside}))
			Expect(outside).NotTo(Equal(1))
		})
		for _, how := range []nsx.Way{nsx.Clone, nsx.Clone3, nsx.Unshare} {
			c.Negative("the first child by "+how.String()+" is 1; parent, session and group, which are outside, are 0", func() {
				before, after, outside := look(nsx.Spec{How: how, Kinds: nsx.PID})
				Expect(before).To(Equal(ids{PID: 1}))
				Expect(after).To(Equal(ids{PID: 1, Session: 1, Group: 1}))
				Expect(outside).NotTo(Equal(1))
			})
		}
	})

	property.It("P13", func(ctx SpecContext, c *property.Check) {
		o := observing(ctx)
		c.Positive("in its own namespace a process has one number", func() {
			self := o.see(1)
			c.Saw("NSpid inside", self.NSpid)
			Expect(self.NSpid).To(Equal([]int{1}))
			outside := staying(ctx, nsx.Spec{})
			pids, err := outside.NSPids()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("NSpid of a process outside", pids)
			Expect(pids).To(Equal([]int{outside.PID()}))
		})
		c.Negative("from outside it has one for each level", func() {
			pids, err := o.NSPids()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("NSpid outside", pids)
			Expect(pids).To(Equal([]int{o.PID(), 1}))
		})
	})

	property.Seed("a process that is 1 in the third namespace of a chain has a number in each, and each sees those from itself down", func(ctx SpecContext) {
		By("outside of any of them it has one number")
		alone := staying(ctx, nsx.Spec{})
		Expect(alone.NSPids()).To(Equal([]int{alone.PID()}))

		By("in the third it has four, outside")
		c, _ := nested(ctx, 3)
		deepest, err := innermost()
		Expect(err).NotTo(HaveOccurred())
		Expect(deepest.NSpid).To(HaveLen(4))
		AddReportEntry("outside sees", deepest.NSpid)
		Expect(c.Views).To(HaveLen(3))
		for i, view := range c.Views {
			AddReportEntry("the next level sees", view)
			Expect(view).To(Equal(deepest.NSpid[i+1:]))
		}
		Expect(c.Views[2]).To(Equal([]int{1}))
	}, SpecTimeout(patience))
}
