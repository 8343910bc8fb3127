package rtnl

import (
	"net/netip"
	"strconv"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// RouteSpec describes a route.
type RouteSpec struct {
	Dst     netip.Prefix // the zero value is the default route of Gateway's family
	Gateway netip.Addr   // the zero value means that Dst is reached directly, or not at all
	Index   int          // of the device; 0 for a Type that needs none
	Type    uint8        // RTN_*; 0 is RTN_UNICAST. RTN_LOCAL takes Dst for addresses of the namespace's own
	Table   uint32       // 0 is RT_TABLE_MAIN
	Metric  uint32       // 0 is the kernel's default
}

// NewRoute adds a route. One with the same destination, metric and table is an EEXIST.
func (b *Batch) NewRoute(s RouteSpec) {
	b.route(s, unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, "add route")
}

// DelRoute deletes a route that has all that the spec says; ESRCH if there is none.
func (b *Batch) DelRoute(s RouteSpec) { b.route(s, unix.RTM_DELROUTE, 0, "delete route") }

func (b *Batch) route(s RouteSpec, kind, flags uint16, verb string) {
	if s.Type == 0 {
		s.Type = unix.RTN_UNICAST
	}
	if s.Table == 0 {
		s.Table = unix.RT_TABLE_MAIN
	}
	unicast, local := s.Type == unix.RTN_UNICAST, s.Type == unix.RTN_LOCAL
	if (unicast || local) != (s.Index > 0) || local && s.Gateway.IsValid() || !s.Dst.IsValid() && !s.Gateway.IsValid() || s.Gateway.Zone() != "" ||
		s.Dst.IsValid() && s.Gateway.IsValid() && s.Dst.Addr().Is4() != s.Gateway.Is4() {
		b.refuse("%s to %s through %s on link %d: contradictory", verb, s.Dst, s.Gateway, s.Index)
		return
	}
	of := s.Gateway
	if s.Dst.IsValid() {
		of = s.Dst.Addr()
	}
	r := newRequest(kind, flags)
	msg := nl.NewRtMsg()
	msg.Family, msg.Protocol, msg.Type = uint8(family(of)), unix.RTPROT_STATIC, s.Type
	msg.Table = unix.RT_TABLE_UNSPEC // the attribute says it
	switch {
	case kind == unix.RTM_DELROUTE:
		msg.Scope = unix.RT_SCOPE_NOWHERE // any
	case unicast && !s.Gateway.IsValid() && of.Is4():
		msg.Scope = unix.RT_SCOPE_LINK
	case local:
		msg.Scope = unix.RT_SCOPE_HOST
	}
	name := "default"
	if s.Dst.IsValid() && s.Dst.Bits() > 0 {
		name, msg.Dst_len = s.Dst.String(), uint8(s.Dst.Bits())
	}
	r.AddData(msg)
	if msg.Dst_len > 0 {
		r.AddData(nl.NewRtAttr(unix.RTA_DST, s.Dst.Masked().Addr().AsSlice()))
	}
	if s.Gateway.IsValid() {
		r.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, s.Gateway.AsSlice()))
		name += " through " + s.Gateway.String()
	}
	if s.Index > 0 {
		r.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(s.Index))))
	}
	r.AddData(nl.NewRtAttr(unix.RTA_TABLE, nl.Uint32Attr(s.Table)))
	if s.Metric > 0 {
		r.AddData(nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(s.Metric)))
	}
	b.add(r, verb, name, s.Index)
}

// RuleSpec describes a policy rule that chooses a table of routes.
type RuleSpec struct {
	From, To   netip.Prefix // the zero value is anybody
	In         string       // the device that the packet came by; "" is any, and none
	Mark, Mask uint32       // of the packet; both 0 is any
	IPv6       bool
	Table      uint32 // 0 is RT_TABLE_MAIN
	Priority   uint32 // 0 is the kernel's choice
}

// NewRule adds a rule. The same with the same priority once more is an EEXIST (Linux 4.12).
func (b *Batch) NewRule(s RuleSpec) {
	b.rule(s, unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, "add rule")
}

// DelRule deletes a rule that has all that the spec says; ENOENT if there is none.
func (b *Batch) DelRule(s RuleSpec) { b.rule(s, unix.RTM_DELRULE, 0, "delete rule") }

func (b *Batch) rule(s RuleSpec, kind, flags uint16, verb string) {
	if s.Table == 0 {
		s.Table = unix.RT_TABLE_MAIN
	}
	r := newRequest(kind, flags)
	h := header{unix.AF_INET, 0, 0, 0, unix.RT_TABLE_UNSPEC, 0, 0, unix.FR_ACT_TO_TBL, 11: 0} // struct fib_rule_hdr
	if s.IPv6 {
		h[0] = unix.AF_INET6
	}
	attrs := []*nl.RtAttr{nl.NewRtAttr(unix.FRA_TABLE, nl.Uint32Attr(s.Table))}
	for i, end := range []struct {
		prefix netip.Prefix
		kind   int
	}{{s.To, unix.FRA_DST}, {s.From, unix.FRA_SRC}} {
		if !end.prefix.IsValid() {
			continue
		}
		if end.prefix.Addr().Is6() != s.IPv6 {
			b.refuse("%s: %s is of the other family", verb, end.prefix)
			return
		}
		h[1+i] = byte(end.prefix.Bits())
		if end.prefix.Bits() > 0 {
			attrs = append(attrs, nl.NewRtAttr(end.kind, end.prefix.Masked().Addr().AsSlice()))
		}
	}
	if s.In != "" {
		attrs = append(attrs, nl.NewRtAttr(unix.FRA_IIFNAME, nl.ZeroTerminated(s.In)))
	}
	if s.Mark != 0 || s.Mask != 0 {
		attrs = append(attrs, nl.NewRtAttr(unix.FRA_FWMARK, nl.Uint32Attr(s.Mark)))
	}
	if s.Mask != 0 {
		attrs = append(attrs, nl.NewRtAttr(unix.FRA_FWMASK, nl.Uint32Attr(s.Mask)))
	}
	if s.Priority != 0 {
		attrs = append(attrs, nl.NewRtAttr(unix.FRA_PRIORITY, nl.Uint32Attr(s.Priority)))
	}
	r.AddData(h)
	for _, a := range attrs {
		r.AddData(a)
	}
	b.add(r, verb, "of table "+strconv.FormatUint(uint64(s.Table), 10), 0)
}
