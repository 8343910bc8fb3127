package routers_test

import (
	"encoding/binary"
	"errors"
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/plan"
)

// chain makes hosts `left` and `right` with three routers between them, which know the ways by static routes.
func chain() (left, right *nstest.Host, routers [3]*nstest.Router) {
	GinkgoHelper()
	for _, name := range []string{"left", "a", "b", "right"} {
		plan.Network(nstest.NetworkConfig{Name: name})
	}
	at := func(network string, n byte) []netip.Addr { // in both families
		var out []netip.Addr
		for _, p := range nstest.Current().Network(network).Prefixes() {
			b := p.Addr().AsSlice()
			b[len(b)-1] = n
			a, _ := netip.AddrFromSlice(b)
			out = append(out, a)
		}
		return out
	}
	to := func(network, via string, n byte) []nstest.Route {
		var out []nstest.Route
		for i, p := range nstest.Current().Network(network).Prefixes() {
			out = append(out, nstest.Route{To: p, Via: at(via, n)[i]})
		}
		return out
	}
	transit := func(network string, n byte) nstest.Attachment {
		return nstest.Attachment{Network: network, Addrs: at(network, n), NoGateway: true}
	}
	routers[0] = plan.Router(nstest.RouterConfig{Name: "r1", Networks: []nstest.Attachment{{Network: "left"}, transit("a", 11)}, Routes: to("right", "a", 12)})
	routers[1] = plan.Router(nstest.RouterConfig{Name: "r2", Networks: []nstest.Attachment{transit("a", 12), transit("b", 12)},
		Routes: append(to("left", "a", 11), to("right", "b", 13)...)})
	routers[2] = plan.Router(nstest.RouterConfig{Name: "r3", Networks: []nstest.Attachment{transit("b", 13), {Network: "right"}}, Routes: to("left", "b", 12)})
	return plan.Host("left", plan.On("left")...), plan.Host("right", plan.On("right")...), routers
}

// answerTo sends a packet from a host that dies after so many hops, or earlier, and returns who says so, and what: the type
// and code of ICMP.
func answerTo(h *nstest.Host, to netip.Addr, hops int) (who netip.Addr, kind, code byte) {
	GinkgoHelper()
	fd := -1
	Expect(h.Do(func() (err error) {
		family, level, receive, limit := unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, unix.IPV6_UNICAST_HOPS
		var sa unix.Sockaddr = &unix.SockaddrInet6{Port: 33434, Addr: to.As16()}
		if to.Is4() {
			family, level, receive, limit = unix.AF_INET, unix.IPPROTO_IP, unix.IP_RECVERR, unix.IP_TTL
			sa = &unix.SockaddrInet4{Port: 33434, Addr: to.As4()}
		}
		if fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		return errors.Join(unix.SetsockoptInt(fd, level, receive, 1), unix.SetsockoptInt(fd, level, limit, hops), unix.Sendto(fd, []byte("x"), 0, sa))
	})).To(Succeed())
	DeferCleanup(unix.Close, fd)
	poll := []unix.PollFd{{Fd: int32(fd)}} // POLLERR is always awaited
	n, err := unix.Poll(poll, int(patience.Milliseconds()))
	for err == unix.EINTR { // a signal of Go's own
		n, err = unix.Poll(poll, int(patience.Milliseconds()))
	}
	Expect(err).NotTo(HaveOccurred())
	Expect(n).To(Equal(1), "nobody answers")
	control := make([]byte, 512)
	_, size, _, _, err := unix.Recvmsg(fd, make([]byte, 512), control, unix.MSG_ERRQUEUE)
	Expect(err).NotTo(HaveOccurred())
	messages, err := unix.ParseSocketControlMessage(control[:size])
	Expect(err).NotTo(HaveOccurred())
	for _, m := range messages {
		const extended = 16 // struct sock_extended_err, and then the address of the offender
		if len(m.Data) < extended+16 {
			continue
		}
		offender := m.Data[extended:]
		a, _ := netip.AddrFromSlice(offender[4:8])
		if binary.NativeEndian.Uint16(offender) == unix.AF_INET6 {
			a, _ = netip.AddrFromSlice(offender[8:24])
		}
		return a, m.Data[5], m.Data[6]
	}
	Fail("no extended error")
	return netip.Addr{}, 0, 0
}

var _ = Describe("a chain of three routers", func() {
	It("leads to the far end and back by static routes, each a hop of its own, in both families", func() {
		left, right, routers := chain()
		tellCallers(right)
		for _, is4 := range []bool{true, false} {
			to := plan.Addr(right, "right", is4)
			Expect(call(left, to)).To(Equal(plan.Addr(left, "left", is4).String()))
			exceeded := map[bool]byte{true: 11, false: 3}[is4]
			for i, expected := range []netip.Addr{plan.Addr(routers[0].Host, "left", is4), plan.Addr(routers[1].Host, "a", is4), plan.Addr(routers[2].Host, "b", is4)} {
				who, kind, _ := answerTo(left, to, i+1)
				Expect(who).To(Equal(expected))
				Expect(kind).To(Equal(exceeded))
			}
			who, kind, code := answerTo(left, to, 4)
			Expect(who).To(Equal(to))
			Expect([]byte{kind, code}).To(Equal(map[bool][]byte{true: {3, 3}, false: {1, 4}}[is4]), "the port is closed")
		}
	})

	It("loses its way when one of them forgets a route", func() {
		left, right, routers := chain()
		tellCallers(right)
		to := plan.Addr(right, "right", true)
		route := nstest.Route{To: nstest.Current().Network("right").Prefixes()[0], Via: plan.Addr(routers[2].Host, "b", true)}
		Expect(routers[1].AddRoute(route)).To(MatchError(unix.EEXIST))
		Expect(routers[1].RemoveRoute(route)).To(Succeed())
		Expect(routers[1].RemoveRoute(route)).To(MatchError(unix.ESRCH))
		_, err := call(left, to)
		Expect(err).To(MatchError(unix.ENETUNREACH))
		who, kind, code := answerTo(left, to, 10)
		Expect(who).To(Equal(plan.Addr(routers[1].Host, "a", true)))
		Expect([]byte{kind, code}).To(Equal([]byte{3, 0}))
		Expect(routers[1].AddRoute(route)).To(Succeed())
		Expect(call(left, to)).To(Equal(left.Addr().String()))
	})

	It("says what its routes say of what goes nowhere", func() {
		left, right, routers := chain()
		for _, is4 := range []bool{true, false} {
			to := plan.Addr(right, "right", is4)
			only := netip.PrefixFrom(to, to.BitLen())
			for _, c := range []struct {
				kind   nstest.RouteType
				v4, v6 [2]byte
			}{
				{nstest.Unreachable, [2]byte{3, 1}, [2]byte{1, 0}},
				{nstest.Prohibit, [2]byte{3, 13}, [2]byte{1, 1}},
			} {
				route := nstest.Route{To: only, Type: c.kind}
				Expect(routers[1].AddRoute(route)).To(Succeed())
				who, kind, code := answerTo(left, to, 10)
				Expect(who).To(Equal(plan.Addr(routers[1].Host, "a", is4)))
				Expect([2]byte{kind, code}).To(Equal(map[bool][2]byte{true: c.v4, false: c.v6}[is4]), c.kind.String())
				Expect(routers[1].RemoveRoute(route)).To(Succeed())
			}
		}
	})

	It("drops without a word what goes to a blackhole", func() {
		left, right, routers := chain()
		tellCallers(right)
		to := plan.Addr(right, "right", true)
		Expect(call(left, to)).To(Equal(left.Addr().String()))
		route := nstest.Route{To: netip.PrefixFrom(to, 32), Type: nstest.Blackhole}
		Expect(routers[1].AddRoute(route)).To(Succeed())
		_, err := callWithin(silence, left, to)
		Expect(err).To(Satisfy(isTimeout))
		Expect(routers[1].RemoveRoute(route)).To(Succeed())
		Expect(call(left, to)).To(Equal(left.Addr().String()))
		By("for its own connections it is an errno")
		for kind, errno := range map[nstest.RouteType]error{
			nstest.Blackhole: unix.EINVAL, nstest.Unreachable: unix.EHOSTUNREACH, nstest.Prohibit: unix.EACCES,
		} {
			route.Type = kind
			Expect(left.AddRoute(route)).To(Succeed())
			_, err := call(left, to)
			Expect(err).To(MatchError(errno), kind.String())
			Expect(left.RemoveRoute(route)).To(Succeed())
		}
	})
})

var _ = Describe("a route", func() {
	It("is preferred by its metric, and is of the table that it names", func() {
		plan.Network(nstest.NetworkConfig{Name: "a"})
		h := plan.Host("h", plan.On("a")...)
		far := netip.MustParsePrefix("192.0.2.0/24")
		via := netip.MustParsePrefix("10.2.0.0/16").Addr().Next()
		for _, metric := range []int{0, 100} {
			Expect(h.AddRoute(nstest.Route{To: far, Via: via, Metric: metric})).To(Succeed())
		}
		Expect(h.AddRoute(nstest.Route{To: far, Network: "a", Table: 1000})).To(Succeed())
		Expect(h.AddRoute(nstest.Route{To: netip.MustParsePrefix("::/0"), Network: "a", Table: 1000})).To(Succeed())
		out, err := h.Command("ip", "route", "show", far.String()).Output()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(out)).To(And(ContainSubstring("via 10.2.0.1 dev eth0 proto static metric 100"), MatchRegexp(`via 10.2.0.1 dev eth0 proto static *\n`)))
		out, err = h.Command("ip", "route", "show", "table", "1000").Output()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(out)).To(ContainSubstring("192.0.2.0/24 dev eth0 proto static scope link"))
		Expect(h.RemoveRoute(nstest.Route{To: far, Via: via, Metric: 100})).To(Succeed())
		Expect(h.RemoveRoute(nstest.Route{To: far, Via: via, Metric: 100})).To(MatchError(unix.ESRCH))
		Expect(h.RemoveRoute(nstest.Route{To: far, Via: via})).To(Succeed())
	})

	It("is refused by name where it makes no sense", func() {
		plan.Network(nstest.NetworkConfig{Name: "a"})
		plan.Network(nstest.NetworkConfig{Name: "b"})
		h := plan.Host("h", plan.On("a", "b")...)
		prefix, via := netip.MustParsePrefix("192.0.2.0/24"), h.Addr().Next()
		for says, route := range map[string]nstest.Route{
			"neither To nor Via":                {},
			"host bits set: 192.0.2.0/24":       {To: netip.MustParsePrefix("192.0.2.1/24"), Via: via},
			"of the other family":               {To: prefix, Via: netip.MustParseAddr("2001:db8::1")},
			"on no network of host \"h\"":       {To: prefix, Via: netip.MustParseAddr("203.0.113.1")},
			"is the host's own address":         {To: prefix, Via: h.Addr()},
			"on several networks: say which":    {To: prefix},
			`no link to network "c"`:            {To: prefix, Network: "c"},
			"need neither Via nor Network":      {To: prefix, Via: via, Type: nstest.Blackhole},
			"RouteType(9) is none of the types": {To: prefix, Type: 9},
			"must be between 0 and 4294967295":  {To: prefix, Via: via, Table: -1},
			"a zone is said by Network":         {Via: netip.MustParseAddr("fe80::1%eth0")},
		} {
			Expect(h.AddRoute(route)).To(MatchError(ContainSubstring(says)))
			if says != "is the host's own address" && says != "on several networks: say which" && says != `no link to network "c"` && says != "on no network of host \"h\"" {
				_, err := nstest.Current().AddRouter(nstest.RouterConfig{Name: "r", Networks: plan.On("a", "b"), Routes: []nstest.Route{route}})
				Expect(err).To(MatchError(ContainSubstring(says)))
			}
		}
	})
})
