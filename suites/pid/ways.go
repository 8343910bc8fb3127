package pid

import (
	"fmt"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// join joins the namespace that is its file, and starts a child.
var join = nsx.Register("pid/join", func(parent *nsx.Parent, _ any) (j joinedPIDs, err error) {
	j.Before = unix.Getpid()
	if err := nsx.JoinThread(parent.Files[0]); err != nil {
		return j, err
	}
	j.After = unix.Getpid()
	if j.Child, err = start("sleep", "infinity"); err != nil {
		return j, err
	}
	return j, parent.Report(j, nil)
})

// joinedPIDs are the numbers of a process before and after it joins, and of its child, as it knows them.
type joinedPIDs struct{ Before, After, Child int }

var kinds = []nsx.Kinds{nsx.User, nsx.PID, nsx.Net, nsx.Mount, nsx.IPC, nsx.UTS, nsx.Cgroup, nsx.Time}

// shared are the kinds of which a process is in our namespace.
func shared(p *nsx.Process[any]) (k nsx.Kinds) {
	GinkgoHelper()
	for _, kind := range kinds {
		ours, err := nsx.Inode(0, kind)
		Expect(err).NotTo(HaveOccurred())
		theirs, err := p.Inode(kind)
		Expect(err).NotTo(HaveOccurred())
		if ours == theirs {
			k |= kind
		}
	}
	return k
}

func registerWays() {
	const all = nsx.User | nsx.PID | nsx.Net | nsx.Mount | nsx.IPC | nsx.UTS | nsx.Cgroup | nsx.Time
	property.Seed("a clone without flags isolates nothing, and one with all of clone(2)'s isolates all but time", func(ctx SpecContext) {
		Expect(shared(staying(ctx, nsx.Spec{}))).To(Equal(all))
		Expect(shared(staying(ctx, nsx.Spec{Kinds: all}.AsRoot()))).To(Equal(nsx.Time))
	}, SpecTimeout(patience))

	var entries []any
	for _, kind := range kinds {
		for _, how := range []nsx.Way{nsx.Clone, nsx.Clone3, nsx.Unshare, nsx.Setns} {
			entries = append(entries, Entry(fmt.Sprintf("%v by %v", kind, how), Label("seed"), how, kind, SpecTimeout(patience)))
		}
	}
	DescribeTable("a namespace of each kind by each way", append([]any{func(ctx SpecContext, how nsx.Way, kind nsx.Kinds) {
		property.NeedEnvironment()
		isolating := nsx.Spec{How: how, Kinds: kind}
		if kind == nsx.User {
			isolating = isolating.AsRoot()
		}
		if how == nsx.Setns { // into what another process has made
			made := isolating
			made.How = nsx.Unshare
			isolating = nsx.Spec{How: nsx.Setns, Kinds: kind, Into: []*os.File{staying(ctx, made).PIDFD()}}
		}
		By("without it, all is shared")
		sharing := nsx.Spec{How: how}
		if how == nsx.Setns { // which has to join something: what we are in
			ours, err := nsx.Open(os.Getpid(), nsx.UTS)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(ours.Close)
			sharing.Into = []*os.File{ours}
		}
		without := shared(staying(ctx, sharing))
		AddReportEntry("shared without it", without.String())
		Expect(without).To(Equal(all))

		By("with it, all others are")
		want := all &^ kind
		if how == nsx.Clone && kind == nsx.Time {
			want = all // clone(2) ignores the flag, whose bit was its exit signal's
		}
		with := shared(staying(ctx, isolating))
		AddReportEntry("shared with it", with.String())
		Expect(with).To(Equal(want))
	}}, entries...)...)

	property.It("P17", func(ctx SpecContext, c *property.Check) {
		target := staying(ctx, nsx.Spec{Kinds: nsx.PID})
		into, err := target.Open(nsx.PID)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(into.Close)
		p := spawn(ctx, nsx.Spec{Files: []*os.File{into}}, join, nil)
		var j joinedPIDs
		Expect(p.Await(&j)).To(Succeed())
		c.Positive("a child that is started then is in the target", func() {
			child, err := statusOf(j.Child)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("NSpid of the child", child.NSpid)
			Expect(child.NSpid).To(HaveLen(2))
			Expect(j.Child).To(matchers.ShareNamespace(nsx.PID, target))
		})
		c.Negative("who has called setns(2) has its number, and is where it was", func() {
			c.Saw("getpid before and after", fmt.Sprint(j.Before, j.After))
			Expect(j.After).To(Equal(j.Before))
			Expect(p).To(matchers.ShareNamespace(nsx.PID, os.Getpid()))
			Expect(p).NotTo(matchers.ShareNamespace(nsx.PID, target))
		})
	})
}
