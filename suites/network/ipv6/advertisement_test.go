package ipv6_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/plan"
)

// An overheard is a router advertisement as it came over the wire.
type overheard struct {
	from     netip.Addr
	lifetime uint16
	flags    byte
	options  map[byte][]byte // by type; the last of each
}

// listen hears the advertisements of a network in the host.
func listen(h *nstest.Host) <-chan overheard {
	GinkgoHelper()
	var c net.PacketConn
	Expect(h.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMPV6)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		f := os.NewFile(uintptr(fd), "icmpv6")
		defer f.Close()
		c, err = net.FilePacketConn(f)
		return err
	})).To(Succeed())
	heard := make(chan overheard, 1000)
	done := make(chan struct{})
	DeferCleanup(func() {
		Expect(c.Close()).To(Succeed())
		<-done
	})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if a := netip.MustParseAddr(from.String()); b[0] == 134 && n >= 16 {
				heard <- parse(a.WithZone(""), b[:n])
			}
		}
	}()
	return heard
}

func parse(from netip.Addr, b []byte) overheard {
	o := overheard{from: from, flags: b[5], lifetime: binary.BigEndian.Uint16(b[6:]), options: map[byte][]byte{}}
	for rest := b[16:]; len(rest) >= 8 && rest[1] > 0; rest = rest[8*int(rest[1]):] {
		o.options[rest[0]] = append([]byte(nil), rest[:8*int(rest[1])]...)
	}
	return o
}

// addresses are the global IPv6 addresses that a host can send from now: not those that are tentative, as one is for a moment after
// the route by its router is there, which the kernel makes in the background.
func addresses(h *nstest.Host) []string {
	var list []string
	err := h.Do(func() error {
		table, err := os.ReadFile("/proc/1/net/if_inet6")
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line) // address, interface, length, scope, flags, name
			length, err := strconv.ParseUint(f[2], 16, 8)
			Expect(err).NotTo(HaveOccurred())
			flags, err := strconv.ParseUint(f[4], 16, 8)
			Expect(err).NotTo(HaveOccurred())
			if a := hex(f[0]); a.IsGlobalUnicast() && flags&unix.IFA_F_TENTATIVE == 0 {
				list = append(list, netip.PrefixFrom(a, int(length)).String())
			}
		}
		return err
	})
	Expect(err).NotTo(HaveOccurred())
	return list
}

// defaultRoutes are the next hops of a host's IPv6 default routes.
func defaultRoutes(h *nstest.Host) []string {
	var list []string
	err := h.Do(func() error {
		table, err := os.ReadFile("/proc/1/net/ipv6_route")
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line)
			if strings.Trim(f[0], "0") == "" && f[1] == "00" && f[9] != "lo" {
				list = append(list, hex(f[4]).String())
			}
		}
		return err
	})
	Expect(err).NotTo(HaveOccurred())
	return list
}

func hex(s string) netip.Addr {
	var b strings.Builder
	for i := 0; i < len(s); i += 4 {
		b.WriteString(":" + s[i:i+4])
	}
	return netip.MustParseAddr(b.String()[1:])
}

// mtu is that of IPv6 packets, which an advertisement sets.
func mtu(h *nstest.Host) string {
	var value string
	Expect(h.Do(func() error {
		b, err := os.ReadFile("/proc/sys/net/ipv6/conf/eth0/mtu")
		value = strings.TrimSpace(string(b))
		return err
	})).To(Succeed())
	return value
}

// own is the address that a host makes of a prefix on its first link (RFC 4291, appendix A), and ownOn that on another.
func own(prefix netip.Prefix, h *nstest.Host) netip.Addr {
	return ownOn(h.Links()[0].Network(), prefix, h)
}

func ownOn(network string, prefix netip.Prefix, h *nstest.Host) netip.Addr {
	GinkgoHelper()
	mac, err := net.ParseMAC(h.Link(network).MAC())
	Expect(err).NotTo(HaveOccurred())
	b := prefix.Addr().As16()
	copy(b[8:], []byte{mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
	return netip.AddrFrom16(b)
}

var auto = nstest.Attachment{Network: "lan6", Auto: true}

var _ = Describe("a router that advertises itself", func() {
	var router *nstest.Router
	var linkLocal netip.Addr
	prefix := netip.MustParsePrefix("2001:db8:5::/64")

	BeforeEach(func() {
		plan.Network(nstest.NetworkConfig{Name: "lan6", NoIPv4: true, Prefixes: []netip.Prefix{prefix}})
		plan.Network(nstest.NetworkConfig{Name: "wan6", NoIPv4: true})
		router = plan.Router(nstest.RouterConfig{Name: "router", Networks: plan.On("lan6", "wan6")})
		linkLocal = own(netip.MustParsePrefix("fe80::/64"), router.Host)
	})

	It("gives hosts an address, a default route and an MTU", func(ctx SpecContext) {
		server := plan.Host("server", plan.On("wan6")...)
		host := plan.Host("auto", auto)
		deaf := plan.Host("deaf", plan.On("lan6")...)
		had := addresses(deaf)
		Expect(host.Addrs()).To(BeEmpty())
		heard := listen(host)
		Expect(addresses(host)).To(BeEmpty())
		Expect(defaultRoutes(host)).To(BeEmpty())
		Expect(mtu(host)).To(Equal("1500"))

		Expect(router.Advertise(nstest.Advertisement{Network: "lan6", MTU: 1400, Interval: 50 * time.Millisecond})).To(Succeed())
		address := own(prefix, host)
		Eventually(addresses).WithArguments(host).Should(ConsistOf(address.String() + "/64"))
		Eventually(defaultRoutes).WithArguments(host).Should(ConsistOf(linkLocal.String()))
		Eventually(mtu).WithArguments(host).Should(Equal("1400"))

		By("which it reaches others with")
		l, err := server.Listen("tcp", ":80")
		Expect(err).NotTo(HaveOccurred())
		defer l.Close()
		c, err := host.DialContext(ctx, "tcp", netip.AddrPortFrom(addr6(server, "wan6"), 80).String())
		Expect(err).NotTo(HaveOccurred())
		defer c.Close()
		accepted, err := l.Accept()
		Expect(err).NotTo(HaveOccurred())
		defer accepted.Close()
		Expect(netip.MustParseAddrPort(accepted.RemoteAddr().String()).Addr()).To(Equal(address))

		By("while a host that has its addresses already listens to nobody")
		var ad overheard
		for range 3 { // that crossed the network after the host took its address
			Eventually(heard).Should(Receive(&ad))
		}
		Expect(addresses(deaf)).To(Equal(had))
		Expect(ad.from).To(Equal(linkLocal))
		Expect(ad.lifetime).To(Equal(uint16(1800)))
	}, NodeTimeout(20*time.Second))

	It("answers a host that asks", func() {
		Expect(router.Advertise(nstest.Advertisement{Network: "lan6", Interval: 30 * time.Minute})).To(Succeed())
		host := plan.Host("auto", auto)
		Eventually(addresses).WithArguments(host).Should(ConsistOf(own(prefix, host).String() + "/64"))
	})

	It("sends what it is told, and says when it ends", func() {
		heard := listen(plan.Host("listener", plan.On("lan6")...))
		Expect(router.Advertise(nstest.Advertisement{
			Network: "lan6", Interval: 30 * time.Millisecond, Lifetime: time.Hour, Managed: true, Other: true, MTU: 1300,
			Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:6::/64")}, Preferred: time.Minute, Valid: time.Hour,
			DNS: []netip.Addr{netip.MustParseAddr("2001:db8::53")}, Search: []string{"corp.example"}, NAT64: netip.MustParsePrefix("64:ff9b::/96"),
		})).To(Succeed())
		var ad overheard
		Eventually(heard).Should(Receive(&ad))
		Expect(ad.from).To(Equal(linkLocal))
		Expect(ad.lifetime).To(Equal(uint16(3600)))
		Expect(ad.flags).To(Equal(byte(0xc0)))
		mac, err := net.ParseMAC(router.Link("lan6").MAC())
		Expect(err).NotTo(HaveOccurred())
		Expect(ad.options[1]).To(HaveSuffix(string(mac)))
		prefix := netip.MustParseAddr("2001:db8:6::").As16()
		Expect(ad.options[3]).To(Equal(append([]byte{3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 0, 60, 0, 0, 0, 0}, prefix[:]...)))
		Expect(ad.options[5]).To(Equal([]byte{5, 1, 0, 0, 0, 0, 5, 20}))
		dns := netip.MustParseAddr("2001:db8::53").As16()
		Expect(ad.options[25]).To(HaveSuffix(string(dns[:])))
		Expect(string(ad.options[31])).To(ContainSubstring("\x04corp\x07example\x00"))
		Expect(ad.options[38]).To(HaveSuffix("\x00\x64\xff\x9b\x00\x00\x00\x00\x00\x00\x00\x00"))

		By("once it ends")
		Expect(router.Advertise()).To(Succeed())
		Eventually(func() uint16 { return (<-heard).lifetime }).Should(BeZero())
		Consistently(heard, "200ms").ShouldNot(Receive())
	})

	It("is heard through a trunk", func() {
		plan.Network(nstest.NetworkConfig{Name: "floor", Trunks: []string{"lan6"}})
		Expect(router.Advertise(nstest.Advertisement{Network: "lan6"})).To(Succeed())
		host := plan.Host("auto", nstest.Attachment{Network: "floor", Auto: true})
		Eventually(addresses).WithArguments(host).Should(ConsistOf(own(prefix, host).String() + "/64"))
	})

	It("is heard in a VXLAN", func() {
		n := plan.Network(nstest.NetworkConfig{Name: "vx", Medium: nstest.VXLAN, Over: "wan6", NoIPv4: true})
		far := plan.Router(nstest.RouterConfig{Name: "far", Networks: plan.On("wan6", "vx")})
		Expect(far.Advertise(nstest.Advertisement{Network: "vx"})).To(Succeed())
		host := plan.Host("auto", nstest.Attachment{Network: "wan6"}, nstest.Attachment{Network: "vx", Auto: true})
		Eventually(addresses).WithArguments(host).Should(ContainElement(ownOn("vx", n.Prefixes()[0], host).String() + "/64"))
	})

	It("is no default router any more when it ends", func() {
		host := plan.Host("auto", auto)
		Expect(router.Advertise(nstest.Advertisement{Network: "lan6"})).To(Succeed())
		Eventually(defaultRoutes).WithArguments(host).Should(ConsistOf(linkLocal.String()))
		Expect(router.Advertise()).To(Succeed())
		Eventually(defaultRoutes).WithArguments(host).Should(BeEmpty())
		Eventually(addresses).WithArguments(host).Should(ConsistOf(own(prefix, host).String() + "/64"))
	})

	DescribeTable("refuses what cannot be", func(ad nstest.Advertisement, reason string) {
		Expect(router.Advertise(ad)).To(MatchError(ContainSubstring(reason)))
	},
		Entry("nowhere", nstest.Advertisement{}, "has no Network"),
		Entry("elsewhere", nstest.Advertisement{Network: "nowhere"}, `"router" is not on it`),
		Entry("too often", nstest.Advertisement{Network: "lan6", Interval: time.Millisecond}, "between 30ms and 30m"),
		Entry("for too long", nstest.Advertisement{Network: "lan6", Lifetime: 3 * time.Hour}, "between 1s and 2h30m"),
		Entry("too small packets", nstest.Advertisement{Network: "lan6", MTU: 1000}, "between 1280 and the network's own, 1500"),
		Entry("a long prefix", nstest.Advertisement{Network: "lan6", Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8::/80")}}, "must be a /64"),
		Entry("an IPv4 prefix", nstest.Advertisement{Network: "lan6", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, "not a prefix of IPv6"),
		Entry("an IPv4 name server", nstest.Advertisement{Network: "lan6", DNS: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}, "not a plain IPv6 address"),
		Entry("a NAT64 prefix of a strange length", nstest.Advertisement{Network: "lan6", NAT64: netip.MustParsePrefix("2001:db8::/50")}, "32, 40, 48, 56, 64 or 96"),
		Entry("addresses that are preferred after their end", nstest.Advertisement{Network: "lan6", Preferred: time.Hour, Valid: time.Minute}, "valid for 1m0s only"),
	)

	It("has nothing to say where there is no IPv6, and neither has a host that listens there", func() {
		plan.Network(nstest.NetworkConfig{Name: "old", NoIPv6: true})
		_, err := nstest.Current().AddRouter(nstest.RouterConfig{Name: "r", Networks: plan.On("old"), Advertise: []nstest.Advertisement{{Network: "old"}}})
		Expect(err).To(MatchError(ContainSubstring("it has no IPv6")))
		_, err = nstest.Current().AddHost(nstest.HostConfig{Name: "h", Networks: []nstest.Attachment{{Network: "old", Auto: true}}})
		Expect(err).To(MatchError(ContainSubstring(`network "old" has no IPv6`)))
		_, err = nstest.Current().AddHost(nstest.HostConfig{Name: "h", Networks: []nstest.Attachment{{Network: "lan6", Auto: true, Addrs: []netip.Addr{prefix.Addr().Next()}}}})
		Expect(err).To(MatchError(ContainSubstring("by itself")))
	})
})
