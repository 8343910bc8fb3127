package uts

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// names are what uname(2) tells of a UTS namespace, and the release, which is the kernel's.
type names struct{ Host, Domain, Release string }

// here are the names that the calling process sees.
func here() (names, error) {
	var u unix.Utsname
	err := unix.Uname(&u)
	return names{
		unix.ByteSliceToString(u.Nodename[:]), unix.ByteSliceToString(u.Domainname[:]), unix.ByteSliceToString(u.Release[:]),
	}, err
}

// look is here, for a spec.
func look() names {
	GinkgoHelper()
	n, err := here()
	Expect(err).NotTo(HaveOccurred())
	return n
}

// rename sets the host name, the domain name, or both, and returns all names as they are then.
var rename = nsx.Register("uts/rename", func(_ *nsx.Parent, to names) (names, error) {
	if to.Host != "" {
		if err := unix.Sethostname([]byte(to.Host)); err != nil {
			return names{}, err
		}
	}
	if to.Domain != "" {
		if err := unix.Setdomainname([]byte(to.Domain)); err != nil {
			return names{}, err
		}
	}
	return here()
})

// watch reports the names as they are at first, and returns those that it sees when it may go on.
var watch = nsx.Register("uts/watch", func(parent *nsx.Parent, _ any) (names, error) {
	first, err := here()
	if err != nil {
		return first, err
	}
	if err := parent.Report(first, nil); err != nil {
		return first, err
	}
	return here()
})

// renamed renames in a process of the given spec, and is what it sees then. A sibling, in our namespace, sees what we see.
func renamed(ctx SpecContext, c *property.Check, s nsx.Spec, to names) (inside, outside names) {
	GinkgoHelper()
	sibling, err := nsx.Spawn(ctx, nsx.Spec{}, watch, nil)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(sibling.Close)
	Expect(sibling.Await(nil)).To(Succeed())

	inside, err = nsx.Run(ctx, s, rename, to)
	Expect(err).NotTo(HaveOccurred())

	Expect(sibling.Continue(nil)).To(Succeed())
	outside, err = sibling.Result()
	Expect(err).NotTo(HaveOccurred())
	Expect(look()).To(Equal(outside), "a sibling sees what we see")
	c.Saw("who has renamed sees", inside)
	c.Saw("a sibling sees", outside)
	return inside, outside
}

// kept watches names in a process of the given spec while the spec's host is renamed.
func kept(ctx SpecContext, c *property.Check, s nsx.Spec, to string) (before, after names) {
	GinkgoHelper()
	child, err := nsx.Spawn(ctx, s, watch, nil)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(child.Close)
	Expect(child.Await(&before)).To(Succeed())
	Expect(before).To(Equal(look()), "it begins with a copy")
	if s.Kinds.Has(nsx.UTS) {
		Expect(child).NotTo(matchers.ShareNamespace(nsx.UTS, nstest.Current()))
	} else {
		Expect(child).To(matchers.ShareNamespace(nsx.UTS, nstest.Current()))
	}

	Expect(unix.Sethostname([]byte(to))).To(Succeed())
	Expect(look().Host).To(Equal(to))
	Expect(child.Continue(nil)).To(Succeed())
	after, err = child.Result()
	Expect(err).NotTo(HaveOccurred())
	c.Saw("before", before.Host)
	c.Saw("after", after.Host)
	return before, after
}

func registerNames() {
	property.It("U1", func(ctx SpecContext, c *property.Check) {
		c.Positive("a clone without CLONE_NEWUTS renames the host for its siblings too", func() {
			inside, outside := renamed(ctx, c, nsx.Spec{}, names{Host: "leaked"})
			Expect(inside.Host).To(Equal("leaked"))
			Expect(outside.Host).To(Equal("leaked"))
		})
		for _, how := range []nsx.Way{nsx.Clone, nsx.Clone3, nsx.Unshare} {
			c.Negative(how.String()+" with CLONE_NEWUTS renames it for itself", func() {
				inside, outside := renamed(ctx, c, nsx.Spec{How: how, Kinds: nsx.UTS}, names{Host: "inside"})
				Expect(inside.Host).To(Equal("inside"))
				Expect(outside.Host).To(Equal("leaked"))
			})
		}
		c.Negative("an environment has a name of its own", func() {
			before := look()
			other := nstest.New(GinkgoTB(), nstest.Config{Hostname: "elsewhere"})
			out, err := other.Self().Command("hostname").Output()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("there", string(out))
			Expect(string(out)).To(Equal("elsewhere\n"))
			Expect(look()).To(Equal(before))
		})
	})

	property.It("U2", func(ctx SpecContext, c *property.Check) {
		c.Positive("a clone without CLONE_NEWUTS renames the domain for its siblings too", func() {
			inside, outside := renamed(ctx, c, nsx.Spec{}, names{Domain: "leaked.example"})
			Expect(inside.Domain).To(Equal("leaked.example"))
			Expect(outside.Domain).To(Equal("leaked.example"))
		})
		for _, how := range []nsx.Way{nsx.Clone, nsx.Clone3, nsx.Unshare} {
			c.Negative(how.String()+" with CLONE_NEWUTS renames it for itself", func() {
				inside, outside := renamed(ctx, c, nsx.Spec{How: how, Kinds: nsx.UTS}, names{Domain: "inside.example"})
				Expect(inside.Domain).To(Equal("inside.example"))
				Expect(outside.Domain).To(Equal("leaked.example"))
			})
		}
	})

	property.It("U3", func(ctx SpecContext, c *property.Check) {
		c.Positive("a child in our namespace sees that we are renamed", func() {
			before, after := kept(ctx, c, nsx.Spec{}, "renamed")
			Expect(after.Host).To(Equal("renamed"))
			Expect(before.Host).NotTo(Equal(after.Host))
		})
		for _, how := range []nsx.Way{nsx.Clone, nsx.Clone3, nsx.Unshare} {
			c.Negative("a child in one made by "+how.String()+" does not", func() {
				before, after := kept(ctx, c, nsx.Spec{How: how, Kinds: nsx.UTS}, "renamed-after-"+how.String())
				Expect(after).To(Equal(before))
			})
		}
	})

	property.It("U7", func(ctx SpecContext, c *property.Check) {
		outside := look()
		inside, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.UTS}, rename, names{Host: "inside"})
		Expect(err).NotTo(HaveOccurred())
		c.Positive("the same call tells the host names apart", func() {
			c.Saw("inside", inside.Host)
			c.Saw("outside", outside.Host)
			Expect(inside.Host).NotTo(Equal(outside.Host))
		})
		c.Negative("and the releases it does not", func() {
			c.Saw("inside", inside.Release)
			c.Saw("outside", outside.Release)
			Expect(inside.Release).To(Equal(outside.Release))
			Expect(inside.Release).NotTo(BeEmpty())
		})
	})
}
