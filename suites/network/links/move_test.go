package links_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/rtnetlink"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// device is what stays of a host's device whichever switch it is plugged into.
func device(h *nstest.Host, name string) string {
	GinkgoHelper()
	return in(h, func() (string, error) {
		d, err := net.InterfaceByName(name)
		if err != nil {
			return "", err
		}
		addrs, err := d.Addrs()
		return fmt.Sprint(d.Index, d.Name, d.HardwareAddr, d.MTU, addrs), err
	})
}

// path is the source address with which a host sends to another address, "" if it has no route there.
func path(h *nstest.Host, to string) string {
	GinkgoHelper()
	c, err := h.DialContext(context.Background(), "udp", net.JoinHostPort(to, "7"))
	if err != nil {
		Expect(err).To(MatchError(ContainSubstring("unreachable")))
		return ""
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().String()
}

var _ = Describe("A link that is moved", func() {
	It("leaves the host its device, which sees its carrier go and come", func(ctx context.Context) {
		env := nstest.Current()
		dmz := network("dmz")
		a, b, c := hostOn("a"), hostOn("b"), hostOn("c", "dmz")
		echo(a, b, c)
		reach(a, b.Addr())
		before, addrs := device(a, "eth0"), a.Addrs()
		w := watch(a)

		l := a.Link("")
		Expect(l.Move("dmz")).To(Succeed())
		awaitEvent(ctx, w, "eth0 loses its carrier", func(e rtnetlink.Event) bool { return e.Link.Name == "eth0" && !e.Link.Carrier && e.Link.Up })
		awaitEvent(ctx, w, "eth0 has a carrier", func(e rtnetlink.Event) bool { return e.Link.Name == "eth0" && e.Link.Carrier && e.Link.Up })
		Expect(device(a, "eth0")).To(Equal(before))
		Expect(l.Network()).To(Equal("dmz"))
		Expect(l.Addrs()).To(Equal(addrs), "nobody has told the host")
		Expect(a.Link("dmz")).To(BeIdenticalTo(l))
		Expect(dmz.Hosts()).To(ContainElement(a))
		Expect(env.Network("lan").Hosts()).NotTo(ContainElement(a))
		notReach(a, b.Addr())

		By("renewing its addresses")
		Expect(l.Renew()).To(Succeed())
		for _, addr := range c.Addrs() {
			reach(a, addr)
		}
		for _, addr := range a.Addrs() {
			reach(c, addr)
		}

		By("moving it back")
		Expect(l.Move("lan")).To(Succeed())
		Expect(l.Renew(addrs...)).To(Succeed())
		Expect(device(a, "eth0")).To(Equal(before))
		reach(a, b.Addr())
	})

	It("moves the host of the spec too", func() {
		env := nstest.Current()
		network("dmz")
		web := hostOn("web", "dmz")
		echo(web)
		Expect(path(env.Self(), web.Addr().String())).To(BeEmpty())
		Expect(env.Self().Link("").Move("dmz")).To(Succeed())
		Expect(env.Self().Link("").Renew()).To(Succeed())
		c, err := net.Dial("udp", netip.AddrPortFrom(web.Addr(), 7).String()) // this process is the host
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Close()).To(Succeed())
		reach(env.Self(), web.Addr())
	})

	It("is kept by the partitions in force from whom they keep its host", func() {
		env := nstest.Current()
		network("dmz")
		a, b, c := hostOn("a"), hostOn("b", "dmz"), hostOn("c", "dmz")
		echo(a, b, c)
		fault := env.Partition([]*nstest.Host{a}, []*nstest.Host{b})
		Expect(a.Link("").Move("dmz")).To(Succeed())
		Expect(a.Link("").Renew()).To(Succeed())
		reach(a, c.Addr())
		notReach(a, b.Addr())
		fault.Heal()
		reach(b, a.Addr())
	})

	It("leaves no partition behind for who comes after it", func() {
		env := nstest.Current()
		network("dmz")
		a, b := hostOn("a"), hostOn("b")
		echo(a, b)
		fault := env.Partition([]*nstest.Host{a}, []*nstest.Host{b})
		notReach(a, b.Addr())
		Expect(a.Link("").Move("dmz")).To(Succeed())
		c := hostOn("c")
		reach(c, b.Addr())
		Expect(a.Link("").Move("lan")).To(Succeed())
		notReach(a, b.Addr())
		fault.Heal()
		reach(b, a.Addr())
	})

	It("stays pulled if it was", func(ctx context.Context) {
		network("dmz")
		a, c := hostOn("a"), hostOn("c", "dmz")
		echo(a, c)
		carrier := func() bool { return in(a, func() (rtnetlink.Link, error) { return rtnetlink.Find("eth0") }).Carrier }
		Expect(carrier()).To(BeTrue())
		Expect(a.Link("").Down()).To(Succeed())
		Expect(a.Link("").Move("dmz")).To(Succeed())
		Expect(a.Link("").Renew()).To(Succeed())
		Eventually(carrier).Should(BeFalse())
		notReach(a, c.Addr())
		Expect(a.Link("").Up()).To(Succeed())
		reach(c, a.Addr())
	})

	It("takes its host's own MAC address along, which nobody else gets", func() {
		// The addresses on the two networks end alike, and so would the MAC addresses that tell them.
		one := add(nstest.NetworkConfig{Name: "one", NoIPv4: true})
		add(nstest.NetworkConfig{Name: "two", NoIPv4: true})
		a, b := hostOn("a", one.Name()), hostOn("b", "two")
		Expect(a.Link("").MAC()).NotTo(Equal(b.Link("").MAC()))
		echo(b)
		Expect(a.Link("").Move("two")).To(Succeed())
		Expect(a.Link("").Renew()).To(Succeed())
		reach(a, b.Addr())
	})
})

var _ = Describe("A link that is renewed", func() {
	It("has the addresses that are asked for, and the name follows", func() {
		env := nstest.Current()
		web := hostOn("web")
		echo(web)
		was := web.Addrs()
		reach(env.Self(), was[0])
		want := env.Network("").Prefixes()[0].Addr().Next()
		for range 76 {
			want = want.Next()
		}
		Expect(web.Link("").Renew(want)).To(Succeed())
		Expect(web.Addrs()).To(ConsistOf(want, was[1]), "IPv6 is as it was")
		Expect(addrsOf(env.Self(), "web")).To(ConsistOf(want, was[1]))
		Expect(hostsFile(web)).To(And(ContainSubstring(want.String()+"\tweb"), Not(ContainSubstring(was[0].String()+"\t"))))
		reach(env.Self(), want)
		reach(env.Self(), was[1])
		notReach(env.Self(), was[0])

		By("giving the old address to another, whom those who knew it find at once")
		next := hostOn("next")
		Expect(next.Addrs()[0]).To(Equal(was[0]))
		echo(next)
		reach(env.Self(), was[0])

		By("going back to it when that one has gone")
		Expect(env.RemoveHost("next")).To(Succeed())
		Expect(web.Link("").Renew(was[0])).To(Succeed())
		reach(env.Self(), was[0])
	})

	It("keeps what it has where nothing else is wanted", func() {
		web := hostOn("web")
		was := device(web, "eth0")
		Expect(web.Link("").Renew()).To(Succeed())
		Expect(device(web, "eth0")).To(Equal(was))
	})

	It("has the families of its network, and no other", func() {
		add(nstest.NetworkConfig{Name: "four", NoIPv6: true})
		add(nstest.NetworkConfig{Name: "six", NoIPv4: true})
		peers := map[string]*nstest.Host{"four": hostOn("p4", "four"), "six": hostOn("p6", "six"), "lan": hostOn("p")}
		for _, p := range peers {
			echo(p)
		}
		web := hostOn("web")
		of := func(is4 bool) int {
			n := 0
			for _, a := range in(web, func() ([]net.Addr, error) { return mustInterface("eth0").Addrs() }) {
				if p := netip.MustParsePrefix(a.String()); p.Addr().Is4() == is4 {
					n++
				}
			}
			return n
		}
		for _, step := range []struct {
			network   string
			four, six int // on the device: an IPv6 address and a link-local one come together
		}{{"four", 1, 0}, {"six", 0, 2}, {"lan", 1, 2}} {
			By("moving it to " + step.network)
			Expect(web.Link("").Move(step.network)).To(Succeed())
			Expect(web.Link("").Renew()).To(Succeed())
			Expect(of(true)).To(Equal(step.four))
			Expect(of(false)).To(Equal(step.six))
			for _, a := range peers[step.network].Addrs() {
				reach(web, a)
			}
		}
	})

	It("has the default route of its network", func() {
		env := nstest.Current()
		gateway := func(n string) netip.Addr { return netip.MustParseAddr(n) }
		add(nstest.NetworkConfig{Name: "east", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, NoIPv6: true, Gateway: gateway("192.0.2.1")})
		add(nstest.NetworkConfig{Name: "west", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, NoIPv6: true, Gateway: gateway("198.51.100.1")})
		a := hostOn("a", "east")
		const far = "203.0.113.9"
		Expect(path(a, far)).To(Equal(a.Addr().String()))
		Expect(a.Link("").Move("west")).To(Succeed())
		Expect(a.Link("").Renew()).To(Succeed())
		Expect(a.Addr()).To(HaveField("String()", HavePrefix("198.51.100.")))
		Expect(path(a, far)).To(Equal(a.Addr().String()))

		By("having a router there to whom the packets go")
		tap := newTap(hostAt("router", "west", gateway("198.51.100.1")), "eth0", 0x0800)
		Expect(ask(a, netip.MustParseAddr(far), silence)).NotTo(Succeed())
		Expect(tap.sees(carrying("ping"))).To(BeTrue())

		By("moving to a network without one")
		Expect(a.Link("").Move(env.Network("").Name())).To(Succeed())
		Expect(a.Link("").Renew()).To(Succeed())
		Expect(path(a, far)).To(BeEmpty())
	})
})

func mustInterface(name string) *net.Interface {
	GinkgoHelper()
	d, err := net.InterfaceByName(name)
	Expect(err).NotTo(HaveOccurred())
	return d
}

func hostAt(name, network string, addr netip.Addr) *nstest.Host {
	GinkgoHelper()
	h, err := nstest.Current().AddHost(nstest.HostConfig{Name: name, Networks: []nstest.Attachment{{Network: network, Addrs: []netip.Addr{addr}}}})
	Expect(err).NotTo(HaveOccurred())
	return h
}

var _ = Describe("A host on two networks with a gateway", func() {
	const far4, far6 = "203.0.113.9", "2001:db8:ffff::9"
	networks := func(family string) {
		prefix := func(p4, p6 string) []netip.Prefix {
			if family == "IPv6" {
				return []netip.Prefix{netip.MustParsePrefix(p6)}
			}
			return []netip.Prefix{netip.MustParsePrefix(p4)}
		}
		for name, p := range map[string][]netip.Prefix{"east": prefix("192.0.2.0/24", "2001:db8:1::/64"), "west": prefix("198.51.100.0/24", "2001:db8:2::/64")} {
			add(nstest.NetworkConfig{Name: name, Prefixes: p, NoIPv4: family == "IPv6", NoIPv6: family == "IPv4", Gateway: p[0].Addr().Next()})
		}
	}
	DescribeTable("sends through that of the first one, and through the other when that is gone", func(family, far string) {
		networks(family)
		a := hostOn("a", "west", "east")
		Expect(path(a, far)).To(Equal(a.Link("west").Addrs()[0].String()))
		east := a.Link("east").Addrs()[0].String()
		Expect(a.Link("west").Remove()).To(Succeed())
		Expect(path(a, far)).To(Equal(east))
		By("plugging the first one in again")
		Expect(plug(a, nstest.Attachment{Network: "west"}).Interface()).To(Equal("eth0"))
		Expect(path(a, far)).To(Equal(a.Link("west").Addrs()[0].String()))
	},
		Entry("IPv4", "IPv4", far4),
		Entry("IPv6", "IPv6", far6),
	)

	It("does without one where it is told to", func() {
		networks("IPv4")
		a, err := nstest.Current().AddHost(nstest.HostConfig{Name: "a", Networks: []nstest.Attachment{{Network: "west", NoGateway: true}, {Network: "east"}}})
		Expect(err).NotTo(HaveOccurred())
		Expect(path(a, far4)).To(Equal(a.Link("east").Addrs()[0].String()))
		Expect(a.Link("east").Remove()).To(Succeed())
		Expect(path(a, far4)).To(BeEmpty())
		plug(a, nstest.Attachment{Network: "east", NoGateway: true})
		Expect(path(a, far4)).To(BeEmpty())
		Expect(a.Link("east").Renew()).To(Succeed())
		Expect(path(a, far4)).To(BeEmpty(), "it stays so")
	})
})
