package translate

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

func mustNPT(t testing.TB, inside, outside string) NPT {
	t.Helper()
	n, err := NewNPT(netip.MustParsePrefix(inside), netip.MustParsePrefix(outside))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The first is the example of RFC 6296. In the second a word becomes 0xffff, for which 0 is written.
func TestNPTTranslatesAddresses(t *testing.T) {
	for _, c := range []struct{ inside, outside, in, out string }{
		{"fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:1::1234", "2001:db8:1:d550::1234"},
		{"fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:2ab0::1", "2001:db8:1::1"},
		{"fd00::/64", "2001:db8:0:1::/64", "fd00::1", ""},
		{"fd00::/8", "2000::/8", "fd01:203:405:1::1234", ""},
	} {
		n := mustNPT(t, c.inside, c.outside)
		got, ok := n.Outside(netip.MustParseAddr(c.in))
		if !ok || c.out != "" && got.String() != c.out {
			t.Errorf("%s is %s outside %s, want %s", c.in, got, c.outside, c.out)
		}
		if back, ok := n.Inside(got); !ok || back.String() != c.in {
			t.Errorf("%s outside is %s inside, want %s", got, back, c.in)
		}
	}
}

func TestNPTRefusesWhatCannotComeBack(t *testing.T) {
	for _, c := range []struct{ inside, outside, in string }{
		{"fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:ffff::1"},
		{"fd01:203:405:1::/64", "2001:db8:1:1::/64", "fd01:203:405:1::"},
		{"fd01:203:405:1::/64", "2001:db8:1:1::/64", "fd01:203:405:1:ffff:ffff:ffff:ffff"},
		{"fd01:203:405:1::/64", "2001:db8:1:1::/64", "fd01:203:405:2::1"},
	} {
		if got, ok := mustNPT(t, c.inside, c.outside).Outside(netip.MustParseAddr(c.in)); ok {
			t.Errorf("%s became %s", c.in, got)
		}
	}
}

func TestNPTIsOneToOneAndChecksumNeutral(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	random := func() (b [16]byte) {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	translated := 0
	for range 20000 {
		bits := 1 + r.IntN(64)
		inside, outside := netip.PrefixFrom(netip.AddrFrom16(random()), bits).Masked(), netip.PrefixFrom(netip.AddrFrom16(random()), bits).Masked()
		n, err := NewNPT(inside, outside)
		if err != nil {
			continue
		}
		b, prefix := random(), inside.Addr().As16()
		for i := range bits {
			mask := byte(0x80) >> (i % 8)
			b[i/8] = b[i/8]&^mask | prefix[i/8]&mask
		}
		a := netip.AddrFrom16(b)
		out, ok := n.Outside(a)
		if !ok {
			continue
		}
		translated++
		if s, o := sum(0, a.AsSlice())%0xffff, sum(0, out.AsSlice())%0xffff; s != o {
			t.Fatalf("%s -> %s: %s became %s: sum %#x became %#x", inside, outside, a, out, s, o)
		}
		if !outside.Contains(out) {
			t.Fatalf("%s is not of %s", out, outside)
		}
		if back, ok := n.Inside(out); !ok || back != a {
			t.Fatalf("%s -> %s: %s became %s and then %s", inside, outside, a, out, back)
		}
	}
	if translated < 10000 {
		t.Errorf("only %d addresses were translated", translated)
	}
}

func TestNPTSaysWhyNot(t *testing.T) {
	for _, c := range [][2]string{
		{"fd00::/65", "2001:db8::/65"}, {"10.0.0.0/8", "11.0.0.0/8"}, {"fd00::/48", "2001:db8::/56"}, {"fd00::1/48", "2001:db8::/48"}, {"fd00::/48", "fd00::/48"},
	} {
		if _, err := NewNPT(netip.MustParsePrefix(c[0]), netip.MustParsePrefix(c[1])); err == nil {
			t.Errorf("%s <-> %s was taken", c[0], c[1])
		}
	}
}

func TestSitesTranslatePackets(t *testing.T) {
	ns := Sites{{mustNPT(t, "fd01:203:405::/48", "2001:db8:1::/48"), []netip.Prefix{netip.MustParsePrefix("fd01:203:405:1::/64")}}}
	in, out, remote := netip.MustParseAddr("fd01:203:405:1::1234"), netip.MustParseAddr("2001:db8:1:d550::1234"), netip.MustParseAddr("2001:db8:9::1")

	p := packet6(in, remote, protoUDP, udp6(in, remote, "hello"))
	got := ns.Translate(p)
	if len(got) != 1 || addr6(got[0][8:]) != out || addr6(got[0][24:]) != remote || got[0][7] != 64 {
		t.Fatalf("outward: %x", got)
	}
	wantValid6(t, got[0])

	got = ns.Translate(packet6(remote, out, protoUDP, udp6(remote, out, "hello")))
	if len(got) != 1 || addr6(got[0][8:]) != remote || addr6(got[0][24:]) != in {
		t.Fatalf("inward: %x", got)
	}
	wantValid6(t, got[0])

	// An error about the packet that went out.
	quoted := packet6(out, remote, protoUDP, udp6(out, remote, "hello"))
	got = ns.Translate(packet6(remote, out, protoICMPv6, icmp6(remote, out, unreachable6, portUnreachable6, 0, quoted)))
	if len(got) != 1 || addr6(got[0][24:]) != in || addr6(got[0][48+8:]) != in || addr6(got[0][48+24:]) != remote {
		t.Fatalf("error inward: %x", got)
	}
	wantValid6(t, got[0])

	// Two hosts inside that know each other by the outside address.
	other, otherOut := netip.MustParseAddr("fd01:203:405:1::5"), netip.MustParseAddr("2001:db8:1:d550::5")
	got = ns.Translate(packet6(in, otherOut, protoUDP, udp6(in, otherOut, "hello")))
	if len(got) != 1 || addr6(got[0][8:]) != out || addr6(got[0][24:]) != other {
		t.Fatalf("hairpin: %x", got)
	}
	wantValid6(t, got[0])

	// A host outside that has an address like those inside.
	like := netip.MustParseAddr("fd01:203:405:2::1")
	got = ns.Translate(packet6(like, out, protoUDP, udp6(like, out, "hello")))
	if len(got) != 1 || addr6(got[0][8:]) != like || addr6(got[0][24:]) != in {
		t.Fatalf("inward from a like address: %x", got)
	}
	wantValid6(t, got[0])
	quoted = packet6(out, like, protoUDP, udp6(out, like, "hello"))
	got = ns.Translate(packet6(like, out, protoICMPv6, icmp6(like, out, unreachable6, portUnreachable6, 0, quoted)))
	if len(got) != 1 || addr6(got[0][48+8:]) != in || addr6(got[0][48+24:]) != like {
		t.Fatalf("error inward from a like address: %x", got)
	}
	wantValid6(t, got[0])

	for name, p := range map[string][]byte{
		"of neither prefix": packet6(remote, remote, protoUDP, udp6(remote, remote, "")),
		"untranslatable":    packet6(netip.MustParseAddr("fd01:203:405:ffff::1"), remote, protoUDP, nil),
		"IPv4":              {0x45, 39: 0},
		"nothing":           nil,
	} {
		if got := ns.Translate(p); got != nil {
			t.Errorf("%s: %x", name, got)
		}
	}
}
