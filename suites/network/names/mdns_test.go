package names_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/miekg/dns"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// A family is what multicast DNS (RFC 6762) uses of IPv4 or IPv6.
type family struct {
	name  string
	group string // the address of all who speak it
	mac   net.HardwareAddr
	any   string
	join  func(c net.PacketConn, eth0 *net.Interface, group net.Addr) error
}

var families = []family{
	{"IPv4", "224.0.0.251:5353", net.HardwareAddr{1, 0, 0x5e, 0, 0, 0xfb}, "0.0.0.0:5353", func(c net.PacketConn, eth0 *net.Interface, group net.Addr) error {
		p := ipv4.NewPacketConn(c)
		return errors.Join(p.JoinGroup(eth0, group), p.SetMulticastInterface(eth0), p.SetMulticastTTL(255))
	}},
	{"IPv6", "[ff02::fb]:5353", net.HardwareAddr{0x33, 0x33, 0, 0, 0, 0xfb}, "[::]:5353", func(c net.PacketConn, eth0 *net.Interface, group net.Addr) error {
		p := ipv6.NewPacketConn(c)
		return errors.Join(p.JoinGroup(eth0, group), p.SetMulticastInterface(eth0), p.SetMulticastHopLimit(255))
	}},
}

func (f family) groupAddr() *net.UDPAddr {
	return net.UDPAddrFromAddrPort(netip.MustParseAddrPort(f.group))
}

// speak is a socket of a host that is in the group. It is closed with the spec.
func (f family) speak(h *nstest.Host) net.PacketConn {
	GinkgoHelper()
	network := map[string]string{"IPv4": "udp4", "IPv6": "udp6"}[f.name]
	c, err := h.ListenPacket(network, f.any)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { c.Close() })
	eth0 := &net.Interface{Index: 2, Name: h.Link("").Interface()} // lo is 1
	Expect(f.join(c, eth0, f.groupAddr())).To(Succeed())
	return c
}

// respond answers, to all, for a name.
func (f family) respond(c net.PacketConn, name, addr string) {
	done := make(chan struct{})
	DeferCleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			n, _, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			query := new(dns.Msg)
			if query.Unpack(b[:n]) != nil || query.Response || len(query.Question) != 1 || query.Question[0].Name != name {
				continue
			}
			answer := new(dns.Msg)
			answer.Response, answer.Authoritative = true, true
			rr, err := dns.NewRR(name + " 120 IN A " + addr)
			if err != nil {
				return
			}
			answer.Answer = []dns.RR{rr}
			if packed, err := answer.Pack(); err == nil {
				_, _ = c.WriteTo(packed, f.groupAddr()) // who does not get it fails the spec
			}
		}
	}()
}

// ask is the name and address of the first answer to these questions, each of which is sent once.
func (f family) ask(c net.PacketConn, names ...string) (string, error) {
	for _, name := range names {
		query := new(dns.Msg).SetQuestion(name, dns.TypeA)
		query.Id, query.RecursionDesired = 0, false
		packed, err := query.Pack()
		if err != nil {
			return "", err
		}
		if _, err := c.WriteTo(packed, f.groupAddr()); err != nil {
			return "", err
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	b := make([]byte, 1500)
	for {
		n, _, err := c.ReadFrom(b)
		if err != nil {
			return "", err
		}
		answer := new(dns.Msg)
		if answer.Unpack(b[:n]) == nil && answer.Response && len(answer.Answer) == 1 {
			a := answer.Answer[0].(*dns.A)
			return a.Hdr.Name + " " + a.A.String(), nil
		}
	}
}

// A sniffer sees the frames that come to a host's eth0, whomever they are for.
type sniffer struct {
	socket int
	frames map[string]int // by the MAC address that they are for
}

func newSniffer(h *nstest.Host) *sniffer {
	GinkgoHelper()
	s := &sniffer{frames: map[string]int{}}
	Expect(h.Do(func() (err error) {
		all := uint16(unix.ETH_P_ALL)
		s.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all<<8|all>>8))
		return os.NewSyscallError("socket", err)
	})).To(Succeed())
	DeferCleanup(func() error { return unix.Close(s.socket) })
	return s
}

// seen is how many frames to a MAC address have come since this was last asked.
func (s *sniffer) seen(mac net.HardwareAddr) int {
	GinkgoHelper()
	b := make([]byte, 2048)
	for {
		n, err := unix.Read(s.socket, b)
		switch {
		case err == nil && n >= 14:
			s.frames[net.HardwareAddr(b[:6]).String()]++
			continue
		case errors.Is(err, unix.EINTR):
			continue
		}
		Expect(err).To(MatchError(unix.EAGAIN))
		n = s.frames[mac.String()]
		delete(s.frames, mac.String())
		return n
	}
}

// queryMembers sends a general query of IGMPv2 (RFC 2236) and of MLDv1 (RFC 2710) from the spec's own host, as a router
// does. Members answer within a tenth of a second.
func queryMembers() {
	GinkgoHelper()
	igmp := []byte{0x11, 1, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(igmp[2:], ^uint16(0x1101))
	c4, err := net.ListenPacket("ip4:2", "0.0.0.0")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(c4.Close)
	raw, err := ipv4.NewRawConn(c4)
	Expect(err).NotTo(HaveOccurred())
	all := net.IPv4(224, 0, 0, 1)
	Expect(raw.SetMulticastInterface(&net.Interface{Index: 2})).To(Succeed())
	Expect(raw.WriteTo(&ipv4.Header{Version: 4, Len: 24, TotalLen: 32, TTL: 1, Protocol: 2, Dst: all, Options: []byte{0x94, 4, 0, 0}}, igmp, nil)).To(Succeed())

	c6, err := net.ListenPacket("ip6:ipv6-icmp", "::")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(c6.Close)
	conn, err := c6.(*net.IPConn).SyscallConn()
	Expect(err).NotTo(HaveOccurred())
	Expect(conn.Control(func(fd uintptr) {
		err = unix.SetsockoptString(int(fd), unix.IPPROTO_IPV6, unix.IPV6_HOPOPTS, "\x00\x00\x05\x02\x00\x00\x01\x00")
	})).To(Succeed())
	Expect(err).NotTo(HaveOccurred())
	mld := make([]byte, 24)
	mld[0] = 130
	binary.BigEndian.PutUint16(mld[4:], 100)
	p6 := ipv6.NewPacketConn(c6)
	Expect(p6.SetMulticastInterface(&net.Interface{Index: 2})).To(Succeed())
	Expect(p6.SetMulticastHopLimit(1)).To(Succeed())
	_, err = c6.WriteTo(mld, &net.IPAddr{IP: net.ParseIP("ff02::1"), Zone: "eth0"})
	Expect(err).NotTo(HaveOccurred())
}

var _ = Describe("Multicast DNS", func() {
	var asker, printer, bystander *nstest.Host
	BeforeEach(func() {
		env := nstest.Current()
		asker, printer, bystander = env.Host("asker"), env.Host("printer"), env.Host("bystander")
	})
	const name, addr = "printer.local.", "192.0.2.50"

	for _, f := range families {
		It("finds a host on the segment, from the first packet, over "+f.name, func() {
			f.respond(f.speak(printer), name, addr)
			c := f.speak(asker)
			Expect(f.ask(c, name)).To(Equal(name + " " + addr))
			Expect(f.ask(c, "nobody.local.", name)).To(Equal(name+" "+addr), "the control: there is no answer for others")
			_, err := asker.LookupNetIP(context.Background(), name)
			Expect(judge(nil, err)).To(Equal(notFound), "the name server does not know it")
		})
	}

	// A switch that forwards to members alone, once there is a router that asks for them, is easily one that loses packets
	// for those whose reports it has missed. This one forwards to all.
	It("goes on where a router asks who is in which group", func() {
		s := newSniffer(bystander)
		var conns []net.PacketConn
		for _, f := range families {
			f.respond(f.speak(printer), name, addr)
			conns = append(conns, f.speak(asker))
			Expect(s.seen(f.mac)).To(BeZero(), "nobody has said anything yet")
		}
		queryMembers()
		for _, f := range families {
			Eventually(func() int { return s.seen(f.mac) }).Should(BeNumerically(">", 0), "the control: members have answered the router's %s", f.name)
		}
		late := nstest.Current().Host("late")
		for i, f := range families {
			Expect(f.ask(conns[i], name)).To(Equal(name+" "+addr), f.name)
			f.respond(f.speak(late), "late.local.", "192.0.2.51")
			Expect(f.ask(conns[i], "late.local.")).To(Equal("late.local. 192.0.2.51"), f.name)
		}
		frames := 0
		Eventually(func() int { frames += s.seen(families[1].mac); return frames }).Should(BeNumerically(">=", 4), "two questions and two answers")
	})
})
