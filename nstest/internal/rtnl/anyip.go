package rtnl

import (
	"net/netip"
	"strconv"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// AddAnyIP has a table take every address of a family for one of the namespace's own: a default route of type local. A rule
// has to lead to the table.
func (b *Batch) AddAnyIP(is4 bool, table uint32) {
	of := netip.IPv6Unspecified()
	if is4 {
		of = netip.IPv4Unspecified()
	}
	r := newRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	msg := nl.NewRtMsg()
	msg.Family, msg.Protocol, msg.Type, msg.Scope = uint8(family(of)), unix.RTPROT_STATIC, unix.RTN_LOCAL, unix.RT_SCOPE_HOST
	msg.Table = unix.RT_TABLE_UNSPEC // the attribute says it
	r.AddData(msg)
	r.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(loopbackIndex)))
	r.AddData(nl.NewRtAttr(unix.RTA_TABLE, nl.Uint32Attr(table)))
	b.add(r, "add local default route", "of table "+strconv.FormatUint(uint64(table), 10), loopbackIndex)
}

// loopbackIndex is lo in every namespace.
const loopbackIndex = 1
