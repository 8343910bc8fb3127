package names

import (
	"testing"

	"github.com/miekg/dns"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

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
