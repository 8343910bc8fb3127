package keeper

import (
	"errors"
	"hash/fnv"
	"net"
	"net/netip"
	"slices"

	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// An overlay is what carries the frames of a network that has no switch: devices of the hosts, above their links to another
// network.
type overlay struct {
	kind string // "vxlan" or "macvlan"
	over *network
	vni  int // of a VXLAN
}

const (
	defaultMTU = 1500
	leastMTU   = 1280 // of IPv6 (RFC 8200 section 5)
	maxVNI     = 1<<24 - 1
)

// checkOverlay refuses what cannot be carried by another network.
func checkOverlay(p wire.NetworkParams, others []*network) error {
	if p.Medium == "" {
		if p.Over != "" || p.VNI != 0 {
			return refuse(unix.EINVAL, "network %q: Over and VNI are for a network whose Medium is VXLAN or Macvlan", p.Name)
		}
		return nil
	}
	at := slices.IndexFunc(others, func(o *network) bool { return o.name == p.Over })
	switch {
	case p.Medium != "vxlan" && p.Medium != "macvlan":
		return refuse(unix.EINVAL, "network %q: there is no medium %q", p.Name, p.Medium)
	case p.PointToPoint || p.Hub || p.STP || len(p.Trunks) > 0:
		return refuse(unix.EINVAL, "network %q: PointToPoint, Hub, STP and Trunks are for switches, and a network whose Medium is %s has none", p.Name, p.Medium)
	case p.Over == "":
		return refuse(unix.EINVAL, "network %q: say in Over which network carries it", p.Name)
	case at < 0:
		return refuse(unix.ENOENT, "network %q: there is no network %q to carry it: make that first", p.Name, p.Over)
	case others[at].overlay != nil:
		return refuse(unix.EINVAL, "network %q cannot be carried by network %q, which is carried itself by network %q", p.Name, p.Over, others[at].overlay.over.name)
	case p.VNI != 0 && p.Medium != "vxlan":
		return refuse(unix.EINVAL, "network %q: a VNI is for a network whose Medium is VXLAN", p.Name)
	case p.VNI < 0 || p.VNI > maxVNI:
		return refuse(unix.EINVAL, "network %q: the VNI %d is not between 1 and %d", p.Name, p.VNI, maxVNI)
	}
	for _, o := range others {
		if p.VNI != 0 && o.overlay != nil && o.overlay.vni == p.VNI {
			return refuse(unix.EADDRINUSE, "network %q: the VNI %d is that of network %q", p.Name, p.VNI, o.name)
		}
	}
	most := (&overlay{kind: p.Medium, over: others[at]}).mtu(0)
	switch {
	case most < leastMTU:
		return refuse(unix.EINVAL, "network %q: the MTU of network %q leaves %d bytes for it, and %d are the least", p.Name, p.Over, most, leastMTU)
	case p.MTU > most:
		return refuse(unix.EINVAL, "network %q: its MTU of %d is more than the %d bytes that network %q leaves for it", p.Name, p.MTU, most, p.Over)
	}
	return nil
}

func newOverlay(p wire.NetworkParams, others []*network) *overlay {
	o := &overlay{kind: p.Medium, over: others[slices.IndexFunc(others, func(o *network) bool { return o.name == p.Over })], vni: p.VNI}
	if o.kind == "vxlan" && o.vni == 0 {
		o.vni = 1
		for slices.ContainsFunc(others, func(other *network) bool { return other.overlay != nil && other.overlay.vni == o.vni }) {
			o.vni++
		}
	}
	return o
}

// is4 tells whether the packets of a VXLAN are IPv4.
func (o *overlay) is4() bool {
	return slices.ContainsFunc(o.over.prefixes, func(p netip.Prefix) bool { return p.Addr().Is4() })
}

// mtu is the one that was wanted, or else the largest: what the network below leaves.
func (o *overlay) mtu(wanted int) int {
	if wanted != 0 {
		return wanted
	}
	mtu := o.over.mtu
	if mtu == 0 {
		mtu = defaultMTU
	}
	switch {
	case o.kind != "vxlan":
		return mtu
	case o.is4():
		return mtu - 50 // 14 of the frame inside, and the headers of VXLAN (8), UDP (8) and IPv4 (20)
	default:
		return mtu - 70
	}
}

// group is where frames go whose receiver is not known yet: a multicast address of its own for each VNI. The switch below
// floods it, so that it reaches those who were added later and whose addresses were changed.
func (o *overlay) group() netip.Addr {
	vni := [3]byte{byte(o.vni >> 16), byte(o.vni >> 8), byte(o.vni)}
	if o.is4() {
		return netip.AddrFrom4([4]byte{239, vni[0], vni[1], vni[2]}) // RFC 2365: for local use
	}
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x15, 13: vni[0], 14: vni[1], 15: vni[2]}) // RFC 4291: transient, of the site
}

// below is the cable over which a cable to n goes.
func (n *network) below(hostname string, cables []*cable) (*cable, error) {
	for _, c := range cables {
		if c.network == n.overlay.over {
			return c, nil
		}
	}
	return nil, refuse(unix.ENETUNREACH, "host %q cannot be on network %q before it is on network %q, which carries it", hostname, n.name, n.overlay.over.name)
}

// macFor is the address of a cable to the network. That of an overlay is of another range than that of the cable below, where
// both are seen; it is the same again for a host that is removed and comes back, since others remember it.
func (n *network) macFor(e *environment, addrs []netip.Prefix) net.HardwareAddr {
	if n.overlay == nil || len(addrs) == 0 {
		return e.macFor(addrs)
	}
	hash := fnv.New32a()
	_, _ = hash.Write(addrs[0].Addr().AsSlice()) // networks of IPv6 alone number their hosts alike
	return hash.Sum([]byte{0x02, 0x43})
}

// lay makes the device of a cable that goes over another one of the host.
func (c *cable) lay(h *host, cables []*cable) error {
	lower, err := c.network.below(h.name, cables)
	if err != nil {
		return err
	}
	var msgs rtnl.Batch
	if o := c.network.overlay; o.kind == "macvlan" {
		msgs.Macvlan(rtnl.MacvlanSpec{Name: c.name(), Index: c.index, MTU: c.network.mtu, MAC: c.mac, Lower: lower.index})
	} else {
		msgs.VXLAN(rtnl.VXLANSpec{Name: c.name(), Index: c.index, MTU: c.network.mtu, MAC: c.mac, VNI: o.vni, Group: o.group(), Lower: lower.index})
	}
	return c.lacking(h.route.Send(&msgs))
}

// lacking explains the kernel's error for a kind of device that it does not have.
func (c *cable) lacking(err error) error {
	if !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	kind, option := c.network.overlay.kind, "CONFIG_VXLAN"
	if kind == "macvlan" {
		option = "CONFIG_MACVLAN"
	}
	return &wire.Error{
		Step: "make " + kind + " device", Errno: uint32(unix.EOPNOTSUPP),
		Message: "this kernel has no " + kind + " devices (" + option + ")",
		Remedy:  "as root: modprobe " + kind + ",\nor use a kernel with " + option,
	}
}
