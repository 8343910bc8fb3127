package names

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// prefix64 is a prefix in which IPv4 addresses stand for IPv6 hosts (RFC 6052); the zero value is none.
type prefix64 struct{ netip.Prefix }

func newPrefix64(p netip.Prefix) (prefix64, error) {
	if p == (netip.Prefix{}) {
		return prefix64{}, nil
	}
	if !p.IsValid() || !p.Addr().Is6() || p.Addr().Is4In6() || !slices.Contains([]int{32, 40, 48, 56, 64, 96}, p.Bits()) {
		return prefix64{}, fmt.Errorf("DNS64: %v is not an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits (RFC 6052, section 2.2)", p)
	}
	if p != p.Masked() || p.Addr().As16()[8] != 0 {
		return prefix64{}, fmt.Errorf("DNS64: %v has bits set that are not the prefix's", p)
	}
	return prefix64{p}, nil
}

// at are the places of the four octets of the IPv4 address: octet 8 is left out.
func (p prefix64) at() [4]int {
	var at [4]int
	next := p.Bits() / 8
	for i := range at {
		if next == 8 {
			next++
		}
		at[i] = next
		next++
	}
	return at
}

// embed is the IPv6 address that stands for a.
func (p prefix64) embed(a netip.Addr) netip.Addr {
	b, four := p.Addr().As16(), a.As4()
	for i, at := range p.at() {
		b[at] = four[i]
	}
	return netip.AddrFrom16(b)
}

// extract is the IPv4 address that a stands for.
func (p prefix64) extract(a netip.Addr) (netip.Addr, bool) {
	if !p.IsValid() || !p.Contains(a) {
		return netip.Addr{}, false
	}
	b, four := a.As16(), [4]byte{}
	for i, at := range p.at() {
		four[i] = b[at]
	}
	v4 := netip.AddrFrom4(four)
	return v4, p.embed(v4) == a
}

// discovery is the name whose addresses tell a host the prefix (RFC 7050, RFC 8880), and what they are by IPv4.
const discovery = "ipv4only.arpa."

var discovered = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 0, 170}), netip.AddrFrom4([4]byte{192, 0, 0, 171})}

// address6 is the IPv6 address that a canonical name below ip6.arpa stands for.
func address6(key string) (netip.Addr, bool) {
	nibbles, ok := strings.CutSuffix(key, ".ip6.arpa.")
	if !ok || len(nibbles) != 63 {
		return netip.Addr{}, false
	}
	var text strings.Builder
	for i := 62; i >= 0; i -= 2 {
		text.WriteByte(nibbles[i])
		if i%8 == 0 && i > 0 {
			text.WriteByte(':')
		}
	}
	a, err := netip.ParseAddr(text.String())
	if err != nil || a.Zone() != "" || reverseName(a) != key {
		return netip.Addr{}, false
	}
	return a, true
}

// aaaa are the records that stand for those of type A.
func (p prefix64) aaaa(a []dns.RR) []dns.RR {
	var out []dns.RR
	for _, rr := range a {
		v4, ok := netip.AddrFromSlice(rr.(*dns.A).A.To4())
		if !ok {
			continue
		}
		h := *rr.Header()
		h.Rrtype = dns.TypeAAAA
		out = append(out, &dns.AAAA{Hdr: h, AAAA: p.embed(v4).AsSlice()})
	}
	return out
}
