package hygiene

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/property"
)

const extraGroups plant = "two further groups"

func joinGroups() error { return unix.Setgroups([]int{5, 6}) }

// bits are those of a capability set, as /proc/PID/status has it.
func bits(set string) uint64 {
	GinkgoHelper()
	n, err := strconv.ParseUint(set, 16, 64)
	Expect(err).NotTo(HaveOccurred())
	return n
}

// allCapabilities are those that the kernel knows.
func allCapabilities() uint64 {
	GinkgoHelper()
	text, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	Expect(err).NotTo(HaveOccurred())
	last, err := strconv.Atoi(strings.TrimSpace(string(text)))
	Expect(err).NotTo(HaveOccurred())
	return 1<<(last+1) - 1
}

func registerIdentity() {
	property.It("H9", func(_ SpecContext, c *property.Check) {
		set := func(s uint64) string { return fmt.Sprintf("%016x", s) }
		unchanged := func(*nstest.Cmd) {}
		all := allCapabilities()
		c.Positive("root inside has every capability, in its user namespace, and setuid programs work", func() {
			s := start(nstest.New(GinkgoTB(), nstest.Config{}), unchanged)
			c.Saw("capabilities", s.Capabilities)
			c.Saw("NoNewPrivs", s.NoNewPrivileges)
			Expect(s.Capabilities).To(Equal(map[string]string{
				"CapInh": set(0), "CapPrm": set(all), "CapEff": set(all), "CapBnd": set(all), "CapAmb": set(0),
			}))
			Expect(s.NoNewPrivileges).To(Equal("0"))
		})
		c.Negative("what a Config drops nothing inside can have", func() {
			env := nstest.New(GinkgoTB(), nstest.Config{CapDrop: []string{"NET_RAW", "SYS_PTRACE"}})
			left := all &^ (1<<unix.CAP_NET_RAW | 1<<unix.CAP_SYS_PTRACE)
			s := start(env, unchanged)
			c.Saw("capabilities", s.Capabilities)
			Expect(s.Capabilities).To(Equal(map[string]string{
				"CapInh": set(0), "CapPrm": set(left), "CapEff": set(left), "CapBnd": set(left), "CapAmb": set(0),
			}))
		})
		c.Negative("another user has none", func() {
			s := start(nstest.New(GinkgoTB(), nstest.Config{}), func(cmd *nstest.Cmd) { cmd.User = &nstest.User{UID: 70, GID: 70} })
			c.Saw("capabilities", s.Capabilities)
			for _, name := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
				Expect(bits(s.Capabilities[name])).To(BeZero(), name)
			}
		})
	})

	property.It("H12", func(ctx SpecContext, c *property.Check) {
		if err := mayJoinGroups(); err != nil {
			c.Skip("no process of this environment may have further groups: "+err.Error(),
				"run the suite as root, or give the user a range of group ids in /etc/subgid")
		}
		s := run(ctx, extraGroups)
		c.Positive("a child inherits two groups", func() {
			c.Saw("groups", s.Child.Groups)
			Expect(s.Child.Groups).To(Equal("5 6"))
		})
		c.Negative("a command in an environment has none", func() {
			c.Saw("groups", s.Inside.Groups)
			Expect(s.Inside.Groups).To(BeEmpty())
		})
		c.Negative("or those of its Cmd", func() {
			s := start(nstest.Current(), func(cmd *nstest.Cmd) { cmd.User = &nstest.User{UID: 70, GID: 71, Groups: []int{7, 8}} })
			c.Saw("groups", s.Groups)
			Expect(s.Groups).To(Equal("7 8"))
		})
	})
}

// mayJoinGroups says why setgroups(2) is impossible: in a user namespace with a single group it is denied.
func mayJoinGroups() error {
	denied, err := os.ReadFile("/proc/self/setgroups")
	if err == nil && strings.TrimSpace(string(denied)) == "deny" {
		err = errors.New("setgroups is denied in its user namespace")
	}
	return err
}
