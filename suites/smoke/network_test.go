package smoke_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Hosts of a network", func() {
	DescribeTable("reach each other",
		func(listen, dial string, address func(*nstest.Host) string) {
			env := fresh()
			web, client := env.Host("web"), env.Host("client")
			listener, err := web.Listen(listen, ":80")
			Expect(err).NotTo(HaveOccurred())
			serve(listener, "hello")
			Expect(greeting(client, dial, net.JoinHostPort(address(web), "80"))).To(Equal("hello"))
		},
		Entry("by name", "tcp", "tcp", (*nstest.Host).Name),
		Entry("by IPv4", "tcp4", "tcp4", addressOf(netip.Addr.Is4)),
		Entry("by IPv6", "tcp6", "tcp6", addressOf(netip.Addr.Is6)),
		Entry("by name over IPv4", "tcp4", "tcp4", (*nstest.Host).Name),
		Entry("by name over IPv6", "tcp6", "tcp6", (*nstest.Host).Name),
		Entry("by name over IPv6 where nobody listens on IPv4", "tcp6", "tcp", (*nstest.Host).Name),
	)

	It("exchange packets", func() {
		env := fresh()
		server, err := env.Host("web").ListenPacket("udp", ":53000")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(server.Close)
		client, err := env.Host("client").DialContext(context.Background(), "udp", "web:53000")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(client.Close)
		Expect(client.Write([]byte("ping"))).To(Equal(4))
		b := make([]byte, 10)
		n, from, err := server.ReadFrom(b)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(b[:n])).To(Equal("ping"))
		Expect(from.String()).To(Equal(client.LocalAddr().String()))
	})

	It("speak HTTP", func() {
		env := fresh()
		listener, err := env.Host("web").Listen("tcp", ":80")
		Expect(err).NotTo(HaveOccurred())
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s from %s", r.Host, strings.Split(r.RemoteAddr, ":")[0])
		})}
		go server.Serve(listener)
		DeferCleanup(server.Close)
		client := env.Host("client")
		response, err := client.HTTPClient().Get("http://web/")
		Expect(err).NotTo(HaveOccurred())
		defer response.Body.Close()
		Expect(response).To(HaveHTTPBody("web from " + client.Addr().String()))
	})

	It("are refused at once where nobody listens", func() {
		env := fresh()
		_, err := env.Self().DialContext(context.Background(), "tcp", net.JoinHostPort(env.Host("web").Addr().String(), "80"))
		Expect(err).To(MatchError(syscall.ECONNREFUSED))
	})

	It("cannot reach the machine, nor the machine them", func() {
		machine, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		serve(machine, "machine")
		env := fresh()
		inside, err := env.Self().Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		serve(inside, "inside")

		Expect(attemptHere("connect", "tcp", machine.Addr().String())).To(Succeed(), "the control")
		Expect(attempt(env.Self(), "connect", "tcp", machine.Addr().String())).To(MatchError(syscall.ECONNREFUSED))
		Expect(attempt(env.Self(), "connect", "tcp", inside.Addr().String())).To(Succeed(), "the control")
		Expect(attemptHere("connect", "tcp", inside.Addr().String())).To(MatchError(syscall.ECONNREFUSED))
		Expect(ask[[]string](env.Self(), "list", "/sys/class/net")).To(ConsistOf("eth0", "lo"))
	})

	It("fail at once for what is nowhere", func() {
		env := fresh()
		Expect(attempt(env.Self(), "connect", "tcp", "192.0.2.1:80")).To(MatchError(syscall.ENETUNREACH))
	})
})

var _ = Describe("A network", func() {
	It("has the addresses that were asked for", func() {
		v4, v6 := netip.MustParsePrefix("192.168.7.0/24"), netip.MustParsePrefix("2001:db8:7::/64")
		env := nstest.New(GinkgoTB(), nstest.Config{Network: nstest.NetworkConfig{Name: "front", Prefixes: []netip.Prefix{v4, v6}}})
		Expect(env.Network("")).To(BeIdenticalTo(env.Network("front")))
		Expect(env.Network("front").Prefixes()).To(Equal([]netip.Prefix{v4, v6}))

		want := []netip.Addr{netip.MustParseAddr("192.168.7.99"), netip.MustParseAddr("2001:db8:7::99")}
		web, err := env.AddHost(nstest.HostConfig{Name: "web", Networks: []nstest.Attachment{{Addrs: want, MAC: "02:00:00:00:00:99"}}})
		Expect(err).NotTo(HaveOccurred())
		Expect(web.Addrs()).To(Equal(want))
		Expect(web.Addr()).To(Equal(want[0]))
		Expect(web.Link("").MAC()).To(Equal("02:00:00:00:00:99"))
		Expect(ask[string](web, "read", "/sys/class/net/eth0/address")).To(Equal("02:00:00:00:00:99\n"))

		listener, err := web.Listen("tcp", "192.168.7.99:80")
		Expect(err).NotTo(HaveOccurred())
		serve(listener, "hello")
		Expect(greeting(env.Self(), "tcp", "web:80")).To(Equal("hello"))
		Expect(v4.Contains(env.Host("db").Addr())).To(BeTrue(), "automatic addresses are of the network")
	})

	It("lists its hosts", func() {
		env := fresh()
		web := env.Host("web")
		Expect(env.Network("").Hosts()).To(Equal([]*nstest.Host{env.Self(), web}))
		Expect(env.Network("back").Hosts()).To(BeEmpty())
	})

	It("leaves a family out", func() {
		env := open(nstest.Config{Network: nstest.NetworkConfig{NoIPv6: true}})
		Expect(env.Self().Addrs()).To(HaveExactElements(HaveField("Is4()", true)))
		back, err := env.AddNetwork(nstest.NetworkConfig{Name: "back", NoIPv4: true})
		Expect(err).NotTo(HaveOccurred())
		Expect(back.Prefixes()).To(HaveExactElements(HaveField("Addr().Is6()", true)))
		db, err := env.AddHost(nstest.HostConfig{Name: "db", Networks: []nstest.Attachment{{Network: "back"}}})
		Expect(err).NotTo(HaveOccurred())
		Expect(db.Addr().Is6()).To(BeTrue(), "it has no other")
	})

	It("has the MTU that was asked for", func() {
		env := open(nstest.Config{Network: nstest.NetworkConfig{MTU: 9000}})
		web, err := env.AddHost(nstest.HostConfig{Name: "web"})
		Expect(err).NotTo(HaveOccurred())
		Expect(ask[string](web, "read", "/sys/class/net/eth0/mtu")).To(Equal("9000\n"))
		Expect(ask[string](fresh().Self(), "read", "/sys/class/net/eth0/mtu")).To(Equal("1500\n"), "the default")
	})

	It("has a gateway, to which hosts send what is for nowhere else", func() {
		gateway := netip.MustParseAddr("10.20.0.1")
		config := nstest.NetworkConfig{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/24")}, Gateway: gateway}
		env := open(nstest.Config{Network: config})
		Expect(env.Network("").Gateway()).To(Equal(gateway))
		Expect(ask[string](env.Self(), "read", "/proc/net/route")).To(ContainSubstring("eth0\t00000000\t0100140A\t"))
		Expect(ask[string](fresh().Self(), "read", "/proc/net/route")).NotTo(ContainSubstring("eth0\t00000000\t"), "the default")
	})

	It("can be absent, and made later", func() {
		env := open(nstest.Config{Loopback: true})
		Expect(env.Self().Addrs()).To(BeEmpty())
		Expect(env.Self().Addr().IsValid()).To(BeFalse())
		Expect(ask[[]string](env.Self(), "list", "/sys/class/net")).To(ConsistOf("lo"))
		Expect(onlyError(env.AddNetwork(nstest.NetworkConfig{Name: "lan"}))).To(Succeed())
		for _, name := range []string{"web", "db"} {
			Expect(onlyError(env.AddHost(nstest.HostConfig{Name: name}))).To(Succeed())
		}
		listener, err := env.Host("web").Listen("tcp", ":80")
		Expect(err).NotTo(HaveOccurred())
		serve(listener, "hello")
		Expect(greeting(env.Host("db"), "tcp", "web:80")).To(Equal("hello"))
	})
})

var _ = Describe("A host on two networks", func() {
	It("reaches the hosts of both, who do not reach each other", func() {
		env := fresh()
		Expect(env.Network("back").Prefixes()).NotTo(Equal(env.Network("").Prefixes()))
		db, err := env.AddHost(nstest.HostConfig{Name: "db", Networks: []nstest.Attachment{{Network: "back"}}})
		Expect(err).NotTo(HaveOccurred())
		api, err := env.AddHost(nstest.HostConfig{Name: "api", Networks: []nstest.Attachment{{}, {Network: "back"}}})
		Expect(err).NotTo(HaveOccurred())
		web := env.Host("web")

		Expect(api.Addrs()).To(HaveLen(4))
		Expect(api.Links()).To(HaveExactElements(
			And(HaveField("Interface()", "eth0"), HaveField("Network()", "lan")),
			And(HaveField("Interface()", "eth1"), HaveField("Network()", "back"))))
		Expect(api.Link("back").Host()).To(BeIdenticalTo(api))
		Expect(api.Link("back").Addrs()).To(Equal(api.Addrs()[2:]))
		Expect(func() { api.Link("") }).To(PanicWith(ContainSubstring("lan, back")))
		Expect(env.Network("back").Hosts()).To(ConsistOf(api, db))

		for _, host := range []*nstest.Host{web, db} {
			listener, err := host.Listen("tcp", ":80")
			Expect(err).NotTo(HaveOccurred())
			serve(listener, host.Name())
			Expect(greeting(api, "tcp", host.Name()+":80")).To(Equal(host.Name()))
		}
		_, err = greeting(web, "tcp", net.JoinHostPort(db.Addr().String(), "80"))
		Expect(err).To(MatchError(syscall.ENETUNREACH))
	})
})

// serve greets whoever connects, until the spec ends.
func serve(listener net.Listener, greeting string) {
	DeferCleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, greeting)
			_ = conn.Close()
		}
	}()
}

// greeting is what host is greeted with at an address.
func greeting(host *nstest.Host, network, address string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return greetingContext(ctx, host, network, address)
}

// greetingContext is greeting with a bound: ctx is for the whole exchange.
func greetingContext(ctx context.Context, host *nstest.Host, network, address string) (string, error) {
	conn, err := host.DialContext(ctx, network, address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	text, err := io.ReadAll(conn)
	return string(text), err
}

// attemptHere runs a probe in this process, as a control.
func attemptHere(name string, args ...string) error {
	_, err := probes[name](args)
	return err
}

// addressOf picks a host's address.
func addressOf(wanted func(netip.Addr) bool) func(*nstest.Host) string {
	return func(host *nstest.Host) string {
		for _, a := range host.Addrs() {
			if wanted(a) {
				return a.String()
			}
		}
		return ""
	}
}
