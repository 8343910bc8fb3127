package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/rtnetlink"
	"github.com/hermetic-go/nstest/suites/property"
)

// fallbacks are devices that every network namespace gets as soon as the kernel has the module for a tunnel, unless
// net.core.fb_tunnels_only_for_init_net says otherwise. They are down, and the specs do not count them.
var fallbacks = []string{"tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6tnl0", "ip6gre0"}

func isFallback(name string) bool { return slices.Contains(fallbacks, name) }

// devices are what the different interfaces of the kernel say which devices there are.
type devices struct{ Netlink, Proc, Sys []string }

// listDevices asks all of them; of /sys, one that it has mounted itself if that is wanted.
var listDevices = nsx.Register("network/list-devices", func(_ *nsx.Parent, ownSys bool) (devices, error) {
	if ownSys {
		if err := mountSys(); err != nil {
			return devices{}, err
		}
	}
	return seenDevices()
})

// holdSys mounts a /sys for itself, reports, and ends when it may go on.
var holdSys = nsx.Register("network/hold-sys", func(parent *nsx.Parent, _ any) (any, error) {
	if err := mountSys(); err != nil {
		return nil, err
	}
	return nil, parent.Report(nil, nil)
})

// mountSys mounts a new sysfs, in a mount namespace that is the calling thread's alone.
func mountSys() error {
	if err := unshareMounts(); err != nil {
		return err
	}
	err := unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	return os.NewSyscallError("mount sysfs", err)
}

func seenDevices() (d devices, err error) {
	links, err := rtnetlink.Links()
	if err != nil {
		return d, err
	}
	d.Netlink = rtnetlink.Names(links)
	text, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		return d, err
	}
	for line := range strings.Lines(string(text)) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			d.Proc = append(d.Proc, strings.TrimSpace(name))
		}
	}
	entries, err := os.ReadDir("/sys/class/net")
	for _, e := range entries {
		if e.Type() == os.ModeSymlink { // bonding_masters is a file
			d.Sys = append(d.Sys, e.Name())
		}
	}
	for _, list := range []*[]string{&d.Netlink, &d.Proc, &d.Sys} {
		*list = slices.DeleteFunc(*list, isFallback)
		slices.Sort(*list)
	}
	return d, err
}

// knock looks for a way to this machine itself, and sends nothing.
func knock() error {
	var errs []error
	for _, a := range []string{"127.0.0.1:9", "[::1]:9"} {
		conn, err := net.Dial("udp", a)
		if err == nil {
			err = conn.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// loopback knocks, sets lo up, and knocks again.
var loopback = nsx.Register("network/loopback", func(parent *nsx.Parent, _ any) (any, error) {
	text := ""
	if err := knock(); err != nil {
		text = err.Error()
	}
	if err := parent.Report(text, nil); err != nil {
		return nil, err
	}
	if err := rtnetlink.Up("lo"); err != nil {
		return nil, err
	}
	return nil, knock()
})

func registerInterfaces() {
	property.It("N1", func(ctx SpecContext, c *property.Check) {
		c.Positive("the environment has eth0, and its lo is up: so it is for a child that shares its namespace", func() {
			links, err := nsx.Run(ctx, nsx.Spec{}, equip, nil)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("devices", links)
			Expect(links).To(Equal(here()))
			Expect(rtnetlink.Names(links)).To(ContainElements("lo", "eth0"))
			Expect(links[0]).To(And(HaveField("Name", "lo"), HaveField("Up", true)))
		})
		for _, how := range ways {
			c.Negative(how.String()+" with CLONE_NEWNET has a lo, which is down, and nothing else", func() {
				links, err := nsx.Run(ctx, nsx.Spec{How: how, Kinds: nsx.Net}, equip, nil)
				Expect(err).NotTo(HaveOccurred())
				c.Saw("devices", links)
				own := slices.DeleteFunc(links, func(l rtnetlink.Link) bool { return isFallback(l.Name) })
				Expect(own).To(HaveExactElements(And(HaveField("Name", "lo"), HaveField("Up", false))))
			})
		}
	})

	property.It("N2", func(ctx SpecContext, c *property.Check) {
		outside, err := seenDevices()
		Expect(err).NotTo(HaveOccurred())
		inside := newNamespace(ctx)
		inside.equipped(ctx, device{Name: "inner", Kind: "veth", Peer: "inner-peer"})
		in := func(ownSys bool) devices {
			d, err := nsx.Run(ctx, inside.join(), listDevices, ownSys)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("devices inside", d)
			return d
		}
		c.Positive("the /sys that was mounted outside shows the devices outside, also to who is inside", func() {
			d := in(false)
			Expect(d.Sys).To(Equal(outside.Sys))
			Expect(d.Sys).To(ContainElement("eth0"))
		})
		c.Negative("netlink and /proc/net show those inside, and a /sys that is mounted inside does too", func() {
			d := in(true)
			for _, list := range [][]string{d.Netlink, d.Proc, d.Sys} {
				Expect(list).To(Equal([]string{"inner", "inner-peer", "lo"}))
			}
		})
		c.Negative("what was made inside is not outside", func() {
			now, err := seenDevices()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("devices outside", now)
			Expect(now).To(Equal(outside))
		})
	})

	property.Seed("begin with lo alone, and that is down, so that nothing can be reached, not even 127.0.0.1", func(ctx SpecContext) {
		Expect(knock()).To(Succeed(), "the environment's lo is up")

		p, err := nsx.Spawn(ctx, nsx.Spec{Kinds: nsx.Net}, loopback, nil)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(p.Close)
		var refused string
		Expect(p.Await(&refused)).To(Succeed())
		Expect(refused).To(MatchRegexp("127.0.0.1:9: .*%s\n.*::1]:9: .*%s", unix.ENETUNREACH, unix.EADDRNOTAVAIL))
		Expect(p.Continue(nil)).To(Succeed())
		_, err = p.Result()
		Expect(err).NotTo(HaveOccurred(), "once it is up, they answer")
	})

	property.Seed("are what /proc/net shows, of the process, and /sys/class/net, of who has mounted /sys", func(ctx SpecContext) {
		outside, inside := os.Getpid(), newNamespace(ctx)
		here(device{Name: "outer", Kind: "veth", Peer: "outer-peer", Addrs: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24")}, Set: "up"})
		inside.equipped(ctx, device{Name: "inner", Kind: "veth", Peer: "inner-peer"})

		By("/proc/PID/net shows the namespace of the process, whoever looks")
		Expect(outside).To(And(matchers.HaveInterface("outer"), Not(matchers.HaveInterface("inner"))))
		Expect(inside.holder).To(And(matchers.HaveInterface("inner"), Not(matchers.HaveInterface("outer"))))
		Expect(outside).To(matchers.HaveRoute("198.51.100.0/24"))
		Expect(inside.holder).NotTo(matchers.HaveRoute("198.51.100.0/24"))
		Expect(os.Readlink("/proc/net")).To(Equal("self/net"))

		By("/sys/class/net shows that of who has mounted /sys, whoever looks")
		holder, err := nsx.Spawn(ctx, inside.join(), holdSys, nil)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(holder.Close)
		Expect(holder.Await(nil)).To(Succeed())
		theirs := fmt.Sprintf("/proc/%d/root/sys/class/net", holder.PID())
		Expect(filepath.Join(theirs, "inner")).To(BeADirectory())
		Expect(filepath.Join(theirs, "outer")).NotTo(BeADirectory())
		Expect("/sys/class/net/inner").NotTo(BeADirectory())
		Expect("/sys/class/net/outer").To(BeADirectory())
		seen, err := nsx.Run(ctx, inside.join(), listDevices, false)
		Expect(err).NotTo(HaveOccurred())
		Expect(seen.Sys).To(ContainElement("outer"), "who is inside and uses our /sys")
	})
}
