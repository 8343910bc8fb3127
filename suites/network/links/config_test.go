package links_test

import (
	"context"
	"net/netip"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/rtnetlink"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A network", func() {
	DescribeTable("has the families that were asked for", func(cfg nstest.NetworkConfig, families int) {
		cfg.Name = "net"
		n := add(cfg)
		Expect(n.Prefixes()).To(HaveLen(families))
		a, b := hostOn("a", "net"), hostOn("b", "net")
		echo(b)
		Expect(b.Addrs()).To(HaveLen(families))
		for _, addr := range b.Addrs() {
			reach(a, addr)
		}
		Expect(addrsOf(a, "b")).To(ConsistOf(b.Addrs()))
	},
		Entry("both", nstest.NetworkConfig{}, 2),
		Entry("IPv4 alone", nstest.NetworkConfig{NoIPv6: true}, 1),
		Entry("IPv6 alone", nstest.NetworkConfig{NoIPv4: true}, 1),
		Entry("both, with prefixes", nstest.NetworkConfig{Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28"), netip.MustParsePrefix("2001:db8::/120")}}, 2),
	)

	DescribeTable("that is point-to-point has two ends", func(cfg nstest.NetworkConfig, bits4, bits6 int) {
		cfg.Name, cfg.PointToPoint = "wire", true
		n := add(cfg)
		Expect(n.Prefixes()[0].Bits()).To(Equal(bits4))
		Expect(n.Prefixes()[1].Bits()).To(Equal(bits6))
		a, b := hostOn("a", "wire"), hostOn("b")
		plug(b, nstest.Attachment{Network: "wire"})
		echo(a, b)
		for _, addr := range b.Link("wire").Addrs() {
			reach(a, addr)
		}
		for _, addr := range a.Addrs() {
			reach(b, addr)
		}
		By("plugging in a third host")
		env := nstest.Current()
		refused := MatchError(ContainSubstring(`network "wire" is point-to-point, between a and b: there is no place for host "c"`))
		_, err := env.AddHost(nstest.HostConfig{Name: "c", Networks: []nstest.Attachment{{Network: "wire"}}})
		Expect(err).To(refused)
		c := hostOn("c")
		_, err = c.AddLink(nstest.Attachment{Network: "wire"})
		Expect(err).To(refused)
		Expect(c.Link("").Move("wire")).To(refused)
		echo(c)
		reach(env.Self(), c.Addr())

		By("taking one out")
		Expect(b.Link("wire").Remove()).To(Succeed())
		Expect(c.Link("").Move("wire")).To(Succeed())
		Expect(c.Link("").Renew()).To(Succeed())
		reach(c, a.Addr())
	},
		Entry("automatic", nstest.NetworkConfig{}, 31, 127),
		Entry("explicit", nstest.NetworkConfig{Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.6/31"), netip.MustParsePrefix("2001:db8::2/127")}}, 31, 127),
		Entry("larger", nstest.NetworkConfig{Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.4/30"), netip.MustParsePrefix("2001:db8::/64")}}, 30, 64),
	)

	It("that is the environment's first one can be point-to-point", nstest.With(nstest.Config{Network: nstest.NetworkConfig{PointToPoint: true}}), func() {
		env := nstest.Current()
		peer := hostOn("peer")
		echo(peer)
		reach(env.Self(), peer.Addr())
		Expect(env.Self().Addr().Next()).To(Equal(peer.Addr()))
		_, err := env.AddHost(nstest.HostConfig{Name: "third"})
		Expect(err).To(MatchError(ContainSubstring("point-to-point, between peer and self")))
	})

	It("that is point-to-point gives out both addresses", func() {
		n := add(nstest.NetworkConfig{Name: "wire", PointToPoint: true})
		a, b := hostOn("a", "wire"), hostOn("b", "wire")
		for i, p := range n.Prefixes() {
			Expect(a.Addrs()[i]).To(Equal(p.Addr()))
			Expect(b.Addrs()[i]).To(Equal(p.Addr().Next()))
		}
	})
})

var _ = Describe("What cannot be", func() {
	DescribeTable("of a network is refused by name", func(cfg nstest.NetworkConfig, text string) {
		_, err := nstest.Current().AddNetwork(cfg)
		Expect(err).To(MatchError(ContainSubstring(text)))
		if cfg.Name != "" && cfg.Name != "lan" {
			add(nstest.NetworkConfig{Name: cfg.Name}) // nothing of it is left
		}
	},
		Entry("no name", nstest.NetworkConfig{}, "must not be empty"),
		Entry("its name is taken", nstest.NetworkConfig{Name: "lan"}, `a network "lan" exists already`),
		Entry("it overlaps another", nstest.NetworkConfig{Name: "dmz", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, `overlaps 10.1.0.0/16 of network "lan"`),
		Entry("too small an MTU", nstest.NetworkConfig{Name: "dmz", MTU: 1279}, "an MTU of 1279 is not between 1280 and 65535"),
		Entry("too large an MTU", nstest.NetworkConfig{Name: "dmz", MTU: 65536}, "an MTU of 65536 is not between 1280 and 65535"),
		Entry("a /31 for many", nstest.NetworkConfig{Name: "dmz", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/31")}}, "for one that is PointToPoint"),
		Entry("a gateway outside", nstest.NetworkConfig{Name: "dmz", Gateway: netip.MustParseAddr("192.0.2.1")}, "gateway 192.0.2.1 is in none of its prefixes"),
	)

	DescribeTable("of a link is refused by name, and changes nothing", func(a nstest.Attachment, text string) {
		web := hostOn("web")
		hostOn("other")
		network("dmz")
		before := device(web, "eth0")
		_, err := web.AddLink(a)
		Expect(err).To(MatchError(And(HavePrefix("nstest: add link to web"), ContainSubstring(text))))
		_, err = nstest.Current().AddHost(nstest.HostConfig{Name: "third", Networks: []nstest.Attachment{{Network: "dmz"}, a, {Network: "lan"}}})
		Expect(err).To(HaveOccurred())
		Expect(device(web, "eth0")).To(Equal(before))
		Expect(devices(web)).To(Equal([]string{"1 lo", "2 eth0"}))
		Expect(web.Links()).To(HaveLen(1))
		Expect(plug(web, nstest.Attachment{Network: "dmz"}).Addrs()[0].String()).To(HaveSuffix(".0.2"), "nothing is taken")
	},
		Entry("an unknown network", nstest.Attachment{Network: "wan"}, `there is no network "wan": make it with AddNetwork`),
		Entry("a second link to a network", nstest.Attachment{Network: "lan"}, `host "web" has a link to network "lan" already`),
		Entry("an address outside", nstest.Attachment{Network: "dmz", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, "192.0.2.1 is in none of the prefixes"),
		Entry("the broadcast address", nstest.Attachment{Network: "dmz", Addrs: []netip.Addr{netip.MustParseAddr("10.2.255.255")}}, "broadcast"),
		Entry("no MAC address", nstest.Attachment{Network: "dmz", MAC: "red"}, `"red" is not a unicast MAC address`),
		Entry("a switch's MAC address", nstest.Attachment{Network: "dmz", MAC: "02:6e:73:00:00:01"}, "switches"),
	)

	It("of a change is refused by name, and changes nothing", func() {
		add(nstest.NetworkConfig{Name: "dmz", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
		web, other := hostOn("web"), hostOn("other", "dmz")
		before := device(web, "eth0")
		l := web.Link("")
		Expect(l.Move("lan")).To(MatchError(ContainSubstring(`the link is on network "lan" already`)))
		Expect(l.Move("wan")).To(MatchError(ContainSubstring(`there is no network "wan"`)))
		Expect(l.SetMTU(1279)).To(MatchError(ContainSubstring("an MTU of 1279 is not between 1280, which is the least for IPv6, and 65535 bytes")))
		Expect(l.SetMTU(65536)).To(MatchError(ContainSubstring("65535 bytes")))
		Expect(l.Renew(netip.MustParseAddr("192.0.2.9"))).To(MatchError(ContainSubstring("in none of the prefixes")))
		Expect(l.Renew(nstest.Current().Self().Addr())).To(MatchError(ContainSubstring(`is the address of host "self"`)))
		_, err := l.Flap(time.Millisecond, time.Second)
		Expect(err).To(MatchError(ContainSubstring("each takes 10ms at least")))
		plug(web, nstest.Attachment{Network: "dmz"})
		Expect(l.Move("dmz")).To(MatchError(ContainSubstring(`host "web" has a link to network "dmz" already`)))
		Expect(device(web, "eth0")).To(Equal(before))
		Expect(l.Network()).To(Equal("lan"))

		By("setting the device down inside")
		in(other, func() (any, error) { return nil, rtnetlink.Down("eth0") })
		Expect(other.Link("").Renew()).To(MatchError(ContainSubstring(`eth0 of host "other" is set down`)))

		By("asking for a MAC address that somebody has")
		_, err = nstest.Current().AddHost(nstest.HostConfig{Name: "twin", Networks: []nstest.Attachment{{MAC: l.MAC()}}})
		Expect(err).To(MatchError(ContainSubstring(`is the MAC address of host "web" on network "lan"`)))
	})
})

var _ = Describe("A link that flaps", func() {
	It("loses and regains its carrier until it is healed", func(ctx context.Context) {
		env := nstest.Current()
		web := hostOn("web")
		echo(web)
		reach(env.Self(), web.Addr())
		w := watch(web)
		fault, err := web.Link("").Flap(20*time.Millisecond, 20*time.Millisecond)
		Expect(err).NotTo(HaveOccurred())
		for turn := range 3 {
			for _, carrier := range []bool{false, true} {
				awaitEvent(ctx, w, "turn of the carrier", func(e rtnetlink.Event) bool { return e.Link.Name == "eth0" && e.Link.Carrier == carrier })
			}
			By("turning", func() { GinkgoWriter.Println("turn", turn) })
		}
		_, err = web.Link("").Flap(time.Second, time.Second)
		Expect(err).To(MatchError(ContainSubstring("flaps already: heal that first")))
		fault.Heal()
		reach(env.Self(), web.Addr())
		Expect(fault.Close()).To(Succeed(), "again")
		fault, err = web.Link("").Flap(time.Second, time.Second)
		Expect(err).NotTo(HaveOccurred(), "it can be made to flap again")
		fault.Heal()
	})

	It("begins with the cable pulled, and flaps on where it moves to", func(ctx context.Context) {
		network("dmz")
		web, peer := hostOn("web"), hostOn("peer", "dmz")
		echo(web, peer)
		carrier := func() bool { return in(web, func() (rtnetlink.Link, error) { return rtnetlink.Find("eth0") }).Carrier }
		fault, err := web.Link("").Flap(time.Hour, time.Hour)
		Expect(err).NotTo(HaveOccurred())
		Eventually(carrier).Should(BeFalse())
		Expect(web.Link("").Move("dmz")).To(Succeed())
		Expect(web.Link("").Renew()).To(Succeed())
		notReach(web, peer.Addr())
		fault.Heal()
		reach(peer, web.Addr())
	})

	It("can be removed, with its host too", func() {
		env := nstest.Current()
		web := hostOn("web")
		fault, err := web.Link("").Flap(10*time.Millisecond, 10*time.Millisecond)
		Expect(err).NotTo(HaveOccurred())
		Expect(web.Link("").Remove()).To(Succeed())
		Expect(fault.Close()).To(Succeed())
		plug(web, nstest.Attachment{})
		fault, err = web.Link("").Flap(10*time.Millisecond, 10*time.Millisecond)
		Expect(err).NotTo(HaveOccurred())
		Expect(env.RemoveHost("web")).To(Succeed())
		Expect(fault.Close()).To(Succeed())
		web = hostOn("web")
		echo(web)
		reach(env.Self(), web.Addr())
	})

	It("need not be healed", func() {
		_, err := hostOn("web").Link("").Flap(10*time.Millisecond, 10*time.Millisecond)
		Expect(err).NotTo(HaveOccurred())
	})
})
