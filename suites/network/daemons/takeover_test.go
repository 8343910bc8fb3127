package daemons_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/mdlayher/packet"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// announceARP tells everybody on a link that an IPv4 address is its host's: a gratuitous ARP request (RFC 5227, section 3).
func announceARP(l *nstest.Link, address netip.Addr) {
	GinkgoHelper()
	mac, err := net.ParseMAC(l.MAC())
	Expect(err).NotTo(HaveOccurred())
	everybody, a := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, address.AsSlice()
	frame := append(append([]byte(nil), everybody...), mac...)
	for _, n := range []uint16{unix.ETH_P_ARP, unix.ARPHRD_ETHER, unix.ETH_P_IP, 6<<8 | 4, 1} { // 1 is a request
		frame = binary.BigEndian.AppendUint16(frame, n)
	}
	frame = append(append(append(frame, mac...), a...), append(make([]byte, 6), a...)...)
	_, err = packetSocket(l).WriteTo(frame, &packet.Addr{HardwareAddr: everybody})
	Expect(err).NotTo(HaveOccurred())
}

// announceNA does so for an IPv6 address: an unsolicited neighbour advertisement (RFC 4861, section 7.2.6).
func announceNA(l *nstest.Link, address netip.Addr) {
	GinkgoHelper()
	mac, err := net.ParseMAC(l.MAC())
	Expect(err).NotTo(HaveOccurred())
	const override, targetMAC = 0x20, 2
	body := append([]byte{override, 0, 0, 0}, address.AsSlice()...)
	body = append(body, append([]byte{targetMAC, 1}, mac...)...)
	Expect(l.Host().Do(func() error {
		m, err := (&icmp.Message{Type: ipv6.ICMPTypeNeighborAdvertisement, Body: &icmp.RawBody{Data: body}}).Marshal(nil)
		if err != nil {
			return err
		}
		conn, err := icmp.ListenPacket("ip6:ipv6-icmp", "::")
		if err != nil {
			return err
		}
		defer conn.Close()
		p := conn.IPv6PacketConn()
		if err := p.SetMulticastHopLimit(255); err != nil { // whoever gets it with less knows that it has come from afar
			return err
		}
		_, err = conn.WriteTo(m, &net.IPAddr{IP: net.IPv6linklocalallnodes, Zone: l.Interface()})
		return err
	})).To(Succeed())
}

// answerByName has a host say its name to whoever connects to port 80.
func answerByName(h *nstest.Host) {
	GinkgoHelper()
	l, err := h.Listen("tcp", ":80")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(l.Close)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, h.Name())
			conn.Close()
		}
	}()
}

// who is the name of the host that answers at an address.
func who(ctx context.Context, from *nstest.Host, address netip.Addr) (string, error) {
	conn, err := from.DialContext(ctx, "tcp", netip.AddrPortFrom(address, 80).String())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	name, err := io.ReadAll(conn)
	return string(name), err
}

// stalePort is one that nothing else is sent to.
const stalePort = 0xbeef

var _ = Describe("A virtual address", func() {
	for _, family := range []struct {
		address  string
		announce func(*nstest.Link, netip.Addr)
	}{{"10.99.0.1/24", announceARP}, {"fd99::1/64", announceNA}} {
		virtual := netip.MustParsePrefix(family.address)

		It(fmt.Sprintf("moves to another host, which clients find once it has said so: %s", virtual.Addr()), func(ctx SpecContext) {
			env := nstest.Current()
			network, err := env.AddNetwork(nstest.NetworkConfig{Name: "segment", Prefixes: []netip.Prefix{virtual.Masked()}})
			Expect(err).NotTo(HaveOccurred())
			on := func(name string, n int) *nstest.Link {
				GinkgoHelper()
				a := virtual.Addr()
				for range n {
					a = a.Next()
				}
				h, err := env.AddHost(nstest.HostConfig{Name: name, Networks: []nstest.Attachment{{Network: network.Name(), Addrs: []netip.Addr{a}}}})
				Expect(err).NotTo(HaveOccurred())
				answerByName(h)
				return h.Link("")
			}
			client, master, backup := on("client", 1), on("master", 2), on("backup", 3)
			address := virtual.Addr()
			atMaster := newCapture(master)
			Expect(addAddress(master, virtual)).To(Succeed())
			Expect(who(ctx, client.Host(), address)).To(Equal("master"))
			Expect(neighbour(client, address)).To(Equal(master.MAC()))

			By("moving the address without a word: the client goes on sending to where it was")
			Expect(removeAddress(master, virtual)).To(Succeed())
			Expect(addAddress(backup, virtual)).To(Succeed())
			dialing, giveUp := context.WithCancel(ctx)
			answer := make(chan error, 1)
			go func() {
				_, err := client.Host().DialContext(dialing, "tcp", netip.AddrPortFrom(address, stalePort).String())
				answer <- err
			}()
			Eventually(atMaster.with).WithArguments(macBytes(master), macBytes(client), address.AsSlice(), []byte{stalePort >> 8, stalePort & 0xff}).ShouldNot(BeEmpty())
			Expect(neighbour(client, address)).To(Equal(master.MAC()))
			giveUp()
			Eventually(answer).Should(Receive(MatchError(ContainSubstring("cancel")))) // and not refused, as whoever has the address would

			By("telling everybody whose it is")
			family.announce(backup, address)
			Eventually(neighbour).WithArguments(client, address).Should(Equal(backup.MAC()))
			Expect(who(ctx, client.Host(), address)).To(Equal("backup"))
		})
	}
})

func macBytes(l *nstest.Link) []byte {
	GinkgoHelper()
	mac, err := net.ParseMAC(l.MAC())
	Expect(err).NotTo(HaveOccurred())
	return mac
}
