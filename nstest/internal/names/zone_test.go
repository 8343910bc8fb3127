package names

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestZoneLookup(t *testing.T) {
	var z Zone
	long := strings.Repeat("a", 63)
	for name, list := range map[string][]netip.Addr{
		"Web":           addrs("10.0.0.3", "fd00::3", "10.0.0.1", "::ffff:10.0.0.3"),
		"no-address":    nil,
		long:            addrs("10.0.0.4"),
		"db.example.":   addrs("10.0.0.5"),
		"_srv.under_sc": addrs("10.0.0.6"),
	} {
		if err := z.Set(name, list); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string][]netip.Addr{
		"web": addrs("10.0.0.3", "fd00::3", "10.0.0.1"), "WEB.": addrs("10.0.0.3", "fd00::3", "10.0.0.1"),
		"no-address": {}, long: addrs("10.0.0.4"), "DB.example": addrs("10.0.0.5"), "_srv.under_sc": addrs("10.0.0.6"),
		"localhost": addrs("127.0.0.1", "::1"), "a.LocalHost.": addrs("127.0.0.1", "::1"),
	} {
		got, ok := z.addresses(dns.CanonicalName(name))
		if !ok || !slices.Equal(got, want) {
			t.Errorf("addresses of %q: %v, %v; want %v", name, got, ok, want)
		}
	}
	z.Remove("WEB.")
	z.Remove("never-there")
	for _, name := range []string{"web", "never-there", "", ".", "localhost.example"} {
		if got, ok := z.addresses(dns.CanonicalName(name)); ok {
			t.Errorf("addresses of %q: %v, want unknown", name, got)
		}
	}
}

func TestZoneReverse(t *testing.T) {
	var z Zone
	set := func(name string, list ...string) {
		t.Helper()
		if err := z.Set(name, addrs(list...)); err != nil {
			t.Fatal(err)
		}
	}
	want := func(reverse string, names ...string) {
		t.Helper()
		if got := z.names(dns.CanonicalName(reverse)); !slices.Equal(got, names) {
			t.Errorf("%s: got %v, want %v", reverse, got, names)
		}
	}
	set("web", "10.0.0.3", "fd00::3")
	set("self", "10.0.0.3")
	want("3.0.0.10.in-addr.arpa.", "self.", "web.")
	want("3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.IP6.arpa", "web.")
	set("web", "10.0.0.4")
	want("3.0.0.10.in-addr.arpa.", "self.")
	want("4.0.0.10.in-addr.arpa.", "web.")
	want("3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.")
	z.Remove("self")
	want("3.0.0.10.in-addr.arpa.")
	want("1.0.0.127.in-addr.arpa.", "localhost.")
	want("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.", "localhost.")
	z.Remove("web")
	if len(z.forward) != 0 || len(z.reverse) != 0 || len(z.inner) != 0 {
		t.Errorf("left after everything was removed: %v, %v, %v", z.forward, z.reverse, z.inner)
	}
}

func TestZoneRefuses(t *testing.T) {
	one := addrs("10.0.0.1")
	var z Zone
	if err := z.Set("kept", one); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		addrs []netip.Addr
	}{
		{"", one}, {".", one}, {"localhost", one}, {"x.localhost.", one}, {"a..b", one}, {".a", one}, {"10.0.0.1", one},
		{strings.Repeat("a", 64), one}, {strings.Repeat("a.", 127) + "a", one}, {"ü", one}, {`a\.b`, one}, {"a b", one}, {"fd00::1", one},
		{"kept", []netip.Addr{{}}}, {"kept", addrs("fe80::1%eth0")}, {"kept", addrs("10.0.0.2", "::")},
	} {
		if err := z.Set(c.name, c.addrs); err == nil {
			t.Errorf("Set(%q, %v) was accepted", c.name, c.addrs)
		}
	}
	if got, ok := z.addresses("kept."); !ok || !slices.Equal(got, one) {
		t.Errorf("after refusals: %v, %v; want %v", got, ok, one)
	}
	if err := z.Set(strings.Repeat("a.", 126)+"a", one); err != nil {
		t.Errorf("a name of 253 characters: %v", err)
	}
}
