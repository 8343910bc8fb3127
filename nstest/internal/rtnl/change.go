package rtnl

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// MoveSpec is where a device goes, and what it is there. It arrives down, and without addresses.
type MoveSpec struct {
	NetNS  *os.File // open until Send returns
	Name   string
	Index  int              // 0 = the kernel's choice
	Master int              // index of the bridge there that the device becomes a port of; 0 = none
	MAC    net.HardwareAddr // nil = as it was
}

// Move takes a device to another network namespace (for the index: Linux 5.13; older kernels choose). The other end of a veth loses its carrier
// and stays where it is. The kernel takes some 15 ms, and stops half-way at an error: the device may be in either
// namespace then.
//
// The namespace that it leaves has a number for the other one from then on, for as long as both live (NSIDs).
func (b *Batch) Move(index int, to MoveSpec) {
	if index <= 0 || to.Index < 0 || to.Name == "" || to.Master < 0 || !checkMAC(to.MAC) || to.NetNS == nil {
		b.refuse("move link %d: bad namespace, name, index or MAC in %+v", index, to)
		return
	}
	fd, err := b.hold(to.NetNS)
	if err != nil {
		b.refuse("move link %d: use network namespace: %w", index, err)
		return
	}
	const newIndex = 49 // IFLA_NEW_IFINDEX
	attrs := []*nl.RtAttr{
		nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(fd)),
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(to.Name)),
	}
	if to.Index > 0 {
		attrs = append(attrs, nl.NewRtAttr(newIndex, nl.Uint32Attr(uint32(to.Index))))
	}
	if len(to.MAC) > 0 {
		attrs = append(attrs, nl.NewRtAttr(unix.IFLA_ADDRESS, to.MAC))
	}
	if to.Master > 0 {
		attrs = append(attrs, nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(to.Master))))
	}
	b.link("move", index, 0, 0, attrs...)
}

// Learning says whether a port of a bridge makes the bridge note who is behind it. Frames to those who were not noted go
// to every port.
func (b *Batch) Learning(index int, on bool) {
	if index <= 0 {
		b.refuse("set learning of link %d: an interface index is positive", index)
		return
	}
	r := newRequest(unix.RTM_SETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_BRIDGE)
	msg.Index = int32(index)
	r.AddData(msg)
	value := byte(0)
	if on {
		value = 1
	}
	info := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	info.AddRtAttr(nl.IFLA_BRPORT_LEARNING, nl.Uint8Attr(value))
	r.AddData(info)
	b.add(r, "set learning of", "", index)
}

// DelAddr takes an address away.
func (b *Batch) DelAddr(index int, p netip.Prefix) {
	if index <= 0 || !p.IsValid() || p.Addr().Zone() != "" || p.Addr().Is4In6() {
		b.refuse("delete address %s of link %d: not a plain address on a link", p, index)
		return
	}
	r := newRequest(unix.RTM_DELADDR, 0)
	msg := nl.NewIfAddrmsg(family(p.Addr()))
	msg.Index, msg.Prefixlen = uint32(index), uint8(p.Bits())
	r.AddData(msg)
	r.AddData(nl.NewRtAttr(unix.IFA_LOCAL, p.Addr().AsSlice()))
	b.add(r, "delete address", p.String()+" of link "+strconv.Itoa(index), index)
}

// WaitCarrierLoss waits until the other end of a veth that was set down has seen it. It returns at once when the other end
// is administratively down.
func (c *Conn) WaitCarrierLoss(ctx context.Context, index int) error {
	err := poll(ctx, func() (bool, error) {
		there, err := c.Peer(index)
		return there.Flags&unix.IFF_UP == 0 || there.OperState != Up, err
	})
	if err != nil {
		return fmt.Errorf("wait for the other end of link %d to lose its carrier: %w", index, err)
	}
	return nil
}
