package mount

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

func registerVisible() {
	property.It("M17", func(ctx SpecContext, c *property.Check) {
		dir := ground(alone, "masked", "proc", "sys", "fresh")
		do(outside, write(dir+"/masked/file", ""))
		// attempt mounts a type afresh in a user namespace with all that the mount needs.
		attempt := func(fstype string, flags uintptr) error {
			GinkgoHelper()
			fresh := mount(fstype, dir+"/fresh", "")
			fresh.Flags = flags
			err := failure(enter(ctx, unprivileged(nsx.PID|nsx.Net)), fresh)
			c.Saw(fmt.Sprintf("mounting %s, flags %#x", fstype, flags), err)
			return err
		}
		c.Positive("where the mounts outside are whole, a user namespace may mount its own", func() {
			Expect(attempt("proc", 0)).To(Succeed())
			Expect(attempt("sysfs", 0)).To(Succeed())
		})
		c.Negative("where a file of /proc is masked it may not", func() {
			do(outside, bind(dir+"/masked/file", "/proc/cmdline", 0))
			Expect(attempt("proc", 0)).To(MatchError(unix.EPERM))
			Expect(attempt("sysfs", 0)).To(Succeed())
		})
		c.Negative("where /sys is read-only it may mount that, read-only", func() {
			for range mountsAt(outside, "/sys")[1:] { // an environment has two, one on top of the other
				do(outside, umount("/sys"))
			}
			do(outside, remount("/sys", unix.MS_RDONLY))
			Expect(attempt("sysfs", 0)).To(MatchError(unix.EPERM))
			Expect(attempt("sysfs", unix.MS_RDONLY)).To(Succeed())
		})
		c.Positive("a whole one at another place is enough", func() {
			do(outside, mount("proc", dir+"/proc", ""), mount("sysfs", dir+"/sys", ""))
			Expect(attempt("proc", 0)).To(Succeed())
			Expect(attempt("sysfs", 0)).To(Succeed())
		})
	})
}
