package user

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// setgroups gives up all supplementary groups.
var setgroups = nsx.Register("user/setgroups", func(*nsx.Parent, any) (any, error) {
	// Of the calling thread alone: package syscall would ask all of them, and end the program if one were refused.
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0)
	if errno != 0 {
		return nil, errno
	}
	return nil, nil
})

// setgroupsDenied reports whether the namespace around us, and so every one within, is one without setgroups(2).
func setgroupsDenied() bool {
	GinkgoHelper()
	text, err := os.ReadFile("/proc/self/setgroups")
	Expect(err).NotTo(HaveOccurred())
	return strings.TrimSpace(string(text)) == "deny"
}

func registerGroups() {
	// The machine's user namespace is left as it is. In the environment of a user with one id, setgroups is denied already.
	property.It("R8", func(ctx SpecContext, c *property.Check) {
		if setgroupsDenied() {
			c.Skip("setgroups is denied in the user namespace around the program, and so in every one within",
				"run it where there are several ids, or outside of user namespaces")
		}
		user, own := ordinary()
		group := writing{"gid_map", fmt.Sprintf("0 %d 1", own)}
		if os.Geteuid() != 0 {
			group.Text = fmt.Sprintf("0 %d 1", os.Getegid())
		}
		var errnos []syscall.Errno
		c.Positive("who has no capabilities maps its group once setgroups is denied", func() {
			errnos = asked(ctx, c, user, group, writing{"setgroups", "deny"}, group)
			Expect(errnos[1:]).To(HaveEach(syscall.Errno(0)))
		})
		c.Negative("and not before: it could leave groups that keep it out of something", func() {
			c.Saw("before", spoken(errnos[0]))
			Expect(errnos[0]).To(Equal(unix.EPERM))
		})
	}, nstest.InProcess)

	property.It("R9", func(ctx SpecContext, c *property.Check) {
		allow, deny, group := writing{"setgroups", "allow"}, writing{"setgroups", "deny"}, writing{"gid_map", "0 0 1"}
		var first, second []syscall.Errno
		c.Positive("it is denied while there is no gid_map", func() {
			first = asked(ctx, c, nsx.Spec{}, allow, deny, allow)
			Expect(first[1]).To(BeZero())
			if setgroupsDenied() { // what is denied around it is so for good
				Expect(first[0]).To(Equal(unix.EPERM))
			} else {
				Expect(first[0]).To(BeZero())
			}
		})
		c.Negative("what is denied is not allowed again", func() {
			c.Saw("allow after deny", spoken(first[2]))
			Expect(first[2]).To(Equal(unix.EPERM))
		})
		c.Negative("what has a gid_map stays as it is", func() {
			second = asked(ctx, c, nsx.Spec{}, group, deny)
			Expect(second).To(Equal([]syscall.Errno{0, unix.EPERM}))
		})
	})

	property.Seed("let their root change groups only where that is allowed, and groups are mapped", func(ctx SpecContext) {
		withGroup := rootAs(0)
		_, err := nsx.Run(ctx, withGroup, setgroups, nil)
		if setgroupsDenied() {
			Expect(err).To(MatchError(unix.EPERM), "it is denied around it")
		} else {
			Expect(err).NotTo(HaveOccurred(), "the control")
		}
		denied := withGroup
		denied.Setgroups = nsx.DenySetgroups
		_, err = nsx.Run(ctx, denied, setgroups, nil)
		Expect(err).To(MatchError(unix.EPERM))
		_, err = nsx.Run(ctx, nsx.Spec{Kinds: nsx.User, UIDMaps: withGroup.UIDMaps, UID: withGroup.UID}, setgroups, nil)
		Expect(err).To(MatchError(unix.EPERM), "no group is mapped")
	})

	property.Seed("map groups as they map users, and apart from them", func(ctx SpecContext) {
		four, nine := 4, 9
		me, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.User, UID: &four, GID: &nine, UIDMaps: []nsx.IDMap{{Inside: 4, Outside: 0, Count: 1}},
			GIDMaps: []nsx.IDMap{{Inside: 9, Outside: 0, Count: 1}}}, whoAmI, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect([]int{me.UID, me.GID}).To(Equal([]int{4, 9}))
		me, err = nsx.Run(ctx, nsx.Spec{Kinds: nsx.User, UIDMaps: []nsx.IDMap{{Inside: 4, Outside: 0, Count: 1}}}, whoAmI, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect([]int{me.UID, me.GID}).To(Equal([]int{4, 65534}), "without a gid_map")
	})
}
