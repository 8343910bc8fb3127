package names

import (
	"context"
	"fmt"
	"testing"

	"github.com/miekg/dns"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

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

func TestAdditionalIsBounded(t *testing.T) {
	var z Zone
	var list []string
	for i := range 1000 {
		list = append(list, fmt.Sprintf("srv SRV 0 0 80 x%d.wild", i), fmt.Sprintf("*.wild A 10.0.%d.%d", i/250, i%250))
	}
	few := []string{"few SRV 0 0 80 a", "few SRV 0 0 80 a", "few SRV 0 1 81 b", "a A 10.0.0.1", "b AAAA fd00::1"}
	configure(t, &z, wire.DNS{Records: append(list, few...)})
	for name, want := range map[string][2]int{"srv": {1000, 0}, "few": {2, 2}} {
		resp, _ := z.answer(context.Background(), "web", false, question(name, dns.TypeSRV))
		if len(resp.Answer) != want[0] || len(resp.Extra) != want[1] {
			t.Errorf("%s: %d answers, %d additional ones, want %v", name, len(resp.Answer), len(resp.Extra), want)
		}
	}
}
