package segments_test

import (
	"errors"
	"net"
	"net/netip"
	"syscall"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// carried adds a host that is on the network below and on the one that it carries, or skips the spec where the kernel has
// no such devices.
func carried(name, below, network string) *nstest.Host {
	GinkgoHelper()
	h, err := nstest.Current().AddHost(nstest.HostConfig{Name: name, NetOnly: true, Networks: []nstest.Attachment{{Network: below}, {Network: network}}})
	var e *nstest.Error
	if errors.Is(err, syscall.EOPNOTSUPP) && errors.As(err, &e) {
		require.Skip(e.Err.Error(), e.Remedy)
	}
	Expect(err).NotTo(HaveOccurred())
	return answering(h)
}

// device is the host's eth1.
func device(h *nstest.Host) (d *net.Interface) {
	GinkgoHelper()
	Expect(h.Do(func() (err error) { d, err = net.InterfaceByName("eth1"); return err })).To(Succeed())
	return d
}

var _ = Describe("A network that another one carries", func() {
	for _, medium := range []nstest.Medium{nstest.VXLAN, nstest.Macvlan} {
		Context("as "+medium.String(), func() {
			var a, b *nstest.Host

			BeforeEach(func() {
				addNetwork(nstest.NetworkConfig{Name: "underlay"})
				addNetwork(nstest.NetworkConfig{Name: "far", Trunks: []string{"underlay"}})
				addNetwork(nstest.NetworkConfig{Name: "cloud", Medium: medium, Over: "underlay", Prefixes: []netip.Prefix{
					netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:1::/64"),
				}})
				a, b = carried("a", "underlay", "cloud"), carried("b", "underlay", "cloud")
			})

			It("reaches those who are on it, and nobody else", func() {
				Expect(a.Link("cloud").Addrs()).To(Equal([]netip.Addr{netip.MustParseAddr("198.51.100.2"), netip.MustParseAddr("2001:db8:1::2")}))
				Expect(a.Link("cloud").Interface()).To(Equal("eth1"))
				Expect(reach(a, b)).To(Succeed())
				c := carried("c", "underlay", "cloud") // that comes when the others are there
				Expect(reach(c, a)).To(Succeed())
				Expect(reach(b, c)).To(Succeed())

				outsider := addHost("outsider", "underlay")
				Expect(ask(outsider, a.Link("underlay").Addrs()[0], patience)).To(Succeed())
				Expect(ask(outsider, a.Link("cloud").Addrs()[0], silence)).NotTo(Succeed())
			})

			It("goes with the network below", func() {
				Expect(reach(a, b)).To(Succeed())
				Expect(a.Link("cloud").Down()).To(MatchError(ContainSubstring(`pull that to network "underlay"`)))
				Expect(a.Link("underlay").Down()).To(Succeed())
				Expect(ask(b, a.Link("cloud").Addrs()[0], silence)).NotTo(Succeed())
				Expect(a.Link("underlay").Up()).To(Succeed())
				Expect(reach(b, a)).To(Succeed())

				fault := nstest.Current().Partition([]*nstest.Host{a}, []*nstest.Host{b})
				expectSilence([][2]*nstest.Host{{a, b}, {b, a}}...)
				fault.Heal()
				Expect(reach(b, a)).To(Succeed())
			})

			It("forgets a host that was removed", func() {
				Expect(reach(a, b)).To(Succeed())
				Expect(nstest.Current().RemoveHost("b")).To(Succeed())
				Expect(ask(a, b.Link("cloud").Addrs()[0], silence)).NotTo(Succeed())
				again := carried("b", "underlay", "cloud")
				Expect(again.Addrs()).To(Equal(b.Addrs()))
				Expect(reach(a, again)).To(Succeed())
			})
		})
	}

	It("as vxlan leaves room for its headers", func() {
		addNetwork(nstest.NetworkConfig{Name: "underlay", MTU: 4000})
		addNetwork(nstest.NetworkConfig{Name: "six", NoIPv4: true})
		addNetwork(nstest.NetworkConfig{Name: "cloud", Medium: nstest.VXLAN, Over: "underlay"})
		addNetwork(nstest.NetworkConfig{Name: "cloud-six", Medium: nstest.VXLAN, Over: "six"})
		Expect(device(carried("a", "underlay", "cloud")).MTU).To(Equal(3950))
		b, c := carried("b", "six", "cloud-six"), carried("c", "six", "cloud-six")
		Expect(device(b).MTU).To(Equal(1430))
		Expect(reach(b, c)).To(Succeed())
	})

	It("has links with no more room than the network below leaves", func() {
		addNetwork(nstest.NetworkConfig{Name: "underlay"})
		addNetwork(nstest.NetworkConfig{Name: "cloud", Medium: nstest.VXLAN, Over: "underlay"})
		link := carried("a", "underlay", "cloud").Link("cloud")
		err := link.SetMTU(1500)
		Expect(err).To(MatchError(ContainSubstring(`network "underlay", which carries network "cloud"`)))
		Expect(err).To(MatchError(syscall.EINVAL))
		Expect(link.MTU()).To(Equal(1450))
		Expect(link.SetMTU(1400)).To(Succeed())
		Expect(link.MTU()).To(Equal(1400))
	})

	It("as macvlan has an address of its own on the cable", func() {
		addNetwork(nstest.NetworkConfig{Name: "cloud", Medium: nstest.Macvlan, Over: "lan"})
		a := carried("a", "lan", "cloud")
		Expect(device(a).HardwareAddr.String()).To(Equal(a.Link("cloud").MAC()))
		Expect(a.Link("cloud").MAC()).NotTo(Equal(a.Link("lan").MAC()))
		Expect(device(a).MTU).To(Equal(1500))
	})

	It("wants a host to be on the network below first", func() {
		addNetwork(nstest.NetworkConfig{Name: "underlay"})
		addNetwork(nstest.NetworkConfig{Name: "cloud", Medium: nstest.Macvlan, Over: "underlay"})
		for _, networks := range [][]nstest.Attachment{{{Network: "cloud"}}, {{Network: "cloud"}, {Network: "underlay"}}, {{Network: "lan"}, {Network: "cloud"}}} {
			_, err := nstest.Current().AddHost(nstest.HostConfig{Name: "a", NetOnly: true, Networks: networks})
			Expect(err).To(MatchError(ContainSubstring(`host "a" cannot be on network "cloud" before it is on network "underlay"`)))
			Expect(err).To(MatchError(syscall.ENETUNREACH))
		}
		carried("a", "underlay", "cloud")
	})

	DescribeTable("is refused by name", func(c nstest.NetworkConfig, words string, errno error) {
		addNetwork(nstest.NetworkConfig{Name: "underlay"})
		addNetwork(nstest.NetworkConfig{Name: "small", MTU: 1300})
		addNetwork(nstest.NetworkConfig{Name: "cloud", Medium: nstest.VXLAN, Over: "underlay", VNI: 77})
		c.Name = "new"
		_, err := nstest.Current().AddNetwork(c)
		Expect(err).To(MatchError(ContainSubstring(words)))
		Expect(err).To(MatchError(errno))
	},
		Entry("over none", nstest.NetworkConfig{Medium: nstest.VXLAN}, "say in Over which network carries it", syscall.EINVAL),
		Entry("over one that does not exist", nstest.NetworkConfig{Medium: nstest.VXLAN, Over: "cellar"}, `there is no network "cellar" to carry it`, syscall.ENOENT),
		Entry("over one that is carried itself", nstest.NetworkConfig{Medium: nstest.Macvlan, Over: "cloud"}, `which is carried itself by network "underlay"`, syscall.EINVAL),
		Entry("over one whose packets are too small", nstest.NetworkConfig{Medium: nstest.VXLAN, Over: "small"}, "leaves 1250 bytes", syscall.EINVAL),
		Entry("with packets that are too large", nstest.NetworkConfig{Medium: nstest.VXLAN, Over: "underlay", MTU: 1451}, "more than the 1450 bytes", syscall.EINVAL),
		Entry("with a VNI that is taken", nstest.NetworkConfig{Medium: nstest.VXLAN, Over: "underlay", VNI: 77}, `the VNI 77 is that of network "cloud"`, syscall.EADDRINUSE),
		Entry("with a VNI that is too large", nstest.NetworkConfig{Medium: nstest.VXLAN, Over: "underlay", VNI: 1 << 24}, "not between 1 and 16777215", syscall.EINVAL),
		Entry("with a VNI for macvlan", nstest.NetworkConfig{Medium: nstest.Macvlan, Over: "underlay", VNI: 5}, "a VNI is for", syscall.EINVAL),
		Entry("with a switch's options", nstest.NetworkConfig{Medium: nstest.Macvlan, Over: "underlay", STP: true}, "are for switches", syscall.EINVAL),
		Entry("of an unknown medium", nstest.NetworkConfig{Medium: 7, Over: "underlay"}, `there is no medium "Medium(7)"`, syscall.EINVAL),
		Entry("when it is switched", nstest.NetworkConfig{Over: "underlay"}, "are for a network whose Medium is", syscall.EINVAL),
	)
})
