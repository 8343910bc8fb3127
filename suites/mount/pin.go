package mount

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

// namespaceOf is where /proc shows the mount namespace of a process.
func namespaceOf(p process) string { return fmt.Sprintf("/proc/%d/ns/mnt", p.PID()) }

func registerPins() {
	property.It("M19", func(ctx SpecContext, c *property.Check) {
		dir := ground(alone)
		do(outside, write(dir+"/pin", ""))
		members := []worker{enter(ctx, private), enter(ctx, private), enter(ctx, private)}
		// pinned is what comes of pinning the namespace of one in that of another.
		pinned := func(where, what int) error {
			GinkgoHelper()
			w := members[where]
			err := failure(w, bind(namespaceOf(members[what]), dir+"/pin", 0))
			c.Saw(fmt.Sprintf("pinning namespace %d in %d", what, where), err)
			if err == nil {
				Expect(w).To(matchers.HaveMount(dir + "/pin"))
				do(w, umount(dir+"/pin"))
			}
			return err
		}
		// keeps[a] are those that a can keep.
		keeps := map[int]int{}
		c.Positive("of two namespaces, one can be pinned in the other", func() {
			for a := range members {
				for b := range a {
					there, back := pinned(a, b), pinned(b, a)
					Expect([]error{there, back}).To(ConsistOf(BeNil(), MatchError(unix.EINVAL)))
					if there == nil {
						keeps[a]++
					} else {
						keeps[b]++
					}
				}
			}
		})
		c.Negative("but none in itself, and no circle can be made, in which they would keep each other for ever", func() {
			for a := range members {
				Expect(pinned(a, a)).To(MatchError(unix.EINVAL))
			}
			// In a circle each would keep one. It is the kernel's own numbers that decide, which need not tell the age.
			c.Saw("how many each can keep", keeps)
			Expect([]int{keeps[0], keeps[1], keeps[2]}).To(ConsistOf(0, 1, 2))
		})
	})
}

// joined starts a worker in the mount namespace that is open.
func joined(ctx SpecContext, f *os.File) worker {
	GinkgoHelper()
	return enter(ctx, nsx.Spec{How: nsx.Setns, Kinds: nsx.Mount, Into: []*os.File{f}})
}

// left is a process that ends, and leaves a mount in its namespace, a watch of the file system there, and what keep returns.
func left[T any](ctx SpecContext, path string, keep func(worker) (T, error)) (kept T, end *watch) {
	GinkgoHelper()
	last := enter(ctx, private)
	do(last, tmpfs(path), write(path+"/file", "text"))
	end = watched(fmt.Sprintf("/proc/%d/root%s", last.PID(), path))
	kept, err := keep(last)
	Expect(err).NotTo(HaveOccurred())
	Expect(last.Close()).To(Succeed(), "the last process of the namespace ends")
	return kept, end
}

func registerKeepers() {
	It("a mount namespace that nobody keeps ends with its last process", Label("seed"), func(ctx SpecContext) {
		_, end := left(ctx, ground(alone, "at")+"/at", func(worker) (any, error) { return nil, nil })
		Eventually(end.hasEnded).WithContext(ctx).Should(BeTrue())
	})

	It("one that is pinned by a bind mount outlives it, until that is unmounted", Label("seed"), func(ctx SpecContext) {
		dir := ground(alone, "at")
		pin := dir + "/pin"
		inode, end := left(ctx, dir+"/at", func(last worker) (uint64, error) {
			inode, err := last.Inode(nsx.Mount)
			if err != nil {
				return 0, err
			}
			return inode, last.Pin(nsx.Mount, pin)
		})
		f, err := os.Open(pin)
		Expect(err).NotTo(HaveOccurred())
		Expect(f).To(matchers.BeInNamespace(nsx.Mount, inode))
		next := joined(ctx, f)
		Expect(f.Close()).To(Succeed())
		Expect(do(next, read(dir+"/at/file"))).To(Equal("text"))
		Expect(end.hasEnded()).To(BeFalse())

		Expect(next.Close()).To(Succeed())
		do(outside, umount(pin))
		Eventually(end.hasEnded).WithContext(ctx).Should(BeTrue())
	})

	It("one that is open outlives it, until the file is closed", Label("seed"), func(ctx SpecContext) {
		dir := ground(alone, "at")
		f, end := left(ctx, dir+"/at", func(last worker) (*os.File, error) { return last.Open(nsx.Mount) })
		DeferCleanup(func() { f.Close() })
		next := joined(ctx, f)
		Expect(do(next, read(dir+"/at/file"))).To(Equal("text"))
		Expect(end.hasEnded()).To(BeFalse())

		Expect(next.Close()).To(Succeed())
		Expect(f.Close()).To(Succeed())
		Eventually(end.hasEnded).WithContext(ctx).Should(BeTrue())
	})
}
