// Package outbound_test shows what an environment with outbound access reaches, and what it does not. Each spec's own
// environment plays the machine: the environment under test is opened within it.
package outbound_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) { os.Exit(leaks.Main(m)) }

// machine has addresses that no environment has by itself.
var machine = nstest.Config{Network: nstest.NetworkConfig{
	Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:1::/64")},
}}

func TestOutbound(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	nstest.RunSpecs(t, "Outbound access", nstest.With(machine))
}

// limit bounds what is not expected to take long.
const limit = 5 * time.Second

func within(ctx context.Context) context.Context {
	ctx, cancel := context.WithTimeout(ctx, limit)
	DeferCleanup(cancel)
	return ctx
}

// address is where a host of the machine's network has a port.
func address(h *nstest.Host, is4 bool, port string) string {
	for _, a := range h.Addrs() {
		if a.Is4() == is4 {
			return net.JoinHostPort(a.String(), port)
		}
	}
	Fail("host " + h.Name() + " has no address of the family")
	return ""
}

// serveHTTP has a host of the machine's network answer with who asks.
func serveHTTP(h *nstest.Host) {
	GinkgoHelper()
	l, err := h.Listen("tcp", ":80")
	Expect(err).NotTo(HaveOccurred())
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		_, _ = io.WriteString(w, "hello "+from)
	})}
	go func() { _ = s.Serve(l) }()
	DeferCleanup(s.Close)
}

// get is what a host inside is answered.
func get(ctx context.Context, h *nstest.Host, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return "", err
	}
	resp, err := h.HTTPClient().Do(req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	return string(body), errorsJoin(err, resp.Body.Close())
}

// end is how a connection ends on which nothing is said: to a Write that comes when the peer has reset it the kernel may tell that
// in the place of the Read, which hears of the end alone then.
func end(ctx context.Context, h *nstest.Host, address string) error {
	c, err := h.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return err
		}
	}
	_, err = c.Read(make([]byte, 1))
	return err
}

func errorsJoin(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

var _ = Describe("TCP", func() {
	for _, family := range []struct {
		name string
		is4  bool
	}{{"IPv4", true}, {"IPv6", false}} {
		It("reaches a server over "+family.name+", from every host, as the machine", func(ctx SpecContext) {
			server := nstest.Current().Host("server")
			serveHTTP(server)
			env := nstest.New(GinkgoTB(), nstest.Config{Outbound: &nstest.Outbound{}})
			self := nstest.Current().Self()
			want := "hello " + strings.Trim(strings.TrimSuffix(address(self, family.is4, ""), ":"), "[]")
			for _, h := range []*nstest.Host{env.Self(), env.Host("web")} {
				Expect(get(within(ctx), h, address(server, family.is4, "80"))).To(Equal(want))
			}
		})

		It("reaches nothing over "+family.name+" unless it is asked for", func(ctx SpecContext) {
			server := nstest.Current().Host("server")
			serveHTTP(server)
			env := nstest.New(GinkgoTB(), nstest.Config{})
			_, err := get(within(ctx), env.Host("web"), address(server, family.is4, "80"))
			Expect(err).To(MatchError(syscall.ENETUNREACH))
		})
	}

	It("carries a large body, and the end of each direction by itself", func(ctx SpecContext) {
		server := nstest.Current().Host("server")
		l, err := server.Listen("tcp", ":7")
		Expect(err).NotTo(HaveOccurred())
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n, _ := io.Copy(io.Discard, c) // until the client has ended its direction
			_, _ = c.Write([]byte(strings.Repeat("x", int(n))))
			_ = c.Close()
		}()
		env := nstest.New(GinkgoTB(), nstest.Config{Outbound: &nstest.Outbound{}})
		c, err := env.Self().DialContext(within(ctx), "tcp", address(server, true, "7"))
		Expect(err).NotTo(HaveOccurred())
		defer c.Close()
		const size = 4 << 20
		_, err = c.Write(make([]byte, size))
		Expect(err).NotTo(HaveOccurred())
		Expect(c.(*net.TCPConn).CloseWrite()).To(Succeed())
		Expect(c.SetReadDeadline(time.Now().Add(limit))).To(Succeed())
		n, err := io.Copy(io.Discard, c)
		Expect(err).NotTo(HaveOccurred())
		Expect(n).To(BeEquivalentTo(size))
	})

	It("is reset where the server refuses", func(ctx SpecContext) {
		server := nstest.Current().Host("server")
		env := nstest.New(GinkgoTB(), nstest.Config{Outbound: &nstest.Outbound{}})
		Expect(end(within(ctx), env.Self(), address(server, true, "80"))).To(MatchError(syscall.ECONNRESET))
	})

	It("reaches what is allowed and no more", func(ctx SpecContext) {
		good, bad := nstest.Current().Host("good"), nstest.Current().Host("bad")
		serveHTTP(good)
		serveHTTP(bad)
		env := nstest.New(GinkgoTB(), nstest.Config{Outbound: &nstest.Outbound{
			Allow: machine.Network.Prefixes, Deny: []netip.Prefix{netip.PrefixFrom(bad.Addr(), 32)},
		}})
		Expect(get(within(ctx), env.Self(), address(good, true, "80"))).To(HavePrefix("hello"))
		Expect(end(within(ctx), env.Self(), address(bad, true, "80"))).To(MatchError(syscall.ECONNRESET))
		Expect(get(within(ctx), env.Self(), address(bad, false, "80"))).To(HavePrefix("hello"), "the other family is not denied")
	})

	It("reaches hosts of the environment directly", func(ctx SpecContext) {
		env := nstest.New(GinkgoTB(), nstest.Config{Outbound: &nstest.Outbound{}})
		serveHTTP(env.Host("web"))
		Expect(get(within(ctx), env.Host("client"), "web")).To(Equal("hello " + env.Host("client").Addr().String()))
	})
})

var _ = Describe("UDP", func() {
	for _, family := range []struct {
		name string
		is4  bool
	}{{"IPv4", true}, {"IPv6", false}} {
		It("carries packets of a flow both ways over "+family.name, func(ctx SpecContext) {
			server := nstest.Current().Host("server")
			conn, err := server.ListenPacket("udp", ":7")
			Expect(err).NotTo(HaveOccurred())
			clients := make(chan string, 100)
			go func() {
				buf := make([]byte, 2000)
				for {
					n, from, err := conn.ReadFrom(buf)
					if err != nil {
						return
					}
					clients <- from.String()
					_, _ = conn.WriteTo(buf[:n], from)
				}
			}()
			env := nstest.New(GinkgoTB(), nstest.Config{Outbound: &nstest.Outbound{}})
			c, err := env.Host("client").DialContext(within(ctx), "udp", address(server, family.is4, "7"))
			Expect(err).NotTo(HaveOccurred())
			defer c.Close()
			Expect(c.SetReadDeadline(time.Now().Add(limit))).To(Succeed())
			var first string
			for _, word := range []string{"one", "two", "three"} {
				_, err = c.Write([]byte(word))
				Expect(err).NotTo(HaveOccurred())
				buf := make([]byte, 100)
				n, err := c.Read(buf)
				Expect(err).NotTo(HaveOccurred())
				Expect(string(buf[:n])).To(Equal(word))
				from := <-clients
				if first == "" {
					first = from
				}
				Expect(from).To(Equal(first), "the flow comes from one port")
			}
		})
	}
})

var _ = Describe("Names", func() {
	It("asks the machine's resolver for those that the environment does not know", func(ctx SpecContext) {
		server := nstest.Current().Host("server")
		serveHTTP(server)
		env := nstest.New(GinkgoTB(), nstest.Config{Outbound: &nstest.Outbound{}})
		Expect(env.Host("web").LookupNetIP(within(ctx), "server")).To(ContainElements(server.Addrs()))
		Expect(get(within(ctx), env.Host("web"), "server")).To(HavePrefix("hello"))
	})

	It("knows the environment's own first", func(ctx SpecContext) {
		nstest.Current().Host("web")
		env := nstest.New(GinkgoTB(), nstest.Config{Outbound: &nstest.Outbound{}})
		web := env.Host("web")
		Expect(env.Self().LookupNetIP(within(ctx), "web")).To(ConsistOf(web.Addrs()))
	})

	It("asks nobody where that is not wanted", func(ctx SpecContext) {
		nstest.Current().Host("server")
		env := nstest.New(GinkgoTB(), nstest.Config{Outbound: &nstest.Outbound{NoNames: true}})
		_, err := env.Self().LookupNetIP(within(ctx), "server")
		var dnsErr *net.DNSError
		Expect(err).To(BeAssignableToTypeOf(dnsErr))
		Expect(err.(*net.DNSError).IsNotFound).To(BeTrue())
	})
})
