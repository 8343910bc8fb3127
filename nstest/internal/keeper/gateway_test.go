package keeper

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

func TestARouterHasTheFirstAddressesThatAreFree(t *testing.T) {
	addrs := func(list ...string) []netip.Addr {
		var out []netip.Addr
		for _, s := range list {
			out = append(out, netip.MustParseAddr(s))
		}
		return out
	}
	for _, c := range []struct{ used, wanted, want []netip.Addr }{
		{nil, nil, addrs("10.1.0.1", "fd00::1")},
		{nil, addrs("10.1.0.9"), addrs("10.1.0.9", "fd00::1")},
		{addrs("10.1.0.1"), nil, addrs("fd00::1")},
		{nil, addrs("fd00::9", "10.1.0.9"), addrs("fd00::9", "10.1.0.9")},
	} {
		n := &network{prefixes: prefixes("10.1.0.0/16", "fd00::/64"), used: map[netip.Addr]string{}}
		for _, a := range c.used {
			n.used[a] = "somebody"
		}
		if got := n.first(c.wanted); !slices.Equal(got, c.want) {
			t.Errorf("used %v, wanted %v: got %v, want %v", c.used, c.wanted, got, c.want)
		}
	}
}

func TestWhoIsGateway(t *testing.T) {
	const v4, v6 = "10.1.0.1", "fd00::1"
	given := func(a string) *network { return &network{name: "n", gateway: netip.MustParseAddr(a)} }
	addrs := prefixes("10.1.0.0/16", "fd00::/64")
	addrs[0], addrs[1] = netip.MustParsePrefix(v4+"/16"), netip.MustParsePrefix(v6+"/64")
	other := &cable{addrs: []netip.Prefix{netip.MustParsePrefix("10.1.0.7/16")}}
	for _, c := range []struct {
		name      string
		network   *network
		without   bool
		nat       []wire.NAT
		is        bool
		via4via6  [2]string
		hasRouter bool
	}{
		{"nobody was before", &network{name: "n"}, false, nil, true, [2]string{v4, v6}, false},
		{"it is to be none", &network{name: "n"}, true, nil, false, [2]string{}, false},
		{"the network is outside", &network{name: "n"}, false, []wire.NAT{{Outside: "n"}}, false, [2]string{}, false},
		{"another network is outside", &network{name: "n"}, false, []wire.NAT{{Outside: "m"}}, true, [2]string{v4, v6}, false},
		{"it has the address", given(v4), false, nil, true, [2]string{v4, v6}, false},
		{"it has the address, outside too", given(v4), false, []wire.NAT{{Outside: "n"}}, true, [2]string{v4, v6}, false},
		{"another has it", given("10.1.0.7"), false, nil, false, [2]string{"10.1.0.7", ""}, false},
		{"another router is", &network{name: "n", router: other}, false, nil, false, [2]string{"10.1.0.7", ""}, true},
	} {
		r := &routing{params: wire.RouterParams{NAT: c.nat}}
		end := &cable{network: c.network, addrs: addrs, noGateway: c.without}
		if got := r.mayBeGateway(end); got != c.is {
			t.Errorf("%s: it is the gateway: %t", c.name, got)
		}
		if c.is {
			c.network.router = end
		}
		for i, is4 := range families {
			got := ""
			if a := c.network.via(is4); a.IsValid() {
				got = a.String()
			}
			if got != c.via4via6[i] {
				t.Errorf("%s: %s goes through %q, want %q", c.name, familyName(is4), got, c.via4via6[i])
			}
		}
	}
	if (*routing)(nil).mayBeGateway(&cable{network: &network{}}) {
		t.Error("a host that is no router is a gateway")
	}
}
