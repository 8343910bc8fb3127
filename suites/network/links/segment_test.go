package links_test

import (
	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("On switches that are cabled together, a link", func() {
	It("moves with its addresses, and is found at once", func() {
		env := nstest.Current()
		add(nstest.NetworkConfig{Name: "upstairs", Trunks: []string{"lan"}})
		a, b, c := hostOn("a"), hostOn("b"), hostOn("c", "upstairs")
		echo(a)
		reach(b, a.Addr())
		reach(c, a.Addr())
		addrs := a.Addrs()
		Expect(a.Link("").Move("upstairs")).To(Succeed())
		Expect(a.Addrs()).To(Equal(addrs))
		reach(b, a.Addr())
		reach(c, a.Addr())
		Expect(a.Link("").Renew()).To(Succeed())
		Expect(a.Addrs()).To(Equal(addrs), "they are good there")

		By("cutting it off where it is now")
		fault := env.Partition([]*nstest.Host{a}, []*nstest.Host{b})
		notReach(b, a.Addr())
		reach(c, a.Addr())
		fault.Heal()
	})

	It("is added and removed", func() {
		add(nstest.NetworkConfig{Name: "upstairs", Trunks: []string{"lan"}})
		other := network("other")
		a, b := hostOn("a", other.Name()), hostOn("b")
		echo(a, b)
		l := plug(a, nstest.Attachment{Network: "upstairs"})
		reach(a, b.Addr())
		reach(b, l.Addrs()[0])
		Expect(l.Remove()).To(Succeed())
		notReach(b, l.Addrs()[0])
	})
})

var _ = Describe("Over another network, a link", func() {
	DescribeTable("is added, renewed and removed, and keeps that below", func(medium nstest.Medium) {
		add(nstest.NetworkConfig{Name: "over", Medium: medium, Over: "lan"})
		a, b := hostOn("a"), hostOn("b", "lan", "over")
		echo(a, b)
		c := hostOn("c", network("other").Name())
		_, err := c.AddLink(nstest.Attachment{Network: "over"})
		Expect(err).To(MatchError(ContainSubstring(`host "c" cannot be on network "over" before it is on network "lan", which carries it`)))
		l := plug(a, nstest.Attachment{Network: "over"})
		Expect(l.Interface()).To(Equal("eth1"))
		for _, addr := range b.Link("over").Addrs() {
			reach(a, addr)
		}
		want := l.Addrs()[0].Next().Next().Next()
		Expect(l.Renew(want)).To(Succeed())
		reach(b, want)
		Expect(a.Link("lan").Remove()).To(MatchError(ContainSubstring(`network "over" of host "a" goes over its link to network "lan": remove that first`)))
		Expect(a.Link("lan").Move("over")).To(MatchError(ContainSubstring("has no switch that a cable could be moved from or to")))
		Expect(l.Down()).To(MatchError(ContainSubstring(`network "over" has no cable`)))
		Expect(l.SetMTU(1300)).To(Succeed())
		Expect(in(a, func() (int, error) { return mustInterface("eth1").MTU, nil })).To(Equal(1300))
		Expect(l.Remove()).To(Succeed())
		Expect(devices(a)).To(Equal([]string{"1 lo", "2 eth0"}))
		Expect(a.Link("lan").Remove()).To(Succeed())
	},
		Entry("VXLAN", nstest.VXLAN),
		Entry("macvlan", nstest.Macvlan),
	)
})
