package keeper

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// newNetwork is a network without a switch.
func newNetwork(name string, list ...string) *network {
	return &network{name: name, prefixes: prefixes(list...), used: map[netip.Addr]string{}, next: 2, members: map[string]net.HardwareAddr{}}
}

func draw(t *testing.T, e *environment, hostname string, a wire.Attachment) *cable {
	t.Helper()
	c, err := e.draw(hostname, nil, a, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantRefusal(t *testing.T, err error, errno unix.Errno, text string) {
	t.Helper()
	if !errors.Is(err, errno) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %v with %q", err, errno, text)
	}
}

func TestDrawRefusesByName(t *testing.T) {
	e := &environment{networks: []*network{newNetwork("lan", "10.1.0.0/24"), newNetwork("dmz", "10.2.0.0/24")}}
	draw(t, e, "a", wire.Attachment{MAC: "02:00:00:00:00:01"})
	for _, c := range []struct {
		name, hostname string
		a              wire.Attachment
		errno          unix.Errno
		text           string
	}{
		{"a second link to a network", "A", wire.Attachment{}, unix.EEXIST, `host "A" has a link to network "lan" already`},
		{"an unknown network", "b", wire.Attachment{Network: "wan"}, unix.ENOENT, `no network "wan"`},
		{"the MAC address of another", "b", wire.Attachment{MAC: "02:00:00:00:00:01"}, unix.EADDRINUSE, `the MAC address of host "a"`},
		{"a group's MAC address", "b", wire.Attachment{MAC: "01:00:00:00:00:01"}, unix.EINVAL, "unicast"},
		{"no MAC address at all", "b", wire.Attachment{MAC: "00:00:00:00:00:00"}, unix.EINVAL, "unicast"},
		{"a switch's MAC address", "b", wire.Attachment{MAC: "02:6e:73:00:00:03"}, unix.EINVAL, "switches"},
		{"an address outside", "b", wire.Attachment{Addrs: []netip.Addr{netip.MustParseAddr("10.2.0.9")}}, unix.EADDRNOTAVAIL, "in none of the prefixes"},
		{"an address of another", "b", wire.Attachment{Addrs: []netip.Addr{netip.MustParseAddr("10.1.0.2")}}, unix.EADDRINUSE, `of host "a"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := e.draw(c.hostname, nil, c.a, nil)
			wantRefusal(t, err, c.errno, c.text)
		})
	}
	if n := e.networks[0]; len(n.members) != 1 || len(n.used) != 1 {
		t.Errorf("what was refused has left something: %v, %v", n.members, n.used)
	}
	draw(t, e, "b", wire.Attachment{Network: "dmz", MAC: "02:00:00:00:00:01"}) // on another network it is fine
}

func TestPointToPointHasTwoEnds(t *testing.T) {
	n := newNetwork("wire", "10.1.0.0/31", "fd00::/127")
	n.pointToPoint, n.next = true, 0
	e := &environment{networks: []*network{n}}
	a, b := draw(t, e, "a", wire.Attachment{}), draw(t, e, "b", wire.Attachment{})
	if !slices.Equal(a.addrs, prefixes("10.1.0.0/31", "fd00::/127")) || !slices.Equal(b.addrs, prefixes("10.1.0.1/31", "fd00::1/127")) {
		t.Errorf("the ends have %v and %v", a.addrs, b.addrs)
	}
	_, err := e.draw("c", nil, wire.Attachment{}, nil)
	wantRefusal(t, err, unix.EMLINK, `network "wire" is point-to-point, between a and b: there is no place for host "c"`)
	a.giveBack("a")
	if c := draw(t, e, "c", wire.Attachment{}); !slices.Equal(c.addrs, a.addrs) {
		t.Errorf("who comes in a's place has %v, want %v", c.addrs, a.addrs)
	}
}

func TestMACAddressesAreUniqueInTheEnvironment(t *testing.T) {
	// The addresses of both networks end alike, as those of all automatic ones with IPv6 alone do.
	e := &environment{networks: []*network{newNetwork("one", "fd00:1::/64"), newNetwork("two", "fd00:2::/64")}}
	seen := map[string]bool{}
	for _, c := range []*cable{
		draw(t, e, "a", wire.Attachment{Network: "one"}), draw(t, e, "b", wire.Attachment{Network: "two"}),
		draw(t, e, "c", wire.Attachment{Network: "one"}), draw(t, e, "d", wire.Attachment{Network: "two"}),
	} {
		if seen[c.mac.String()] {
			t.Errorf("%s is given out twice", c.mac)
		}
		seen[c.mac.String()] = true
	}
}

func TestExchange(t *testing.T) {
	for _, c := range []struct {
		name   string
		moved  bool
		wanted []string
		want   []string
		errno  unix.Errno
	}{
		{"keeps what it has", false, nil, []string{"10.1.0.2/24", "fd00:1::2/64"}, 0},
		{"takes what is wanted, and keeps the other family", false, []string{"10.1.0.77"}, []string{"10.1.0.77/24", "fd00:1::2/64"}, 0},
		{"takes the next free ones after a move", true, nil, []string{"10.2.0.3/24"}, 0},
		{"can ask for its own address", false, []string{"10.1.0.2"}, []string{"10.1.0.2/24", "fd00:1::2/64"}, 0},
		{"cannot have another's", true, []string{"10.2.0.2"}, nil, unix.EADDRINUSE},
		{"cannot have one of the network that it has left", true, []string{"10.1.0.9"}, nil, unix.EADDRNOTAVAIL},
	} {
		t.Run(c.name, func(t *testing.T) {
			one, two := newNetwork("one", "10.1.0.0/24", "fd00:1::/64"), newNetwork("two", "10.2.0.0/24")
			e := &environment{networks: []*network{one, two}}
			h := &host{name: "a"}
			k := draw(t, e, "a", wire.Attachment{})
			draw(t, e, "b", wire.Attachment{Network: "two"})
			if c.moved {
				k.left, k.network = one, two
			}
			var wanted []netip.Addr
			for _, a := range c.wanted {
				wanted = append(wanted, netip.MustParseAddr(a))
			}
			err := e.exchange(h, k, wanted)
			if c.errno != 0 {
				wantRefusal(t, err, c.errno, "")
				if len(one.used) != 2 || one.used[netip.MustParseAddr("10.1.0.2")] != "a" || k.left == nil {
					t.Errorf("the old addresses are not its own any more: %v", one.used)
				}
				return
			}
			if err != nil || !slices.EqualFunc(k.addrs, c.want, func(p netip.Prefix, s string) bool { return p.String() == s }) {
				t.Errorf("got %v, %v, want %v", k.addrs, err, c.want)
			}
			if n := len(one.used); c.moved && n != 0 {
				t.Errorf("%d addresses of the network that was left are still taken", n)
			}
		})
	}
}
