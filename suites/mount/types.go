package mount

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/suites/property"
)

func registerTypes() {
	property.It("M6", func(_ SpecContext, c *property.Check) {
		dir := ground(alone, "tree/closed", "one", "two", "all")
		do(outside, tmpfs(dir+"/tree/closed"), propagate(dir+"/tree/closed", unbindable))
		c.Positive("a private mount can be bound to another place", func() {
			do(outside, tmpfs(dir+"/one"), propagate(dir+"/one", alone))
			err := failure(outside, bind(dir+"/one", dir+"/two", 0))
			c.Saw("error", err)
			c.Saw("there", tags(outside, dir+"/two"))
			Expect(err).NotTo(HaveOccurred())
			Expect(outside).To(matchers.HaveMount(dir + "/two"))
		})
		c.Negative("an unbindable one cannot", func() {
			err := failure(outside, bind(dir+"/tree/closed", dir+"/all", 0))
			c.Saw("the mount", tags(outside, dir+"/tree/closed"))
			c.Saw("error", err)
			Expect(outside).To(matchers.HaveMount(dir+"/tree/closed", matchers.Unbindable))
			Expect(err).To(MatchError(unix.EINVAL))
		})
		c.Negative("and is left out where the tree around it is bound", func() {
			do(outside, bind(dir+"/tree", dir+"/all", recursive))
			c.Saw("in the copy", tags(outside, dir+"/all/closed"))
			Expect(outside).To(matchers.HaveMount(dir + "/all"))
			Expect(outside).NotTo(matchers.HaveMount(dir + "/all/closed"))
		})
	})

	property.It("M7", func(ctx SpecContext, c *property.Check) {
		dir := ground(shared, "late")
		first, second := enter(ctx, private), enter(ctx, private)
		c.Positive("a slave has its master's tag alone", func() {
			do(first, propagate(dir, slave))
			c.Saw("outside", tags(outside, dir))
			c.Saw("inside", tags(first, dir))
			Expect(first).To(matchers.HaveMount(dir, matchers.Slave))
			Expect(tags(first, dir)).To(MatchRegexp(`^master:\d+$`))
		})
		c.Negative("a slave that is shared has both", func() {
			do(second, propagate(dir, slave), propagate(dir, shared))
			c.Saw("outside", tags(outside, dir))
			c.Saw("inside", tags(second, dir))
			Expect(second).To(matchers.HaveMount(dir, matchers.Shared, matchers.Slave))
			Expect(tags(second, dir)).To(MatchRegexp(`^shared:\d+ master:\d+$`))
		})
		c.Negative("and what comes from its master is shared and slave as well", func() {
			do(outside, tmpfs(dir+"/late"))
			c.Saw("outside", tags(outside, dir+"/late"))
			c.Saw("in the slave", tags(first, dir+"/late"))
			c.Saw("in the shared slave", tags(second, dir+"/late"))
			Expect(first).To(matchers.HaveMount(dir+"/late", matchers.Slave))
			Expect(second).To(matchers.HaveMount(dir+"/late", matchers.Shared, matchers.Slave))
		})
	})

	property.It("M8", func(_ SpecContext, c *property.Check) {
		from, to := ground(alone, "a", "b", "c"), ground(shared, "b")
		do(outside, tmpfs(from+"/a"), tmpfs(from+"/b"))
		c.Positive("moved below a private mount, a private one stays private", func() {
			c.Saw("before", tags(outside, from+"/a"))
			do(outside, move(from+"/a", from+"/c"))
			c.Saw("after", tags(outside, from+"/c"))
			Expect(outside).To(matchers.HaveMount(from+"/c", matchers.Private))
		})
		c.Negative("moved below a shared one it becomes shared", func() {
			c.Saw("before", tags(outside, from+"/b"))
			Expect(outside).To(matchers.HaveMount(from+"/b", matchers.Private))
			do(outside, move(from+"/b", to+"/b"))
			c.Saw("after", tags(outside, to+"/b"))
			Expect(outside).To(matchers.HaveMount(to+"/b", matchers.Shared))
			Expect(outside).NotTo(matchers.HaveMount(from + "/b"))
		})
	})

	property.It("M9", func(_ SpecContext, c *property.Check) {
		dir := ground(alone, "a")
		below := dir + "/a"
		do(outside, tmpfs(below), mkdir(below+"/b"), tmpfs(below+"/b"))
		look := func() {
			c.Saw("the mount", tags(outside, dir))
			c.Saw("one in it", tags(outside, below))
			c.Saw("one in that", tags(outside, below+"/b"))
		}
		c.Positive("without MS_REC a mount alone is changed", func() {
			do(outside, propagate(dir, shared))
			look()
			Expect(outside).To(matchers.HaveMount(dir, matchers.Shared))
			Expect(outside).To(matchers.HaveMount(below, matchers.Private))
			Expect(outside).To(matchers.HaveMount(below+"/b", matchers.Private))
		})
		for _, to := range []struct {
			flag uintptr
			is   matchers.Propagation
		}{{shared, matchers.Shared}, {alone, matchers.Private}, {unbindable, matchers.Unbindable}} {
			c.Negative("with it, all below become "+string(to.is)+" too", func() {
				do(outside, propagate(dir, to.flag|recursive))
				look()
				for _, path := range []string{dir, below, below + "/b"} {
					Expect(outside).To(matchers.HaveMount(path, to.is))
				}
			})
		}
	})
}
