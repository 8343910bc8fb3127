package rtnl

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFirstRoutes(t *testing.T) {
	c, _ := newNet(t)
	send(t, c, func(b *Batch) {
		b.LinkUp(1)
		for _, to := range []string{"192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"} {
			b.NewRoute(RouteSpec{Dst: netip.MustParsePrefix(to), Type: unix.RTN_BLACKHOLE, Metric: 7, Table: 300})
		}
	})
	ours := func(r Route) bool { return r.Table == 300 }
	for n, more := range []bool{true, true, true, false, false} {
		routes, got, err := c.FirstRoutes(n, ours)
		if len(routes) != min(n, 3) || got != more || err != nil {
			t.Errorf("the first %d: %v, more %v, %v", n, routes, got, err)
		}
		for _, r := range routes {
			if r.Type != unix.RTN_BLACKHOLE || r.Metric != 7 || !ours(r) {
				t.Errorf("%+v", r)
			}
		}
	}
	if routes, more, err := c.FirstRoutes(3, func(Route) bool { return false }); len(routes) > 0 || more || err != nil {
		t.Errorf("none is wanted: %v, %v, %v", routes, more, err)
	}
}
