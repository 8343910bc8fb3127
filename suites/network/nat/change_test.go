package nat_test

import (
	"net/netip"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/plan"
)

var _ = Describe("SetNAT", func() {
	It("replaces one kind by another, and by none", func() {
		w := newWorld(true)
		w.serveUDP()
		classify := func() string {
			GinkgoHelper()
			c := listenPacket(w.client, netip.AddrPortFrom(w.of(w.client), 0))
			local := netip.MustParseAddrPort(c.LocalAddr().String())
			m := mapping(local, w.seenUDP(c, 0, 0), w.seenUDP(c, 1, 0), w.seenUDP(c, 1, 1))
			c = listenPacket(w.client, netip.AddrPortFrom(w.of(w.client), 0))
			return behaviour{m, filtering(w.arrives(c, 1, 1), w.arrives(c, 0, 1))}.kind()
		}
		Expect(classify()).To(Equal("open"))
		for _, kind := range kinds {
			Expect(w.router.SetNAT(nstest.NAT{Outside: "internet", Kind: kind})).To(Succeed())
			Expect(classify()).To(Equal(kind.String()))
		}
		Expect(w.router.SetNAT()).To(Succeed())
		Expect(classify()).To(Equal("open"))
	})

	It("cuts the connections that there are", func() {
		w := newWorld(true, nstest.NAT{Outside: "internet"})
		w.serveTCP()
		c := mustCall(w.client, netip.AddrPortFrom(w.of(w.client), 4000), w.endpoint(0, 0))
		Expect(c.trip()).To(Succeed())
		Expect(w.router.SetNAT(nstest.NAT{Outside: "internet"})).To(Succeed())
		other := mustCall(w.client, netip.AddrPortFrom(w.of(w.client), 4001), w.endpoint(0, 0))
		Expect(c.SetDeadline(time.Now().Add(300 * time.Millisecond))).To(Succeed())
		Expect(c.trip()).To(MatchError(os.ErrDeadlineExceeded))
		Expect(other.trip()).To(Succeed(), "a new one lasts")
	})

	It("need not be called when the router gets another address outside", func() {
		w := newWorld(true, nstest.NAT{Outside: "internet", Kind: nstest.FullCone})
		w.serveUDP()
		c := listenPacket(w.client, netip.AddrPortFrom(w.of(w.client), 5000))
		Expect(w.seenUDP(c, 0, 0)).To(Equal(netip.AddrPortFrom(w.outside(), 5000)))
		another := netip.MustParseAddr("10.2.0.99")
		Expect(w.outside()).NotTo(Equal(another))
		Expect(w.router.Link("internet").Renew(another)).To(Succeed())
		Expect(w.seenUDP(c, 0, 0)).To(Equal(netip.AddrPortFrom(another, 5000)))
		Expect(w.arrives(c, 1, 1)).To(BeTrue())
	})

	It("makes a router the gateway of what is outside no longer, and of what is not outside any more", func() {
		w := newWorld(true)
		internet := nstest.Current().Network("internet")
		Expect(internet.Gateway()).To(Equal(w.outside()))
		Expect(w.router.SetNAT(nstest.NAT{Outside: "internet"})).To(Succeed())
		Expect(internet.Gateway().IsValid()).To(BeFalse())
		Expect(w.router.SetNAT()).To(Succeed())
		Expect(internet.Gateway()).To(Equal(w.outside()))
	})

	It("refuses what makes no sense, by name, and leaves what there is", func() {
		w := newWorld(true, nstest.NAT{Outside: "internet"})
		plan.Network(nstest.NetworkConfig{Name: "elsewhere"})
		inside := netip.AddrPortFrom(w.of(w.client), 80)
		w.serveTCP()
		c := mustCall(w.client, netip.AddrPortFrom(w.of(w.client), 4000), w.endpoint(0, 0))
		for says, nat := range map[string][]nstest.NAT{
			`has no Outside`: {{}},
			`router "router" is not on the network "elsewhere", its Outside`: {{Outside: "elsewhere"}},
			`router "router" is not on the network "nowhere"`:                {{Outside: "nowhere"}},
			`not on the network "elsewhere", which is to be inside`:          {{Outside: "internet", Inside: []string{"elsewhere"}}},
			`"internet" is to be both inside and outside`:                    {{Outside: "internet", Inside: []string{"internet"}}},
			`"home" is inside twice`:                                         {{Outside: "internet", Inside: []string{"home", "home"}}},
			`two NATs with the Outside "internet"`:                           {{Outside: "internet"}, {Outside: "internet"}},
			`different time limits`:                                          {{Outside: "internet"}, {Outside: "home", UDPTimeout: time.Minute}},
			`UDPTimeout is 10ms`:                                             {{Outside: "internet", UDPTimeout: 10 * time.Millisecond}},
			`TCPTimeout is 1.5s`:                                             {{Outside: "internet", TCPTimeout: 1500 * time.Millisecond}},
			`UDPTimeout is -1s`:                                              {{Outside: "internet", UDPTimeout: -time.Second}},
			`TCPTimeout is 876000h0m0s`:                                      {{Outside: "internet", TCPTimeout: 876000 * time.Hour}},
			`NATKind(7) is none of the kinds`:                                {{Outside: "internet", Kind: 7}},
			`a forward of "sctp"`:                                            {{Outside: "internet", Forwards: []nstest.Forward{{Network: "sctp", Port: 1, To: inside}}}},
			`a port is from 1 to 65535`:                                      {{Outside: "internet", Forwards: []nstest.Forward{{Network: "tcp", To: inside}}}},
			`which is on no network inside`: {{Outside: "internet", Forwards: []nstest.Forward{
				{Network: "tcp", Port: 1, To: w.endpoint(0, 0)},
			}}},
			`two forwards of tcp port 1`: {{Outside: "internet", Forwards: []nstest.Forward{
				{Network: "tcp", Port: 1, To: inside}, {Network: "tcp", Port: 1, To: inside},
			}}},
			`for IPv6, NAT66 is needed`: {{Outside: "internet", Forwards: []nstest.Forward{
				{Network: "tcp", Port: 1, To: netip.AddrPortFrom(plan.Addr(w.client, "home", false), 80)},
			}}},
			`choose one`: {{Outside: "internet", NAT66: true, NPTv6: netip.MustParsePrefix("2001:db8::/64")}},
			`5 NATs`:     make([]nstest.NAT, 5),
		} {
			Expect(w.router.SetNAT(nat...)).To(MatchError(ContainSubstring(says)))
			_, err := nstest.Current().AddRouter(nstest.RouterConfig{Name: "other", Networks: plan.On("home", "internet"), NAT: nat})
			if says != `router "router" is not on the network "elsewhere", its Outside` && says != `router "router" is not on the network "nowhere"` {
				Expect(err).To(MatchError(ContainSubstring(says)))
			} else {
				Expect(err).To(MatchError(ContainSubstring(`router "other" is not on the network`)))
			}
		}
		Expect(c.trip()).To(Succeed())
		Expect(nstest.Current().AddHost(nstest.HostConfig{Name: "other"})).NotTo(BeNil(), "the name is free")
	})
})
