package user

import (
	"context"
	"errors"
	"os"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// enter has a child join the user namespace that is its first file, or else one that it has made itself.
var enter = nsx.Register("user/enter", func(parent *nsx.Parent, _ any) (_ identity, err error) {
	into := parent.Files
	if len(into) == 0 {
		below, spawned := nsx.Spawn(context.Background(), nsx.Spec{}.AsRoot(), hold, nil)
		if spawned != nil {
			return identity{}, spawned
		}
		defer func() { err = errors.Join(err, below.Close()) }()
		f, opened := below.Open(nsx.User)
		if opened != nil {
			return identity{}, opened
		}
		defer f.Close()
		into = append(into, f)
	}
	return nsx.Run(context.Background(), nsx.Spec{How: nsx.Setns, Into: into}, whoAmI, nil)
})

// A depth is how many levels of user namespaces there are below a process, and why there is not one more.
type depth struct {
	Levels int
	End    syscall.Errno
}

// descend finds out by going there.
var descend = nsx.Register("user/descend", func(_ *nsx.Parent, _ any) (depth, error) {
	below, err := nsx.Run(context.Background(), nsx.Spec{}.AsRoot(), nsx.Named[any, depth]("user/descend"), nil)
	var refused *nsx.Error
	var errno syscall.Errno
	if errors.As(err, &refused) && errors.As(err, &errno) {
		return depth{0, errno}, nil
	}
	return depth{below.Levels + 1, below.End}, err
})

// A crowd is a process with several threads, of which one wants into another user namespace.
type crowd struct {
	Threads       int
	Unshare, Join syscall.Errno
}

// together tries what a process with one thread may do.
var together = nsx.Register("user/together", func(parent *nsx.Parent, _ any) (got crowd, err error) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return got, err
	}
	got.Threads = len(threads)
	errors.As(nsx.UnshareThread(nsx.User), &got.Unshare)
	errors.As(nsx.JoinThread(parent.Files[0]), &got.Join)
	return got, nil
})

func registerEntry() {
	opened := func(p *nsx.Process[any]) *os.File {
		GinkgoHelper()
		f, err := p.Open(nsx.User)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(f.Close)
		return f
	}

	property.It("R12", func(ctx SpecContext, c *property.Check) {
		joins := func(files ...*os.File) error {
			GinkgoHelper()
			s := nsx.Spec{Files: files}.AsRoot()
			me, err := nsx.Run(ctx, s, enter, nil)
			c.Saw("there it is", me)
			c.Saw("error", err)
			return err
		}
		c.Positive("root of a user namespace joins one that it has made", func() {
			Expect(joins()).To(Succeed())
		})
		c.Negative("not a sibling's", func() {
			Expect(joins(opened(held(ctx, nsx.Spec{}.AsRoot())))).To(MatchError(unix.EPERM))
		})
		c.Negative("nor its parent's", func() {
			Expect(joins(opened(held(ctx, nsx.Spec{})))).To(MatchError(unix.EPERM))
		})
	})

	property.It("R13", func(ctx SpecContext, c *property.Check) {
		const most = 33 // levels below the initial namespace
		below := func(what string, s nsx.Spec) depth {
			GinkgoHelper()
			d, err := nsx.Run(ctx, s, descend, nil)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("levels below "+what, d.Levels)
			c.Saw("one more", spoken(d.End))
			return d
		}
		var here depth
		c.Positive("user namespaces are made one in the other", func() {
			here = below("the environment", nsx.Spec{})
			Expect(here.Levels).To(BeNumerically(">", 1))
		})
		c.Negative("until there are too many, and the environment is one of them", func() {
			c.Saw("levels below the initial namespace", most)
			c.Saw("one more", spoken(here.End))
			Expect(here.End).To(Equal(unix.ENOSPC))
			Expect(here.Levels).To(BeNumerically("<", most))
		})
		c.Negative("each leaves one less", func() {
			Expect(below("a user namespace", nsx.Spec{}.AsRoot())).To(Equal(depth{here.Levels - 1, unix.ENOSPC}))
		})
		c.Negative("an environment in the environment does, too", func() {
			cat := nstest.New(GinkgoTB(), nstest.Config{}).Self().Command("cat")
			stdin, err := cat.StdinPipe()
			Expect(err).NotTo(HaveOccurred())
			Expect(cat.Start()).To(Succeed())
			f, err := nsx.Open(cat.Process.HostPid(), nsx.User)
			Expect(err).NotTo(HaveOccurred())
			defer f.Close()
			root := 0
			inner := below("an environment within", nsx.Spec{How: nsx.Setns, Into: []*os.File{f}, UID: &root, GID: &root})
			Expect(inner).To(Equal(depth{here.Levels - 1, unix.ENOSPC}))
			Expect(stdin.Close()).To(Succeed())
			Expect(cat.Wait()).To(Succeed())
		})
	})

	property.It("R20", func(ctx SpecContext, c *property.Check) {
		there := held(ctx, nsx.Spec{}.AsRoot())
		c.Positive("a process with one thread unshares its user namespace", func() {
			me, err := nsx.Run(ctx, nsx.Spec{How: nsx.Unshare}.AsRoot(), whoAmI, nil)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("there it is", me)
			Expect(me.Capabilities).To(Equal(allCapabilities()))
		})
		c.Positive("and joins another", func() {
			me, err := nsx.Run(ctx, nsx.Spec{How: nsx.Setns, Into: []*os.File{opened(there)}}, whoAmI, nil)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("there it is", me)
			Expect(me.Capabilities).To(Equal(allCapabilities()))
		})
		c.Negative("one with several threads does neither", func() {
			got, err := nsx.Run(ctx, nsx.Spec{Files: []*os.File{opened(there)}}, together, nil)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("threads", got.Threads)
			c.Saw("unshare", spoken(got.Unshare))
			c.Saw("setns", spoken(got.Join))
			Expect(got.Threads).To(BeNumerically(">", 1))
			Expect([]syscall.Errno{got.Unshare, got.Join}).To(HaveEach(unix.EINVAL))
		})
	})
}
