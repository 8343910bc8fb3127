package rtnl

import (
	"net/netip"
	"strconv"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// AddAnyIP takes every address of a family that no other route leads to for one of the namespace's own: a default route of
// type local, of the given metric, in the main table.
func (b *Batch) AddAnyIP(is4 bool, metric int) {
	of := netip.IPv6Unspecified()
	if is4 {
		of = netip.IPv4Unspecified()
	}
	r := newRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	msg := nl.NewRtMsg()
	msg.Family, msg.Protocol, msg.Type, msg.Scope = uint8(family(of)), unix.RTPROT_STATIC, unix.RTN_LOCAL, unix.RT_SCOPE_HOST
	r.AddData(msg)
	r.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(loopbackIndex)))
	r.AddData(nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(uint32(metric))))
	b.add(r, "add local default route", "of metric "+strconv.Itoa(metric), loopbackIndex)
}

// loopbackIndex is lo in every namespace.
const loopbackIndex = 1
