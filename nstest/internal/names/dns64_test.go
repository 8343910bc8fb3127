package names

import (
	"context"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

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
	if resp, _ := z.answer(context.Background(), "x", true, validating); len(resp.Answer) != 0 {
		t.Errorf("for one who validates: %v", resp)
	}
	configure(t, &z, wire.DNS{})
	check(t, &z, []ask1{{"x", "v4", dns.TypeAAAA, "NOERROR"}, {"x", "ipv4only.arpa", dns.TypeA, "NXDOMAIN"}})
}

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

// Whoever is inside chooses what a question says where an address should be.
func TestNamesThatAreNoAddresses(t *testing.T) {
	var z Zone
	configure(t, &z, wire.DNS{DNS64: netip.MustParsePrefix("64:ff9b::/96")})
	good := reverseName(netip.MustParseAddr("64:ff9b::a00:1"))
	zoned := "b.a.%" + good[len("b.a.%"):]
	if _, ok := address6(good); !ok {
		t.Fatalf("%s stands for no address", good)
	}
	if _, ok := address6(zoned); ok {
		t.Errorf("%s stands for an address", zoned)
	}
	check(t, &z, []ask1{{"x", zoned, dns.TypePTR, "NXDOMAIN"}})
}
