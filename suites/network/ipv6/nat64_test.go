package ipv6_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/plan"
)

// embedded is what an IPv4 address is in the prefix of a NAT64.
func embedded(prefix string, a netip.Addr) netip.Addr {
	b, four := netip.MustParseAddr(prefix).As16(), a.As4()
	copy(b[12:], four[:])
	return netip.AddrFrom16(b)
}

// serve has a host answer HTTP and UDP by saying who asks.
func serve(h *nstest.Host) {
	GinkgoHelper()
	l, err := h.Listen("tcp", ":80")
	Expect(err).NotTo(HaveOccurred())
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s sent %d bytes\n", netip.MustParseAddrPort(r.RemoteAddr).Addr().Unmap(), len(body))
		_, _ = w.Write(body)
	})}
	go func() { _ = server.Serve(l) }()
	DeferCleanup(server.Close)
	p, err := h.ListenPacket("udp", ":7")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = p.WriteTo(b[:n], from)
		}
	}()
}

// fetch sends a body by HTTP and returns the first line of the answer, and the body that came back.
func fetch(h *nstest.Host, to netip.Addr, body string) (string, string, error) {
	client := h.HTTPClient()
	client.Timeout = patience
	r, err := client.Post("http://"+netip.AddrPortFrom(to, 80).String(), "text/plain", strings.NewReader(body))
	if err != nil {
		return "", "", err
	}
	defer r.Body.Close()
	answer, err := io.ReadAll(r.Body)
	first, rest, _ := strings.Cut(string(answer), "\n")
	return first, rest, err
}

// patience is how long an answer is waited for that is to come, and briefly for one that is not: where there is a way it takes
// a millisecond.
const (
	patience = 20 * time.Second
	briefly  = 300 * time.Millisecond
)

// echo sends a datagram, and returns what comes back.
func echo(h *nstest.Host, to netip.Addr, port uint16, datagram string) (string, error) {
	return echoWithin(patience, h, to, port, datagram)
}

// unanswered sees that a datagram to the echo service is lost.
func unanswered(h *nstest.Host, to netip.Addr) {
	GinkgoHelper()
	_, err := echoWithin(briefly, h, to, 7, "hello")
	Expect(os.IsTimeout(err)).To(BeTrue(), "%v", err)
}

func echoWithin(limit time.Duration, h *nstest.Host, to netip.Addr, port uint16, datagram string) (string, error) {
	c, err := h.DialContext(context.Background(), "udp", netip.AddrPortFrom(to, port).String())
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, datagram); err != nil {
		return "", err
	}
	b := make([]byte, 1<<16)
	n, err := c.Read(b)
	return string(b[:n]), err
}

// ping asks for an answer, with a hop limit, and returns what came back and from whom.
func ping(h *nstest.Host, to netip.Addr, hops int) (icmp.Type, netip.Addr, error) {
	var c net.PacketConn
	err := h.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMPV6)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		f := os.NewFile(uintptr(fd), "icmpv6")
		defer f.Close()
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, hops); err != nil {
			return err
		}
		c, err = net.FilePacketConn(f)
		return err
	})
	if err != nil {
		return nil, netip.Addr{}, err
	}
	defer c.Close()
	m := icmp.Message{Type: ipv6.ICMPTypeEchoRequest, Body: &icmp.Echo{ID: 4711, Seq: 1, Data: []byte("hello")}}
	b, err := m.Marshal(nil) // the kernel fills in the checksum
	if err != nil {
		return nil, netip.Addr{}, err
	}
	if _, err := c.WriteTo(b, &net.IPAddr{IP: net.IP(to.AsSlice())}); err != nil {
		return nil, netip.Addr{}, err
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, netip.Addr{}, err
	}
	answer := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(answer)
		if err != nil {
			return nil, netip.Addr{}, err
		}
		m, err := icmp.ParseMessage(unix.IPPROTO_ICMPV6, answer[:n])
		if err != nil {
			return nil, netip.Addr{}, err
		}
		switch m.Type {
		case ipv6.ICMPTypeEchoReply, ipv6.ICMPTypeTimeExceeded, ipv6.ICMPTypeDestinationUnreachable:
			return m.Type, netip.MustParseAddr(from.String()), nil
		}
	}
}

var _ = Describe("NAT64", func() {
	var client, server *nstest.Host
	const wellKnown = "64:ff9b::"

	// A host with IPv6 alone, and beyond two routers one with IPv4 alone.
	build := func(n *nstest.NAT64) {
		GinkgoHelper()
		plan.Network(nstest.NetworkConfig{Name: "six", NoIPv4: true})
		plan.Network(nstest.NetworkConfig{Name: "four", NoIPv6: true})
		plan.Network(nstest.NetworkConfig{Name: "far", NoIPv6: true, MTU: 1400})
		client = plan.Host("client", plan.On("six")...)
		server = plan.Host("server", plan.On("far")...)
		second := plan.Router(nstest.RouterConfig{Name: "second", Networks: plan.On("four", "far")})
		plan.Router(nstest.RouterConfig{Name: "first", Networks: plan.On("six", "four"), NAT64: n,
			Routes: []nstest.Route{{To: nstest.Current().Network("far").Prefixes()[0], Via: second.Link("four").Addrs()[0]}}})
		serve(server)
	}
	outside := func() netip.Addr { return nstest.Current().Router("first").Link("four").Addrs()[0] }

	It("leads hosts that have IPv6 alone to those that have IPv4 alone", func() {
		build(&nstest.NAT64{Outside: "four"})
		to := embedded(wellKnown, server.Addr())
		large := strings.Repeat("0123456789abcdef", 20000)
		first, rest, err := fetch(client, to, large)
		Expect(err).NotTo(HaveOccurred())
		Expect(first).To(Equal(fmt.Sprintf("%s sent %d bytes", outside(), len(large))))
		Expect(rest).To(Equal(large))
		Expect(echo(client, to, 7, "hello")).To(Equal("hello"))
		kind, from, err := ping(client, to, 64)
		Expect(err).NotTo(HaveOccurred())
		Expect(kind).To(Equal(ipv6.ICMPTypeEchoReply))
		Expect(from).To(Equal(to))
	})

	It("passes datagrams that travel in pieces", func() {
		build(&nstest.NAT64{Outside: "four"})
		large := strings.Repeat("0123456789abcdef", 500)
		to := embedded(wellKnown, server.Addr())
		Expect(echo(client, to, 7, large)).To(Equal(large))
	})

	It("passes on the errors of the way", func() {
		build(&nstest.NAT64{Outside: "four"})
		to := embedded(wellKnown, server.Addr())
		_, err := echo(client, to, 9999, "nobody listens")
		Expect(err).To(MatchError(unix.ECONNREFUSED))

		By("so that each router is one hop of a trace")
		second := nstest.Current().Router("second")
		var hops []netip.Addr
		for limit := 1; limit <= 3; limit++ {
			_, from, err := ping(client, to, limit)
			Expect(err).NotTo(HaveOccurred(), "hop %d", limit)
			hops = append(hops, from)
		}
		Expect(hops).To(Equal([]netip.Addr{
			addr6(nstest.Current().Router("first").Host, "six"), embedded(wellKnown, second.Link("four").Addrs()[0]), to,
		}))
	})

	It("has a prefix of its own, if it is to", func() {
		build(&nstest.NAT64{Outside: "four", Prefix: netip.MustParsePrefix("2001:db8:64::/96")})
		Expect(echo(client, embedded("2001:db8:64::", server.Addr()), 7, "hello")).To(Equal("hello"))
		unanswered(client, embedded(wellKnown, server.Addr()))
	})

	It("comes and goes", func() {
		build(nil)
		router := nstest.Current().Router("first")
		to := embedded(wellKnown, server.Addr())
		unanswered(client, to)
		Expect(router.SetNAT64(&nstest.NAT64{Outside: "four"})).To(Succeed())
		Expect(echo(client, to, 7, "hello")).To(Equal("hello"))
		Expect(router.SetNAT64(&nstest.NAT64{Outside: "four", Prefix: netip.MustParsePrefix("2001:db8:64::/96")})).To(Succeed())
		unanswered(client, to)
		Expect(echo(client, embedded("2001:db8:64::", server.Addr()), 7, "hello")).To(Equal("hello"))
		Expect(router.SetNAT64(nil)).To(Succeed())
		unanswered(client, embedded("2001:db8:64::", server.Addr()))
		var devices []string
		Expect(router.Do(func() error {
			all, err := net.Interfaces()
			for _, i := range all {
				devices = append(devices, i.Name)
			}
			return err
		})).To(Succeed())
		Expect(devices).To(ConsistOf("lo", "eth0", "eth1"))
	})

	It("is needed", func() {
		build(nil)
		to := embedded(wellKnown, server.Addr())
		unanswered(client, to)
		kind, _, err := ping(client, to, 64)
		Expect(err).NotTo(HaveOccurred())
		Expect(kind).To(Equal(ipv6.ICMPTypeDestinationUnreachable))
	})

	It("lets in nobody who was not asked", func() {
		build(&nstest.NAT64{Outside: "four"})
		serve(client)
		to := embedded(wellKnown, server.Addr())
		Expect(echo(client, to, 7, "hello")).To(Equal("hello")) // so that there is an address for the client
		intruder := plan.Host("intruder", plan.On("four")...)
		pool := netip.MustParsePrefix("240.0.0.0/20")
		Expect(intruder.AddRoute(nstest.Route{To: pool, Via: outside()})).To(Succeed())
		unanswered(intruder, netip.MustParseAddr("240.0.0.1"))
	})

	DescribeTable("says what is wrong before anything is made", func(n nstest.NAT64, reason string) {
		plan.Network(nstest.NetworkConfig{Name: "six", NoIPv4: true})
		plan.Network(nstest.NetworkConfig{Name: "four", NoIPv6: true})
		_, err := nstest.Current().AddRouter(nstest.RouterConfig{Name: "router", Networks: plan.On("six", "four"), NAT64: &n})
		Expect(err).To(MatchError(ContainSubstring(reason)))
		Expect(nstest.Current().Network("six").Hosts()).To(BeEmpty())
	},
		Entry("nothing outside", nstest.NAT64{}, `of router "router" has no Outside`),
		Entry("a network that it is not on", nstest.NAT64{Outside: "lan"}, `router "router" is not on the network "lan"`),
		Entry("IPv6 alone outside", nstest.NAT64{Outside: "six"}, "it has no IPv4"),
		Entry("another length", nstest.NAT64{Outside: "four", Prefix: netip.MustParsePrefix("2001:db8::/64")}, "is not a /96"),
		Entry("an IPv4 prefix", nstest.NAT64{Outside: "four", Prefix: netip.MustParsePrefix("10.0.0.0/8")}, "is not an IPv6 prefix"),
	)
})
