package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

var native = binary.NativeEndian

// Batch collects messages for Conn.Send. The zero value is empty. A message with bad input is remembered, and Send
// refuses the whole batch because of it. Send empties the batch, so that it can be used again.
type Batch struct {
	requests []request
	files    []*os.File // kept open until the kernel has seen their numbers
	err      error
}

type request struct {
	*nl.NetlinkRequest
	verb, name string // "create veth", "p3"; what happened to what, for the error
	index      int    // names the object when name is empty
}

func (r request) what() string {
	if r.name != "" {
		return r.verb + " " + r.name
	}
	return r.verb + " link " + strconv.Itoa(r.index)
}

// Len is the number of messages.
func (b *Batch) Len() int { return len(b.requests) }

func (b *Batch) refuse(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

// newRequest makes a message of its own: nl.NewNetlinkRequest counts in a variable that all sockets share.
func newRequest(kind uint16, flags uint16) *nl.NetlinkRequest {
	return &nl.NetlinkRequest{NlMsghdr: unix.NlMsghdr{Type: kind, Flags: unix.NLM_F_REQUEST | flags}}
}

func (b *Batch) add(r *nl.NetlinkRequest, verb, name string, index int) {
	b.requests = append(b.requests, request{r, verb, name, index})
}

func (b *Batch) link(verb string, index int, flags, change uint32, attrs ...*nl.RtAttr) {
	if index <= 0 {
		b.refuse("%s link %d: an interface index is positive", verb, index)
		return
	}
	r := newRequest(unix.RTM_NEWLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index, msg.Flags, msg.Change = int32(index), flags, change
	r.AddData(msg)
	for _, a := range attrs {
		r.AddData(a)
	}
	b.add(r, verb, "", index)
}

// LinkUp sets the administrative state of a link to up.
func (b *Batch) LinkUp(index int) { b.link("set up", index, unix.IFF_UP, unix.IFF_UP) }

// LinkDown sets the administrative state of a link to down. The other end of a veth loses its carrier.
func (b *Batch) LinkDown(index int) { b.link("set down", index, 0, unix.IFF_UP) }

// MTU sets a link's largest packet, in bytes.
func (b *Batch) MTU(index, n int) {
	if n <= 0 {
		b.refuse("set MTU of link %d: %d bytes", index, n)
		return
	}
	b.link("set MTU of", index, 0, 0, nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(n))))
}

// AddrGenNone keeps IPv6 from giving a link an address of its own when it goes up. The kernel does not take it in the
// message that creates the link (EAFNOSUPPORT).
func (b *Batch) AddrGenNone(index int) {
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC|unix.NLA_F_NESTED, nil)
	spec.AddRtAttr(unix.AF_INET6|unix.NLA_F_NESTED, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{addrGenNone})
	b.link("set address generation of", index, 0, 0, spec)
}

// DelLink deletes a link. The kernel takes some 20 ms for it: what is used up is better left to die with its namespace.
func (b *Batch) DelLink(index int) {
	if index <= 0 {
		b.refuse("delete link %d: an interface index is positive", index)
		return
	}
	r := newRequest(unix.RTM_DELLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	r.AddData(msg)
	b.add(r, "delete", "", index)
}

// AddAddr adds an address with the length of its network. An IPv6 address is usable at once (no duplicate address
// detection); an IPv4 address gets the broadcast address of its network, where that has room for one.
func (b *Batch) AddAddr(index int, p netip.Prefix) {
	if index <= 0 || !p.IsValid() || p.Addr().Zone() != "" || p.Addr().Is4In6() {
		b.refuse("add address %s to link %d: not a plain address on a link", p, index)
		return
	}
	addr := p.Addr()
	r := newRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	msg := nl.NewIfAddrmsg(family(addr))
	msg.Index, msg.Prefixlen = uint32(index), uint8(p.Bits())
	r.AddData(msg)
	r.AddData(nl.NewRtAttr(unix.IFA_LOCAL, addr.AsSlice()))
	r.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, addr.AsSlice()))
	switch {
	case addr.Is6():
		r.AddData(nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(unix.IFA_F_NODAD)))
	case p.Bits() < 31:
		last := addr.As4()
		host := uint32(1)<<(32-p.Bits()) - 1
		binary.BigEndian.PutUint32(last[:], binary.BigEndian.Uint32(last[:])|host)
		r.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, last[:]))
	}
	b.add(r, "add address", p.String()+" to link "+strconv.Itoa(index), index)
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func checkMAC(mac net.HardwareAddr) bool { return len(mac) == 0 || len(mac) == 6 && mac[0]&1 == 0 }

// sendBytes and sendMessages are what goes into one sendmsg(2): the one fits the default send buffer (net.core.wmem_default
// is 208 KiB), and the refusals of the other, at 1.3 KiB each, the receive buffer.
const (
	sendBytes    = 64 << 10
	sendMessages = 128
)

// Send executes the messages in order, in one sendmsg(2) for each 128 of them. The kernel goes on after a message
// that it refuses; the error is an *Error for the first such message.
func (c *Conn) Send(b *Batch) error {
	defer func() { *b = Batch{requests: b.requests[:0]} }()
	if b.err != nil {
		return b.err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var first error
	for rest := b.requests; len(rest) > 0; {
		var buf []byte
		n, last := 0, 0
		for ; n < min(len(rest), sendMessages); n++ {
			r := rest[n]
			r.Seq = c.seq + 1
			p := r.Serialize() // a multiple of four bytes, as every part of it is
			if n > 0 && len(buf)+len(p) > sendBytes {
				break
			}
			c.seq++
			last = len(buf)
			buf = append(buf, p...)
		}
		native.PutUint16(buf[last+6:], native.Uint16(buf[last+6:])|unix.NLM_F_ACK)
		if err := c.exchange(buf, rest[:n]); err != nil && first == nil {
			first = err
		}
		rest = rest[n:]
	}
	runtime.KeepAlive(b.files)
	return first
}

// exchange sends the messages in buf, which end at c.seq, and waits for the answer to the last.
func (c *Conn) exchange(buf []byte, requests []request) error {
	if err := c.transmit(buf); err != nil {
		return fmt.Errorf("send %d netlink messages (%s, …): %w", len(requests), requests[0].what(), err)
	}
	var refused error
	base := c.seq - uint32(len(requests)) + 1
	p := buffers.Get().(*[]byte)
	defer buffers.Put(p)
	for {
		n, err := c.receiveAnswer(*p)
		if errors.Is(err, unix.ENOBUFS) {
			c.dirty = true // the kernel dropped an event or an answer; that of the last message may still be here
			continue
		}
		if err != nil {
			return fmt.Errorf("await answer to %s: %w", requests[len(requests)-1].what(), err)
		}
		done, err := eachMessage((*p)[:n], func(m message) bool {
			i := m.seq - base
			if m.kind != unix.NLMSG_ERROR || i >= uint32(len(requests)) {
				c.noteEvent(m)
				return false
			}
			if errno, detail := parseError(m); errno != 0 && refused == nil {
				refused = &Error{requests[i].what(), errno, detail}
			}
			return m.seq == c.seq
		})
		if done || err != nil {
			if err == nil {
				err = refused
			}
			return err
		}
	}
}

func (c *Conn) noteEvent(m message) {
	if m.kind == unix.RTM_NEWLINK || m.kind == unix.RTM_DELLINK {
		c.dirty = true
	}
}

const addrGenNone = 1 // IN6_ADDR_GEN_MODE_NONE
