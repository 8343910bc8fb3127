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

// A list that has changed while it was read is read again. The kernel says so in the messages that it makes afterwards, which may
// be the end alone.
func TestAListThatHasChangedMeanwhile(t *testing.T) {
	const part, end = unix.RTM_NEWLINK, unix.NLMSG_DONE
	for _, c := range []struct {
		messages    []message
		interrupted bool
	}{
		{[]message{{kind: part}, {kind: part}, {kind: end}}, false},
		{[]message{{kind: part}, {kind: part, flags: unix.NLM_F_DUMP_INTR}, {kind: end}}, true},
		{[]message{{kind: part}, {kind: part}, {kind: end, flags: unix.NLM_F_DUMP_INTR}}, true},
		{[]message{{kind: end, flags: unix.NLM_F_DUMP_INTR}}, true},
	} {
		parts := 0
		a := reading{each: func(message) { parts++ }}
		for i, m := range c.messages {
			m.flags |= unix.NLM_F_MULTI
			m.payload = make([]byte, 4)
			if last := a.take(m); last != (i == len(c.messages)-1) {
				t.Errorf("message %d is the last: %v", i, last)
			}
		}
		if a.interrupted != c.interrupted || parts != len(c.messages)-1 || a.refused != nil {
			t.Errorf("of %+v: %d parts, interrupted %v, %v", c.messages, parts, a.interrupted, a.refused)
		}
	}
}
