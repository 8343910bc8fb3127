package rtnl

import (
	"net"
	"os"
	"strconv"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// BridgeSpec describes a bridge. It is made without spanning tree, multicast snooping and forward delay, so that it
// forwards every frame from the moment that a port is up.
type BridgeSpec struct {
	Name  string
	Index int // 0 = the kernel's choice
	// MAC is the bridge's address. Without one of its own, a bridge takes over its ports', and ends with zeros when the
	// last of them has gone.
	MAC net.HardwareAddr
}

// Bridge creates a bridge, which is down.
func (b *Batch) Bridge(spec BridgeSpec) {
	if spec.Name == "" || spec.Index < 0 || !checkMAC(spec.MAC) {
		b.refuse("create bridge %q: index %d, MAC %s: not a name, an index and a unicast address", spec.Name, spec.Index, spec.MAC)
		return
	}
	r := newRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(spec.Index)
	r.AddData(msg)
	r.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(spec.Name)))
	if len(spec.MAC) > 0 {
		r.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, spec.MAC))
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO|unix.NLA_F_NESTED, nil)
	info.AddRtAttr(unix.IFLA_INFO_KIND, nl.ZeroTerminated("bridge"))
	data := info.AddRtAttr(unix.IFLA_INFO_DATA|unix.NLA_F_NESTED, nil)
	data.AddRtAttr(nl.IFLA_BR_FORWARD_DELAY, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_MCAST_SNOOPING, nl.Uint8Attr(0))
	r.AddData(info)
	b.add(r, "create bridge", spec.Name, spec.Index)
}

// VethSpec describes a pair of virtual Ethernet devices with one queue in each direction.
type VethSpec struct {
	Name   string
	Index  int // 0 = the kernel's choice
	Master int // index of the bridge that the device becomes a port of; 0 = none
	MTU    int // in bytes, of both ends; 0 = 1500
	MAC    net.HardwareAddr
	Up     bool // the device; the peer cannot be created up (ENOTCONN)
	Peer   VethPeer
}

// VethPeer is the other end of a veth, which is down.
type VethPeer struct {
	Name  string
	Index int // 0 = the kernel's choice
	MAC   net.HardwareAddr
	// NetNS is where the peer is made: directly, since moving it later takes 14 ms. nil = the socket's own namespace.
	// It has to stay open until Send returns.
	NetNS *os.File
}

// Veth creates a pair of devices.
func (b *Batch) Veth(spec VethSpec) {
	if spec.Name == "" || spec.Peer.Name == "" || spec.Index < 0 || spec.Peer.Index < 0 || spec.Master < 0 || spec.MTU < 0 ||
		!checkMAC(spec.MAC) || !checkMAC(spec.Peer.MAC) {
		b.refuse("create veth %q: bad name, index, MTU or MAC in %+v", spec.Name, spec)
		return
	}
	r := newRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(spec.Index)
	if spec.Up {
		msg.Flags, msg.Change = unix.IFF_UP, unix.IFF_UP
	}
	r.AddData(msg)
	endAttributes(func(kind int, data []byte) { r.AddData(nl.NewRtAttr(kind, data)) }, spec.Name, spec.MTU, spec.MAC)
	if spec.Master > 0 {
		r.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(spec.Master))))
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO|unix.NLA_F_NESTED, nil)
	info.AddRtAttr(unix.IFLA_INFO_KIND, nl.ZeroTerminated("veth"))
	data := info.AddRtAttr(unix.IFLA_INFO_DATA|unix.NLA_F_NESTED, nil)
	peerMsg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	peerMsg.Index = int32(spec.Peer.Index)
	peer := data.AddRtAttr(nl.VETH_INFO_PEER|unix.NLA_F_NESTED, peerMsg.Serialize())
	endAttributes(func(kind int, data []byte) { peer.AddRtAttr(kind, data) }, spec.Peer.Name, spec.MTU, spec.Peer.MAC)
	if ns := spec.Peer.NetNS; ns != nil {
		fd, err := b.hold(ns)
		if err != nil {
			b.refuse("create veth %s: use network namespace of the peer: %w", spec.Name, err)
			return
		}
		peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(fd))
	}
	r.AddData(info)
	b.add(r, "create veth", spec.Name+" with peer "+spec.Peer.Name, spec.Index)
}

// NSID gives a network namespace a number, at least 0, by which the socket's own knows it. The kernel numbers others as
// they come up in its answers; one of them may be the socket's own. The file has to stay open until Send returns.
func (b *Batch) NSID(ns *os.File, id int) {
	const attrNSID, attrFD = 1, 3 // NETNSA_NSID, NETNSA_FD
	fd, err := b.hold(ns)
	if err == nil && id < 0 {
		err = unix.EINVAL
	}
	if err != nil {
		b.refuse("number network namespace %d: %w", id, err)
		return
	}
	r := newRequest(unix.RTM_NEWNSID, 0)
	r.AddData(header{unix.AF_UNSPEC, 3: 0})
	r.AddData(nl.NewRtAttr(attrNSID, nl.Uint32Attr(uint32(id))))
	r.AddData(nl.NewRtAttr(attrFD, nl.Uint32Attr(fd)))
	b.add(r, "number network namespace", strconv.Itoa(id), 0)
}

// hold returns the number of f, which stays valid until Send.
func (b *Batch) hold(f *os.File) (fd uint32, err error) {
	conn, err := f.SyscallConn()
	if err == nil {
		err = conn.Control(func(n uintptr) { fd = uint32(n) })
	}
	b.files = append(b.files, f)
	return fd, err
}

func endAttributes(add func(int, []byte), name string, mtu int, mac net.HardwareAddr) {
	add(unix.IFLA_IFNAME, nl.ZeroTerminated(name))
	add(unix.IFLA_NUM_TX_QUEUES, nl.Uint32Attr(1))
	add(unix.IFLA_NUM_RX_QUEUES, nl.Uint32Attr(1))
	if mtu > 0 {
		add(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu)))
	}
	if len(mac) > 0 {
		add(unix.IFLA_ADDRESS, mac)
	}
}
