package mount

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// An exchange is what two processes see of each other's mounts: one outside, and one with a copy of its mounts.
type exchange struct{ down, up bool }

// exchanged mounts something outside and inside, below a mount that propagates one way outside and another inside.
func exchanged(ctx SpecContext, c *property.Check, s nsx.Spec, out, in uintptr) (seen exchange) {
	GinkgoHelper()
	dir := ground(out, "late", "inner")
	inside := enter(ctx, s)
	do(inside, propagate(dir, in))

	do(outside, tmpfs(dir+"/late"))
	Expect(outside).To(matchers.HaveMount(dir + "/late"))
	seen.down = len(mountsAt(inside, dir+"/late")) > 0
	do(inside, tmpfs(dir+"/inner"))
	Expect(inside).To(matchers.HaveMount(dir + "/inner"))
	seen.up = len(mountsAt(outside, dir+"/inner")) > 0

	c.Saw("the namespace is made by", s.How)
	c.Saw("the mount around it, outside", tags(outside, dir))
	c.Saw("the same, inside", tags(inside, dir))
	c.Saw("a mount made outside, as seen inside", tags(inside, dir+"/late"))
	c.Saw("a mount made inside, as seen outside", tags(outside, dir+"/inner"))
	return seen
}

func registerPropagation() {
	property.It("M1", func(ctx SpecContext, c *property.Check) {
		c.Positive("of a shared mount, a new namespace has a peer: what is mounted inside is mounted outside too", func() {
			for _, s := range everyWay(private) {
				Expect(exchanged(ctx, c, s, shared, shared).up).To(BeTrue())
			}
		})
		for _, step := range []step{{"rprivate", alone | recursive}, {"rslave", slave | recursive}} {
			c.Negative("after mount --make-"+step.name+" inside it is not", func() {
				for _, s := range everyWay(private) {
					Expect(exchanged(ctx, c, s, shared, step.flag).up).To(BeFalse())
				}
			})
		}
		c.Negative("an environment's mounts are its own", func() {
			const path = "/tmp/inner"
			do(outside, mkdir(path))
			env := nstest.New(GinkgoTB(), nstest.Config{})
			mountIn(env, path)
			there := mountsIn(env)
			c.Saw("the latest mount there", there[len(there)-1])
			c.Saw("mounts here", tags(outside, path))
			Expect(there).To(ContainElement(path + " ramfs"))
			Expect(outside).NotTo(matchers.HaveMount(path))
		})
	})

	property.It("M2", func(ctx SpecContext, c *property.Check) {
		c.Positive("a slave sees what is mounted outside later", func() {
			Expect(exchanged(ctx, c, private, shared, slave|recursive).down).To(BeTrue())
		})
		c.Negative("a private copy does not", func() {
			Expect(exchanged(ctx, c, private, shared, alone|recursive).down).To(BeFalse())
		})
	})

	property.It("M3", func(ctx SpecContext, c *property.Check) {
		c.Positive("between private mounts nothing is exchanged, and the probe sees that", func() {
			Expect(exchanged(ctx, c, private, alone, alone)).To(Equal(exchange{}))
		})
		c.Negative("between peers, mounts come both ways", func() {
			Expect(exchanged(ctx, c, private, shared, shared)).To(Equal(exchange{down: true, up: true}))
		})
	})

	property.It("M4", func(ctx SpecContext, c *property.Check) {
		c.Positive("between peers, mounts come both ways", func() {
			Expect(exchanged(ctx, c, private, shared, shared)).To(Equal(exchange{down: true, up: true}))
		})
		c.Negative("of a mount that is private outside, the copy is: neither way", func() {
			dir := ground(alone)
			Expect(enter(ctx, private)).To(matchers.HaveMount(dir, matchers.Private))
			Expect(exchanged(ctx, c, private, alone, alone)).To(Equal(exchange{}))
		})
		c.Negative("of a mount that is made private inside likewise", func() {
			Expect(exchanged(ctx, c, private, shared, alone)).To(Equal(exchange{}))
		})
	})

	property.It("M5", func(ctx SpecContext, c *property.Check) {
		c.Positive("between peers, mounts come both ways", func() {
			Expect(exchanged(ctx, c, private, shared, shared)).To(Equal(exchange{down: true, up: true}))
		})
		c.Negative("to a slave, they come from outside alone", func() {
			Expect(exchanged(ctx, c, private, shared, slave)).To(Equal(exchange{down: true}))
		})
	})

	property.It("M10", func(ctx SpecContext, c *property.Check) {
		c.Positive("in the same user namespace the copy of a shared mount is its peer", func() {
			dir := ground(shared)
			inside := enter(ctx, private)
			c.Saw("outside", tags(outside, dir))
			c.Saw("inside", tags(inside, dir))
			Expect(inside).To(matchers.HaveMount(dir, matchers.Shared))
			Expect(tags(inside, dir)).To(Equal(tags(outside, dir)))
		})
		c.Negative("in another one it is a slave", func() {
			for _, s := range everyWay(unprivileged(0)) {
				dir := ground(shared)
				inside := enter(ctx, s)
				c.Saw("outside", tags(outside, dir))
				c.Saw("inside, by "+s.How.String(), tags(inside, dir))
				Expect(inside).To(matchers.HaveMount(dir, matchers.Slave))
			}
		})
		c.Negative("and stays one when it is made shared: what is mounted inside stays there", func() {
			Expect(exchanged(ctx, c, unprivileged(0), shared, shared)).To(Equal(exchange{down: true}))
		})
	})
}
