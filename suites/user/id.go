package user

import (
	"fmt"
	"io"
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// read returns the words of each line of a file.
var read = nsx.Register("user/read", func(_ *nsx.Parent, path string) ([]string, error) {
	text, err := os.ReadFile(path)
	var lines []string
	for line := range strings.Lines(string(text)) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines, err
})

// wake returns who it is before and after its first file, a pipe, has come to its end.
var wake = nsx.Register("user/wake", func(parent *nsx.Parent, _ any) (both [2]identity, err error) {
	if both[0], err = look(); err != nil {
		return both, err
	}
	if err := parent.Report(both[0], nil); err != nil {
		return both, err
	}
	if _, err := io.ReadAll(parent.Files[0]); err != nil {
		return both, err
	}
	both[1], err = look()
	return both, err
})

// hold reports its identity and waits.
var hold = nsx.Register("user/hold", func(parent *nsx.Parent, _ any) (any, error) {
	me, err := look()
	if err != nil {
		return nil, err
	}
	return nil, parent.Report(me, nil)
})

// held is a process that runs until the spec ends.
func held(ctx SpecContext, s nsx.Spec) *nsx.Process[any] {
	GinkgoHelper()
	p, err := nsx.Spawn(ctx, s, hold, nil)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	Expect(p.Await(nil)).To(Succeed())
	return p
}

func registerIDs() {
	ways := []nsx.Way{nsx.Clone, nsx.Clone3, nsx.Unshare}

	property.It("R1", func(ctx SpecContext, c *property.Check) {
		uid, gid := number("/proc/sys/kernel/overflowuid"), number("/proc/sys/kernel/overflowgid")
		for _, how := range ways {
			c.Positive(how.String()+": with its id mapped to 0 it is 0", func() {
				me, err := nsx.Run(ctx, nsx.Spec{How: how}.AsRoot(), whoAmI, nil)
				Expect(err).NotTo(HaveOccurred())
				c.Saw("uid and gid", []int{me.UID, me.GID})
				Expect([]int{me.UID, me.GID}).To(Equal([]int{0, 0}))
			})
			c.Negative(how.String()+": without a map it is nobody", func() {
				me, err := nsx.Run(ctx, nsx.Spec{How: how, Kinds: nsx.User}, whoAmI, nil)
				Expect(err).NotTo(HaveOccurred())
				c.Saw("uid and gid", []int{me.UID, me.GID})
				c.Saw("kernel.overflowuid and kernel.overflowgid", []int{uid, gid})
				Expect([]int{me.UID, me.GID}).To(Equal([]int{uid, gid}))
				Expect(uid).NotTo(BeZero())
			})
		}
	})

	property.It("R3", func(ctx SpecContext, c *property.Check) {
		five := 5
		p, err := nsx.Spawn(ctx, nsx.Spec{Kinds: nsx.User, Gate: true, UID: &five, GID: &five}, whoAmI, nil)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(p.Close)
		c.Positive("before that there is no map", func() {
			before, err := os.ReadFile(fmt.Sprintf("/proc/%d/uid_map", p.PID()))
			Expect(err).NotTo(HaveOccurred())
			c.Saw("its uid_map", before)
			Expect(before).To(BeEmpty())
		})
		c.Negative("what the parent writes is who the process is", func() {
			Expect(write(p.PID(), "uid_map", "5 0 1")).To(Succeed())
			Expect(write(p.PID(), "gid_map", "5 0 1")).To(Succeed())
			Expect(p).To(matchers.HaveIDMap("uid_map", 5, 0, 1))
			Expect(p.OpenGate()).To(Succeed())
			me, err := p.Result()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("it says that it is", me)
			Expect([]int{me.UID, me.GID}).To(Equal([]int{5, 5}))
		})
	})

	property.It("R4", func(ctx SpecContext, c *property.Check) {
		one := func(inside int) nsx.Spec {
			ids := []nsx.IDMap{{Inside: inside, Outside: 0, Count: 1}}
			return nsx.Spec{Kinds: nsx.User, UIDMaps: ids, GIDMaps: ids}
		}
		p := held(ctx, one(3))
		file := fmt.Sprintf("/proc/%d/uid_map", p.PID())
		seen := func(s nsx.Spec, path string) []string {
			GinkgoHelper()
			lines, err := nsx.Run(ctx, s, read, path)
			Expect(err).NotTo(HaveOccurred())
			c.Saw(path, lines)
			return lines
		}
		c.Positive("its parent sees what it has written: its 3 is our 0", func() {
			Expect(seen(nsx.Spec{}, file)).To(Equal([]string{"3 0 1"}))
		})
		c.Positive("so does the process itself, who counts as its parent does", func() {
			Expect(seen(one(3), "/proc/self/uid_map")).To(Equal([]string{"3 0 1"}))
		})
		c.Negative("a sibling in whose namespace our 0 is 7 sees that its 3 is 7", func() {
			Expect(seen(one(7), file)).To(Equal([]string{"3 7 1"}))
		})
		c.Negative("a sibling that has no name for our 0 sees -1", func() {
			Expect(seen(nsx.Spec{Kinds: nsx.User}, file)).To(Equal([]string{"3 4294967295 1"}))
		})
	})

	property.Seed("wait behind a pipe until they are mapped", func(ctx SpecContext) {
		r, w, err := os.Pipe()
		Expect(err).NotTo(HaveOccurred())
		defer w.Close()
		p, err := nsx.Spawn(ctx, nsx.Spec{Kinds: nsx.User, Files: []*os.File{r}}, wake, nil)
		r.Close()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(p.Close)
		Expect(p.Await(nil)).To(Succeed())
		Expect(p.Continue(nil)).To(Succeed())

		Expect(write(p.PID(), "uid_map", "0 0 1")).To(Succeed())
		Expect(write(p.PID(), "gid_map", "0 0 1")).To(Succeed())
		Expect(w.Close()).To(Succeed(), "the child goes on")
		both, err := p.Result()
		Expect(err).NotTo(HaveOccurred())
		before, after := both[0], both[1]
		Expect([]int{before.UID, before.GID}).To(Equal([]int{65534, 65534}), "the control: who does not wait is nobody")
		Expect([]int{after.UID, after.GID}).To(Equal([]int{0, 0}))
		Expect(after.Capabilities).To(Equal(none), "it has executed a program before it had a name: a map comes too late for that")
	})
}
