package rtnl

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// VXLANSpec describes a device that sends frames as UDP packets (RFC 7348).
type VXLANSpec struct {
	Name  string
	Index int
	MTU   int
	MAC   net.HardwareAddr
	VNI   int        // 1 to 16777215
	Group netip.Addr // of multicast, by which the devices of a VNI find each other
	Lower int        // index of the link over which the packets go
}

// VXLANPort is the UDP port of RFC 7348.
const VXLANPort = 4789

// VXLAN creates a VXLAN device, which is down.
func (b *Batch) VXLAN(spec VXLANSpec) {
	if spec.Name == "" || spec.Index <= 0 || spec.Lower <= 0 || spec.VNI < 1 || spec.VNI >= 1<<24 || !spec.Group.IsMulticast() || !checkMAC(spec.MAC) {
		b.refuse("create vxlan %q: bad name, index, VNI, group or MAC in %+v", spec.Name, spec)
		return
	}
	data := nl.NewRtAttr(unix.IFLA_INFO_DATA|unix.NLA_F_NESTED, nil)
	data.AddRtAttr(nl.IFLA_VXLAN_ID, nl.Uint32Attr(uint32(spec.VNI)))
	group := nl.IFLA_VXLAN_GROUP
	if spec.Group.Is6() {
		group = nl.IFLA_VXLAN_GROUP6
	}
	data.AddRtAttr(group, spec.Group.AsSlice())
	data.AddRtAttr(nl.IFLA_VXLAN_LINK, nl.Uint32Attr(uint32(spec.Lower)))
	data.AddRtAttr(nl.IFLA_VXLAN_PORT, binary.BigEndian.AppendUint16(nil, VXLANPort))
	data.AddRtAttr(nl.IFLA_VXLAN_LEARNING, nl.Uint8Attr(1))
	b.upper("vxlan", spec.Name, spec.Index, spec.MTU, spec.MAC, nil, data)
}

// MacvlanSpec describes a device with an address of its own on the cable of another.
type MacvlanSpec struct {
	Name  string
	Index int
	MTU   int
	MAC   net.HardwareAddr
	Lower int // index of the other
}

// Macvlan creates a macvlan device in bridge mode, which is down.
func (b *Batch) Macvlan(spec MacvlanSpec) {
	if spec.Name == "" || spec.Index <= 0 || spec.Lower <= 0 || !checkMAC(spec.MAC) {
		b.refuse("create macvlan %q: bad name, index or MAC in %+v", spec.Name, spec)
		return
	}
	data := nl.NewRtAttr(unix.IFLA_INFO_DATA|unix.NLA_F_NESTED, nil)
	data.AddRtAttr(nl.IFLA_MACVLAN_MODE, nl.Uint32Attr(nl.MACVLAN_MODE_BRIDGE))
	b.upper("macvlan", spec.Name, spec.Index, spec.MTU, spec.MAC, nl.NewRtAttr(unix.IFLA_LINK, nl.Uint32Attr(uint32(spec.Lower))), data)
}

// upper creates a device above another one.
func (b *Batch) upper(kind, name string, index, mtu int, mac net.HardwareAddr, lower, data *nl.RtAttr) {
	r := newRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	r.AddData(msg)
	r.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	if mtu > 0 {
		r.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
	}
	if len(mac) > 0 {
		r.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, mac))
	}
	if lower != nil {
		r.AddData(lower)
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO|unix.NLA_F_NESTED, nil)
	info.AddRtAttr(unix.IFLA_INFO_KIND, nl.ZeroTerminated(kind))
	info.AddChild(data)
	r.AddData(info)
	b.add(r, "create "+kind, name, index)
}
