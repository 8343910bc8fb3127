package names

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

func configure(t testing.TB, z *Zone, c wire.DNS) {
	t.Helper()
	if err := z.Configure(c); err != nil {
		t.Fatal(err)
	}
}

func text(n int) string { return strings.Repeat("x", n) }

func many(prefix, addr string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s%d A %s\n", prefix, i, addr)
	}
	return b.String()
}

func spelt(resp *dns.Msg) string {
	out := []string{dns.RcodeToString[resp.Rcode]}
	for i, section := range [][]dns.RR{resp.Answer, resp.Ns, resp.Extra} {
		for _, rr := range section {
			if rr.Header().Rrtype == dns.TypeOPT {
				continue
			}
			s := strings.Join(strings.Fields(rr.String()), " ")
			if i > 0 {
				s = "[" + s + "]"
			}
			out = append(out, s)
		}
	}
	return strings.Join(out, "; ")
}

func told(t testing.TB, z *Zone, host, name string, qtype uint16) string {
	t.Helper()
	resp, _ := z.answer(context.Background(), host, false, question(name, qtype))
	if resp == nil {
		return "nothing"
	}
	if _, err := resp.Pack(); err != nil {
		t.Error(err)
	}
	return spelt(resp)
}

type ask1 struct {
	host, name string
	qtype      uint16
	want       string
}

func check(t *testing.T, z *Zone, asks []ask1) {
	t.Helper()
	for _, c := range asks {
		if got := told(t, z, c.host, c.name, c.qtype); got != c.want {
			t.Errorf("%s asks for %s %s:\n got %s\nwant %s", c.host, c.name, dns.Type(c.qtype), got, c.want)
		}
	}
}

func TestAmend(t *testing.T) {
	var z Zone
	set(t, &z, "db", "10.0.0.1")
	set(t, &z, "db2", "10.0.0.2")
	configure(t, &z, wire.DNS{Records: []string{"other A 10.0.0.3", "db TXT x"}, Faults: []wire.DNSFault{{Name: "bad", Answer: "refused"}}})
	amend := func(texts, names []string, want string) {
		t.Helper()
		if err := z.Amend(texts, names); fmt.Sprint(err) != want {
			t.Errorf("Amend: %v, want %s", err, want)
		}
	}
	amend([]string{"DB 5 CNAME db2", "new A 10.0.0.4"}, nil, "<nil>")
	check(t, &z, []ask1{
		{"x", "db", dns.TypeA, "NOERROR; db. 5 IN CNAME db2.; db2. 0 IN A 10.0.0.2"},
		{"x", "new", dns.TypeA, "NOERROR; new. 0 IN A 10.0.0.4"},
		{"x", "other", dns.TypeA, "NOERROR; other. 0 IN A 10.0.0.3"},
		{"x", "bad", dns.TypeA, "REFUSED"},
	})
	amend(nil, []string{"new", "db2"}, `there is no record of "db2"`)
	amend([]string{"db A 1", "new A 10.0.0.5"}, nil, `record "db A 1": dns: bad A A: "1" at line: 1:6`)
	check(t, &z, []ask1{{"x", "new", dns.TypeA, "NOERROR; new. 0 IN A 10.0.0.4"}})
	amend(nil, []string{"new", "Db."}, "<nil>")
	check(t, &z, []ask1{
		{"x", "db", dns.TypeA, "NOERROR; db. 0 IN A 10.0.0.1"},
		{"x", "new", dns.TypeA, "NXDOMAIN"},
		{"x", "other", dns.TypeA, "NOERROR; other. 0 IN A 10.0.0.3"},
	})
}

func TestAmendIsBounded(t *testing.T) {
	var z Zone
	configure(t, &z, wire.DNS{Records: []string{many("a", "10.0.0.1", 2000)}, Views: []wire.DNSView{{Hosts: []string{"web"}, Records: []string{many("b", "10.0.0.1", 2000)}}}})
	if err := z.Amend([]string{many("c", "10.0.0.1", 96)}, nil); err != nil {
		t.Errorf("4096 records: %v", err)
	}
	if err := z.Amend([]string{many("c", "10.0.0.2", 96)}, nil); err != nil {
		t.Errorf("4096 records, in the place of as many: %v", err)
	}
	if err := z.Amend([]string{"one A 10.0.0.1"}, nil); err == nil || !strings.Contains(err.Error(), "more than 4096 records") {
		t.Errorf("4097 records: %v", err)
	}
	if got := told(t, &z, "x", "one", dns.TypeA); got != "NXDOMAIN" {
		t.Errorf("after a refusal: %s", got)
	}
}

func TestConfigureRefuses(t *testing.T) {
	records := func(list ...string) wire.DNS { return wire.DNS{Records: list} }
	faulty := func(f wire.DNSFault) wire.DNS { return wire.DNS{Faults: []wire.DNSFault{f}} }
	in := func(hosts []string, list ...string) wire.DNSView { return wire.DNSView{Hosts: hosts, Records: list} }
	var z Zone
	set(t, &z, "web", "10.0.0.1")
	configure(t, &z, records("kept A 10.0.0.2"))
	for _, c := range []struct {
		config wire.DNS
		want   string
	}{
		{records("ok A 10.0.0.1", "www 60 IN CNAM web"), `record "www 60 IN CNAM web": dns: `},
		{records("$ORIGIN x.\na A 10.0.0.1\nb A fd00::1\nc A 10.0.0.1"), `record "b A fd00::1": dns: bad A A`},
		{records(""), `record "": there is none in it`},
		{records("; only a comment"), "there is none in it"},
		{records("$INCLUDE /etc/hostname"), "$INCLUDE directive not allowed"},
		{records("a CH TXT x"), `record "a. 0 CH TXT \"x\"": the class is CH`},
		{records("a DNAME b"), "DNAME is not understood"},
		{records("a TYPE41 \\# 0"), "OPT is a type of queries"},
		{records("x.localhost A 10.0.0.1"), "localhost is always the loopback address"},
		{records("www CNAME a", "www A 10.0.0.1"), "www. is an alias and has other records too"},
		{records("www CNAME a", "www CNAME b"), "www. is an alias and has other records too"},
		{records("@ SOA a b 1 1 1 1 1", "@ SOA a b 2 1 1 1 1"), "two SOA"},
		{records(many("h", "10.0.0.1", 3000), many("i", "10.0.0.1", 1097)), "more than 4096 records"},
		{records("$generate 1-5 h$ A 10.0.0.1"), "$GENERATE is not understood"},
		{records("x TXT " + text(maxFile)), "it has more than 65536 octets"},
		{records(slices.Repeat([]string{"; " + text(60000) + "\na A 10.0.0.1"}, 20)...), "more than 1048576 octets of text"},
		{records(slices.Repeat([]string{"$ORIGIN " + strings.Repeat(text(60)+".", 4) + "\n" + strings.Repeat("a SOA b c 1 1 1 1 1\n", 100)}, 20)...), "the records have more than 1048576 octets"},
		{records("a A 10.0.0.1 10.0.0.2"), `record "a A 10.0.0.1 10.0.0.2"`},
		{records(strings.Repeat("a", 64) + " A 10.0.0.1"), "bad owner name"},
		{wire.DNS{Views: []wire.DNSView{in([]string{"web"}, "a A 10.0.0.1"), in([]string{"db", "WEB"}, "a A 10.0.0.1")}}, `view 2: host "WEB" has one already`},
		{wire.DNS{Views: []wire.DNSView{in(nil, "a A 10.0.0.1")}}, "view 1: no host has it"},
		{wire.DNS{Views: []wire.DNSView{in([]string{"web"}, "a A x")}}, `view 1: record "a A x"`},
		{wire.DNS{Records: []string{many("h", "10.0.0.1", 2048)}, Views: []wire.DNSView{in([]string{"web"}, many("h", "10.0.0.1", 2049))}}, "more than 4096 records"},
		{faulty(wire.DNSFault{Answer: "maybe"}), `fault 1: there is no answer "maybe"`},
		{faulty(wire.DNSFault{Type: "AAAAA"}), `there is no type of records "AAAAA"`},
		{faulty(wire.DNSFault{Name: "a..b"}), `"a..b" is not a name`},
		{faulty(wire.DNSFault{Name: "*."}), `"*." is not a name`},
		{faulty(wire.DNSFault{Delay: -1}), "a delay of -1ns is not between 0 and 1m0s"},
		{faulty(wire.DNSFault{Delay: time.Hour}), "a delay of 1h0m0s"},
		{faulty(wire.DNSFault{Answer: "lost", Delay: 1}), "lost cannot be late"},
		{faulty(wire.DNSFault{Times: -1}), "cannot happen -1 times"},
		{wire.DNS{Faults: make([]wire.DNSFault, 300)}, "300 faults, more than 256"},
		{wire.DNS{DNS64: netip.MustParsePrefix("10.0.0.0/8")}, "DNS64: 10.0.0.0/8 is not an IPv6 prefix"},
		{wire.DNS{DNS64: netip.MustParsePrefix("64:ff9b::/95")}, "is not an IPv6 prefix of 32"},
		{wire.DNS{DNS64: netip.MustParsePrefix("64:ff9b::1/96")}, "has bits set"},
		{wire.DNS{DNS64: netip.MustParsePrefix("64:ff9b:1:1:100::/96")}, "has bits set"},
	} {
		err := z.Configure(c.config)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q in it", err, c.want)
		}
	}
	check(t, &z, []ask1{{"web", "kept", dns.TypeA, "NOERROR; kept. 0 IN A 10.0.0.2"}})
}

func TestChangesAreAtomic(t *testing.T) {
	var z Zone
	set(t, &z, "one", "10.0.0.1")
	set(t, &z, "two", "10.0.0.2")
	configure(t, &z, wire.DNS{Records: []string{"db CNAME one", "x A 10.0.0.9"}})
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if resp, _ := z.answer(context.Background(), "web", true, question("db", dns.TypeA)); len(resp.Answer) != 2 {
					t.Errorf("in between: %v", resp)
					return
				}
				z.Queries()
			}
		})
	}
	for i := range 200 {
		to := []string{"one", "two"}[i%2]
		if err := z.Amend([]string{"db CNAME " + to}, nil); err != nil {
			t.Error(err)
		}
		if i%10 == 0 {
			configure(t, &z, wire.DNS{Records: []string{"db CNAME one"}})
		}
	}
	close(done)
	wg.Wait()
}
