package firewall

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

func TestAddresses(t *testing.T) {
	show := func(spans []span) (out string) {
		for _, s := range spans {
			first, _ := netip.AddrFromSlice(s.first)
			last, _ := netip.AddrFromSlice(s.last)
			out += first.String() + "-" + last.String() + " "
		}
		return out
	}
	for _, c := range []struct {
		prefixes []string
		v4, v6   string
	}{
		{nil, "", ""},
		{[]string{"10.0.0.1/32"}, "10.0.0.1-10.0.0.1 ", ""},
		{[]string{"10.0.0.77/24"}, "10.0.0.0-10.0.0.255 ", ""},
		{[]string{"10.0.1.0/24", "10.0.0.0/24", "fd00::/127"}, "10.0.0.0-10.0.1.255 ", "fd00::-fd00::1 "},
		{[]string{"10.0.0.0/8", "10.1.0.0/16", "11.1.0.0/16"}, "10.0.0.0-10.255.255.255 11.1.0.0-11.1.255.255 ", ""},
		{[]string{"0.0.0.0/0", "255.255.255.255/32", "::/0"}, "0.0.0.0-255.255.255.255 ", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "},
	} {
		var list []netip.Prefix
		for _, p := range c.prefixes {
			list = append(list, netip.MustParsePrefix(p))
		}
		if v4, v6 := show(addresses(list, true)), show(addresses(list, false)); v4 != c.v4 || v6 != c.v6 {
			t.Errorf("%v: got %q and %q, want %q and %q", c.prefixes, v4, v6, c.v4, c.v6)
		}
	}
}

// Merged spans hold the same numbers, in order, and with one free between any two.
func FuzzMerge(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 0, 3, 0, 4})
	f.Add([]byte{0, 1, 255, 255, 0, 7, 0, 9})
	f.Add([]byte{255, 255, 255, 255, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var list []Ports
		want := map[int]bool{}
		for ; len(data) >= 4 && len(list) < 20; data = data[4:] {
			p := Ports{binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:])}
			p.First, p.Last = min(p.First, p.Last), max(p.First, p.Last)
			list = append(list, p)
			for n := int(p.First); n <= int(p.Last); n++ {
				want[n] = true
			}
		}
		count, before := 0, -2
		for _, s := range ports(list) {
			first, last := int(binary.BigEndian.Uint16(s.first)), int(binary.BigEndian.Uint16(s.last))
			if first <= before+1 || last < first {
				t.Fatalf("%v: %d-%d after %d", list, first, last, before)
			}
			for n := first; n <= last; n++ {
				if count++; !want[n] {
					t.Fatalf("%v: %d is in none of them", list, n)
				}
			}
			before = last
		}
		if count != len(want) {
			t.Fatalf("%v: %d numbers are left of %d", list, count, len(want))
		}
	})
}
