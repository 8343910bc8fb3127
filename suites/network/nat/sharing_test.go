package nat_test

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/plan"
)

var _ = Describe("hosts behind a NAT", func() {
	It("may use one port: each has a mapping of its own for all that it talks to, and gets what is its own", func() {
		w := newWorld(true, nstest.NAT{Outside: "internet", Kind: nstest.AddressRestricted})
		neighbour := plan.Host("neighbour", plan.On("home")...)
		w.serveUDP()
		w.serveTCP()
		var seen []netip.AddrPort
		for _, h := range []*nstest.Host{w.client, neighbour} {
			at := netip.AddrPortFrom(w.of(h), 5000)
			c := listenPacket(h, at)
			first := w.seenUDP(c, 0, 0)
			Expect(w.seenUDP(c, 1, 0)).To(Equal(first))
			Expect(w.seenUDP(c, 1, 1)).To(Equal(first))
			udp := first
			first = mustCall(h, at, w.endpoint(0, 0)).seen
			Expect(mustCall(h, at, w.endpoint(1, 1)).seen).To(Equal(first))
			seen = append(seen, udp, first)
		}
		Expect(seen[0].Port()).To(BeEquivalentTo(5000), "a port that is free is kept")
		Expect(seen[1].Port()).To(BeEquivalentTo(5000))
		Expect(seen[2]).NotTo(Equal(seen[0]))
		Expect(seen[3]).NotTo(Equal(seen[1]))
		Expect(seen[2].Addr()).To(Equal(w.outside()))
	})

	It("have many connections at a time, each with an outside port of its own", func() {
		w := newWorld(true, nstest.NAT{Outside: "internet"})
		w.serveTCP()
		neighbour := plan.Host("neighbour", plan.On("home")...)
		seen := map[netip.AddrPort]bool{}
		for i := range 100 {
			for _, h := range []*nstest.Host{w.client, neighbour} {
				seen[mustCall(h, netip.AddrPortFrom(w.of(h), uint16(20000+i)), w.endpoint(0, 0)).seen] = true
			}
		}
		Expect(seen).To(HaveLen(200))
	})

	It("get echoes and the errors of those whom they talk to", func() {
		w := newWorld(true, nstest.NAT{Outside: "internet"})
		Expect(ping(w.client, w.server(0), 10)).To(Succeed())
		Expect(ping(w.client, netip.MustParseAddr("203.0.113.1"), 0.5)).NotTo(Succeed(), "nobody has this address")
		c, err := w.client.DialContext(context.Background(), "udp", w.endpoint(0, 0).String())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(c.Close)
		_, err = c.Write([]byte("to a closed port"))
		Expect(err).NotTo(HaveOccurred())
		Expect(c.SetReadDeadline(time.Now().Add(30 * time.Second))).To(Succeed())
		_, err = c.Read(make([]byte, 1))
		Expect(err).To(MatchError(unix.ECONNREFUSED))
	})

	It("are reached neither by their addresses nor by the router's, whatever routes there are outside", func() {
		w := newWorld(true)
		w.serveTCP()
		at := netip.AddrPortFrom(w.of(w.client), 6000)
		go echo(listen(w.client, at))
		Expect(call(w.servers[0], netip.AddrPort{}, at)).NotTo(BeNil(), "without NAT they are")

		Expect(w.router.SetNAT(nstest.NAT{Outside: "internet"})).To(Succeed())
		_, err := call(w.servers[0], netip.AddrPort{}, at)
		Expect(err).To(MatchError(unix.ENETUNREACH))
		Expect(w.servers[0].AddRoute(nstest.Route{Via: w.outside()})).To(Succeed())
		open := mustCall(w.client, netip.AddrPortFrom(w.of(w.client), 6001), w.endpoint(0, 0))
		from := netip.AddrPortFrom(w.server(0), 6000)
		Expect(connects(w.servers[0], from, at, open)).To(BeFalse())
		Expect(connects(w.servers[0], from, netip.AddrPortFrom(w.outside(), 6000), open)).To(BeFalse())

		Expect(w.router.SetNAT()).To(Succeed())
		Expect(call(w.servers[0], netip.AddrPort{}, at)).NotTo(BeNil(), "without NAT they are again")
	})

	for _, is4 := range []bool{true, false} {
		It("are reached by the ports that lead to them, "+map[bool]string{true: "IPv4", false: "IPv6"}[is4], func() {
			w := newWorld(is4)
			to := netip.AddrPortFrom(w.of(w.client), 8080)
			nat := nstest.NAT{Outside: "internet", NAT66: !is4, Kind: nstest.Symmetric, Forwards: []nstest.Forward{
				{Network: "tcp", Port: 80, To: to}, {Network: "udp", Port: 53, To: netip.AddrPortFrom(w.of(w.client), 5353)},
			}}
			Expect(w.router.SetNAT(nat)).To(Succeed())
			go echo(listen(w.client, to))
			from := netip.AddrPortFrom(w.server(0), 1234)
			open := mustCall(w.servers[0], from, netip.AddrPortFrom(w.outside(), 80))
			Expect(open.seen).To(Equal(from))
			Expect(connects(w.servers[0], from, netip.AddrPortFrom(w.outside(), 8080), open)).To(BeFalse(), "the other ports do not")

			inside := listenPacket(w.client, netip.AddrPortFrom(w.of(w.client), 5353))
			asking := listenPacket(w.servers[0], from)
			_, err := asking.WriteTo([]byte("question"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(w.outside(), 53)))
			Expect(err).NotTo(HaveOccurred())
			buf := make([]byte, 100)
			for _, c := range []net.PacketConn{inside, asking} {
				Expect(c.SetReadDeadline(time.Now().Add(30 * time.Second))).To(Succeed())
			}
			n, sender, err := inside.ReadFrom(buf)
			Expect(err).NotTo(HaveOccurred())
			Expect(string(buf[:n])).To(Equal("question"))
			Expect(sender.String()).To(Equal(from.String()))
			_, err = inside.WriteTo([]byte("answer"), sender)
			Expect(err).NotTo(HaveOccurred())
			n, sender, err = asking.ReadFrom(buf)
			Expect(err).NotTo(HaveOccurred())
			Expect(string(buf[:n])).To(Equal("answer"))
			Expect(sender.String()).To(Equal(netip.AddrPortFrom(w.outside(), 53).String()))
		})
	}

	It("do not get the port of a forward for their own", func() {
		w := newWorld(true)
		neighbour := plan.Host("neighbour", plan.On("home")...)
		nat := nstest.NAT{Outside: "internet", Kind: nstest.FullCone, Forwards: []nstest.Forward{
			{Network: "udp", Port: 5000, To: netip.AddrPortFrom(w.of(w.client), 5000)},
		}}
		Expect(w.router.SetNAT(nat)).To(Succeed())
		w.serveUDP()
		Expect(w.seenUDP(listenPacket(neighbour, netip.AddrPortFrom(w.of(neighbour), 5000)), 0, 0).Port()).NotTo(BeEquivalentTo(5000))
		Expect(w.seenUDP(listenPacket(w.client, netip.AddrPortFrom(w.of(w.client), 5000)), 0, 0).Port()).To(BeEquivalentTo(5000))
	})

	It("are behind two NATs where the provider has one too", func() {
		for _, n := range []string{"internet", "provider", "home"} {
			plan.Network(nstest.NetworkConfig{Name: n})
		}
		w := &world{is4: true, servers: [2]*nstest.Host{plan.Host("stun1", plan.On("internet")...), plan.Host("stun2", plan.On("internet")...)}}
		w.router = plan.Router(nstest.RouterConfig{Name: "box", Networks: plan.On("home", "provider"), NAT: []nstest.NAT{{Outside: "provider", Kind: nstest.FullCone}}})
		carrier := plan.Router(nstest.RouterConfig{Name: "carrier", Networks: plan.On("provider", "internet"), NAT: []nstest.NAT{{Outside: "internet", Kind: nstest.FullCone}}})
		w.client = plan.Host("client", plan.On("home")...)
		w.serveUDP()
		c := listenPacket(w.client, netip.AddrPortFrom(w.of(w.client), 0))
		seen := w.seenUDP(c, 0, 0)
		Expect(seen.Addr()).To(Equal(plan.Addr(carrier.Host, "internet", true)))
		Expect(w.seenUDP(c, 1, 1)).To(Equal(seen))
		Expect(w.arrives(listenPacket(w.client, netip.AddrPortFrom(w.of(w.client), 0)), 1, 1)).To(BeTrue())
		By("the less permissive one counts")
		Expect(carrier.SetNAT(nstest.NAT{Outside: "internet", Kind: nstest.AddressRestricted})).To(Succeed())
		c = listenPacket(w.client, netip.AddrPortFrom(w.of(w.client), 0))
		Expect(w.arrives(c, 1, 1)).To(BeFalse())
		Expect(w.arrives(c, 0, 1)).To(BeTrue())
	})
})

// ping sends one echo request and waits for its reply, for so many seconds.
func ping(from *nstest.Host, to netip.Addr, limit float64) error {
	return from.Command("ping", "-c1", "-W"+strconv.FormatFloat(limit, 'f', -1, 64), to.String()).Run()
}
