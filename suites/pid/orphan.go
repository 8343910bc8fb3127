package pid

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// A family is a process, its child, and the child's children, by their numbers in their namespace.
type family struct {
	Grandparent, Parent int
	Children            []int
}

// A bequest says how a family lives.
type bequest struct {
	Children  int
	Subreaper bool // the grandparent takes orphans
}

// raise has a family. When it may go on the parent ends, and when it may once more the children, and itself.
var raise = nsx.Register("pid/raise", func(parent *nsx.Parent, b bequest) (any, error) {
	if b.Subreaper {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("become subreaper: %w", err)
		}
	}
	f, endParent, endChildren, err := haveFamily(b.Children)
	if err != nil {
		return nil, err
	}
	if err := parent.Report(f, nil); err != nil {
		return nil, err
	}
	if err := endParent(); err != nil {
		return nil, err
	}
	if err := parent.Report(nil, nil); err != nil {
		return nil, err
	}
	return nil, endChildren()
})

// haveFamily gives the calling process a child and grandchildren. The child ends when it is told, and is waited for; the
// grandchildren then are orphans.
func haveFamily(children int) (f family, endParent, endChildren func() error, err error) {
	read, write, err := os.Pipe()
	if err != nil {
		return f, nil, nil, err
	}
	defer read.Close()
	sh := exec.Command("sh", "-c", `for i in $(seq "$0"); do cat <&3 & echo $!; done; read -r _; :`, strconv.Itoa(children))
	sh.ExtraFiles = []*os.File{read}
	in, err1 := sh.StdinPipe()
	out, err2 := sh.StdoutPipe()
	for _, err := range []error{err1, err2} {
		if err != nil {
			return f, nil, nil, err
		}
	}
	if err := sh.Start(); err != nil {
		return f, nil, nil, err
	}
	f = family{Grandparent: os.Getpid(), Parent: sh.Process.Pid}
	lines := bufio.NewScanner(out)
	for len(f.Children) < children && lines.Scan() {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			return f, nil, nil, err
		}
		f.Children = append(f.Children, pid)
	}
	return f, func() error {
		if _, err := in.Write([]byte("\n")); err != nil {
			return err
		}
		return sh.Wait()
	}, write.Close, lines.Err()
}

// zombies counts the processes of a list that nobody has waited for.
func zombies(list []process) (n int) {
	for _, p := range list {
		if p.isZombie() {
			n++
		}
	}
	return n
}

func registerOrphans() {
	// orphaned is whom a process has as its parent inside before its parent ends, and after.
	orphaned := func(ctx SpecContext, c *property.Check, subreaper bool) (f family, before, after int) {
		GinkgoHelper()
		o := observing(ctx)
		p := spawn(ctx, joining(o), raise, bequest{1, subreaper})
		Expect(p.Await(&f)).To(Succeed())
		before = o.see(f.Children[0]).PPid
		Expect(p.Continue(nil)).To(Succeed())
		Expect(p.Await(nil)).To(Succeed())
		after = o.see(f.Children[0]).PPid
		c.Saw("grandparent, parent, child", fmt.Sprint(f.Grandparent, f.Parent, f.Children[0]))
		c.Saw("PPid of the child at first", before)
		c.Saw("PPid when its parent has ended", after)
		return f, before, after
	}

	property.It("P3", func(ctx SpecContext, c *property.Check) {
		var after int
		c.Positive("while its parent lives it is the parent", func() {
			var before int
			var f family
			f, before, after = orphaned(ctx, c, false)
			Expect(before).To(Equal(f.Parent))
		})
		c.Negative("then it is 1, although the grandparent lives", func() {
			c.Saw("PPid", after)
			Expect(after).To(Equal(1))
		})
		c.Negative("as in an environment", func() {
			f, endParent, endChildren, err := haveFamily(1)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(endChildren)
			before, err := statusOf(f.Children[0])
			Expect(err).NotTo(HaveOccurred())
			Expect(before.PPid).To(Equal(f.Parent))
			Expect(endParent()).To(Succeed())
			after, err := statusOf(f.Children[0])
			Expect(err).NotTo(HaveOccurred())
			c.Saw("PPid", after.PPid)
			Expect(after.PPid).To(Equal(1))
		})
	}, Label("seed"))

	property.It("P4", func(ctx SpecContext, c *property.Check) {
		c.Positive("without PR_SET_CHILD_SUBREAPER the orphan goes to 1", func() {
			_, _, after := orphaned(ctx, c, false)
			Expect(after).To(Equal(1))
		})
		c.Negative("with it, to the grandparent", func() {
			f, before, after := orphaned(ctx, c, true)
			Expect(before).To(Equal(f.Parent))
			Expect(after).To(Equal(f.Grandparent))
			Expect(after).NotTo(Equal(1))
		})
	})

	property.It("P20", func(ctx SpecContext, c *property.Check) {
		const orphans = 51
		c.Positive("those of an init that waits for none are zombies", func() {
			o := observing(ctx)
			p := spawn(ctx, joining(o), raise, bequest{Children: orphans})
			Expect(p.Await(nil)).To(Succeed())
			Expect(p.Continue(nil)).To(Succeed())
			Expect(p.Await(nil)).To(Succeed())
			Expect(p.Continue(nil)).To(Succeed())
			_, err := p.Result()
			Expect(err).NotTo(HaveOccurred())
			Eventually(func() (int, error) {
				list, err := o.look()
				return zombies(list), err
			}).WithContext(ctx).Should(Equal(orphans))
			c.Saw("zombies", orphans)
			Expect(o.Close()).To(Succeed(), "its end is theirs")
		})
		c.Negative("the environment's init waits for all", func() {
			f, endParent, endChildren, err := haveFamily(orphans)
			Expect(err).NotTo(HaveOccurred())
			Expect(endParent()).To(Succeed())
			left := func() (n int, err error) { // of those whose parent is 1, alive or not
				list, err := processes()
				for _, p := range list {
					if p.PPid == 1 && slices.Contains(f.Children, p.number()) {
						n++
					}
				}
				return n, err
			}
			n, err := left()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("orphans at first", n)
			Expect(n).To(Equal(orphans))
			Expect(endChildren()).To(Succeed())
			Eventually(left).WithContext(ctx).Should(BeZero())
			c.Saw("orphans and zombies when they have ended", 0)
		})
	})
}
