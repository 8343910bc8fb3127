package segments_test

import (
	"net/netip"
	"syscall"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// three are hosts on the switches of a segment: a and b at its ends, c in the middle.
func three() (a, b, c *nstest.Host) {
	GinkgoHelper()
	addNetwork(nstest.NetworkConfig{Name: "office", Prefixes: []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64"),
	}})
	addNetwork(nstest.NetworkConfig{Name: "hall", Trunks: []string{"office"}})
	addNetwork(nstest.NetworkConfig{Name: "lab", Trunks: []string{"hall"}})
	return addHost("a", "office"), addHost("b", "lab"), addHost("c", "hall")
}

var _ = Describe("Switches that are cabled together", func() {
	It("are one segment with the addresses of the first", func() {
		a, b, c := three()
		Expect(nstest.Current().Network("lab").Prefixes()).To(Equal(nstest.Current().Network("office").Prefixes()))
		Expect(a.Addrs()).To(Equal([]netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::2")}))
		Expect(b.Addrs()).To(Equal([]netip.Addr{netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("2001:db8::3")}))
		Expect(c.Addrs()).To(Equal([]netip.Addr{netip.MustParseAddr("192.0.2.4"), netip.MustParseAddr("2001:db8::4")}))
		for _, from := range []*nstest.Host{a, b, c} {
			for _, to := range []*nstest.Host{a, b, c} {
				Expect(reach(from, to)).To(Succeed())
			}
		}

		By("taking an address of another switch's host")
		_, err := nstest.Current().AddHost(nstest.HostConfig{Name: "d", Networks: []nstest.Attachment{{Network: "lab", Addrs: []netip.Addr{a.Addr()}}}})
		Expect(err).To(MatchError(ContainSubstring(`192.0.2.2 is the address of host "a"`)))

		By("giving one back at one switch and taking it at another")
		Expect(nstest.Current().RemoveHost("b")).To(Succeed())
		Expect(addHost("d", "hall").Addr()).To(Equal(b.Addr()))
		Expect(reach(a, nstest.Current().Host("d"))).To(Succeed())
	})

	It("learn at once where an address has gone, though its host says nothing", func() {
		addNetwork(nstest.NetworkConfig{Name: "office", NoIPv6: true}) // by which hosts make themselves known
		addNetwork(nstest.NetworkConfig{Name: "hall", Trunks: []string{"office"}})
		addNetwork(nstest.NetworkConfig{Name: "lab", Trunks: []string{"hall"}})
		a, b := addHost("a", "office"), addHost("b", "lab")
		Expect(reach(a, b)).To(Succeed())
		Expect(nstest.Current().RemoveHost("b")).To(Succeed())
		d := addHost("d", "hall")
		Expect(d.Addr()).To(Equal(b.Addr()))
		Expect(reach(a, d)).To(Succeed())
	})

	It("are apart while the trunk is pulled", func() {
		a, b, c := three()
		Expect(reach(a, b)).To(Succeed())
		trunk := nstest.Current().Network("hall").Trunk("office")
		Expect(trunk.Down()).To(Succeed())
		expectSilence([2]*nstest.Host{a, b})
		Expect(reach(b, c)).To(Succeed(), "on the other side of it")
		Expect(nstest.Current().Network("office").Trunk("hall").Up()).To(Succeed(), "named from its other end")
		Expect(reach(a, b)).To(Succeed())
		Expect(nstest.Current().Network("office").Trunk("lab").Down()).To(MatchError(syscall.ENODEV))
	})

	It("are partitioned as one is", func() {
		a, b, c := three()
		near := addHost("near", "office")
		Expect(reach(a, b)).To(Succeed()) // so that they know each other's MAC addresses
		fault := nstest.Current().Partition([]*nstest.Host{a}, []*nstest.Host{b, near})
		expectSilence([][2]*nstest.Host{{a, b}, {b, a}, {a, near}, {near, a}}...)
		for _, pair := range [][2]*nstest.Host{{a, c}, {c, a}, {b, c}, {c, b}, {b, near}, {near, b}} {
			Expect(reach(pair[0], pair[1])).To(Succeed())
		}

		By("adding a host of a group again")
		Expect(nstest.Current().RemoveHost("b")).To(Succeed())
		b = addHost("b", "hall")
		expectSilence([][2]*nstest.Host{{a, b}, {b, a}}...)
		Expect(reach(b, c)).To(Succeed())

		fault.Heal()
		for _, pair := range [][2]*nstest.Host{{a, b}, {b, a}, {a, near}} {
			Expect(reach(pair[0], pair[1])).To(Succeed())
		}
	})

	It("have one gateway, on whichever of them it is", func() {
		addNetwork(nstest.NetworkConfig{Name: "street"})
		addNetwork(nstest.NetworkConfig{Name: "office"})
		addNetwork(nstest.NetworkConfig{Name: "lab", Trunks: []string{"office"}})
		before, passer := addHost("before", "office"), addHost("passer", "street")
		_, err := nstest.Current().AddRouter(nstest.RouterConfig{Name: "r", Networks: []nstest.Attachment{{Network: "lab"}, {Network: "street"}}})
		Expect(err).NotTo(HaveOccurred())
		Expect(nstest.Current().Network("office").Gateway()).To(Equal(nstest.Current().Network("lab").Gateway()))
		for _, h := range []*nstest.Host{before, addHost("near", "lab"), addHost("far", "office")} {
			Expect(reach(h, passer)).To(Succeed())
			Expect(reach(passer, h)).To(Succeed())
		}
	})

	It("may be hubs", func() {
		addNetwork(nstest.NetworkConfig{Name: "office"})
		addNetwork(nstest.NetworkConfig{Name: "hub", Trunks: []string{"office"}, Hub: true})
		a, b, c := addHost("a", "office"), addHost("b", "hub"), addHost("c", "hub")
		received := func() (n uint64) {
			GinkgoHelper()
			Expect(c.Do(func() error {
				l, err := netlink.LinkByName("eth0")
				if err == nil {
					n = l.Attrs().Statistics.RxPackets
				}
				return err
			})).To(Succeed())
			return n
		}
		Expect(reach(a, b)).To(Succeed())
		before := received()
		const asked = 20
		for range asked {
			Expect(ask(a, b.Addr(), patience)).To(Succeed())
		}
		Eventually(func() uint64 { return received() - before }).Should(BeNumerically(">=", 2*asked), "both directions of what others say")
	})

	DescribeTable("are refused by name", func(c nstest.NetworkConfig, words string, errno error) {
		addNetwork(nstest.NetworkConfig{Name: "office"})
		addNetwork(nstest.NetworkConfig{Name: "hall", Trunks: []string{"office"}})
		addNetwork(nstest.NetworkConfig{Name: "lab", Trunks: []string{"hall"}})
		addNetwork(nstest.NetworkConfig{Name: "garden"})
		addNetwork(nstest.NetworkConfig{Name: "wire", PointToPoint: true})
		addNetwork(nstest.NetworkConfig{Name: "tunnel", Medium: nstest.Macvlan, Over: "garden"})
		if c.Name == "" {
			c.Name = "new"
		}
		_, err := nstest.Current().AddNetwork(c)
		Expect(err).To(MatchError(ContainSubstring(words)))
		Expect(err).To(MatchError(errno))
		_, err = nstest.Current().AddNetwork(nstest.NetworkConfig{Name: c.Name})
		Expect(err).NotTo(HaveOccurred(), "nothing of it was made")
	},
		Entry("in a loop", nstest.NetworkConfig{Trunks: []string{"lab", "office"}, STP: true},
			"networks office, hall, lab and new form a loop: set STP on each", syscall.ELOOP),
		Entry("in a smaller loop", nstest.NetworkConfig{Trunks: []string{"lab", "hall"}}, "networks hall, lab and new form a loop", syscall.ELOOP),
		Entry("to a network that does not exist", nstest.NetworkConfig{Trunks: []string{"cellar"}}, `there is no network "cellar"`, syscall.ENOENT),
		Entry("to itself", nstest.NetworkConfig{Name: "ring", Trunks: []string{"ring"}}, `network "ring" is to be cabled to itself`, syscall.EINVAL),
		Entry("twice to the same", nstest.NetworkConfig{Trunks: []string{"hall", "hall"}}, `to network "hall" twice`, syscall.EINVAL),
		Entry("to two segments", nstest.NetworkConfig{Trunks: []string{"lab", "garden"}}, `one segment of networks "office" and "garden"`, syscall.EINVAL),
		Entry("with addresses of their own", nstest.NetworkConfig{Trunks: []string{"lab"}, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
			`its addresses are those of network "lab"`, syscall.EINVAL),
		Entry("as a point-to-point link", nstest.NetworkConfig{Trunks: []string{"lab"}, PointToPoint: true}, "point-to-point", syscall.EINVAL),
		Entry("to a point-to-point link", nstest.NetworkConfig{Trunks: []string{"wire"}}, `network "wire", which is a point-to-point link`, syscall.EINVAL),
		Entry("to a network without a switch", nstest.NetworkConfig{Trunks: []string{"tunnel"}}, `network "tunnel" has no switch`, syscall.EINVAL),
	)
})
