package capture_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/hermetic-go/nstest/fixtures/ca"
	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A capture of TLS", func() {
	var env *nstest.Env
	var authority *ca.CA
	var server, client *tls.Config
	BeforeEach(func() {
		env = nstest.Current()
		authority = ca.New(GinkgoTB(), env, ca.Config{})
		server = &tls.Config{Certificates: []tls.Certificate{authority.Certificate("web")}}
		client = authority.ClientTLS()
	})
	fetch := func() {
		GinkgoHelper()
		_, err := ca.Serve(env.Host("web"), ":443", &http.Server{
			TLSConfig: server,
			Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "hello "+r.URL.Path) }),
		})
		Expect(err).NotTo(HaveOccurred())
		c := http.Client{Transport: &http.Transport{
			TLSClientConfig: client, DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return env.Host("client").DialContext(ctx, network, address)
			},
		}}
		for _, path := range []string{"one", "two"} {
			r, err := c.Get("https://web/" + path)
			Expect(err).NotTo(HaveOccurred())
			body, err := io.ReadAll(r.Body)
			Expect(err).NotTo(HaveOccurred())
			Expect(r.Body.Close()).To(Succeed())
			Expect(string(body)).To(Equal("hello /" + path))
		}
	}
	paths := func(c *nstest.Capture) []string {
		GinkgoHelper()
		return tshark(c.Path(), "-Y", "http.request", "-T", "fields", "-e", "http.request.uri")
	}

	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		Context(tls.VersionName(version), func() {
			BeforeEach(func() { server.MaxVersion = version })
			// Each end knows its secrets at another moment, and a reader in one pass has to know them before the first packet that is
			// encrypted with them. The client's Finished is that of TLS 1.2, and the rest of the server's answer that of 1.3.
			for _, end := range []string{"client", "server"} {
				inTime := end == map[uint16]string{tls.VersionTLS12: "client", tls.VersionTLS13: "server"}[version]
				It("has the "+end+"'s secrets"+map[bool]string{true: ", which show what is inside to whoever has the file"}[inTime], func() {
					map[string]*tls.Config{"client": client, "server": server}[end].KeyLogWriter = env.KeyLogWriter()
					c := begin(env.Host("web").Capture, nstest.CaptureConfig{Filter: "tcp port 443"})
					fetch()
					stop(c)
					text, err := os.ReadFile(c.Path())
					Expect(err).NotTo(HaveOccurred())
					label := map[uint16]string{tls.VersionTLS12: "CLIENT_RANDOM ", tls.VersionTLS13: "CLIENT_TRAFFIC_SECRET_0 "}[version]
					Expect(strings.Count(string(text), label)).To(Equal(2), "once for a connection")
					if inTime {
						Expect(paths(c)).To(Equal([]string{"/one", "/two"}))
					}
				})
			}
		})
	}
	It("is secret without a key log", func() {
		c := begin(env.Host("web").Capture, nstest.CaptureConfig{Filter: "tcp port 443"})
		fetch()
		stop(c)
		Expect(paths(c)).To(BeEmpty())
		Expect(tshark(c.Path(), "-Y", "tls.handshake.type == 1", "-T", "fields", "-e", "tls.handshake.extensions_server_name")).To(Equal([]string{"web", "web"}))
	})
	It("has the secrets in each file, with those of the time when it was written", func() {
		w := env.KeyLogWriter()
		_, err := io.WriteString(w, "FIRST 00 00\n") // into none
		Expect(err).NotTo(HaveOccurred())
		one := begin(env.Capture, nstest.CaptureConfig{})
		_, err = io.WriteString(w, "SECOND 00 00\nTHI")
		Expect(err).NotTo(HaveOccurred())
		two := begin(env.Capture, nstest.CaptureConfig{})
		_, err = io.WriteString(w, "RD 00 00\n")
		Expect(err).NotTo(HaveOccurred())
		stop(one)
		stop(two)
		for c, want := range map[*nstest.Capture][]bool{one: {false, true, true}, two: {false, false, true}} {
			text, err := os.ReadFile(c.Path())
			Expect(err).NotTo(HaveOccurred())
			for i, line := range []string{"FIRST 00 00\n", "SECOND 00 00\n", "THIRD 00 00\n"} {
				Expect(strings.Contains(string(text), line)).To(Equal(want[i]), line)
			}
		}
	})
	It("takes lines of text alone", func() {
		c := begin(env.Capture, nstest.CaptureConfig{})
		w := env.KeyLogWriter()
		for _, text := range []string{"\x00\n", "é\n", strings.Repeat("x", 10_000)} {
			_, err := io.WriteString(w, text)
			Expect(err).To(HaveOccurred(), "%q", text)
		}
		n, err := io.WriteString(w, "# a comment\n")
		Expect(n, err).To(Equal(12))
		stop(c)
	})
	It("has no more of them when the environment is closed", func() {
		other := nstest.New(GinkgoTB(), nstest.Config{})
		w := other.KeyLogWriter()
		Expect(other.Close()).To(Succeed())
		_, err := io.WriteString(w, "LABEL 00 00\n")
		Expect(err).To(MatchError(nstest.ErrClosed))
	})
})
