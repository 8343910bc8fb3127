package names

import (
	"context"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// intricate is a zone with something of everything.
func intricate(t testing.TB) *Zone {
	z := new(Zone)
	set(t, z, "web", "10.0.0.1", "fd00::1")
	set(t, z, "db.shop", "10.0.0.2")
	configure(t, z, wire.DNS{
		Records: []string{
			"example 60 IN SOA ns.example admin.example 1 2 3 4 5", "www.example CNAME web", "*.example CNAME www.example", "loop CNAME pool\npool CNAME loop",
			"_http._tcp SRV 0 0 80 web", "*.shop A 10.0.0.9", "* TXT everything", "7.0.0.10.in-addr.arpa PTR seven", "big TXT " + text(200) + " " + text(255) + " " + text(255),
			"caa CAA 0 issue \"nobody\"", "svc HTTPS 1 . alpn=h2",
		},
		Views: []wire.DNSView{{Hosts: []string{"Inner"}, Records: []string{"web A 192.0.2.1", "secret CNAME secret.web"}}},
		Faults: []wire.DNSFault{
			{Name: "gone", Answer: "nxdomain"}, {Name: "*.cut", Answer: "truncated"}, {Type: "MX", Answer: "servfail"}, {Name: "lost", Hosts: []string{"inner"}, Answer: "lost"}, {Name: "late", Delay: 1, Times: 2},
		},
		DNS64: netip.MustParsePrefix("64:ff9b::/96"),
	})
	return z
}

// What a host sends is unpacked and answered in the keeper, whose end is the end of every environment.
func FuzzAnswer(f *testing.F) {
	z := intricate(f)
	for _, q := range []*dns.Msg{
		question("web", dns.TypeA), question("1.0.0.10.in-addr.arpa", dns.TypePTR), question(".", dns.TypeANY),
		question("web", dns.TypeA).SetEdns0(1232, true), new(dns.Msg).SetNotify("web."), new(dns.Msg).SetUpdate("web."),
		question("a.b.example", dns.TypeAAAA), question("loop", dns.TypeA), question("_http._tcp", dns.TypeSRV), question("x.cut", dns.TypeA),
		question("secret", dns.TypeMX), question("big", dns.TypeTXT), question("lost", dns.TypeA), question("db.shop", dns.TypeAAAA),
		question("1.0.0.0.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa", dns.TypePTR), question("ipv4only.arpa", dns.TypeAAAA),
	} {
		b, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		req := new(dns.Msg)
		if req.Unpack(b) != nil {
			return
		}
		for _, host := range []string{"web", "inner"} {
			for _, udp := range []bool{true, false} {
				resp, _ := z.answer(context.Background(), host, udp, req)
				if resp == nil {
					continue
				}
				fit(resp, dns.MinMsgSize)
				if packed, err := resp.Pack(); err != nil || len(packed) > dns.MinMsgSize {
					t.Errorf("answer to %v: %d octets, %v", req, len(packed), err)
				}
			}
		}
		for _, q := range z.Queries() {
			for _, a := range q.Answers {
				if len(a) > maxAnswer+len("…") {
					t.Errorf("an answer of %d octets is remembered", len(a))
				}
			}
		}
	})
}

// Records come from whoever holds an environment.
func FuzzConfigure(f *testing.F) {
	for _, text := range []string{
		"www 60 IN CNAME web", "$ORIGIN example.\n$TTL 1h\n@ SOA ns admin (1 2\n3 4 5) ; comment\n\tNS ns\nns A 10.0.0.1", "$GENERATE 1-70000 h$ A 10.0.0.$", "$INCLUDE /etc/passwd",
		`a\.b\010 TXT "\"" x`, "* DNAME x", "x TYPE65400 \\# 2 abcd", "a CNAME a\na A 10.0.0.1", "x TYPE41 \\# 0", "x SVCB 1 . port=1", "x NULL \\# 0", "h LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
	} {
		f.Add(text, "x.y")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		var z Zone
		if z.Configure(wire.DNS{Records: []string{text}}) != nil {
			return
		}
		_ = z.Amend([]string{text}, []string{name})
		if len(z.config.list) > maxRecords {
			t.Errorf("%d records", len(z.config.list))
		}
		for _, rr := range z.config.list {
			h := rr.Header()
			req := new(dns.Msg).SetQuestion(h.Name, h.Rrtype)
			resp, _ := z.answer(context.Background(), "web", false, req)
			if resp.Rcode != dns.RcodeSuccess || len(resp.Answer) == 0 {
				t.Errorf("%v is not found: %v", rr, resp)
			}
			fit(resp, dns.MaxMsgSize)
			if _, err := resp.Pack(); err != nil {
				t.Errorf("answer %v: %v", resp, err)
			}
		}
		z.Queries()
	})
}
