package cgroup

import (
	"fmt"
	"os"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// reach mounts a hierarchy over /tmp, and opens what moves processes into its top. It writes nothing.
var reach = nsx.Register("cgroup/reach", func(_ *nsx.Parent, m membership) (any, error) {
	fstype, options := m.filesystem()
	if err := unix.Mount("cgroup", "/tmp", fstype, 0, options); err != nil {
		return nil, fmt.Errorf("mount %s: %w", fstype, err)
	}
	f, err := os.OpenFile("/tmp/cgroup.procs", os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return nil, f.Close()
})

func registerLegacy() {
	property.It("C8", func(ctx SpecContext, c *property.Check) {
		require.MachineRoot()
		list, err := memberships("self")
		Expect(err).NotTo(HaveOccurred())
		first := slices.IndexFunc(list, func(m membership) bool { return m.Controllers != "" && !strings.HasPrefix(m.Controllers, "name=") })
		if first < 0 {
			c.Skip("there is no hierarchy of cgroups of version 1", "boot with systemd.unified_cgroup_hierarchy=0 on the kernel's command line")
		}
		hierarchy := list[first]
		inside := nsx.Spec{Kinds: nsx.Mount | nsx.Cgroup}
		c.Positive("root of a user namespace who is the machine's root can move processes", func() {
			_, err := nsx.Run(ctx, inside.AsRoot(), reach, hierarchy)
			c.Saw("hierarchy", hierarchy.Controllers)
			c.Saw("error", err)
			Expect(err).NotTo(HaveOccurred())
		})
		c.Negative("one who is somebody else mounts the hierarchy too, and cannot", func() {
			_, err := nsx.Run(ctx, shifted(inside), reach, hierarchy)
			c.Saw("error", err)
			Expect(err).To(MatchError(And(ContainSubstring("open"), Not(ContainSubstring("mount")))))
			Expect(err).To(MatchError(unix.EACCES))
		})
		c.Negative("nor can root of an environment", func() {
			fstype, options := hierarchy.filesystem()
			out, err := nstest.New(GinkgoTB(), nstest.Config{}).Self().Command("sh", "-c",
				`mount -t "$0" -o "$1" cgroup /mnt && echo mounted && : >>/mnt/cgroup.procs`, fstype, options).CombinedOutput()
			c.Saw("printed", strings.TrimSpace(string(out)))
			Expect(err).To(HaveOccurred())
			Expect(string(out)).To(And(HavePrefix("mounted\n"), ContainSubstring("Permission denied")))
		})
	}, nstest.InProcess)
}
