package names

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"
)

// sockets returns a UDP and a TCP socket on one port of the loopback address.
func sockets(t testing.TB) (udp, tcp *os.File, addr string) {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr = l.Addr().String()
		p, err := net.ListenPacket("udp4", addr)
		if err == nil {
			tcp, err = l.(*net.TCPListener).File()
			if err != nil {
				t.Fatal(err)
			}
			udp, err = p.(*net.UDPConn).File()
			if err != nil {
				t.Fatal(err)
			}
			_ = p.Close()
		}
		_ = l.Close()
		if err == nil {
			return udp, tcp, addr
		}
	}
	t.Fatal("no port that is free for UDP and TCP")
	return nil, nil, ""
}

func start(t testing.TB, z *Zone) (*Server, string) {
	t.Helper()
	udp, tcp, addr := sockets(t)
	s, err := Serve(z, "web", udp, tcp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, addr
}

func set(t testing.TB, z *Zone, name string, list ...string) {
	t.Helper()
	if err := z.Set(name, addrs(list...)); err != nil {
		t.Fatal(err)
	}
}

func ask(t testing.TB, network, addr string, req *dns.Msg) *dns.Msg {
	t.Helper()
	c := dns.Client{Net: network, Timeout: 10 * time.Second, UDPSize: 4096}
	resp, _, err := c.Exchange(req, addr)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func question(name string, qtype uint16) *dns.Msg {
	return new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
}

func TestServeAnswers(t *testing.T) {
	var z Zone
	set(t, &z, "web", "10.0.0.3", "fd00::3", "10.0.0.1")
	set(t, &z, "v4", "10.0.0.9")
	_, addr := start(t, &z)
	for _, c := range []struct {
		name  string
		qtype uint16
		rcode int
		want  []string
	}{
		{"web", dns.TypeA, dns.RcodeSuccess, []string{"10.0.0.3", "10.0.0.1"}},
		{"WeB", dns.TypeAAAA, dns.RcodeSuccess, []string{"fd00::3"}},
		{"web", dns.TypeANY, dns.RcodeSuccess, []string{`"RFC8482" ""`}},
		{"web", dns.TypeMX, dns.RcodeSuccess, nil},
		{"web", dns.TypeSOA, dns.RcodeSuccess, nil},
		{"web", dns.TypeHTTPS, dns.RcodeSuccess, nil},
		{"v4", dns.TypeAAAA, dns.RcodeSuccess, nil},
		{"localhost", dns.TypeA, dns.RcodeSuccess, []string{"127.0.0.1"}},
		{"localhost", dns.TypeAAAA, dns.RcodeSuccess, []string{"::1"}},
		{"3.0.0.10.in-addr.arpa", dns.TypePTR, dns.RcodeSuccess, []string{"web."}},
		{"3.0.0.10.in-addr.arpa", dns.TypeA, dns.RcodeSuccess, nil},
		{"4.0.0.10.in-addr.arpa", dns.TypePTR, dns.RcodeNameError, nil},
		{"unknown", dns.TypeA, dns.RcodeNameError, nil},
		{"unknown", dns.TypeANY, dns.RcodeNameError, nil},
		{"web.example.com", dns.TypeA, dns.RcodeNameError, nil},
		{"web", dns.TypeAXFR, dns.RcodeRefused, nil},
	} {
		for _, network := range []string{"udp", "tcp"} {
			resp := ask(t, network, addr, question(c.name, c.qtype))
			var got []string
			for _, rr := range resp.Answer {
				if rr.Header().Ttl != 0 || rr.Header().Name != dns.Fqdn(c.name) {
					t.Errorf("%s: record %v", c.name, rr)
				}
				got = append(got, strings.TrimPrefix(rr.String(), rr.Header().String()))
			}
			if resp.Rcode != c.rcode || !slices.Equal(got, c.want) || len(resp.Ns) != 0 || !resp.Authoritative || !resp.RecursionAvailable {
				t.Errorf("%s %s %s:\n%v\nwant %s %v", network, c.name, dns.TypeToString[c.qtype], resp, dns.RcodeToString[c.rcode], c.want)
			}
		}
	}
}

func TestServeOddQueries(t *testing.T) {
	var z Zone
	var many []string
	for i := range 200 {
		many = append(many, netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}).String())
	}
	set(t, &z, "many", many...)
	_, addr := start(t, &z)

	chaos := question("version.bind", dns.TypeTXT)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	if resp := ask(t, "udp", addr, chaos); resp.Rcode != dns.RcodeRefused {
		t.Errorf("class CHAOS: %v", resp)
	}
	future := question("many", dns.TypeA).SetEdns0(1232, false)
	future.IsEdns0().SetVersion(1)
	if resp := ask(t, "udp", addr, future); resp.Rcode != dns.RcodeBadVers || resp.IsEdns0() == nil || len(resp.Answer) != 0 {
		t.Errorf("EDNS version 1: %v", resp)
	}
	notify := new(dns.Msg).SetNotify("many.")
	if resp := ask(t, "udp", addr, notify); resp.Rcode != dns.RcodeNotImplemented {
		t.Errorf("NOTIFY: %v", resp)
	}
	update := new(dns.Msg).SetUpdate("many.")
	if resp := ask(t, "udp", addr, update); resp.Rcode != dns.RcodeNotImplemented {
		t.Errorf("UPDATE: %v", resp)
	}

	for _, c := range []struct {
		network string
		edns    uint16
		size    int // the largest answer permitted
		all     bool
	}{{"udp", 0, 512, false}, {"udp", 100, 512, false}, {"udp", 1232, 1232, false}, {"udp", 4096, 1232, false}, {"tcp", 0, 65535, true}} {
		req := question("many", dns.TypeA)
		if c.edns != 0 {
			req.SetEdns0(c.edns, false)
		}
		resp := ask(t, c.network, addr, req)
		resp.Compress = true // as it was sent
		if resp.Truncated == c.all || (len(resp.Answer) == 200) != c.all || len(resp.Answer) < c.size/16-4 && !c.all ||
			resp.Len() > c.size || (resp.IsEdns0() != nil) != (c.edns != 0) {
			t.Errorf("%+v: %d answers, %d octets, truncated %v, edns %v", c, len(resp.Answer), resp.Len(), resp.Truncated, resp.IsEdns0())
		}
	}
}

func resolver(addr string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}}
}

func TestServeGoResolver(t *testing.T) {
	var z Zone
	_, addr := start(t, &z)
	r := resolver(addr)
	ctx := t.Context()
	var many []string
	for i := range 200 {
		many = append(many, netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}).String())
	}
	set(t, &z, "many.test", many...)
	if got, err := r.LookupNetIP(ctx, "ip4", "many.test."); err != nil || len(got) != 200 {
		t.Errorf("200 addresses, over TCP: %d, %v", len(got), err)
	}
	if got, err := r.LookupAddr(ctx, "10.1.0.7"); err != nil || !slices.Equal(got, []string{"many.test."}) {
		t.Errorf("reverse: %v, %v", got, err)
	}
	var dnsErr *net.DNSError
	if got, err := r.LookupHost(ctx, "unknown.test."); !errors.As(err, &dnsErr) || !dnsErr.IsNotFound {
		t.Errorf("unknown name: %v, %v", got, err)
	}
	for i := range 200 { // no answer, positive or negative, is ever a stale one
		name, want := fmt.Sprintf("host-%d.test", i), netip.AddrFrom4([4]byte{10, 2, 0, byte(i)})
		if got, err := r.LookupNetIP(ctx, "ip", name); err == nil {
			t.Fatalf("%s before it was set: %v", name, got)
		}
		set(t, &z, name, want.String())
		if got, err := r.LookupNetIP(ctx, "ip", name); err != nil || !slices.Equal(got, []netip.Addr{want}) {
			t.Fatalf("%s: %v, %v; want %v", name, got, err, want)
		}
		z.Remove(name)
		if got, err := r.LookupNetIP(ctx, "ip", name); err == nil {
			t.Fatalf("%s after it was removed: %v", name, got)
		}
	}
}

func TestServeWhileZoneChanges(t *testing.T) {
	var z Zone
	_, addr := start(t, &z)
	set(t, &z, "steady", "10.0.0.1", "10.0.0.2")
	set(t, &z, "other", "10.0.0.1")
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			name := fmt.Sprintf("w%d", w)
			for i := range 100 {
				if err := z.Set(name, addrs("10.0.0.1", fmt.Sprintf("10.0.1.%d", i))); err != nil {
					t.Error(err)
				}
				resp, err := dns.Exchange(question(name, dns.TypeA), addr)
				if err != nil || len(resp.Answer) != 2 {
					t.Errorf("%s: %v, %v", name, resp, err)
				}
				z.Remove(name)
			}
		})
		wg.Go(func() {
			for range 100 {
				resp, err := dns.Exchange(question("1.0.0.10.in-addr.arpa", dns.TypePTR), addr)
				if err != nil || len(resp.Answer) < 2 {
					t.Errorf("reverse: %v, %v", resp, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestServeSurvivesGarbage(t *testing.T) {
	var z Zone
	set(t, &z, "web", "10.0.0.1")
	_, addr := start(t, &z)
	good, err := question("web", dns.TypeA).SetEdns0(1232, false).Pack()
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for cut := range len(good) {
		for _, flip := range []byte{0, 0xff, 0xc0} {
			b := slices.Clone(good)
			b[cut] ^= flip
			for _, packet := range [][]byte{b, b[:cut]} {
				if _, err := udp.Write(packet); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, b := range []string{"", "\x00", "\x00\x05abc", "\xff\xff" + string(good), "\x00\x0c" + strings.Repeat("\xff", 12)} {
		tcp, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer tcp.Close()
		if _, err := tcp.Write([]byte(b)); err != nil {
			t.Fatal(err)
		}
	}
	for _, network := range []string{"udp", "tcp"} {
		if resp := ask(t, network, addr, question("web", dns.TypeA)); len(resp.Answer) != 1 {
			t.Errorf("%s after garbage: %v", network, resp)
		}
	}
}

func TestServeBoundsConnections(t *testing.T) {
	var z Zone
	s, addr := start(t, &z)
	for range maxConns + 20 { // the kernel's backlog takes the rest
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	g := gomega.NewWithT(t)
	open := func() int {
		s.tcp.mu.Lock()
		defer s.tcp.mu.Unlock()
		return len(s.tcp.conns)
	}
	g.Eventually(open).Should(gomega.Equal(maxConns))
	g.Consistently(open, "100ms").Should(gomega.Equal(maxConns))
	if resp := ask(t, "udp", addr, question("localhost", dns.TypeA)); len(resp.Answer) != 1 {
		t.Errorf("UDP while TCP is full: %v", resp)
	}
}

func fds(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestCloseLeavesNothing(t *testing.T) {
	g := gomega.NewWithT(t)
	warm, err := net.Listen("tcp", "127.0.0.1:0") // the runtime's poller, which stays
	if err != nil {
		t.Fatal(err)
	}
	_ = warm.Close()
	goroutines, before := gleak.Goroutines(), fds(t)
	var z Zone
	for range 5 {
		udp, tcp, addr := sockets(t)
		s, err := Serve(&z, "web", udp, tcp)
		if err != nil {
			t.Fatal(err)
		}
		idle, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if resp := ask(t, "tcp", addr, question("localhost", dns.TypeA)); len(resp.Answer) != 1 {
			t.Fatal(resp)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if _, err := idle.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("an idle connection after Close: %v", err)
		} else if !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
			t.Errorf("an idle connection after Close: %v", err)
		}
		_ = idle.Close()
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			t.Error("the TCP socket still listens after Close")
		}
	}
	if now := fds(t); now != before {
		t.Errorf("file descriptors: %d before, %d after", before, now)
	}
	g.Eventually(gleak.Goroutines).ShouldNot(gleak.HaveLeaked(goroutines))
}

// A client that asks and never reads must not hold up Close.
func TestCloseCutsStuckClient(t *testing.T) {
	before := writeTimeout
	writeTimeout = time.Hour
	t.Cleanup(func() { writeTimeout = before })
	var z Zone
	var many []string
	for i := range 2000 {
		many = append(many, netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}).String())
	}
	set(t, &z, "many", many...)
	s, addr := start(t, &z)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	q, err := question("many", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for range 120 { // 32 KB each
		if _, err := c.Write(append([]byte{byte(len(q) >> 8), byte(len(q))}, q...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil { // which else takes an hour
		t.Error(err)
	}
}

func TestServeRefuses(t *testing.T) {
	var z Zone
	for name, serve := range map[string]func(udp, tcp *os.File) (*Server, error){
		"no zone": func(udp, tcp *os.File) (*Server, error) { return Serve(nil, "web", udp, tcp) },
		"no TCP":  func(udp, tcp *os.File) (*Server, error) { _ = tcp.Close(); return Serve(&z, "web", udp, nil) },
		"no UDP":  func(udp, tcp *os.File) (*Server, error) { _ = udp.Close(); return Serve(&z, "web", nil, tcp) },
		"swapped": func(udp, tcp *os.File) (*Server, error) { return Serve(&z, "web", tcp, udp) },
		"connected": func(udp, tcp *os.File) (*Server, error) {
			l, err := net.FileListener(tcp)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			_ = tcp.Close()
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			f, err := c.(*net.TCPConn).File()
			if err != nil {
				t.Fatal(err)
			}
			return Serve(&z, "web", udp, f)
		},
	} {
		before := fds(t)
		udp, tcp, _ := sockets(t)
		if s, err := serve(udp, tcp); err == nil || s != nil {
			t.Errorf("%s: %v, %v", name, s, err)
		}
		if now := fds(t); now != before {
			t.Errorf("%s: %d file descriptors before, %d after", name, before, now)
		}
	}
}

func BenchmarkServe(b *testing.B) {
	var z Zone
	set(b, &z, "web", "10.0.0.1", "fd00::1")
	_, addr := start(b, &z)
	c, err := dns.Dial("udp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for b.Loop() {
		if err := c.WriteMsg(question("web", dns.TypeA)); err != nil {
			b.Fatal(err)
		}
		if _, err := c.ReadMsg(); err != nil {
			b.Fatal(err)
		}
	}
}
