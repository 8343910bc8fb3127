package rtnl

import (
	"net"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// SpanSpec is how a bridge speaks the spanning tree protocol (IEEE 802.1D-1998).
type SpanSpec struct {
	// MAC is the bridge's address. Its neighbours know it by that: no two bridges of a segment may have the same.
	MAC net.HardwareAddr
	// ForwardDelay is how long a port listens, and then again how long it learns, before it forwards: 2 to 30 seconds.
	ForwardDelay time.Duration
	Hello        time.Duration // between two messages of the root: 1 to 10 seconds
	MaxAge       time.Duration // after which the root is believed lost: 6 to 40 seconds
}

// Span has a bridge speak the spanning tree protocol. The kernel does it itself, unless the bridge is in the machine's own
// network namespace and the machine has /sbin/bridge-stp.
func (b *Batch) Span(index int, spec SpanSpec) {
	if !checkMAC(spec.MAC) || len(spec.MAC) == 0 {
		b.refuse("set spanning tree of link %d: %q is not a unicast address", index, spec.MAC)
		return
	}
	const ticks = 100 // a second, whatever the kernel's HZ is (USER_HZ)
	clock := func(d time.Duration) []byte { return nl.Uint32Attr(uint32(d * ticks / time.Second)) }
	info := nl.NewRtAttr(unix.IFLA_LINKINFO|unix.NLA_F_NESTED, nil)
	info.AddRtAttr(unix.IFLA_INFO_KIND, nl.ZeroTerminated("bridge"))
	data := info.AddRtAttr(unix.IFLA_INFO_DATA|unix.NLA_F_NESTED, nil)
	data.AddRtAttr(nl.IFLA_BR_FORWARD_DELAY, clock(spec.ForwardDelay))
	data.AddRtAttr(nl.IFLA_BR_HELLO_TIME, clock(spec.Hello))
	data.AddRtAttr(nl.IFLA_BR_MAX_AGE, clock(spec.MaxAge))
	data.AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(1))
	b.link("set spanning tree of", index, 0, 0, nl.NewRtAttr(unix.IFLA_ADDRESS, spec.MAC), info)
}

// Master makes a link a port of a bridge; 0 takes it out of the one that it is a port of.
func (b *Batch) Master(index, bridge int) {
	b.link("set bridge of", index, 0, 0, nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(bridge))))
}

// A PortState is how far the spanning tree protocol lets a port of a bridge take part.
type PortState uint8

// The values of PortState.
const (
	Disabled PortState = iota // its link is not in operation
	Listening
	Learning
	Forwarding
	Blocking
)

// String is the name that bridge(8) shows.
func (s PortState) String() string {
	if int(s) < len(portStates) {
		return portStates[s]
	}
	return "unknown"
}

var portStates = [...]string{"disabled", "listening", "learning", "forwarding", "blocking"}

// PortState is the state of a link that is a port of a bridge, and whether it is one.
func (l Link) PortState() (PortState, bool) {
	info := attributes(l.Attributes[unix.IFLA_LINKINFO])
	state := attributes(info[unix.IFLA_INFO_SLAVE_DATA])[nl.IFLA_BRPORT_STATE]
	if text(info[unix.IFLA_INFO_SLAVE_KIND]) != "bridge" || len(state) == 0 {
		return 0, false
	}
	return PortState(state[0]), true
}
