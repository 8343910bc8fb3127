package network

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/rtnetlink"
	"github.com/hermetic-go/nstest/suites/property"
)

// listenForLinks reports when it watches the devices of its namespace, and returns what it hears up to the device of that name.
var listenForLinks = nsx.Register("network/listen", func(parent *nsx.Parent, name string) ([]rtnetlink.Event, error) {
	w, err := rtnetlink.NewWatch()
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.Close() }()
	if err := parent.Report(nil, nil); err != nil {
		return nil, err
	}
	return w.Until(context.Background(), name)
})

// heard are the names of the devices that events are about, each once.
func heard(events []rtnetlink.Event) []string {
	var list []string
	for _, e := range events {
		if !slices.Contains(list, e.Link.Name) {
			list = append(list, e.Link.Name)
		}
	}
	return list
}

// A target is a device that somebody tries to configure.
type target struct {
	Name  string
	Index int
}

// attempts are the ways to configure a device, by its name and by its number. The last one leaves none.
var attempts = []struct {
	what string
	do   func(target) error
}{
	{"set it up by its name, netlink", func(t target) error { return rtnetlink.Up(t.Name) }},
	{"set it up by its number, netlink", func(t target) error { return rtnetlink.UpIndex(t.Index) }},
	{"set it up, ioctl SIOCSIFFLAGS", func(t target) error { return ioctl(unix.SIOCSIFFLAGS, t.Name, setNumber(unix.IFF_UP)) }},
	{"set its MTU, ioctl SIOCSIFMTU", func(t target) error { return ioctl(unix.SIOCSIFMTU, t.Name, setNumber(1400)) }},
	{"give it an IPv4 address, ioctl SIOCSIFADDR", func(t target) error {
		return ioctl(unix.SIOCSIFADDR, t.Name, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{198, 51, 100, 6}) })
	}},
	{"give it an IPv4 address, netlink", func(t target) error {
		return rtnetlink.AddAddrIndex(t.Index, netip.MustParsePrefix("198.51.100.7/24"))
	}},
	{"give it an IPv6 address, netlink", func(t target) error {
		return rtnetlink.AddAddrIndex(t.Index, netip.MustParsePrefix("fd00:7::7/64"))
	}},
	{"delete it, netlink", func(t target) error { return rtnetlink.Delete(t.Name) }},
}

// ioctl sets something of a device, as ifconfig(8) does: netdevice(7).
func ioctl(request uint, name string, fill func(*unix.Ifreq) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := fill(r); err != nil {
		return err
	}
	return unix.IoctlIfreq(fd, request, r)
}

func setNumber(n uint32) func(*unix.Ifreq) error {
	return func(r *unix.Ifreq) error { r.SetUint32(n); return nil }
}

// An outcome is what came of an attempt; 0 is success.
type outcome struct {
	Attempt string
	Errno   unix.Errno
}

// tamper makes all attempts.
var tamper = nsx.Register("network/tamper", func(_ *nsx.Parent, t target) ([]outcome, error) {
	var list []outcome
	for _, a := range attempts {
		o := outcome{Attempt: a.what}
		if err := a.do(t); err != nil && !errors.As(err, &o.Errno) {
			return nil, err
		}
		list = append(list, o)
	}
	return list, nil
})

func registerNetlink() {
	property.It("N3", func(ctx SpecContext, c *property.Check) {
		inside := newNamespace(ctx)
		w, err := rtnetlink.NewWatch()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(w.Close)
		hear := func(last string) []string {
			GinkgoHelper()
			events, err := w.Until(ctx, last)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("we hear of", heard(events))
			return heard(events)
		}
		c.Positive("we hear of a device that a child makes in our namespace", func() {
			_, err := nsx.Run(ctx, nsx.Spec{}, equip, []device{{Name: "shared", Kind: "bridge"}})
			Expect(err).NotTo(HaveOccurred())
			Expect(hear("shared")).To(ContainElement("shared"))
		})
		// The kernel tells of a device before it answers who makes it. So what is made later is heard of later.
		c.Negative("we do not hear of one that is made in another namespace", func() {
			inside.equipped(ctx, device{Name: "inner", Kind: "bridge"})
			here(device{Name: "after", Kind: "bridge"})
			Expect(hear("after")).To(And(ContainElement("after"), Not(ContainElement("inner"))))
		})
		c.Negative("nor does who is there hear of ours", func() {
			p, err := nsx.Spawn(ctx, inside.join(), listenForLinks, "inner-after")
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(p.Close)
			Expect(p.Await(nil)).To(Succeed())
			here(device{Name: "outer", Kind: "bridge"})
			inside.equipped(ctx, device{Name: "inner-after", Kind: "bridge"})
			Expect(p.Continue(nil)).To(Succeed())
			events, err := p.Result()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("it hears of", heard(events))
			Expect(heard(events)).To(And(ContainElement("inner-after"), Not(ContainElement("outer"))))
		})
	})

	property.It("N4", func(ctx SpecContext, c *property.Check) {
		here(device{Name: "target", Kind: "veth", Peer: "target-peer"})
		before, err := rtnetlink.Find("target")
		Expect(err).NotTo(HaveOccurred())
		all := func(errno unix.Errno) (list []outcome) {
			for _, a := range attempts {
				list = append(list, outcome{a.what, errno})
			}
			return list
		}
		for _, how := range ways {
			c.Negative("from a namespace made by "+how.String()+", with all rights there, our device does not exist", func() {
				got, err := nsx.Run(ctx, nsx.Spec{How: how, Kinds: nsx.Net}, tamper, target{before.Name, before.Index})
				Expect(err).NotTo(HaveOccurred())
				c.Saw("outcomes", got)
				Expect(got).To(Equal(all(unix.ENODEV)))
				Expect(rtnetlink.Find("target")).To(Equal(before))
			})
		}
		c.Positive("from our own all of that is possible", func() {
			got, err := nsx.Run(ctx, nsx.Spec{}, tamper, target{before.Name, before.Index})
			Expect(err).NotTo(HaveOccurred())
			c.Saw("outcomes", got)
			Expect(got).To(Equal(all(0)))
			_, err = rtnetlink.Find("target")
			Expect(err).To(MatchError(unix.ENODEV), "the last one has deleted it")
		})
	})
}
