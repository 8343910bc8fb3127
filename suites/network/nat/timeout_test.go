package nat_test

import (
	"net"
	"net/netip"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/plan"
)

var _ = Describe("a mapping", func() {
	It("ends when nothing was heard for as long as it may last", func() {
		// Polls are further apart than the time limit of the one, and closer than that of the other.
		const limit, pause = 2 * time.Second, 2500 * time.Millisecond
		plan.Network(nstest.NetworkConfig{Name: "internet"})
		w := &world{is4: true, servers: [2]*nstest.Host{plan.Host("stun1", plan.On("internet")...), plan.Host("stun2", plan.On("internet")...)}}
		w.serveUDP()
		w.serveTCP()
		type home struct {
			socket, other net.PacketConn
			seen          netip.AddrPort
			connection    *caller
		}
		make := func(name string, nat nstest.NAT) *home {
			plan.Network(nstest.NetworkConfig{Name: name})
			plan.Router(nstest.RouterConfig{Name: "router-" + name, Networks: plan.On("internet", name), NAT: []nstest.NAT{nat}})
			h := plan.Host("host-"+name, plan.On(name)...)
			at := plan.Addr(h, name, true)
			m := &home{socket: listenPacket(h, netip.AddrPortFrom(at, 0)), other: listenPacket(h, netip.AddrPortFrom(at, 0))}
			m.seen = w.seenUDP(m.socket, 0, 0)
			m.connection = mustCall(h, netip.AddrPortFrom(at, 4000), w.endpoint(0, 0))
			return m
		}
		long := make("long", nstest.NAT{Outside: "internet", Kind: nstest.FullCone})
		short := make("short", nstest.NAT{Outside: "internet", Kind: nstest.FullCone, UDPTimeout: limit, TCPTimeout: limit})
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
