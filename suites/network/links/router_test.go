package links_test

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func routerOn(cfg nstest.RouterConfig, networks ...string) *nstest.Router {
	GinkgoHelper()
	cfg.Name = "router"
	for _, n := range networks {
		cfg.Networks = append(cfg.Networks, nstest.Attachment{Network: n})
	}
	r, err := nstest.Current().AddRouter(cfg)
	Expect(err).NotTo(HaveOccurred())
	return r
}

// learned are the global IPv6 addresses of a host's device that are in a prefix.
func learned(h *nstest.Host, device string, in6 netip.Prefix) []netip.Addr {
	GinkgoHelper()
	var list []netip.Addr
	for _, a := range in(h, func() ([]net.Addr, error) { return mustInterface(device).Addrs() }) {
		if p := netip.MustParsePrefix(a.String()); in6.Contains(p.Addr()) {
			list = append(list, p.Addr())
		}
	}
	return list
}

var _ = Describe("When links change, routers", func() {
	It("become the gateways of networks that they are plugged into", func() {
		for _, n := range []string{"east", "west"} {
			network(n)
		}
		router, a, b := routerOn(nstest.RouterConfig{}, "east"), hostOn("a", "east"), hostOn("b", "west")
		echo(b)
		notReach(a, b.Addr())
		l := plug(router.Host, nstest.Attachment{Network: "west"})
		for _, addr := range b.Addrs() {
			reach(a, addr)
		}

		By("giving the router another address there: the hosts' default routes follow")
		Expect(l.Renew(b.Addrs()[0].Next().Next())).To(Succeed())
		reach(a, b.Addr())
		Expect(path(b, a.Addr().String())).To(Equal(b.Addr().String()))

		By("taking it out: they have none any more")
		Expect(l.Remove()).To(Succeed())
		Expect(path(b, a.Addr().String())).To(BeEmpty())
	})

	It("are found by hosts that move to their networks, when these are renewed", func() {
		for _, n := range []string{"east", "west"} {
			network(n)
		}
		routerOn(nstest.RouterConfig{}, "east", "west", "lan")
		a, b := hostOn("a", "east"), hostOn("b", "lan")
		echo(b)
		for _, n := range []string{"west", "east"} {
			reach(a, b.Addr())
			Expect(a.Link("").Move(n)).To(Succeed())
			Expect(a.Link("").Renew()).To(Succeed())
			for _, addr := range b.Addrs() {
				reach(a, addr)
			}
		}
	})

	It("stay the gateways of networks whose cables they have lost, as far as the hosts know", func() {
		network("east")
		network("west")
		router, a := routerOn(nstest.RouterConfig{}, "east"), hostOn("a", "east")
		const far = "203.0.113.9"
		Expect(router.Link("").Move("west")).To(Succeed())
		Expect(path(a, far)).To(Equal(a.Addr().String()))
		Expect(router.Link("").Renew()).To(Succeed())
		Expect(path(a, far)).To(BeEmpty())
		Expect(path(hostOn("b", "west"), far)).NotTo(BeEmpty())
	})

	It("translate to the address that they have then", func() {
		add(nstest.NetworkConfig{Name: "wan", NoIPv6: true, Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
		add(nstest.NetworkConfig{Name: "home", NoIPv6: true, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24")}})
		router := routerOn(nstest.RouterConfig{NAT: []nstest.NAT{{Outside: "wan"}}}, "wan", "home")
		a, far := hostOn("a", "home"), hostOn("far", "wan")
		asked := make(chan string, 10)
		_, err := far.HandlePackets("udp", ":7", func(from net.Addr, packet []byte) []byte {
			asked <- from.(*net.UDPAddr).IP.String()
			return packet
		})
		Expect(err).NotTo(HaveOccurred())
		reach(a, far.Addr())
		Expect(<-asked).To(Equal(router.Link("wan").Addrs()[0].String()))
		renewed := netip.MustParseAddr("198.51.100.77")
		Expect(router.Link("wan").Renew(renewed)).To(Succeed())
		reach(a, far.Addr())
		Expect(<-asked).To(Equal(renewed.String()))

		By("taking the outside away")
		refused := MatchError(ContainSubstring(`without its link to network "wan": NAT: router "router" is not on the network "wan", its Outside`))
		Expect(router.Link("wan").Remove()).To(refused)
		Expect(router.Link("wan").Move("lan")).To(refused)
		reach(a, far.Addr())
	})

	It("tell hosts that listen to them", func() {
		east, west := network("east"), network("west")
		for i, n := range []*nstest.Network{east, west} {
			_, err := nstest.Current().AddRouter(nstest.RouterConfig{
				Name: fmt.Sprintf("r%d", i), Networks: []nstest.Attachment{{Network: n.Name()}}, Advertise: []nstest.Advertisement{{Network: n.Name()}},
			})
			Expect(err).NotTo(HaveOccurred())
		}
		a := hostOn("a")
		l := plug(a, nstest.Attachment{Network: "east", Auto: true})
		Eventually(func() []netip.Addr { return learned(a, "eth1", east.Prefixes()[1]) }).Should(HaveLen(1))
		Expect(l.Move("west")).To(Succeed())
		Expect(learned(a, "eth1", east.Prefixes()[1])).To(HaveLen(1), "nobody has told the host")
		Expect(l.Renew()).To(Succeed())
		Expect(learned(a, "eth1", east.Prefixes()[1])).To(BeEmpty())
		Eventually(func() []netip.Addr { return learned(a, "eth1", west.Prefixes()[1]) }).Should(HaveLen(1))

		By("taking the link of one that advertises")
		Expect(nstest.Current().Router("r0").Link("").Remove()).To(MatchError(ContainSubstring(`router "r0" advertises there: end that first`)))
	})
})

var _ = Describe("When links change, firewalls", func() {
	It("follow the hosts that they name", func() {
		env := nstest.Current()
		web, friend, foe := hostOn("web"), hostOn("friend"), hostOn("foe")
		echo(web)
		Expect(web.SetFirewall(nstest.Firewall{Default: nstest.Drop, Rules: []nstest.FirewallRule{{Verdict: nstest.Allow, From: "friend"}}})).To(Succeed())
		reach(friend, web.Addr())
		was := friend.Addr()
		want := env.Network("").Prefixes()[0].Addr().Next()
		for range 98 {
			want = want.Next()
		}
		Expect(friend.Link("").Renew(want)).To(Succeed())
		reach(friend, web.Addr())
		Expect(foe.Link("").Renew(was)).To(Succeed())
		notReach(foe, web.Addr())
	})
})
