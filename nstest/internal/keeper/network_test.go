package keeper

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestCheckNetwork(t *testing.T) {
	others := []*network{{name: "lan", prefixes: prefixes("10.1.0.0/16", "fd00::/64")}}
	for _, c := range []struct {
		name string
		p    wire.NetworkParams
		want string // part of the error; "" for none
	}{
		{"automatic", wire.NetworkParams{Name: "dmz"}, ""},
		{"explicit", wire.NetworkParams{Name: "dmz", Prefixes: prefixes("192.0.2.0/24", "2001:db8::/64")}, ""},
		{"no name", wire.NetworkParams{}, "must not be empty"},
		{"taken name", wire.NetworkParams{Name: "lan"}, `"lan" exists already`},
		{"zero prefix", wire.NetworkParams{Name: "dmz", Prefixes: []netip.Prefix{{}}}, "malformed"},
		{"host bits", wire.NetworkParams{Name: "dmz", Prefixes: prefixes("192.0.2.7/24")}, "192.0.2.0/24 is the network"},
		{"two of a family", wire.NetworkParams{Name: "dmz", Prefixes: prefixes("192.0.2.0/24", "198.51.100.0/24")}, "second prefix"},
		{"overlap", wire.NetworkParams{Name: "dmz", Prefixes: prefixes("10.1.2.0/24")}, "overlaps 10.1.0.0/16 of network \"lan\""},
		{"overlap from above", wire.NetworkParams{Name: "dmz", Prefixes: prefixes("10.0.0.0/8")}, "overlaps"},
		{"point-to-point", wire.NetworkParams{Name: "wire", PointToPoint: true, Prefixes: prefixes("192.0.2.0/31", "2001:db8::/127")}, ""},
		{"point-to-point for one", wire.NetworkParams{Name: "wire", PointToPoint: true, Prefixes: prefixes("192.0.2.0/32")}, "no room"},
		{"too small for IPv6", wire.NetworkParams{Name: "dmz", Prefixes: prefixes("2001:db8::/127")}, "no room"},
		{"jumbo", wire.NetworkParams{Name: "dmz", MTU: 65535}, ""},
		{"more than jumbo", wire.NetworkParams{Name: "dmz", MTU: 65536}, "MTU of 65536"},
		{"too small", wire.NetworkParams{Name: "dmz", Prefixes: prefixes("192.0.2.0/31")}, "no room"},
		{"loopback", wire.NetworkParams{Name: "dmz", Prefixes: prefixes("127.0.0.0/8")}, "cannot have addresses"},
		{"unwanted family", wire.NetworkParams{Name: "dmz", NoIPv4: true, Prefixes: prefixes("192.0.2.0/24")}, "do without"},
		{"nothing left", wire.NetworkParams{Name: "dmz", NoIPv4: true, NoIPv6: true}, "nothing is left"},
		{"gateway outside", wire.NetworkParams{Name: "dmz", Prefixes: prefixes("192.0.2.0/24"), Gateway: netip.MustParseAddr("198.51.100.1")}, "gateway"},
		{"MTU", wire.NetworkParams{Name: "dmz", MTU: 100}, "MTU of 100"},
	} {
		err := checkNetwork(c.p, others)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %q in it", c.name, err, c.want)
		}
	}
}

func TestAutomaticPrefixesAvoidOthers(t *testing.T) {
	others := []*network{{name: "a", prefixes: prefixes("10.1.0.0/16", "10.2.128.0/24")}}
	got, err := automatic(true, 1, others)
	if err != nil || got != netip.MustParsePrefix("10.3.0.0/16") {
		t.Errorf("got %v, %v", got, err)
	}
	all := []*network{{name: "a", prefixes: prefixes("10.0.0.0/8")}}
	if got, err := automatic(true, 1, all); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("got %v, %v with everything taken", got, err)
	}
}

func newNet(list ...string) *network {
	return &network{name: "lan", prefixes: prefixes(list...), used: map[netip.Addr]string{}, next: 2}
}

func TestReserve(t *testing.T) {
	n := newNet("192.0.2.0/29", "fd00::/64")
	first, err := n.reserve("a", nil)
	if err != nil || first[0].String() != "192.0.2.2/29" || first[1].String() != "fd00::2/64" {
		t.Fatalf("got %v, %v", first, err)
	}
	chosen, err := n.reserve("b", []netip.Addr{netip.MustParseAddr("192.0.2.3")})
	if err != nil || chosen[0].String() != "192.0.2.3/29" || chosen[1].String() != "fd00::3/64" {
		t.Fatalf("got %v, %v", chosen, err)
	}
	for _, bad := range []string{"192.0.2.3", "192.0.2.0", "192.0.2.7", "192.0.3.1", "fd01::1"} {
		if got, err := n.reserve("c", []netip.Addr{netip.MustParseAddr(bad)}); err == nil {
			t.Errorf("%s was given out: %v", bad, got)
		}
	}
	for _, want := range []string{"192.0.2.4/29", "192.0.2.5/29", "192.0.2.6/29"} {
		if got, err := n.reserve("d", nil); err != nil || got[0].String() != want {
			t.Errorf("got %v, %v, want %s", got, err, want)
		}
	}
	if got, err := n.reserve("e", nil); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("got %v, %v from an exhausted network", got, err)
	}
	n.release(first)
	if got, err := n.reserve("f", nil); err != nil || got[0] != first[0] {
		t.Errorf("got %v, %v after a release", got, err)
	}
}

// A host that gets no address must not keep those that it got before.
func TestReserveTakesAllOrNothing(t *testing.T) {
	n := newNet("192.0.2.0/30", "fd00::/64")
	if _, err := n.reserve("a", nil); err != nil { // .2 is the only one besides the gateway's
		t.Fatal(err)
	}
	before := len(n.used)
	if got, err := n.reserve("b", nil); err == nil {
		t.Fatalf("got %v", got)
	}
	if len(n.used) != before {
		t.Errorf("%d addresses in use after a refusal, %d before", len(n.used), before)
	}
}

func TestNthAndLast(t *testing.T) {
	for _, c := range []struct {
		base string
		i    uint32
		want string
	}{{"10.1.0.0", 2, "10.1.0.2"}, {"10.1.0.0", 255, "10.1.0.255"}, {"10.1.0.0", 256, "10.1.1.0"}, {"10.1.0.250", 65536 + 10, "10.2.1.4"}, {"fd00::ffff", 1, "fd00::1:0"}} {
		if got := nth(netip.MustParseAddr(c.base), c.i); got.String() != c.want {
			t.Errorf("%d after %s is %s, want %s", c.i, c.base, got, c.want)
		}
	}
	for prefix, want := range map[string]string{"10.1.0.0/16": "10.1.255.255", "192.0.2.8/29": "192.0.2.15", "fd00::/126": "fd00::3"} {
		if got := last(netip.MustParsePrefix(prefix)); got.String() != want {
			t.Errorf("the last address of %s is %s, want %s", prefix, got, want)
		}
	}
}

func TestCheckHostname(t *testing.T) {
	long := strings.Repeat("a", 63)
	for name, ok := range map[string]bool{
		"web": true, "web-1": true, "WEB": true, "a.b.c": true, "1": true, long: true, "x_y": true,
		"": false, long + "a": false, "a." + long: false, "-a": false, "a-": false, "a..b": false, "a b": false, "ä": false, "a/b": false, "a.": false, "a\x00": false,
	} {
		if err := checkHostname(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
