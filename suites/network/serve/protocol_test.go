package serve_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/rtnetlink"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/quic-go/quic-go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

var _ = Describe("Code of the spec answers on a host", func() {
	var self, web *nstest.Host

	BeforeEach(func() {
		self, web = nstest.Current().Self(), nstest.Current().Host("web")
	})

	It("as net/http", func() {
		at := address(web.Handle(":80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, "%s asks %s for %s", r.RemoteAddr, r.Host, r.URL.Path)
		})))
		Expect(at).To(Equal(netip.AddrPortFrom(web.Addr(), 80).String()))
		for _, url := range []string{"http://web/tea", "http://" + at + "/tea", "http://[" + web.Addrs()[1].String() + "]/tea"} {
			r, err := http.Get(url) // from this process, which is the host self
			Expect(err).NotTo(HaveOccurred())
			body, err := io.ReadAll(r.Body)
			Expect(err).NotTo(HaveOccurred())
			Expect(r.Body.Close()).To(Succeed())
			Expect(string(body)).To(And(HaveSuffix("for /tea"), Or(HavePrefix(self.Addrs()[0].String()), HavePrefix("["+self.Addrs()[1].String()))))
		}
		http.DefaultClient.CloseIdleConnections()
	})

	It("as gRPC", func() {
		server := grpc.NewServer()
		grpc_health_v1.RegisterHealthServer(server, health.NewServer())
		address(web.Serve(":50051", server))
		conn, err := grpc.NewClient("dns:///web:50051", grpc.WithTransportCredentials(insecure.NewCredentials()))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(conn.Close)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		Expect(err).NotTo(HaveOccurred())
		Expect(r.GetStatus()).To(Equal(grpc_health_v1.HealthCheckResponse_SERVING))
	})

	DescribeTable("as TCP, where it says", func(network, listen string, family int) {
		at := address(web.HandleConn(network, listen, reply))
		Expect(at).To(HavePrefix(map[int]string{4: web.Addrs()[0].String(), 6: "[" + web.Addrs()[1].String()}[family]))
		Expect(talk(self, "tcp", at, "this", patience)).To(Equal("heard this"))
		By("asking another host, where nobody answers")
		_, port, err := net.SplitHostPort(at)
		Expect(err).NotTo(HaveOccurred())
		_, err = talk(self, "tcp", net.JoinHostPort(nstest.Current().Host("other").Addr().String(), port), "this", patience)
		Expect(err).To(MatchError(ContainSubstring("connection refused")))
	},
		Entry("any port, both families", "tcp", ":0", 4),
		Entry("IPv4", "tcp4", ":9", 4),
		Entry("IPv6", "tcp6", ":9", 6),
		Entry("by name", "tcp4", "web:9", 4),
	)

	DescribeTable("as UDP, where it says", func(network, listen string, family int) {
		at := address(web.HandlePackets(network, listen, replyPacket))
		Expect(at).To(HavePrefix(map[int]string{4: web.Addrs()[0].String(), 6: "[" + web.Addrs()[1].String()}[family]))
		Expect(talk(self, "udp", at, "this", patience)).To(Equal("heard this"))
	},
		Entry("any port, both families", "udp", ":0", 4),
		Entry("IPv4", "udp4", ":9", 4),
		Entry("IPv6", "udp6", ":9", 6),
	)

	It("as UDP, from the address that was asked, of several", func() {
		second4 := netip.PrefixFrom(web.Addrs()[0].Next().Next(), 16)
		second6 := netip.PrefixFrom(web.Addrs()[1].Next().Next(), 64)
		Expect(web.Do(func() error {
			for _, p := range []netip.Prefix{second4, second6} {
				if err := rtnetlink.AddAddr("eth0", p); err != nil {
					return err
				}
			}
			return nil
		})).To(Succeed())
		var asked []string
		address(web.HandlePackets("udp", ":7", func(from net.Addr, packet []byte) []byte {
			asked = append(asked, from.(*net.UDPAddr).IP.String()) // before the answer, which orders it
			return replyPacket(from, packet)
		}))
		all := append(web.Addrs(), second4.Addr(), second6.Addr())
		for _, a := range all {
			Expect(talk(self, "udp", netip.AddrPortFrom(a, 7).String(), "this", patience)).To(Equal("heard this"), "%s", a)
		}
		four, six := self.Addrs()[0].String(), self.Addrs()[1].String()
		Expect(asked).To(Equal([]string{four, six, four, six}))

		By("having a server that leaves it to the kernel: the control")
		c, err := web.ListenPacket("udp", ":8")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(c.Close)
		go func() {
			packet := make([]byte, 100)
			for {
				n, from, err := c.ReadFrom(packet)
				if err != nil {
					return
				}
				_, _ = c.WriteTo(packet[:n], from)
			}
		}()
		Expect(talk(self, "udp", netip.AddrPortFrom(web.Addrs()[0], 8).String(), "this", patience)).To(Equal("this"))
		_, err = talk(self, "udp", netip.AddrPortFrom(second4.Addr(), 8).String(), "this", silence)
		Expect(err).To(MatchError(os.ErrDeadlineExceeded), "it answers from the first address")
	})

	It("as UDP to a broadcast address, and to a link-local one", func() {
		address(web.HandlePackets("udp", ":7", replyPacket))
		c, err := self.ListenPacket("udp4", ":0")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(c.Close)
		Expect(c.SetDeadline(time.Now().Add(patience))).To(Succeed())
		_, err = c.WriteTo([]byte("this"), &net.UDPAddr{IP: net.IPv4(10, 1, 255, 255), Port: 7})
		Expect(err).NotTo(HaveOccurred())
		answer := make([]byte, 100)
		n, from, err := c.ReadFrom(answer)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(answer[:n])).To(Equal("heard this"))
		Expect(from.(*net.UDPAddr).IP.String()).To(Equal(web.Addrs()[0].String()))

		var local netip.Addr
		Expect(web.Do(func() error {
			d, err := net.InterfaceByName("eth0")
			if err != nil {
				return err
			}
			addrs, err := d.Addrs()
			for _, a := range addrs {
				if ip := netip.MustParsePrefix(a.String()).Addr(); ip.IsLinkLocalUnicast() {
					local = ip
				}
			}
			return err
		})).To(Succeed())
		Expect(local.IsValid()).To(BeTrue())
		Expect(talk(self, "udp", netip.AddrPortFrom(local.WithZone("eth0"), 7).String(), "this", patience)).To(Equal("heard this"))
	})

	It("as UDP, or not at all", func() {
		at := address(web.HandlePackets("udp", ":7", func(from net.Addr, packet []byte) []byte {
			if string(packet) == "mumble" {
				return nil
			}
			return replyPacket(from, packet)
		}))
		_, err := talk(self, "udp", at, "mumble", silence)
		Expect(err).To(MatchError(os.ErrDeadlineExceeded))
		Expect(talk(self, "udp", at, "this", patience)).To(Equal("heard this"), "the control")
	})

	It("as QUIC, with the sockets of hosts as they are", func() {
		GinkgoT().Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
		socket := func(h *nstest.Host, at string) *net.UDPConn {
			c, err := h.ListenPacket("udp", at)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(c.Close)
			Expect(c).To(BeAssignableToTypeOf(&net.UDPConn{}))
			return c.(*net.UDPConn)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		certificate, pool := certificateFor("web")
		listener, err := quic.Listen(socket(web, ":443"), &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"test"}}, nil)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(listener.Close)
		served := make(chan error, 1)
		go func() {
			served <- func() error {
				conn, err := listener.Accept(ctx)
				if err != nil {
					return err
				}
				stream, err := conn.AcceptStream(ctx)
				if err != nil {
					return err
				}
				text, err := io.ReadAll(stream)
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintf(stream, "heard %s from %s", text, conn.RemoteAddr().(*net.UDPAddr).IP); err != nil {
					return err
				}
				return stream.Close()
			}()
		}()
		for _, to := range web.Addrs()[:1] {
			conn, err := quic.Dial(ctx, socket(self, ":0"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 443)), &tls.Config{RootCAs: pool, ServerName: "web", NextProtos: []string{"test"}}, nil)
			Expect(err).NotTo(HaveOccurred())
			stream, err := conn.OpenStreamSync(ctx)
			Expect(err).NotTo(HaveOccurred())
			_, err = stream.Write([]byte("this"))
			Expect(err).NotTo(HaveOccurred())
			Expect(stream.Close()).To(Succeed())
			answer, err := io.ReadAll(stream)
			Expect(err).NotTo(HaveOccurred())
			Expect(string(answer)).To(Equal("heard this from " + self.Addr().String()))
			Expect(<-served).To(Succeed())
			Expect(conn.CloseWithError(0, "")).To(Succeed())
		}
	})

	DescribeTable("as a Unix socket, to processes of that host", func(at string, elsewhere string) {
		other := nstest.Current().Host("other")
		address(web.HandleConn("unix", at, reply))
		inside := func(h *nstest.Host) (answer string, err error) {
			err = h.Do(func() (err error) {
				c, err := net.Dial("unix", at)
				if err == nil {
					answer, err = converse(c, "this", patience)
				}
				return err
			})
			return answer, err
		}
		Expect(inside(web)).To(Equal("heard this"))
		Expect(talk(web, "unix", at, "this", patience)).To(Equal("heard this"))
		_, err := inside(other)
		_, dialed := talk(other, "unix", at, "this", patience)
		if elsewhere == "" {
			Expect(err).NotTo(HaveOccurred())
			Expect(dialed).NotTo(HaveOccurred())
			return
		}
		Expect(err).To(MatchError(ContainSubstring(elsewhere)))
		Expect(dialed).To(MatchError(ContainSubstring(elsewhere)))
	},
		Entry("with an abstract name", "@service", "connection refused"),
		Entry("with a path in /run", "/run/service.sock", "no such file or directory"),
		Entry("with a path in /tmp", "/tmp/service.sock", "no such file or directory"),
		Entry("with a path elsewhere, to those of other hosts too: the tree is the environment's", "/var/service.sock", ""),
	)

	It("as a Unix socket of packets", func() {
		address(web.HandlePackets("unixgram", "/run/log.sock", replyPacket))
		Expect(web.Do(func() error {
			client, server := &net.UnixAddr{Name: "@client", Net: "unixgram"}, &net.UnixAddr{Name: "/run/log.sock", Net: "unixgram"}
			c, err := net.DialUnix("unixgram", client, server)
			if err != nil {
				return err
			}
			answer, err := converse(c, "this", patience)
			if err == nil && answer != "heard this" {
				err = fmt.Errorf("the answer is %q", answer)
			}
			return err
		})).To(Succeed())
	})
})

func certificateFor(name string) (tls.Certificate, *x509.CertPool) {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	Expect(err).NotTo(HaveOccurred())
	parsed, err := x509.ParseCertificate(der)
	Expect(err).NotTo(HaveOccurred())
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
