package rtnl

import (
	"bytes"
	"net"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A Setting is an address or a route of a link, in the words in which the kernel tells it and takes it again.
type Setting struct {
	Kind    uint16 // RTM_NEWADDR or RTM_NEWROUTE
	Payload []byte
}

// Settings are what a link loses when it changes its namespace.
type Settings struct {
	Addrs  []Setting
	Routes []Setting // those that the kernel does not make itself of the addresses, nor of router advertisements
	// Default tells whether a default route goes out of the link, and Shared whether a route has it as one of several
	// ways, or by a nexthop object, and would not come back.
	Default, Shared bool
}

// Numbers of attributes and flags that package unix lacks.
const (
	attrNexthopID     = 30 // RTA_NH_ID
	attrPermanent     = 54 // IFLA_PERM_ADDRESS
	attrParentName    = 56 // IFLA_PARENT_DEV_NAME
	attrParentBus     = 57 // IFLA_PARENT_DEV_BUS_NAME
	flagRouteCloned   = 0x200
	sizeofRouteHop    = 8 // struct rtnexthop
	protoAdvertised   = unix.RTPROT_RA
	offsetAddrIndex   = 4
	offsetRouteTable  = 4
	offsetRouteProto  = 5
	offsetRouteType   = 7
	offsetRouteFlags  = 8
	offsetRouteLength = 1
)

// Settings lists the addresses and routes of a link.
func (c *Conn) Settings(index int) (s Settings, err error) {
	err = c.dump(unix.RTM_GETADDR, nl.NewIfAddrmsg(unix.AF_UNSPEC), func() { s.Addrs = nil }, func(m message) {
		if len(m.payload) >= unix.SizeofIfAddrmsg && int(native.Uint32(m.payload[offsetAddrIndex:])) == index {
			s.Addrs = append(s.Addrs, Setting{unix.RTM_NEWADDR, bytes.Clone(m.payload)})
		}
	})
	if err != nil {
		return s, err
	}
	addrs := s.Addrs
	err = c.dump(unix.RTM_GETROUTE, &nl.RtMsg{}, func() { s = Settings{Addrs: addrs} }, func(m message) { s.note(m, index) })
	return s, err
}

// note takes a route into account.
func (s *Settings) note(m message, index int) {
	if len(m.payload) < unix.SizeofRtMsg || native.Uint32(m.payload[offsetRouteFlags:])&flagRouteCloned != 0 {
		return
	}
	a := attributes(m.payload[unix.SizeofRtMsg:])
	mine, several := int(u32(a[unix.RTA_OIF])) == index, a[attrNexthopID] != nil
	for hops := a[unix.RTA_MULTIPATH]; len(hops) >= sizeofRouteHop; {
		mine, several = mine || int(native.Uint32(hops[4:])) == index, true
		size := max(int(native.Uint16(hops)), sizeofRouteHop)
		hops = hops[min((size+3)&^3, len(hops)):]
	}
	if !mine || m.payload[offsetRouteTable] == unix.RT_TABLE_LOCAL || m.payload[offsetRouteType] != unix.RTN_UNICAST {
		return
	}
	s.Default = s.Default || m.payload[offsetRouteLength] == 0
	if proto := m.payload[offsetRouteProto]; proto == unix.RTPROT_KERNEL || proto == protoAdvertised {
		return
	}
	s.Shared = s.Shared || several
	s.Routes = append(s.Routes, Setting{unix.RTM_NEWROUTE, bytes.Clone(m.payload)})
}

// Setting gives a link an address or a route that it, or another in its place, had before. One that is there stays.
func (b *Batch) Setting(s Setting, index int) {
	size := unix.SizeofIfAddrmsg
	if s.Kind == unix.RTM_NEWROUTE {
		size = unix.SizeofRtMsg
	}
	if s.Kind != unix.RTM_NEWADDR && s.Kind != unix.RTM_NEWROUTE || len(s.Payload) < size || index <= 0 {
		b.refuse("set address or route of link %d: message of kind %d with %d bytes", index, s.Kind, len(s.Payload))
		return
	}
	r := newRequest(s.Kind, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	fixed := bytes.Clone(s.Payload[:size])
	what := "address"
	keep := []uint16{unix.IFA_ADDRESS, unix.IFA_LOCAL, unix.IFA_LABEL, unix.IFA_BROADCAST, unix.IFA_CACHEINFO, unix.IFA_FLAGS, unix.IFA_RT_PRIORITY}
	if s.Kind == unix.RTM_NEWADDR {
		native.PutUint32(fixed[offsetAddrIndex:], uint32(index))
	} else {
		what = "route"
		native.PutUint32(fixed[offsetRouteFlags:], native.Uint32(fixed[offsetRouteFlags:])&unix.RTNH_F_ONLINK)
		keep = []uint16{unix.RTA_DST, unix.RTA_SRC, unix.RTA_GATEWAY, unix.RTA_PRIORITY, unix.RTA_PREFSRC, unix.RTA_METRICS, unix.RTA_TABLE, unix.RTA_VIA, unix.RTA_PREF}
	}
	r.AddData(header(fixed))
	eachAttribute(s.Payload[size:], func(kind uint16, value []byte) {
		if slices.Contains(keep, kind) {
			r.AddData(nl.NewRtAttr(int(kind), bytes.Clone(value)))
		}
	})
	if s.Kind == unix.RTM_NEWROUTE {
		r.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(index))))
	}
	b.add(r, "set "+what+" of link", strconv.Itoa(index), index)
}

// Rename names a link that is down.
func (b *Batch) Rename(index int, name string) {
	if name == "" {
		b.refuse("rename link %d: no name", index)
		return
	}
	b.link("rename", index, 0, 0, nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
}

// Address sets a link's hardware address.
func (b *Batch) Address(index int, mac net.HardwareAddr) {
	if !checkMAC(mac) || len(mac) == 0 {
		b.refuse("set address of link %d: %s", index, mac)
		return
	}
	b.link("set address of", index, 0, 0, nl.NewRtAttr(unix.IFLA_ADDRESS, mac))
}

// Hardware names the piece of hardware behind a link, "pci/0000:00:03.0"; "" for a virtual one (Linux 5.14).
func (l Link) Hardware() string {
	if l.Attributes[attrParentName] == nil {
		return ""
	}
	return text(l.Attributes[attrParentBus]) + "/" + text(l.Attributes[attrParentName])
}

// Permanent is the address that the hardware was made with, or nil (Linux 5.6).
func (l Link) Permanent() net.HardwareAddr { return l.Attributes[attrPermanent] }

// Lower is the index of the link that this one is above, or of a veth's other end, and the number of its namespace, -1 for
// the same.
func (l Link) Lower() (index, nsid int) {
	nsid = -1
	if id := l.Attributes[unix.IFLA_LINK_NETNSID]; id != nil {
		nsid = int(int32(u32(id)))
	}
	return int(u32(l.Attributes[unix.IFLA_LINK])), nsid
}
