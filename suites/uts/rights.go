package uts

import (
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// unshare leaves the UTS namespace, without CAP_SYS_ADMIN if that is to be dropped first.
var unshare = nsx.Register("uts/unshare", func(_ *nsx.Parent, drop bool) (isNew bool, err error) {
	if drop {
		if err := nsx.DropCapability(unix.CAP_SYS_ADMIN); err != nil {
			return false, err
		}
	}
	before, err := nsx.Inode(0, nsx.UTS)
	if err != nil {
		return false, err
	}
	if err := nsx.UnshareThread(nsx.UTS); err != nil {
		return false, err
	}
	after, err := nsx.Inode(0, nsx.UTS)
	return after != before, err
})

func registerRights() {
	property.It("U4", func(ctx SpecContext, c *property.Check) {
		c.Positive("root of the user namespace may unshare", func() {
			isNew, err := nsx.Run(ctx, nsx.Spec{}, unshare, false)
			c.Saw("error", err)
			Expect(err).NotTo(HaveOccurred())
			Expect(isNew).To(BeTrue())
		})
		c.Negative("without CAP_SYS_ADMIN it may not", func() {
			_, err := nsx.Run(ctx, nsx.Spec{}, unshare, true)
			c.Saw("error", err)
			Expect(err).To(MatchError(unix.EPERM))
		})
	})

	property.It("U5", func(_ SpecContext, c *property.Check) {
		const sysctl = "/proc/sys/kernel/hostname"
		c.Positive("sethostname(2) works, and the sysctl says the same", func() {
			Expect(unix.Sethostname([]byte("by-the-call"))).To(Succeed())
			text, err := os.ReadFile(sysctl)
			Expect(err).NotTo(HaveOccurred())
			name := strings.TrimSpace(string(text))
			c.Saw("uname", look().Host)
			c.Saw(sysctl, name)
			Expect(look().Host).To(Equal("by-the-call"))
			Expect(name).To(Equal("by-the-call"))
		})
		c.Negative("the sysctl's file belongs to the machine's root, who has no id here", func() {
			f, err := os.OpenFile(sysctl, os.O_WRONLY, 0)
			if err == nil {
				f.Close()
			}
			c.Saw("error", err)
			Expect(err).To(MatchError(unix.EACCES))
		})
	})
}
