package segments_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// The machine of these specs is the spec's own environment, whose root it is: an environment that it opens borrows from it.
// One end of a veth is the card.
const (
	cardAddress = "203.0.113.5"
	wireAddress = "203.0.113.1"
)

// plugCard gives the machine a card with addresses and routes, to whose other end somebody answers.
func plugCard(name string) {
	GinkgoHelper()
	Expect(netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: name, MTU: 1400, HardwareAddr: net.HardwareAddr{2, 1, 2, 3, 4, 5}}, PeerName: "wire",
	})).To(Succeed())
	card, err := netlink.LinkByName(name)
	Expect(err).NotTo(HaveOccurred())
	wire, err := netlink.LinkByName("wire")
	Expect(err).NotTo(HaveOccurred())
	for _, a := range []string{cardAddress + "/24", "2001:db8:9::5/64"} {
		addr, err := netlink.ParseAddr(a)
		Expect(err).NotTo(HaveOccurred())
		addr.Flags = syscall.IFA_F_NODAD
		Expect(netlink.AddrAdd(card, addr)).To(Succeed())
	}
	Expect(netlink.LinkSetUp(card)).To(Succeed())
	Expect(netlink.LinkSetUp(wire)).To(Succeed())
	for to, via := range map[string]string{"198.51.100.0/24": wireAddress, "2001:db8:7::/48": "2001:db8:9::1"} {
		dst, err := netlink.ParseIPNet(to)
		Expect(err).NotTo(HaveOccurred())
		Expect(netlink.RouteAdd(&netlink.Route{LinkIndex: card.Attrs().Index, Dst: dst, Gw: net.ParseIP(via)})).To(Succeed())
	}
	// The kernel gives the card its link-local address when it has come to the news that there is a carrier.
	Eventually(settings).WithArguments(name).Should(ContainElements(HavePrefix("address fe80::"), HavePrefix("route fe80::/64")))
}

// settings are the card's addresses and routes, and the device itself, as the machine shows them.
func settings(name string) []string {
	GinkgoHelper()
	card, err := netlink.LinkByName(name)
	if err != nil {
		return []string{err.Error()}
	}
	a := card.Attrs()
	lines := []string{fmt.Sprintln(a.Name, a.Index, a.MTU, a.HardwareAddr, a.Flags&net.FlagUp)}
	addrs, err := netlink.AddrList(card, netlink.FAMILY_ALL)
	Expect(err).NotTo(HaveOccurred())
	for _, a := range addrs {
		lines = append(lines, "address "+a.IPNet.String())
	}
	routes, err := netlink.RouteList(card, netlink.FAMILY_ALL)
	Expect(err).NotTo(HaveOccurred())
	for _, r := range routes {
		lines = append(lines, fmt.Sprintln("route", r.Dst, r.Gw, r.Src, r.Scope, r.Protocol))
	}
	slices.Sort(lines)
	return lines
}

// records are the files that tell of lent devices.
func records() []string {
	GinkgoHelper()
	list, err := filepath.Glob("/run/nstest/*.json")
	Expect(err).NotTo(HaveOccurred())
	return list
}

var _ = Describe("A device of the machine", func() {
	It("is a host's until it is given back, as it was", func() {
		plugCard("card")
		before := settings("card")
		Expect(before).To(ContainElement("address " + cardAddress + "/24"))
		host := nstest.New(GinkgoTB(), nstest.Config{}).Host("router")
		d, err := host.Borrow("card")
		Expect(err).NotTo(HaveOccurred())
		Expect(settings("card")).To(Equal([]string{"Link not found"}))
		Expect(records()).To(HaveLen(1))
		info, err := os.Stat(records()[0])
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)))

		By("using it")
		Expect(d.Interface()).To(Equal("card"))
		Expect(host.Do(func() error {
			card, err := netlink.LinkByName(d.Interface())
			if err != nil {
				return err
			}
			Expect(card.Attrs().Flags & net.FlagUp).To(BeZero())
			addr, err := netlink.ParseAddr("203.0.113.99/24")
			if err != nil {
				return err
			}
			if err := netlink.AddrAdd(card, addr); err != nil {
				return err
			}
			return netlink.LinkSetUp(card)
		})).To(Succeed())
		wire, err := netlink.LinkByName("wire")
		Expect(err).NotTo(HaveOccurred())
		addr, err := netlink.ParseAddr(wireAddress + "/24")
		Expect(err).NotTo(HaveOccurred())
		Expect(netlink.AddrAdd(wire, addr)).To(Succeed())
		Eventually(ask).WithArguments(answering(nstest.Current().Self()), netip.MustParseAddr(wireAddress), patience).Should(Succeed(), "the control: it answers itself")
		Expect(ask(host, netip.MustParseAddr(wireAddress), patience)).To(Succeed())
		Expect(netlink.AddrDel(wire, addr)).To(Succeed())

		By("giving it back")
		_, err = host.Borrow("card")
		Expect(err).To(MatchError(ContainSubstring(`the machine has no network device "card"`)))
		Expect(d.Close()).To(Succeed())
		Expect(settings("card")).To(Equal(before))
		Expect(records()).To(BeEmpty())
		Expect(d.Close()).To(Succeed(), "again")
	})

	It("comes back with the end of the host, and of the environment", func() {
		plugCard("eth7")
		before := settings("eth7")
		env := nstest.New(GinkgoTB(), nstest.Config{})
		d, err := env.Host("a").Borrow("eth7")
		Expect(err).NotTo(HaveOccurred())
		Expect(d.Interface()).To(Equal("nic0"), "a name like a link's is a link's")
		Expect(env.RemoveHost("a")).To(Succeed())
		Expect(settings("eth7")).To(Equal(before))
		Expect(d.Close()).To(Succeed(), "of a host that has ended")

		_, err = env.Self().Borrow("eth7")
		Expect(err).NotTo(HaveOccurred())
		Expect(settings("eth7")).NotTo(Equal(before))
		Expect(env.Close()).To(Succeed())
		Expect(settings("eth7")).To(Equal(before))
		Expect(records()).To(BeEmpty())
	})

	It("is on record when its borrower is killed", func() {
		plugCard("card")
		env := nstest.New(GinkgoTB(), nstest.Config{})
		_, err := env.Self().Borrow("card")
		Expect(err).NotTo(HaveOccurred())
		Expect(nstest.RestoreDevices()).To(BeEmpty(), "it is in use")

		keeper, err := childNamed("nstest-keeper")
		Expect(err).NotTo(HaveOccurred())
		Expect(syscall.Kill(keeper, syscall.SIGKILL)).To(Succeed())
		Eventually(func() ([]string, error) { return settings("wire"), nil }).Should(Equal([]string{"Link not found"}), "a veth dies with the namespace")
		var lost []nstest.LostDevice
		Eventually(func() ([]nstest.LostDevice, error) { // the keeper may be ending yet
			list, err := nstest.RestoreDevices()
			lost = append(lost, list...)
			return lost, err
		}).Should(Equal([]nstest.LostDevice{{Name: "card", Gone: true}}))
		Expect(nstest.RestoreDevices()).To(BeEmpty(), "there is nothing left to do")
		Expect(records()).To(BeEmpty())
	})

	It("is not for a process inside, unless the environment was opened with it", func() {
		_, err := nstest.Current().Self().Borrow("eth0")
		Expect(err).To(MatchError(syscall.EPERM))
		Expect(err).To(MatchError(ContainSubstring(`Config{Lend: []string{"eth0"}}`)))
	})

	It("is the program's to lend, with root", nstest.With(nstest.Config{Lend: []string{"no-such-device"}}), func() {
		_, err := nstest.Current().Self().Borrow("no-such-device")
		if nstest.Current().Rootless() {
			Expect(err).To(MatchError(nstest.ErrNotPrivileged))
			Expect(err).To(MatchError(ContainSubstring("run the test as root")))
		} else {
			Expect(err).To(MatchError(ContainSubstring(`the machine has no network device "no-such-device"`)))
			Expect(err).To(MatchError(syscall.ENODEV))
		}
	})
})

// childNamed is the process id of a child of this process, by the name that it was started with.
func childNamed(name string) (int, error) {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return 0, err
	}
	for _, list := range lists {
		pids, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that has ended
		}
		for _, pid := range strings.Fields(string(pids)) {
			line, err := os.ReadFile("/proc/" + pid + "/cmdline")
			if err != nil || !strings.HasPrefix(string(line), name+"\x00") {
				continue
			}
			var n int
			_, err = fmt.Sscan(pid, &n)
			return n, err
		}
	}
	return 0, fmt.Errorf("no child is called %s", name)
}

var _ = Describe("A device of the machine in a router", func() {
	It("is not mistaken for one of the keeper's own", func() {
		plugCard("card")
		before := settings("card")
		env := nstest.New(GinkgoTB(), nstest.Config{})
		router, err := env.AddRouter(nstest.RouterConfig{Name: "router", Networks: []nstest.Attachment{{}}})
		Expect(err).NotTo(HaveOccurred())
		d, err := router.Borrow("card")
		Expect(err).NotTo(HaveOccurred())
		Expect(settings("card")).To(Equal([]string{"Link not found"}))
		Expect(router.SetNAT64(&nstest.NAT64{Outside: "lan"})).To(Succeed())
		Expect(router.SetNAT64(nil)).To(Succeed())
		Expect(d.Close()).To(Succeed())
		Expect(settings("card")).To(Equal(before))
	})
})
