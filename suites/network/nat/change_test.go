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
		addNetwork("elsewhere")
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
				{Network: "tcp", Port: 1, To: netip.AddrPortFrom(addr(w.client, "home", false), 80)},
			}}},
			`choose one`: {{Outside: "internet", NAT66: true, NPTv6: netip.MustParsePrefix("2001:db8::/64")}},
			`5 NATs`:     make([]nstest.NAT, 5),
		} {
			Expect(w.router.SetNAT(nat...)).To(MatchError(ContainSubstring(says)))
			_, err := nstest.Current().AddRouter(nstest.RouterConfig{Name: "other", Networks: on("home", "internet"), NAT: nat})
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

var _ = Describe("a mapping", func() {
	It("ends when nothing was heard for as long as it may last", func() {
		// Polls are further apart than the time limit of the one, and closer than that of the other.
		const limit, pause = time.Second, 1500 * time.Millisecond
		addNetwork("internet")
		w := &world{is4: true, servers: [2]*nstest.Host{addHost("stun1", "internet"), addHost("stun2", "internet")}}
		w.serveUDP()
		w.serveTCP()
		type home struct {
			socket, other net.PacketConn
			seen          netip.AddrPort
			connection    *caller
		}
		make := func(name string, nat nstest.NAT) *home {
			addNetwork(name)
			addRouter(nstest.RouterConfig{Name: "router-" + name, Networks: on("internet", name), NAT: []nstest.NAT{nat}})
			h := addHost("host-"+name, name)
			at := addr(h, name, true)
			m := &home{socket: listenPacket(h, netip.AddrPortFrom(at, 0)), other: listenPacket(h, netip.AddrPortFrom(at, 0))}
			m.seen = w.seenUDP(m.socket, 0, 0)
			m.connection = mustCall(h, netip.AddrPortFrom(at, 4000), w.endpoint(0, 0))
			return m
		}
		short := make("short", nstest.NAT{Outside: "internet", Kind: nstest.FullCone, UDPTimeout: limit, TCPTimeout: limit})
		long := make("long", nstest.NAT{Outside: "internet", Kind: nstest.FullCone})
		caller := listenPacket(w.servers[1], netip.AddrPortFrom(w.server(1), 9999))
		Expect(w.whoCalls(caller, short.seen, short.socket, short.other).IsValid()).To(BeTrue())
		Expect(short.connection.trip()).To(Succeed())
		Expect(long.connection.trip()).To(Succeed())
		polls := 0
		Eventually(func(g Gomega) {
			polls++
			g.Expect(polls).To(BeNumerically(">", 1))
			g.Expect(w.whoCalls(caller, long.seen, long.socket, long.other).IsValid()).To(BeTrue())
			g.Expect(long.connection.trip()).To(Succeed())
			g.Expect(w.whoCalls(caller, short.seen, short.socket, short.other).IsValid()).To(BeFalse())
			_ = short.connection.SetDeadline(time.Now().Add(300 * time.Millisecond))
			g.Expect(short.connection.trip()).To(MatchError(os.ErrDeadlineExceeded))
		}).WithPolling(pause).Should(Succeed())
	})
})

var _ = Describe("hosts outside of a NAT, or behind another", func() {
	// pair is two homes with a NAT of one kind each, and a host in each.
	pair := func(kind nstest.NATKind) (w *world, hosts [2]*nstest.Host, at [2]netip.AddrPort) {
		addNetwork("internet")
		w = &world{is4: true, servers: [2]*nstest.Host{addHost("stun1", "internet"), addHost("stun2", "internet")}}
		for i, name := range []string{"left", "right"} {
			addNetwork(name)
			addRouter(nstest.RouterConfig{Name: "router-" + name, Networks: on("internet", name), NAT: []nstest.NAT{{Outside: "internet", Kind: kind}}})
			hosts[i] = addHost("host-"+name, name)
			at[i] = netip.AddrPortFrom(addr(hosts[i], name, true), 5000)
		}
		return w, hosts, at
	}
	for kind, works := range map[nstest.NATKind]bool{nstest.PortRestricted: true, nstest.Symmetric: false} {
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
		d := net.Dialer{Timeout: 300 * time.Millisecond}
		refused := func() error {
			return w.servers[0].Do(func() error {
				c, err := d.Dial("tcp", netip.AddrPortFrom(w.outside(), 23).String())
				if err == nil {
					err = c.Close()
				}
				return err
			})
		}
		Expect(refused()).To(Satisfy(os.IsTimeout))
		Expect(w.router.SetNAT()).To(Succeed())
		Expect(refused()).To(MatchError(unix.ECONNREFUSED))
	})
})
