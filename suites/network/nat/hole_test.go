package nat_test

import (
	"net"
	"net/netip"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/plan"
)

var _ = Describe("hosts outside of a NAT, or behind another", func() {
	// pair is two homes with a NAT of one kind each, and a host in each.
	pair := func(kind nstest.NATKind) (w *world, hosts [2]*nstest.Host, at [2]netip.AddrPort) {
		plan.Network(nstest.NetworkConfig{Name: "internet"})
		w = &world{is4: true, servers: [2]*nstest.Host{plan.Host("stun1", plan.On("internet")...), plan.Host("stun2", plan.On("internet")...)}}
		for i, name := range []string{"left", "right"} {
			plan.Network(nstest.NetworkConfig{Name: name})
			plan.Router(nstest.RouterConfig{Name: "router-" + name, Networks: plan.On("internet", name), NAT: []nstest.NAT{{Outside: "internet", Kind: kind}}})
			hosts[i] = plan.Host("host-"+name, plan.On(name)...)
			at[i] = netip.AddrPortFrom(plan.Addr(hosts[i], name, true), 5000)
		}
		return w, hosts, at
	}
	for _, kind := range []nstest.NATKind{nstest.PortRestricted, nstest.Symmetric} {
		works := kind != nstest.Symmetric
		It(map[bool]string{true: "find a way to each other by UDP through ", false: "find none through "}[works]+kind.String()+" ones", func() {
			w, hosts, at := pair(kind)
			w.serveUDP()
			left, right := listenPacket(hosts[0], at[0]), listenPacket(hosts[1], at[1])
			other := listenPacket(hosts[0], netip.AddrPortFrom(at[0].Addr(), 0))
			a, b := w.seenUDP(left, 0, 0), w.seenUDP(right, 0, 0)
			Expect(w.whoCalls(left, b, right, other)).To(Equal(netip.AddrPort{}), "the first packet makes a hole and is lost")
			if works {
				Expect(w.whoCalls(right, a, left, other)).To(Equal(b))
				Expect(w.whoCalls(left, b, right, other)).To(Equal(a))
			} else {
				Expect(w.whoCalls(right, a, left, other)).To(Equal(netip.AddrPort{}))
				Expect(w.whoCalls(left, b, right, other)).To(Equal(netip.AddrPort{}))
			}
		})
	}

	It("find a way to each other by TCP, as a router does not refuse what comes too early", func() {
		w, hosts, at := pair(nstest.PortRestricted)
		w.serveTCP()
		a := mustCall(hosts[0], at[0], w.endpoint(0, 0)).seen
		b := mustCall(hosts[1], at[1], w.endpoint(0, 0)).seen
		left := make(chan error, 1)
		go func() {
			c, err := dial(hosts[0], at[0], b)
			if err == nil {
				err = c.Close()
			}
			left <- err
		}()
		c, err := dial(hosts[1], at[1], a)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(c.Close)
		Eventually(left).Should(Receive(BeNil()))
	})

	It("get no word from a port of the router's that nobody uses, but from those that it uses itself", func() {
		w := newWorld(true, nstest.NAT{Outside: "internet"})
		w.serveTCP()
		own := netip.AddrPortFrom(w.outside(), 22)
		go echo(listen(w.router.Host, own))
		Expect(mustCall(w.servers[0], netip.AddrPortFrom(w.server(0), 1234), own).trip()).To(Succeed())
		const silent, says = 300 * time.Millisecond, 10 * time.Second
		try := func(limit time.Duration) error {
			d := net.Dialer{Timeout: limit}
			return w.servers[0].Do(func() error {
				c, err := d.Dial("tcp", netip.AddrPortFrom(w.outside(), 23).String())
				if err == nil {
					err = c.Close()
				}
				return err
			})
		}
		Expect(try(silent)).To(Satisfy(os.IsTimeout))
		By("a firewall may say otherwise")
		Expect(w.router.SetFirewall(nstest.Firewall{Rules: []nstest.FirewallRule{{Verdict: nstest.Reject, Direction: nstest.In, To: "router"}}})).To(Succeed())
		Expect(try(says)).To(MatchError(unix.ECONNREFUSED))
		Expect(w.router.SetFirewall(nstest.Firewall{})).To(Succeed())
		Expect(try(silent)).To(Satisfy(os.IsTimeout))
		Expect(w.router.SetNAT()).To(Succeed())
		Expect(try(says)).To(MatchError(unix.ECONNREFUSED))
	})

	for _, is4 := range []bool{true, false} {
		It("do not spoil a port for those inside by what they send to it before, "+map[bool]string{true: "IPv4", false: "IPv6"}[is4], func() {
			w := newWorld(is4, nstest.NAT{Outside: "internet", NAT66: !is4})
			w.serveTCP()
			early := listenPacket(w.servers[0], netip.AddrPortFrom(w.server(0), 7777))
			public, inside := netip.AddrPortFrom(w.outside(), 5000), netip.AddrPortFrom(w.of(w.client), 5000)
			_, err := early.WriteTo([]byte("too early"), net.UDPAddrFromAddrPort(public))
			Expect(err).NotTo(HaveOccurred())
			open := mustCall(w.client, netip.AddrPortFrom(w.of(w.client), 0), w.endpoint(1, 0))
			Expect(connects(w.servers[0], netip.AddrPortFrom(w.server(0), 3478), public, open)).To(BeFalse())

			met, err := dial(w.client, inside, w.endpoint(0, 0)) // meets the one who was too early, and still waits
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(met.Close)
			c := listenPacket(w.client, inside)
			_, err = c.WriteTo([]byte("hello"), early.LocalAddr())
			Expect(err).NotTo(HaveOccurred())
			Expect(early.SetReadDeadline(time.Now().Add(30 * time.Second))).To(Succeed())
			_, from, err := early.ReadFrom(make([]byte, 10))
			Expect(err).NotTo(HaveOccurred())
			Expect(from.String()).To(Equal(public.String()))

			By("the router's own sockets get what is for them")
			own, err := w.router.ListenPacket("udp", ":123")
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(own.Close)
			_, err = early.WriteTo([]byte("question"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(w.outside(), 123)))
			Expect(err).NotTo(HaveOccurred())
			Expect(own.SetReadDeadline(time.Now().Add(30 * time.Second))).To(Succeed())
			_, from, err = own.ReadFrom(make([]byte, 10))
			Expect(err).NotTo(HaveOccurred())
			Expect(from.String()).To(Equal(early.LocalAddr().String()))
		})
	}
})
