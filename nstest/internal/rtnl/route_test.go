package rtnl

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// lo is the loopback device, which is in every network namespace.
const lo = 1

func TestRoutesOfEveryTypeComeAndGo(t *testing.T) {
	c, _ := newNet(t)
	send(t, c, func(b *Batch) {
		b.LinkUp(lo)
		b.AddAddr(lo, netip.MustParsePrefix("192.0.2.1/24"))
	})
	dst := netip.MustParsePrefix("198.51.100.0/24")
	via := netip.MustParseAddr("192.0.2.9")
	for _, s := range []RouteSpec{
		{Dst: dst, Gateway: via, Index: lo},
		{Dst: dst, Index: lo, Metric: 7},
		{Gateway: via, Index: lo, Table: 1000},
		{Dst: dst, Type: unix.RTN_BLACKHOLE, Metric: 8},
		{Dst: netip.MustParsePrefix("2001:db8::/32"), Type: unix.RTN_UNREACHABLE},
		{Dst: netip.MustParsePrefix("::/0"), Index: lo, Table: 70000},
	} {
		want := Route{Dst: s.Dst, Gateway: s.Gateway, Index: s.Index, Table: max(s.Table, unix.RT_TABLE_MAIN), Type: max(s.Type, unix.RTN_UNICAST), Proto: unix.RTPROT_STATIC, Metric: s.Metric}
		if !s.Dst.IsValid() {
			want.Dst = netip.MustParsePrefix("0.0.0.0/0")
		}
		if want.Dst.Addr().Is6() {
			want.Metric = 1024 // the kernel's default
		}
		found := func() bool {
			routes, err := c.Routes()
			if err != nil {
				t.Fatal(err)
			}
			return slices.ContainsFunc(routes, func(r Route) bool {
				if want.Index == 0 {
					r.Index = 0 // the kernel says lo for IPv6
				}
				return r == want
			})
		}
		send(t, c, func(b *Batch) { b.NewRoute(s) })
		if !found() {
			t.Errorf("%+v was added and is not there", s)
		}
		var b Batch
		b.NewRoute(s)
		if err := c.Send(&b); !errors.Is(err, unix.EEXIST) {
			t.Errorf("%+v was added twice: %v", s, err)
		}
		send(t, c, func(b *Batch) { b.DelRoute(s) })
		if found() {
			t.Errorf("%+v was deleted and is still there", s)
		}
		b.DelRoute(s)
		if err := c.Send(&b); !errors.Is(err, unix.ESRCH) {
			t.Errorf("%+v was deleted twice: %v", s, err)
		}
	}
}

func TestRulesComeAndGo(t *testing.T) {
	c, _ := newNet(t)
	for _, s := range []RuleSpec{
		{From: netip.MustParsePrefix("192.0.2.0/24"), Table: 100, Priority: 10},
		{To: netip.MustParsePrefix("2001:db8::/32"), IPv6: true, Table: 70000, Priority: 11},
		{In: "lo", Mark: 1, Mask: 3, Priority: 12},
		{Mask: 0xf0, Priority: 13},
	} {
		send(t, c, func(b *Batch) { b.NewRule(s) })
		var b Batch
		b.NewRule(s)
		if err := c.Send(&b); !errors.Is(err, unix.EEXIST) {
			t.Errorf("%+v was added twice: %v", s, err)
		}
		send(t, c, func(b *Batch) { b.DelRule(s) })
		b.DelRule(s)
		if err := c.Send(&b); !errors.Is(err, unix.ENOENT) {
			t.Errorf("%+v was deleted twice: %v", s, err)
		}
	}
}

func TestContradictoryRoutesAndRulesAreRefused(t *testing.T) {
	c, _ := newNet(t)
	v4, v6 := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")
	for _, fill := range []func(b *Batch){
		func(b *Batch) { b.NewRoute(RouteSpec{Index: lo}) },
		func(b *Batch) { b.NewRoute(RouteSpec{Dst: v4}) },
		func(b *Batch) { b.NewRoute(RouteSpec{Dst: v4, Gateway: v6.Addr(), Index: lo}) },
		func(b *Batch) { b.NewRoute(RouteSpec{Dst: v4, Type: unix.RTN_BLACKHOLE, Index: lo}) },
		func(b *Batch) { b.NewRule(RuleSpec{From: v4, IPv6: true}) },
		func(b *Batch) { b.NewRule(RuleSpec{To: v6}) },
	} {
		var b Batch
		fill(&b)
		var errno unix.Errno
		if err := c.Send(&b); err == nil || errors.As(err, &errno) {
			t.Errorf("got %v, want a refusal before the kernel is asked", err)
		}
	}
}
