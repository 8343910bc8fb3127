package ndp

import (
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMarshal(t *testing.T) {
	for _, c := range []struct {
		name string
		a    Advertisement
		want string
	}{
		{"nothing", Advertisement{}, "86000000 0000 0000 00000000 00000000"},
		{"header", Advertisement{HopLimit: 64, Managed: true, Other: true, Lifetime: 30 * time.Minute}, "86000000 40c0 0708 00000000 00000000"},
		{"source and MTU", Advertisement{Source: net.HardwareAddr{2, 0x42, 10, 1, 0, 1}, MTU: 1400},
			"86000000 0000 0000 00000000 00000000 0101 02420a010001 0501 0000 00000578"},
		{"prefix", Advertisement{Prefixes: []Prefix{{netip.MustParsePrefix("fd00::/64"), 2 * time.Hour, -1}}},
			"86000000 0000 0000 00000000 00000000 0304 40c0 00001c20 00000000 00000000 fd000000000000000000000000000000"},
		{"DNS", Advertisement{DNS: []netip.Addr{netip.MustParseAddr("fd00::1")}, Search: []string{"a.example"}, Known: 10 * time.Second},
			"86000000 0000 0000 00000000 00000000 1903 0000 0000000a fd000000000000000000000000000001 1f03 0000 0000000a 01610765 78616d70 6c650000 00000000"},
		{"PREF64", Advertisement{NAT64: netip.MustParsePrefix("64:ff9b::/96"), Known: 30 * time.Minute},
			"86000000 0000 0000 00000000 00000000 2602 0708 0064ff9b0000000000000000"},
		{"PREF64 of 32 bits", Advertisement{NAT64: netip.MustParsePrefix("2001:db8::/32")},
			"86000000 0000 0000 00000000 00000000 2602 0005 20010db80000000000000000"},
	} {
		got, err := c.a.Marshal()
		if want := strings.ReplaceAll(c.want, " ", ""); err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s:\n got %x, %v\nwant %s", c.name, got, err, want)
		}
	}
}

func TestMarshalRefuses(t *testing.T) {
	if _, err := (Advertisement{NAT64: netip.MustParsePrefix("2001:db8::/33")}).Marshal(); err == nil {
		t.Error("a NAT64 prefix of 33 bits was taken")
	}
	if _, err := (Advertisement{Prefixes: slices.Repeat([]Prefix{{Prefix: netip.MustParsePrefix("fd00::/64")}}, 40)}).Marshal(); err == nil {
		t.Error("a message of more than 1280 bytes was made")
	}
}
