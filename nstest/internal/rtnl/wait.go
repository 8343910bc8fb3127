package rtnl

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// OperState is the operational state of a link (RFC 2863).
type OperState uint8

// Up is the state of a link that carries packets.
const Up OperState = 6

// String is the name that ip(8) shows, in lower case.
func (s OperState) String() string {
	names := [...]string{"unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"}
	if int(s) < len(names) {
		return names[s]
	}
	return "state " + strconv.Itoa(int(s))
}

// WaitUp waits until the links are in operation; a frame that is sent before is lost, and its sender tries again a second
// later. Asking for the state makes the kernel settle it (see Link), so that the first answer is usually the last.
func (c *Conn) WaitUp(ctx context.Context, indices ...int) error {
	for _, index := range indices {
		var state OperState
		err := poll(ctx, func() (bool, error) {
			s, err := c.operState(index)
			state = s
			return s == Up, err
		})
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("wait for link %d to come up: it is %s: %w", index, state, err)
		}
		if err != nil {
			return fmt.Errorf("wait for link %d to come up: %w", index, err)
		}
	}
	return nil
}

// WaitVeth waits until both ends of a veth are in operation; one end's readiness says nothing of the other's after the cable
// was interrupted. It returns at once when either end is administratively down.
func (c *Conn) WaitVeth(ctx context.Context, index int) error {
	err := poll(ctx, func() (bool, error) {
		here, err := c.Link(index)
		if err != nil {
			return false, err
		}
		there, err := c.Peer(index)
		return here.Flags&there.Flags&unix.IFF_UP == 0 || here.OperState == Up && there.OperState == Up, err
	})
	if err != nil {
		return fmt.Errorf("wait for both ends of link %d to come up: %w", index, err)
	}
	return nil
}

func (c *Conn) operState(index int) (OperState, error) {
	const skipStats = 1 << 3 // RTEXT_FILTER_SKIP_STATS
	req := newRequest(unix.RTM_GETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStats)))
	var state OperState
	err := c.query(request{req, "look up", "", index}, func(m message) {
		if len(m.payload) < unix.SizeofIfInfomsg {
			return
		}
		eachAttribute(m.payload[unix.SizeofIfInfomsg:], func(kind uint16, value []byte) {
			if kind == unix.IFLA_OPERSTATE && len(value) > 0 {
				state = OperState(value[0])
			}
		})
	})
	return state, err
}

// WaitMulticast waits until a link has joined an IPv6 multicast group. The kernel joins an address's solicited-node group
// some 0.5 ms after the address was added; until then nobody can find out its MAC.
func (c *Conn) WaitMulticast(ctx context.Context, index int, group netip.Addr) error {
	if !group.Is6() || !group.IsMulticast() {
		return fmt.Errorf("wait for multicast group %s on link %d: not an IPv6 multicast address", group, index)
	}
	want := group.As16()
	err := poll(ctx, func() (joined bool, err error) {
		err = c.dump(unix.RTM_GETMULTICAST, nl.NewIfAddrmsg(unix.AF_INET6), func() {}, func(m message) {
			if len(m.payload) < unix.SizeofIfAddrmsg || int(native.Uint32(m.payload[4:])) != index {
				return
			}
			eachAttribute(m.payload[unix.SizeofIfAddrmsg:], func(kind uint16, value []byte) {
				joined = joined || kind == unix.IFA_MULTICAST && string(value) == string(want[:])
			})
		})
		return joined, err
	})
	if err != nil {
		return fmt.Errorf("wait for multicast group %s on link %d: %w", group, index, err)
	}
	return nil
}

// WaitAddr waits until packets to an address of this namespace are taken in. An IPv4 address is ready once it was added. The
// kernel makes an IPv6 address ready in the background: it joins the solicited-node group, as WaitMulticast sees, and only
// then adds the local route, without which an answer to the host's own neighbour solicitation is lost, and tried again a
// second later.
func (c *Conn) WaitAddr(ctx context.Context, addr netip.Addr) error {
	if !addr.IsValid() || addr.Zone() != "" {
		return fmt.Errorf("wait for address %s: not a plain address", addr)
	}
	err := poll(ctx, func() (local bool, err error) {
		req := newRequest(unix.RTM_GETROUTE, 0)
		msg := &nl.RtMsg{RtMsg: unix.RtMsg{Family: uint8(family(addr)), Dst_len: uint8(addr.BitLen())}}
		req.AddData(msg)
		req.AddData(nl.NewRtAttr(unix.RTA_DST, addr.AsSlice()))
		err = c.query(request{req, "look up route to", addr.String(), 0}, func(m message) {
			local = len(m.payload) >= unix.SizeofRtMsg && m.payload[7] == unix.RTN_LOCAL
		})
		if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
			err = nil
		}
		return local, err
	})
	if err != nil {
		return fmt.Errorf("wait for address %s: %w", addr, err)
	}
	return nil
}

// SolicitedNode is the multicast group in which the owner of an IPv6 address listens for neighbour solicitations
// (RFC 4291 section 2.7.1). It panics when a is not IPv6.
func SolicitedNode(a netip.Addr) netip.Addr {
	if !a.Is6() {
		panic("rtnl: SolicitedNode of " + a.String() + ", which is not IPv6")
	}
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// poll calls f until it returns true or an error, or ctx ends: at once, then every 50 µs, and less often after 2 ms.
// It sleeps in the kernel, since time.Sleep takes a millisecond at least, and punctually, whatever timer slack the process has.
func poll(ctx context.Context, f func() (bool, error)) error {
	pause := 50 * time.Microsecond
	for begin := time.Now(); ; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if ok, err := f(); ok || err != nil {
			return err
		}
		if time.Since(begin) > 2*time.Millisecond {
			pause = min(2*pause, 5*time.Millisecond)
		}
		if err := nap(pause); err != nil {
			return fmt.Errorf("sleep: %w", err)
		}
	}
}

// nap sleeps for d, or until a signal comes.
func nap(d time.Duration) error {
	runtime.LockOSThread() // the slack is the thread's
	defer runtime.UnlockOSThread()
	const shortest, initial = 1, 0
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, shortest, 0, 0, 0); err != nil {
		return err
	}
	ts := unix.NsecToTimespec(int64(d))
	err := unix.Nanosleep(&ts, nil)
	if errors.Is(err, unix.EINTR) {
		err = nil
	}
	return errors.Join(err, unix.Prctl(unix.PR_SET_TIMERSLACK, initial, 0, 0, 0))
}
