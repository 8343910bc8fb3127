package nat_test

import (
	"net"
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/plan"
)

// whoCalls sends a packet from one socket to an address and returns who it comes from at the other socket; the zero value
// if it does not come while others go to and fro through the router.
func (w *world) whoCalls(from net.PacketConn, to netip.AddrPort, at, other net.PacketConn) netip.AddrPort {
	GinkgoHelper()
	_, err := from.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(to))
	Expect(err).NotTo(HaveOccurred())
	for range trips {
		w.seenUDP(other, 0, 0)
	}
	Expect(at.SetReadDeadline(time.Now().Add(silence))).To(Succeed())
	buf := make([]byte, 100)
	n, sender, err := at.ReadFrom(buf)
	if err != nil {
		return netip.AddrPort{}
	}
	Expect(string(buf[:n])).To(Equal("hello"))
	return netip.MustParseAddrPort(sender.String())
}

var _ = Describe("a NAT with hairpin", func() {
	for _, is4 := range []bool{true, false} {
		family := map[bool]string{true: "IPv4", false: "IPv6"}[is4]
		for _, kind := range []nstest.NATKind{nstest.FullCone, nstest.AddressRestricted, nstest.PortRestricted} {
			It("lets two hosts inside talk by their outside addresses, as those outside may: "+kind.String()+", "+family, func() {
				nat := nstest.NAT{Outside: "internet", Kind: kind, Hairpin: true, NAT66: !is4}
				w := newWorld(is4, nat)
				neighbour := plan.Host("neighbour", plan.On("home")...)
				w.serveUDP()
				socket := func(h *nstest.Host) net.PacketConn { return listenPacket(h, netip.AddrPortFrom(w.of(h), 7000)) }
				mine, theirs := socket(w.client), socket(neighbour)
				other := listenPacket(w.client, netip.AddrPortFrom(w.of(w.client), 0))
				a, b := w.seenUDP(mine, 0, 0), w.seenUDP(theirs, 0, 0)
				if kind != nstest.FullCone {
					By("they are let in by those alone to whom they have sent")
					Expect(w.whoCalls(mine, b, theirs, other)).To(Equal(netip.AddrPort{}))
				}
				Expect(w.whoCalls(theirs, a, mine, other)).To(Equal(b))
				Expect(w.whoCalls(mine, b, theirs, other)).To(Equal(a))

				By("without it, nobody does")
				nat.Hairpin = false
				Expect(w.router.SetNAT(nat)).To(Succeed())
				a, b = w.seenUDP(mine, 0, 0), w.seenUDP(theirs, 0, 0)
				Expect(w.whoCalls(theirs, a, mine, other)).To(Equal(netip.AddrPort{}))
				Expect(w.whoCalls(mine, b, theirs, other)).To(Equal(netip.AddrPort{}))
			})
		}
	}

	for _, kind := range kinds {
		It("lets hosts inside use the forwards of a "+kind.String()+" one", func() {
			w := newWorld(true)
			server := plan.Host("server", plan.On("home")...)
			to := netip.AddrPortFrom(w.of(server), 8080)
			go echo(listen(server, to))
			nat := nstest.NAT{Outside: "internet", Kind: kind, Forwards: []nstest.Forward{{Network: "tcp", Port: 80, To: to}}}
			Expect(w.router.SetNAT(nat)).To(Succeed())
			public := netip.AddrPortFrom(w.outside(), 80)
			_, err := call(w.client, netip.AddrPort{}, public)
			Expect(err).To(HaveOccurred())
			nat.Hairpin = true
			Expect(w.router.SetNAT(nat)).To(Succeed())
			c, err := call(w.client, netip.AddrPort{}, public)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(c.Close)
			Expect(c.seen.Addr()).To(Equal(w.outside()))
			Expect(mustCall(w.servers[0], netip.AddrPortFrom(w.server(0), 1234), public).trip()).To(Succeed())
		})
	}
})
