package mount

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/matchers"
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
		// keeps[a] is how many a can keep.
		var keeps [3]int
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
			// In a circle each would keep one. The kernel goes by numbers that grew with age, until Linux 6.18: now each CPU
			// has a supply of its own, so that nobody can tell which of two can be pinned.
			c.Saw("how many each can keep", keeps)
			Expect(keeps[:]).To(ConsistOf(0, 1, 2))
		})
	})
}
