package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// hidden are our memberships that a namespace hides, because they are not at the top of their hierarchy; version 2 first.
// Where there is none the spec is skipped.
func hidden(skip func(reason, remedy string)) []membership {
	GinkgoHelper()
	list, err := memberships("self")
	Expect(err).NotTo(HaveOccurred())
	list = slices.DeleteFunc(list, func(m membership) bool { return m.Path == "/" })
	if len(list) == 0 {
		skip("this program is in the root of every hierarchy of cgroups: there is no path to hide",
			"run it in a cgroup of its own: systemd-run --scope, or --user --scope")
	}
	slices.SortStableFunc(list, func(a, b membership) int { return strings.Compare(a.Controllers, b.Controllers) })
	return list
}

// view returns the process's memberships as it sees them.
var view = nsx.Register("cgroup/view", func(parent *nsx.Parent, _ any) ([]membership, error) {
	own, err := memberships("self")
	if err != nil {
		return nil, err
	}
	return own, parent.Report(own, nil)
})

// mountRoot is the root of the mount that a process has found.
var mountRoot = nsx.Register("cgroup/mount-root", func(_ *nsx.Parent, m membership) (string, error) {
	mount, err := m.mounted()
	if err != nil {
		return "", err
	}
	return mount.Root, nil
})

// A remount is how a hierarchy is mounted for a process.
type remount struct {
	Old string // the root of the mount that it has found, as /proc/self/mountinfo has it
	New string // the root of one that it has made
}

// mountAgain mounts a hierarchy over /tmp, which is in a mount namespace of its own.
var mountAgain = nsx.Register("cgroup/mount-again", func(_ *nsx.Parent, m membership) (remount, error) {
	old, err := m.mounted()
	if err != nil {
		return remount{}, err
	}
	fstype, options := m.filesystem()
	if err := unix.Mount("cgroup", "/tmp", fstype, 0, options); err != nil {
		return remount{}, fmt.Errorf("mount %s: %w", fstype, err)
	}
	now, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) { return i.Mountpoint != "/tmp" || !m.isOf(i), false })
	if err == nil && len(now) == 0 {
		err = errors.New("the new mount is not there")
	}
	if err != nil {
		return remount{}, err
	}
	return remount{old.Root, now[0].Root}, nil
})

func registerViews() {
	atTop := HaveEach(HaveField("Path", "/"))

	// The environment has all namespaces but that of cgroups, so that its paths are those of the machine.
	machineView := nstest.With(nstest.Config{Share: nstest.Namespaces{Cgroup: true}})
	property.It("C1", func(ctx SpecContext, c *property.Check) {
		hidden(c.Skip)
		ours, err := memberships("self")
		Expect(err).NotTo(HaveOccurred())
		look := func(s nsx.Spec) (inside, outside []membership) {
			GinkgoHelper()
			p, err := nsx.Spawn(ctx, s, view, nil)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(p.Close)
			Expect(p.Await(&inside)).To(Succeed())
			outside, err = memberships(p.PID())
			Expect(err).NotTo(HaveOccurred())
			c.Saw("it sees itself in", inside)
			c.Saw("we see it in", outside)
			return inside, outside
		}
		c.Positive("a clone without CLONE_NEWCGROUP sees the real path", func() {
			inside, outside := look(nsx.Spec{})
			Expect(inside).To(Equal(ours))
			Expect(outside).To(Equal(ours))
			Expect(ours).NotTo(atTop)
		})
		for _, how := range []nsx.Way{nsx.Clone, nsx.Clone3, nsx.Unshare} {
			c.Negative("with CLONE_NEWCGROUP, by "+how.String()+", it is where it was and sees the root", func() {
				inside, outside := look(nsx.Spec{How: how, Kinds: nsx.Cgroup})
				Expect(inside).To(And(HaveLen(len(ours)), atTop))
				Expect(outside).To(Equal(ours))
			})
		}
	}, machineView)

	property.It("C2", func(ctx SpecContext, c *property.Check) {
		var ours membership
		var machine *mountinfo.Info
		for _, m := range hidden(c.Skip) {
			if mount, err := m.mounted(); err == nil && mount.Root != m.Path {
				ours, machine = m, mount
				break
			}
		}
		if machine == nil {
			c.Skip("no mount shows what is above the cgroup of this program", "mount cgroup2 at /sys/fs/cgroup")
		}
		inMount := nsx.Spec{Kinds: nsx.Mount}.AsRoot() // in a user namespace, from which no mount comes back to us
		c.Positive("without CLONE_NEWCGROUP the mount has the root that it has for us", func() {
			// It may not mount the hierarchy: the namespace is not its own. Its mounts are as it would have found them.
			found, err := nsx.Run(ctx, inMount, mountRoot, ours)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("our cgroup", ours)
			c.Saw("root of "+machine.Mountpoint, found)
			Expect(found).To(Equal(machine.Root))
		})
		c.Negative("with it the mount's root is above the namespace's, and a new mount's is the namespace's", func() {
			inBoth := inMount
			inBoth.Kinds |= nsx.Cgroup
			found, err := nsx.Run(ctx, inBoth, mountAgain, ours)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("root of "+machine.Mountpoint, found.Old)
			c.Saw("root of a new mount", found.New)
			up, err := filepath.Rel(ours.Path, machine.Root)
			Expect(err).NotTo(HaveOccurred())
			Expect(found).To(Equal(remount{Old: "/" + up, New: "/"}))
			Expect(found.Old).To(HavePrefix("/.."))
		})
	}, nstest.InProcess)

	property.Seed("cgroup view: an environment sees itself at the top, unless it shares the namespace", func(SpecContext) {
		hidden(require.Skip)
		ours, err := memberships("self")
		Expect(err).NotTo(HaveOccurred())
		seen := func(cfg nstest.Config) []membership {
			GinkgoHelper()
			out, err := nstest.New(GinkgoTB(), cfg).Self().Command("cat", "/proc/self/cgroup").Output()
			Expect(err).NotTo(HaveOccurred())
			list, err := parseMemberships(string(out))
			Expect(err).NotTo(HaveOccurred())
			return list
		}
		Expect(seen(nstest.Config{Share: nstest.Namespaces{Cgroup: true}})).To(Equal(ours))
		Expect(seen(nstest.Config{})).To(And(HaveLen(len(ours)), atTop))
	}, nstest.InProcess)
}
