package names

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

func TestFaults(t *testing.T) {
	var z Zone
	set(t, &z, "web", "10.0.0.1", "fd00::1")
	set(t, &z, "a.db", "10.0.0.2")
	configure(t, &z, wire.DNS{
		Records: []string{"x.fine.a.db A 10.0.0.3"},
		Faults: []wire.DNSFault{
			{Name: "web", Type: "aaaa", Answer: "servfail"},
			{Name: "web", Hosts: []string{"Victim"}, Answer: "refused"},
			{Name: "x.fine.a.db"},
			{Name: "*.db", Answer: "nxdomain"},
			{Name: "lost", Answer: "lost"},
			{Name: "twice", Answer: "servfail", Times: 2},
			{Name: "twice", Answer: "refused", Times: 1},
		},
	})
	check(t, &z, []ask1{
		{"x", "WEB", dns.TypeAAAA, "SERVFAIL"},
		{"x", "web", dns.TypeA, "NOERROR; web. 0 IN A 10.0.0.1"},
		{"victim", "web", dns.TypeA, "REFUSED"},
		{"x", "a.db", dns.TypeA, "NXDOMAIN"},
		{"x", "db", dns.TypeA, "NOERROR"}, // not below itself
		{"x", "ab.db", dns.TypeA, "NXDOMAIN"},
		{"x", "adb", dns.TypeA, "NXDOMAIN"},
		{"x", "x.fine.a.db", dns.TypeA, "NOERROR; x.fine.a.db. 0 IN A 10.0.0.3"},
		{"x", "lost", dns.TypeA, "nothing"},
		{"x", "twice", dns.TypeA, "SERVFAIL"},
		{"x", "twice", dns.TypeA, "SERVFAIL"},
		{"x", "twice", dns.TypeA, "REFUSED"},
		{"x", "twice", dns.TypeA, "NXDOMAIN"},
	})
	var got []string
	for _, q := range z.Queries() {
		if q.Name == "lost." || q.Name == "twice." || q.Name == "x.fine.a.db." {
			got = append(got, fmt.Sprintf("%s %s %s %s %q %v %v", q.Host, q.Transport, q.Name, q.Type, q.RCode, q.Answers, q.Fault))
		}
	}
	want := []string{
		`x tcp x.fine.a.db. A "NOERROR" [x.fine.a.db. 0 IN A 10.0.0.3] true`, `x tcp lost. A "" [] true`, `x tcp twice. A "SERVFAIL" [] true`,
		`x tcp twice. A "SERVFAIL" [] true`, `x tcp twice. A "REFUSED" [] true`, `x tcp twice. A "NXDOMAIN" [] false`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("queries:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestServeFaults(t *testing.T) {
	var z Zone
	set(t, &z, "web", "10.0.0.1")
	const late = 300 * time.Millisecond
	configure(t, &z, wire.DNS{Faults: []wire.DNSFault{{Type: "A", Answer: "truncated"}, {Type: "AAAA", Answer: "lost"}, {Type: "TXT", Delay: late}, {Type: "MX", Delay: maxDelay}}})
	s, addr := start(t, &z)
	if resp := ask(t, "udp", addr, question("web", dns.TypeA)); !resp.Truncated || len(resp.Answer) != 0 || resp.Rcode != dns.RcodeSuccess {
		t.Errorf("truncated: %v", resp)
	}
	if resp := ask(t, "tcp", addr, question("web", dns.TypeA)); resp.Truncated || len(resp.Answer) != 1 {
		t.Errorf("truncated, then over TCP: %v", resp)
	}
	for _, network := range []string{"udp", "tcp"} {
		c := dns.Client{Net: network, Timeout: 100 * time.Millisecond}
		if resp, _, err := c.Exchange(question("web", dns.TypeAAAA), addr); err == nil {
			t.Errorf("lost over %s: %v", network, resp)
		}
		begin := time.Now()
		if ask(t, network, addr, question("web", dns.TypeTXT)); time.Since(begin) < late {
			t.Errorf("late over %s: after %v", network, time.Since(begin))
		}
	}
	// Queries whose answers are very late take up a bounded number of places, and do not hold up the others or Close.
	conn, err := dns.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 2 * maxWaits {
		if err := conn.WriteMsg(question("web", dns.TypeMX)); err != nil {
			t.Fatal(err)
		}
	}
	gomega.NewWithT(t).Eventually(func() error { // the socket's buffer may have been full
		c := dns.Client{Timeout: 500 * time.Millisecond}
		_, _, err := c.Exchange(question("localhost", dns.TypeHINFO), addr)
		return err
	}, "10s").Should(gomega.Succeed())
	if n := len(s.waits); n == 0 || n > maxWaits {
		t.Errorf("%d answers are late", n)
	}
}
