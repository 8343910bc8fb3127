package outbound

import (
	"net/netip"
	"testing"
)

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestPolicyPermits(t *testing.T) {
	some := Policy{Allow: prefixes("192.0.2.0/24", "2001:db8::/32"), Deny: prefixes("192.0.2.128/25")}
	for _, c := range []struct {
		policy Policy
		addr   string
		want   bool
	}{
		{Policy{}, "192.0.2.1", true},
		{Policy{}, "10.0.0.1", true},
		{Policy{}, "2001:db8::1", true},
		{Policy{}, "fd00::1", true},
		{Policy{}, "127.0.0.1", false},
		{Policy{}, "::1", false},
		{Policy{}, "::ffff:127.0.0.1", false},
		{Policy{}, "169.254.169.254", false},
		{Policy{}, "fe80::1", false},
		{Policy{}, "224.0.0.1", false},
		{Policy{}, "255.255.255.255", false},
		{Policy{}, "0.0.0.0", false},
		{Policy{}, "::", false},
		{some, "192.0.2.1", true},
		{some, "::ffff:192.0.2.1", true},
		{some, "192.0.2.129", false},
		{some, "192.0.3.1", false},
		{some, "2001:db8::1", true},
		{some, "2001:db9::1", false},
		{Policy{Deny: prefixes("192.0.2.0/24")}, "192.0.2.1", false},
		{Policy{Deny: prefixes("192.0.2.0/24")}, "192.0.3.1", true},
	} {
		if got := c.policy.permits(netip.MustParseAddr(c.addr)); got != c.want {
			t.Errorf("%+v permits %s: %t, want %t", c.policy, c.addr, got, c.want)
		}
	}
}
