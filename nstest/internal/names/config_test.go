package names

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

func configure(t testing.TB, z *Zone, c wire.DNS) {
	t.Helper()
	if err := z.Configure(c); err != nil {
		t.Fatal(err)
	}
}

// text is a character string of n octets.
func text(n int) string { return strings.Repeat("x", n) }

// many are records "p1 A 10.0.0.1", "p2 A …", … in one text.
func many(prefix, addr string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s%d A %s\n", prefix, i, addr)
	}
	return b.String()
}

// spelt is what a host is told: the code, the records of the answer, and then those of the other sections in brackets.
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

// told is what a host is told over TCP.
func told(t testing.TB, z *Zone, host, name string, qtype uint16) string {
	t.Helper()
	resp, _ := z.answer(host, false, question(name, qtype))
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

func TestRecords(t *testing.T) {
	var z Zone
	set(t, &z, "web", "10.0.0.1", "fd00::1")
	set(t, &z, "db1", "10.0.0.2")
	set(t, &z, "a.rack", "10.0.0.3")
	configure(t, &z, wire.DNS{Records: []string{
		"www 60 IN CNAME web", "shop CNAME www", "dead CNAME nowhere", "loop CNAME loop", "web TXT \"two  words\" more",
		"db1 30 A 10.0.0.9", "db1 30 A 10.0.0.9", "db1 A 10.0.0.8", "_sql._tcp SRV 1 2 5432 db1", "_sql._tcp SRV 2 2 5432 nowhere", "mail MX 10 web", "sub NS db1",
		"caa CAA 0 issue \"ca.test\"", "3.0.0.10.in-addr.arpa PTR other", "4.0.0.10.in-addr.arpa PTR four", "odd TYPE65400 \\# 2 abcd",
		"$ORIGIN zone.test.\n$TTL 300\n@ SOA ns admin (\n 1 2 3 4 ; minimum below\n 5 )\nhost A 192.0.2.1\n TXT same-owner\nunder.deep A 192.0.2.2",
	}})
	check(t, &z, []ask1{
		{"x", "WWW", dns.TypeA, "NOERROR; WWW. 60 IN CNAME web.; web. 0 IN A 10.0.0.1"},
		{"x", "shop", dns.TypeAAAA, "NOERROR; shop. 0 IN CNAME www.; www. 60 IN CNAME web.; web. 0 IN AAAA fd00::1"},
		{"x", "www", dns.TypeCNAME, "NOERROR; www. 60 IN CNAME web."},
		{"x", "www", dns.TypeMX, "NOERROR; www. 60 IN CNAME web."},
		{"x", "www", dns.TypeANY, `NOERROR; www. 0 IN HINFO "RFC8482" ""`},
		{"x", "dead", dns.TypeA, "NXDOMAIN; dead. 0 IN CNAME nowhere."}, // RFC 6604
		{"x", "loop", dns.TypeA, "SERVFAIL"},
		{"x", "web", dns.TypeTXT, `NOERROR; web. 0 IN TXT "two words" "more"`}, // spelt joins the blanks
		{"x", "web", dns.TypeA, "NOERROR; web. 0 IN A 10.0.0.1"},
		{"x", "db1", dns.TypeA, "NOERROR; db1. 30 IN A 10.0.0.9; db1. 0 IN A 10.0.0.8"},
		{"x", "db1", dns.TypeAAAA, "NOERROR"},
		{"x", "_sql._tcp", dns.TypeSRV, "NOERROR; _sql._tcp. 0 IN SRV 1 2 5432 db1.; _sql._tcp. 0 IN SRV 2 2 5432 nowhere.; [db1. 30 IN A 10.0.0.9]; [db1. 0 IN A 10.0.0.8]"},
		{"x", "mail", dns.TypeMX, "NOERROR; mail. 0 IN MX 10 web.; [web. 0 IN A 10.0.0.1]; [web. 0 IN AAAA fd00::1]"},
		{"x", "sub", dns.TypeNS, "NOERROR; sub. 0 IN NS db1.; [db1. 30 IN A 10.0.0.9]; [db1. 0 IN A 10.0.0.8]"},
		{"x", "below.sub", dns.TypeA, "NXDOMAIN"},
		{"x", "caa", dns.TypeCAA, `NOERROR; caa. 0 IN CAA 0 issue "ca.test"`},
		{"x", "3.0.0.10.in-addr.arpa", dns.TypePTR, "NOERROR; 3.0.0.10.in-addr.arpa. 0 IN PTR other."},
		{"x", "4.0.0.10.in-addr.arpa", dns.TypePTR, "NOERROR; 4.0.0.10.in-addr.arpa. 0 IN PTR four."},
		{"x", "1.0.0.10.in-addr.arpa", dns.TypePTR, "NOERROR; 1.0.0.10.in-addr.arpa. 0 IN PTR web."},
		{"x", "odd", 65400, `NOERROR; odd. 0 CLASS1 TYPE65400 \# 2 abcd`},
		{"x", "rack", dns.TypeA, "NOERROR"}, // RFC 8020: a name below it exists
		{"x", "_tcp", dns.TypeA, "NOERROR"},
		{"x", "0.0.10.in-addr.arpa", dns.TypePTR, "NOERROR"},
		{"x", "_udp", dns.TypeA, "NXDOMAIN"},
		{"x", "host.zone.test", dns.TypeTXT, `NOERROR; host.zone.test. 300 IN TXT "same-owner"`},
		{"x", "zone.test", dns.TypeSOA, "NOERROR; zone.test. 300 IN SOA ns.zone.test. admin.zone.test. 1 2 3 4 5"},
		{"x", "no.zone.test", dns.TypeA, "NXDOMAIN; [zone.test. 5 IN SOA ns.zone.test. admin.zone.test. 1 2 3 4 5]"},
		{"x", "host.zone.test", dns.TypeAAAA, "NOERROR; [zone.test. 5 IN SOA ns.zone.test. admin.zone.test. 1 2 3 4 5]"},
		{"x", "deep.zone.test", dns.TypeA, "NOERROR; [zone.test. 5 IN SOA ns.zone.test. admin.zone.test. 1 2 3 4 5]"},
		{"x", "localhost", dns.TypeA, "NOERROR; localhost. 0 IN A 127.0.0.1"},
	})
	z.Remove("a.rack")
	set(t, &z, "nowhere", "10.0.0.77")
	check(t, &z, []ask1{
		{"x", "rack", dns.TypeA, "NXDOMAIN"},
		{"x", "dead", dns.TypeA, "NOERROR; dead. 0 IN CNAME nowhere.; nowhere. 0 IN A 10.0.0.77"},
	})
	configure(t, &z, wire.DNS{})
	check(t, &z, []ask1{
		{"x", "www", dns.TypeA, "NXDOMAIN"},
		{"x", "db1", dns.TypeA, "NOERROR; db1. 0 IN A 10.0.0.2"},
	})
}

// The examples of RFC 4592, section 2.2.1.
func TestWildcards(t *testing.T) {
	var z Zone
	set(t, &z, "real.hosts", "10.0.0.1")
	configure(t, &z, wire.DNS{Records: []string{
		"$ORIGIN example.\n@ 3600 SOA ns x 1 1 1 1 1\n@ NS ns.example.com.\n* TXT \"this is a wildcard\"\n* MX 10 host1\nsub.* TXT \"this is not a wildcard\"\n" +
			"host1 A 192.0.2.1\n_ssh._tcp.host1 SRV 0 0 22 host1\n_ssh._tcp.host2 SRV 0 0 22 host1\nsubdel NS ns.example.com.",
		"*.hosts A 10.0.0.9", "*.alias CNAME real.hosts",
	}})
	const soa = "; [example. 1 IN SOA ns.example. x.example. 1 1 1 1 1]"
	check(t, &z, []ask1{
		{"x", "host3.example", dns.TypeMX, "NOERROR; host3.example. 3600 IN MX 10 host1.example.; [host1.example. 3600 IN A 192.0.2.1]"},
		{"x", "host3.example", dns.TypeA, "NOERROR" + soa},
		{"x", "foo.bar.example", dns.TypeTXT, `NOERROR; foo.bar.example. 3600 IN TXT "this is a wildcard"`},
		{"x", "host1.example", dns.TypeMX, "NOERROR" + soa},
		{"x", "sub.*.example", dns.TypeMX, "NOERROR" + soa},
		{"x", "_telnet._tcp.host1.example", dns.TypeSRV, "NXDOMAIN" + soa},
		{"x", "ghost.*.example", dns.TypeMX, "NXDOMAIN" + soa},
		{"x", "host2.example", dns.TypeMX, "NOERROR" + soa},
		{"x", "real.hosts", dns.TypeA, "NOERROR; real.hosts. 0 IN A 10.0.0.1"},
		{"x", "other.hosts", dns.TypeA, "NOERROR; other.hosts. 0 IN A 10.0.0.9"},
		{"x", "below.real.hosts", dns.TypeA, "NXDOMAIN"},
		{"x", "Any.alias", dns.TypeA, "NOERROR; Any.alias. 0 IN CNAME real.hosts.; real.hosts. 0 IN A 10.0.0.1"},
	})
	configure(t, &z, wire.DNS{Records: []string{"* A 10.9.9.9"}})
	check(t, &z, []ask1{
		{"x", "what.ever", dns.TypeA, "NOERROR; what.ever. 0 IN A 10.9.9.9"},
		{"x", "a.localhost", dns.TypeA, "NOERROR; a.localhost. 0 IN A 127.0.0.1"},
		{"x", "hosts", dns.TypeA, "NOERROR"},
	})
}

func TestViews(t *testing.T) {
	var z Zone
	set(t, &z, "web", "10.0.0.1")
	configure(t, &z, wire.DNS{
		Records: []string{"www A 203.0.113.1", "www TXT outside", "alias CNAME www"},
		Views: []wire.DNSView{
			{Hosts: []string{"In1", "in2"}, Records: []string{"www A 10.0.0.80", "secret A 10.0.0.81", "web CNAME www"}},
			{Hosts: []string{"in3"}, Records: []string{"*.www A 10.0.0.82"}},
		},
	})
	check(t, &z, []ask1{
		{"out", "www", dns.TypeA, "NOERROR; www. 0 IN A 203.0.113.1"},
		{"in1", "www", dns.TypeA, "NOERROR; www. 0 IN A 10.0.0.80"},
		{"IN2", "alias", dns.TypeA, "NOERROR; alias. 0 IN CNAME www.; www. 0 IN A 10.0.0.80"},
		{"in1", "www", dns.TypeTXT, "NOERROR"},
		{"out", "secret", dns.TypeA, "NXDOMAIN"},
		{"in2", "secret", dns.TypeA, "NOERROR; secret. 0 IN A 10.0.0.81"},
		{"in1", "web", dns.TypeA, "NOERROR; web. 0 IN CNAME www.; www. 0 IN A 10.0.0.80"},
		{"in3", "web", dns.TypeA, "NOERROR; web. 0 IN A 10.0.0.1"},
		{"in3", "a.www", dns.TypeA, "NOERROR; a.www. 0 IN A 10.0.0.82"},
		{"in1", "a.www", dns.TypeA, "NXDOMAIN"},
		{"in3", "www", dns.TypeA, "NOERROR; www. 0 IN A 203.0.113.1"},
	})
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

// The bounds hold for what is amended too.
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

func TestDNS64(t *testing.T) {
	var z Zone
	set(t, &z, "v4", "10.0.0.1", "10.0.0.2")
	set(t, &z, "both", "10.0.0.3", "fd00::3")
	set(t, &z, "none")
	records := []string{"www 60 CNAME v4", "given 30 A 192.0.2.33"}
	configure(t, &z, wire.DNS{Records: records, DNS64: netip.MustParsePrefix("64:ff9b::/96")})
	reverse := func(a string) string { return reverseName(netip.MustParseAddr(a)) }
	check(t, &z, []ask1{
		{"x", "v4", dns.TypeAAAA, "NOERROR; v4. 0 IN AAAA 64:ff9b::a00:1; v4. 0 IN AAAA 64:ff9b::a00:2"},
		{"x", "www", dns.TypeAAAA, "NOERROR; www. 60 IN CNAME v4.; v4. 0 IN AAAA 64:ff9b::a00:1; v4. 0 IN AAAA 64:ff9b::a00:2"},
		{"x", "given", dns.TypeAAAA, "NOERROR; given. 30 IN AAAA 64:ff9b::c000:221"},
		{"x", "both", dns.TypeAAAA, "NOERROR; both. 0 IN AAAA fd00::3"},
		{"x", "none", dns.TypeAAAA, "NOERROR"},
		{"x", "nowhere", dns.TypeAAAA, "NXDOMAIN"},
		{"x", "v4", dns.TypeA, "NOERROR; v4. 0 IN A 10.0.0.1; v4. 0 IN A 10.0.0.2"},
		{"x", "localhost", dns.TypeAAAA, "NOERROR; localhost. 0 IN AAAA ::1"},
		{"x", "ipv4only.arpa", dns.TypeAAAA, "NOERROR; ipv4only.arpa. 0 IN AAAA 64:ff9b::c000:aa; ipv4only.arpa. 0 IN AAAA 64:ff9b::c000:ab"},
		{"x", reverse("64:ff9b::a00:1"), dns.TypePTR, "NOERROR; " + reverse("64:ff9b::a00:1") + " 0 IN CNAME 1.0.0.10.in-addr.arpa.; 1.0.0.10.in-addr.arpa. 0 IN PTR v4."},
		{"x", reverse("64:ff9b::a00:9"), dns.TypePTR, "NXDOMAIN; " + reverse("64:ff9b::a00:9") + " 0 IN CNAME 9.0.0.10.in-addr.arpa."},
		{"x", reverse("64:ff9c::a00:1"), dns.TypePTR, "NXDOMAIN"},
	})
	validating := question("v4", dns.TypeAAAA).SetEdns0(1232, true)
	validating.CheckingDisabled = true
	if resp, _ := z.answer("x", true, validating); len(resp.Answer) != 0 {
		t.Errorf("for one who validates: %v", resp)
	}
	configure(t, &z, wire.DNS{})
	check(t, &z, []ask1{{"x", "v4", dns.TypeAAAA, "NOERROR"}, {"x", "ipv4only.arpa", dns.TypeA, "NXDOMAIN"}})
}

// The table of RFC 6052, section 2.4.
func TestDNS64Prefixes(t *testing.T) {
	v4 := netip.MustParseAddr("192.0.2.33")
	for prefix, want := range map[string]string{
		"2001:db8::/32": "2001:db8:c000:221::", "2001:db8:100::/40": "2001:db8:1c0:2:21::", "2001:db8:122::/48": "2001:db8:122:c000:2:2100::",
		"2001:db8:122:300::/56": "2001:db8:122:3c0:0:221::", "2001:db8:122:344::/64": "2001:db8:122:344:c0:2:2100::", "2001:db8:122:344::/96": "2001:db8:122:344::192.0.2.33",
	} {
		p, err := newPrefix64(netip.MustParsePrefix(prefix))
		if err != nil {
			t.Fatal(err)
		}
		got := p.embed(v4)
		back, ok := p.extract(got)
		if got != netip.MustParseAddr(want) || !ok || back != v4 {
			t.Errorf("%s: %v, and back %v, %v; want %s", prefix, got, back, ok, want)
		}
	}
}

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

func TestQueriesAreTheLastOnes(t *testing.T) {
	var z Zone
	var list []string
	for i := range 100 {
		list = append(list, fmt.Sprintf("many A 10.0.0.%d", i))
	}
	configure(t, &z, wire.DNS{Records: append(list, "long TXT "+text(255)+" "+text(255))})
	for i := range maxQueries + 10 {
		z.answer("web", true, question(fmt.Sprintf("q%d", i), dns.TypeA))
	}
	z.answer("web", false, question("many", dns.TypeA))
	z.answer("web", false, question("long", dns.TypeTXT))
	got := z.Queries()
	if len(got) != maxQueries || got[0].Name != "q12." || got[maxQueries-3].Name != fmt.Sprintf("q%d.", maxQueries+9) {
		t.Fatalf("%d queries, from %v", len(got), got[0])
	}
	if many := got[maxQueries-2]; many.Name != "many." || len(many.Answers) != maxAnswers || many.Answers[0] != "many. 0 IN A 10.0.0.0" {
		t.Errorf("many answers: %v", many)
	}
	if long := got[maxQueries-1]; len(long.Answers) != 1 || long.Answers[0] != "long. 0 IN TXT …" {
		t.Errorf("a long answer: %v", long)
	}
}

// What was not asked for does not make an answer big, however often a wildcard has it.
func TestAdditionalIsBounded(t *testing.T) {
	var z Zone
	var list []string
	for i := range 1000 {
		list = append(list, fmt.Sprintf("srv SRV 0 0 80 x%d.wild", i), fmt.Sprintf("*.wild A 10.0.%d.%d", i/250, i%250))
	}
	few := []string{"few SRV 0 0 80 a", "few SRV 0 0 80 a", "few SRV 0 1 81 b", "a A 10.0.0.1", "b AAAA fd00::1"}
	configure(t, &z, wire.DNS{Records: append(list, few...)})
	for name, want := range map[string][2]int{"srv": {1000, 0}, "few": {2, 2}} {
		resp, _ := z.answer("web", false, question(name, dns.TypeSRV))
		if len(resp.Answer) != want[0] || len(resp.Extra) != want[1] {
			t.Errorf("%s: %d answers, %d additional ones, want %v", name, len(resp.Answer), len(resp.Extra), want)
		}
	}
}

// Whoever asks while names fail over sees one of the two, and never nothing.
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
				if resp, _ := z.answer("web", true, question("db", dns.TypeA)); len(resp.Answer) != 2 {
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
