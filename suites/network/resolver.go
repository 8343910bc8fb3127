package network

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/miekg/dns"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

const resolvConf = "/etc/resolv.conf"

// stubAddress is what the stub server answers for every name.
const stubAddress = "192.0.2.53"

// serveStub runs a DNS server on a host that answers for every name, and counts the queries.
func serveStub(h *nstest.Host) *atomic.Int64 {
	GinkgoHelper()
	conn, err := h.ListenPacket("udp", netip.AddrPortFrom(h.Addr(), 53).String())
	Expect(err).NotTo(HaveOccurred())
	var queries atomic.Int64
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		queries.Add(1)
		answer := new(dns.Msg).SetReply(query)
		for _, q := range query.Question {
			if q.Qtype == dns.TypeA {
				header := dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}
				answer.Answer = append(answer.Answer, &dns.A{Hdr: header, A: net.ParseIP(stubAddress)})
			}
		}
		_ = w.WriteMsg(answer) // who does not get it asks again
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ActivateAndServe() }()
	DeferCleanup(func() error { err := conn.Close(); <-done; return err })
	return &queries
}

// resolve is what the C library finds for a name, and its exit status if that is nothing.
func resolve(name string) string {
	out, err := exec.Command("getent", "ahostsv4", name).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// A resolverFile says how a process is to come by a resolv.conf.
type resolverFile struct {
	Text  string
	Mount string // a file that is mounted over the one that is there; "" writes to that
}

// useResolver replaces its resolv.conf, reports what it reads then, and waits.
var useResolver = nsx.Register("network/use-resolver", func(parent *nsx.Parent, f resolverFile) (any, error) {
	path := resolvConf
	if f.Mount != "" {
		path = f.Mount
	}
	if err := os.WriteFile(path, []byte(f.Text), 0o644); err != nil {
		return nil, err
	}
	if f.Mount != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return nil, fmt.Errorf("make mounts private: %w", err)
		}
		if err := unix.Mount(path, resolvConf, "", unix.MS_BIND, ""); err != nil {
			return nil, fmt.Errorf("mount over %s: %w", resolvConf, err)
		}
	}
	text, err := os.ReadFile(resolvConf)
	if err != nil {
		return nil, err
	}
	return nil, parent.Report(string(text), nil)
})

func readResolvConf() string {
	GinkgoHelper()
	text, err := os.ReadFile(resolvConf)
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}

func registerResolver() {
	property.It("N27", func(_ SpecContext, c *property.Check) {
		_, noProgram := exec.LookPath("getent")
		c.Need(noProgram, "install the C library's getent")
		web, server := nstest.Current().Host("web"), nstest.Current().Host("server")
		queries := serveStub(server)
		var counter *rule
		leaving := func() uint64 { // DNS packets that have left us, by whichever resolver
			GinkgoHelper()
			counts, err := counter.counts()
			Expect(err).NotTo(HaveOccurred())
			Expect(counts).To(HaveLen(1))
			return counts[0]
		}
		var err error
		counter, err = addRule(nftables.TableFamilyINet, nftables.ChainHookOutput, "", append(append(ifOut(), ifUDP(53)...), &expr.Counter{})...)
		Expect(err).NotTo(HaveOccurred())

		c.Negative("the environment's own answers for its hosts, and nobody is asked for others", func() {
			c.Saw(resolvConf, readResolvConf())
			known, unknown := resolve("web"), resolve("example.com")
			c.Saw("web", known)
			c.Saw("example.com", unknown)
			c.Saw("DNS packets that left", leaving())
			Expect(known).To(ContainSubstring(web.Addr().String()))
			Expect(unknown).To(Equal("exit status 2"))
			Expect(leaving()).To(BeZero())
			Expect(queries.Load()).To(BeZero())
		})
		c.Positive("a server that resolv.conf names is asked, and what goes to it is counted", func() {
			Expect(os.WriteFile(resolvConf, []byte("nameserver "+server.Addr().String()+"\n"), 0o644)).To(Succeed())
			found := resolve("example.com")
			c.Saw("example.com", found)
			c.Saw("DNS packets that left", leaving())
			c.Saw("queries at the server", queries.Load())
			Expect(found).To(ContainSubstring(stubAddress))
			Expect(leaving()).To(BeNumerically(">", 0))
			Expect(queries.Load()).To(BeNumerically(">", 0))
		})
	})

	property.Seed("A network namespace has no resolv.conf of its own: that takes a mount namespace", func(ctx SpecContext) {
		before := readResolvConf()
		use := func(s nsx.Spec, f resolverFile) (inside, outside string) {
			p, err := nsx.Spawn(ctx, s, useResolver, f)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(p.Close)
			Expect(p.Await(&inside)).To(Succeed())
			return inside, readResolvConf()
		}
		const blue, green = "nameserver 192.0.2.1\n", "nameserver 192.0.2.2\n"
		inside, outside := use(nsx.Spec{Kinds: nsx.Net | nsx.Mount}, resolverFile{blue, filepath.Join(GinkgoTB().TempDir(), "blue")})
		Expect(inside).To(Equal(blue))
		Expect(outside).To(Equal(before), "it is mounted in the other mount namespace")

		inside, outside = use(nsx.Spec{Kinds: nsx.Net}, resolverFile{Text: green})
		Expect(inside).To(Equal(green))
		Expect(outside).To(Equal(green), "the control: without one, the file is everybody's")
	})

	property.Seed("ip netns exec mounts the resolv.conf that /etc/netns has for the name", func(SpecContext) {
		ip := require.Program("ip")
		run := func(args ...string) string {
			GinkgoHelper()
			out, err := exec.Command(ip, args...).CombinedOutput()
			Expect(err).NotTo(HaveOccurred(), string(out))
			return string(out)
		}
		before := readResolvConf()
		for _, name := range []string{"blue", "plain"} {
			run("netns", "add", name)
			DeferCleanup(func() { run("netns", "delete", name) })
		}
		const blue = "nameserver 192.0.2.1\n"
		Expect(os.MkdirAll("/etc/netns/blue", 0o755)).To(Succeed())
		Expect(os.WriteFile("/etc/netns/blue/resolv.conf", []byte(blue), 0o644)).To(Succeed())
		Expect(run("netns", "exec", "blue", "cat", resolvConf)).To(Equal(blue))
		Expect(run("netns", "exec", "plain", "cat", resolvConf)).To(Equal(before), "the control: there is none for this one")
		Expect(readResolvConf()).To(Equal(before), "ours is as it was")
	})
}
