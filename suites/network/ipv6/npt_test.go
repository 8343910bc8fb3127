package ipv6_test

import (
	"net/netip"
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/plan"
)

// overhear returns the first UDP packet, from its IPv6 header on, that reaches a host.
func overhear(h *nstest.Host) (next func() []byte) {
	GinkgoHelper()
	var f *os.File
	Expect(h.Do(func() error {
		all := uint16(unix.ETH_P_IPV6)
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all<<8|all>>8))
		f = os.NewFile(uintptr(fd), "packet")
		return os.NewSyscallError("socket", err)
	})).To(Succeed())
	DeferCleanup(f.Close)
	return func() []byte {
		GinkgoHelper()
		b := make([]byte, 1<<16)
		for {
			n, err := f.Read(b)
			Expect(err).NotTo(HaveOccurred())
			if n > 48 && b[6] == unix.IPPROTO_UDP {
				return b[:n]
			}
		}
	}
}

// sum is the one's complement sum of RFC 1071.
func sum(b []byte) uint16 {
	var s uint32
	for i, v := range b {
		s += uint32(v) << (8 * (1 - i%2))
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

var _ = Describe("NPTv6", func() {
	var inside, outside *nstest.Host
	var router *nstest.Router
	local := netip.MustParsePrefix("fd01:203:405:1::/64")
	public := netip.MustParsePrefix("2001:db8:1::/48")
	// RFC 6296 has this pair as its example.
	localAddr, publicAddr := netip.MustParseAddr("fd01:203:405:1::1234"), netip.MustParseAddr("2001:db8:1:d550::1234")

	build := func(nat ...nstest.NAT) {
		GinkgoHelper()
		plan.Network(nstest.NetworkConfig{Name: "in", NoIPv4: true, Prefixes: []netip.Prefix{local}})
		plan.Network(nstest.NetworkConfig{Name: "out", NoIPv4: true, Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:9::/64")}})
		plan.Network(nstest.NetworkConfig{Name: "in2", NoIPv4: true, Prefixes: []netip.Prefix{netip.MustParsePrefix("fd01:203:405:2::/64")}})
		inside = plan.Host("inside", nstest.Attachment{Network: "in", Addrs: []netip.Addr{localAddr}})
		outside = plan.Host("outside", plan.On("out")...)
		router = plan.Router(nstest.RouterConfig{Name: "router", Networks: []nstest.Attachment{{Network: "in"}, {Network: "in2"}, {Network: "out", NoGateway: true}}, NAT: nat})
		Expect(outside.AddRoute(nstest.Route{To: public, Via: addr6(router.Host, "out")})).To(Succeed())
		serve(inside)
		serve(outside)
	}

	It("has hosts inside known by their public address, and reached there", func() {
		build(nstest.NAT{Outside: "out", NPTv6: public})
		to := addr6(outside, "out")
		first, _, err := fetch(inside, to, "hello")
		Expect(err).NotTo(HaveOccurred())
		Expect(first).To(Equal(publicAddr.String() + " sent 5 bytes"))
		first, _, err = fetch(outside, publicAddr, "hello")
		Expect(err).NotTo(HaveOccurred())
		Expect(first).To(Equal(to.String() + " sent 5 bytes"))
		kind, from, err := ping(outside, publicAddr, 64)
		Expect(err).NotTo(HaveOccurred())
		Expect(kind).To(Equal(ipv6.ICMPTypeEchoReply))
		Expect(from).To(Equal(publicAddr))

		By("errors included")
		_, err = echo(inside, to, 9999, "nobody listens")
		Expect(err).To(MatchError(unix.ECONNREFUSED))
		_, err = echo(outside, publicAddr, 9999, "nobody listens")
		Expect(err).To(MatchError(unix.ECONNREFUSED))
		kind, from, err = ping(inside, to, 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(kind).To(Equal(ipv6.ICMPTypeTimeExceeded))
		Expect(from).To(Equal(addr6(router.Host, "in")))
		kind, _, err = ping(inside, to, 2)
		Expect(err).NotTo(HaveOccurred())
		Expect(kind).To(Equal(ipv6.ICMPTypeEchoReply))
	})

	It("tells hosts inside from those outside, though all are of one automatic prefix", func() {
		plan.Network(nstest.NetworkConfig{Name: "a", NoIPv4: true})
		plan.Network(nstest.NetworkConfig{Name: "b", NoIPv4: true})
		client, server := plan.Host("client", plan.On("a")...), plan.Host("server", plan.On("b")...)
		r := plan.Router(nstest.RouterConfig{Name: "r", Networks: plan.On("a", "b"), NAT: []nstest.NAT{{Outside: "b", NPTv6: public}}})
		Expect(server.AddRoute(nstest.Route{To: public, Via: addr6(r.Host, "b")})).To(Succeed())
		serve(server)
		first, _, err := fetch(client, addr6(server, "b"), "")
		Expect(err).NotTo(HaveOccurred())
		Expect(public.Contains(netip.MustParseAddr(strings.Fields(first)[0]))).To(BeTrue(), first)
		_, err = echo(client, addr6(server, "b"), 9999, "nobody listens")
		Expect(err).To(MatchError(unix.ECONNREFUSED))
	})

	It("changes no checksum", func() {
		build(nstest.NAT{Outside: "out", NPTv6: public})
		to := addr6(outside, "out")
		inward, outward := overhear(inside), overhear(outside)
		Expect(echo(inside, to, 7, "hello")).To(Equal("hello"))
		question, answer := outward(), inward()
		Expect(question[8:40]).To(Equal(append(publicAddr.AsSlice(), to.AsSlice()...)))
		Expect(answer[8:40]).To(Equal(append(to.AsSlice(), localAddr.AsSlice()...)))
		for _, packet := range [][]byte{question, answer} {
			udp := packet[40:]
			for _, a := range []netip.Addr{localAddr, publicAddr} { // before and after
				pseudo := append(append(a.AsSlice(), to.AsSlice()...), 0, unix.IPPROTO_UDP, 0, byte(len(udp)))
				Expect(sum(append(pseudo, udp...))).To(Equal(uint16(0xffff)))
			}
			udp[6]++
			pseudo := append(append(localAddr.AsSlice(), to.AsSlice()...), 0, unix.IPPROTO_UDP, 0, byte(len(udp)))
			Expect(sum(append(pseudo, udp...))).NotTo(Equal(uint16(0xffff)), "the check sees a wrong one")
		}
	})

	It("comes and goes", func() {
		build()
		to := addr6(outside, "out")
		unanswered(inside, to)
		Expect(router.SetNAT(nstest.NAT{Outside: "out", NPTv6: public})).To(Succeed())
		Expect(echo(inside, to, 7, "hello")).To(Equal("hello"))
		By("in the place of another")
		other := netip.MustParsePrefix("2001:db8:2::/64")
		Expect(router.SetNAT(nstest.NAT{Outside: "out", Inside: []string{"in"}, NPTv6: other})).To(Succeed())
		Expect(outside.AddRoute(nstest.Route{To: other, Via: addr6(router.Host, "out")})).To(Succeed())
		first, _, err := fetch(inside, to, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(other.Contains(netip.MustParseAddr(strings.Fields(first)[0]))).To(BeTrue(), first)
		unanswered(outside, publicAddr)
		By("and leaves nothing")
		Expect(router.SetNAT()).To(Succeed())
		unanswered(inside, to)
	})

	It("leaves hosts inside to each other", func() {
		build(nstest.NAT{Outside: "out", NPTv6: public})
		neighbour := plan.Host("neighbour", plan.On("in2")...)
		serve(neighbour)
		first, _, err := fetch(inside, addr6(neighbour, "in2"), "")
		Expect(err).NotTo(HaveOccurred())
		Expect(first).To(HavePrefix(localAddr.String() + " "))
		By("unless they ask for the public address")
		first, _, err = fetch(neighbour, publicAddr, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(public.Contains(netip.MustParseAddr(strings.Fields(first)[0]))).To(BeTrue(), first)
	})

	It("is needed", func() {
		build()
		unanswered(inside, addr6(outside, "out")) // nobody outside knows the way back
		unanswered(outside, publicAddr)
	})

	DescribeTable("says what is wrong before anything is made", func(n nstest.NAT, reason string) {
		plan.Network(nstest.NetworkConfig{Name: "in", NoIPv4: true, Prefixes: []netip.Prefix{local}})
		plan.Network(nstest.NetworkConfig{Name: "in2", NoIPv4: true, Prefixes: []netip.Prefix{netip.MustParsePrefix("fd01:203:406:1::/64")}})
		plan.Network(nstest.NetworkConfig{Name: "old", NoIPv6: true})
		plan.Network(nstest.NetworkConfig{Name: "out", NoIPv4: true, Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:9::/64")}})
		_, err := nstest.Current().AddRouter(nstest.RouterConfig{Name: "router", Networks: plan.On("in", "in2", "old", "out"), NAT: []nstest.NAT{n}})
		Expect(err).To(MatchError(ContainSubstring(reason)))
		Expect(nstest.Current().Network("in").Hosts()).To(BeEmpty())
	},
		Entry("a long prefix", nstest.NAT{Outside: "out", Inside: []string{"in"}, NPTv6: netip.MustParsePrefix("2001:db8:1::/80")}, "longer than /64"),
		Entry("an IPv4 prefix", nstest.NAT{Outside: "out", Inside: []string{"in"}, NPTv6: netip.MustParsePrefix("10.0.0.0/8")}, "not an IPv6 prefix"),
		Entry("IPv4 alone inside", nstest.NAT{Outside: "out", Inside: []string{"old"}, NPTv6: public}, `the network "old" is inside and has no IPv6`),
		Entry("IPv4 alone outside", nstest.NAT{Outside: "old", Inside: []string{"in"}, NPTv6: public}, `the network "old" is outside and has no IPv6`),
		Entry("two sites inside", nstest.NAT{Outside: "out", NPTv6: public}, "name those that are in Inside"),
		Entry("the prefix of a link", nstest.NAT{Outside: "out", Inside: []string{"in"}, NPTv6: netip.MustParsePrefix("2001:db8:9::/64")}, "choose a prefix that is routed to router"),
		Entry("a network that it is not on", nstest.NAT{Outside: "out", Inside: []string{"lan"}, NPTv6: public}, `router "router" is not on the network "lan", which is to be inside`),
	)
})
