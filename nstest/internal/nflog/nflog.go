// Package nflog receives the packets that rules of nftables log to a group (nfnetlink_log, CONFIG_NETFILTER_NETLINK_LOG).
package nflog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
)

// A Packet is one that a rule has logged.
type Packet struct {
	Time    time.Time // when it was received here
	Prefix  string    // of the rule
	In, Out int       // the indices of the devices, with a bridge those of its ports; 0 = none
	Header  []byte    // of the link, with its VLAN tag; nil where the packet has none, such as one that is about to be sent
	Data    []byte    // from the network's header on; it is good until the call returns, as is Header
	Missed  int       // how many were logged before it, after the last one, and came faster than they were taken
}

// A Listener has the packets of a group of a network namespace. The kernel queues a packet before it goes on with the next one.
type Listener struct {
	conn   *netlink.Conn
	raw    syscall.RawConn
	closed chan struct{}
	done   chan struct{}

	mu   sync.Mutex // held by whoever takes packets; guards what follows
	see  func(Packet)
	buf  []byte
	next uint32 // the number of the packet that is expected

	closing sync.Once
}

const (
	receiveBuffer = 4 << 20 // bytes. Limited by net.core.rmem_max for an ordinary user
	largest       = 1 << 17 // bytes of a message; a packet has fewer than 1 << 16
	// mostQueued is more messages than wait at a time: the kernel counts each as more than 512 bytes, and allows twice the buffer.
	mostQueued = 2 * receiveBuffer / 512
)

// Open listens to a group of the network namespace that netns refers to, for which it needs CAP_NET_ADMIN in the user
// namespace that owns that, and CAP_SYS_ADMIN there. The error is EBUSY where another one listens. see is called for every packet
// that is logged from now on, by one goroutine at a time. The caller closes the listener, and netns, which is not needed any more.
func Open(netns *os.File, group uint16, see func(Packet)) (*Listener, error) {
	l := &Listener{see: see, done: make(chan struct{}), closed: make(chan struct{}), buf: make([]byte, largest)}
	err := ns.InNet(netns, func() (err error) {
		l.conn, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen to logged packets: %w", err)
	}
	if err := l.bind(group); err != nil {
		return nil, errors.Join(fmt.Errorf("listen to logged packets: %w", err), l.conn.Close())
	}
	go l.run()
	return l, nil
}

// What include/uapi/linux/netfilter/nfnetlink_log.h says.
const (
	messagePacket, messageConfig = 0, 1

	configCommand, configMode, configThreshold, configFlags = 1, 2, 5, 6 // NFULA_CFG_CMD and so on

	attrIn, attrOut, attrPortIn, attrPortOut       = 4, 5, 6, 7 // NFULA_IFINDEX_INDEV and so on
	attrPayload, attrPrefix, attrSeq, attrHWHeader = 9, 10, 12, 16
	attrVLAN, attrL2Header                         = 20, 21
	attrVLANProtocol, attrVLANTCI                  = 1, 2
)

// bind makes the group this socket's: whole packets, each in a message of its own at once, and numbered.
func (l *Listener) bind(group uint16) error {
	if err := l.conn.SetReadBuffer(receiveBuffer); err != nil {
		return err
	}
	if err := l.conn.SetOption(netlink.NoENOBUFS, true); err != nil { // the numbers tell what is missing
		return err
	}
	attributes, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: configCommand, Data: []byte{1}},             // NFULNL_CFG_CMD_BIND
		{Type: configMode, Data: []byte{0, 0, 0, 0, 2, 0}}, // as much as there can be, NFULNL_COPY_PACKET
		{Type: configThreshold, Data: []byte{0, 0, 0, 1}},
		{Type: configFlags, Data: []byte{0, 1}}, // NFULNL_CFG_F_SEQ
	})
	if err != nil {
		return err
	}
	_, err = l.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_ULOG<<8 | messageConfig, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append(binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, group), attributes...),
	})
	if err == nil {
		l.raw, err = l.conn.SyscallConn()
	}
	return err
}

// run takes packets as they come, until Close.
func (l *Listener) run() {
	defer close(l.done)
	_ = l.raw.Read(func(fd uintptr) bool {
		for {
			more, err := l.take(int(fd))
			select {
			case <-l.closed:
				return true
			default:
			}
			if err != nil || !more {
				return err != nil
			}
		}
	})
}

// Drain returns when every packet that was logged before was seen, however many come meanwhile.
func (l *Listener) Drain() error {
	var err error
	if cerr := l.raw.Control(func(fd uintptr) { _, err = l.take(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// take sees what is queued, and reports whether there may be more, which has come meanwhile.
func (l *Listener) take(fd int) (more bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range mostQueued { // packets that pour in do not keep a caller
		n, _, err := unix.Recvfrom(fd, l.buf, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return false, nil
		case err != nil:
			return false, os.NewSyscallError("recvfrom", err)
		default:
			l.messages(l.buf[:n])
		}
	}
	return true, nil
}

// messages sees the packets of what was received.
func (l *Listener) messages(b []byte) {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return
		}
		const generic = 4 // struct nfgenmsg
		if binary.NativeEndian.Uint16(b[4:]) == unix.NFNL_SUBSYS_ULOG<<8|messagePacket && size >= unix.SizeofNlMsghdr+generic {
			if p, ok := l.decode(b[unix.SizeofNlMsghdr+generic : size]); ok {
				l.see(p)
			}
		}
		b = b[min(len(b), (size+3)&^3):]
	}
}

// decode is the packet of a message's attributes.
func (l *Listener) decode(b []byte) (p Packet, ok bool) {
	d, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return p, false
	}
	d.ByteOrder = binary.BigEndian
	var vlan []byte
	var portIn, portOut int
	for d.Next() {
		switch d.Type() {
		case attrIn:
			p.In = int(d.Uint32())
		case attrOut:
			p.Out = int(d.Uint32())
		case attrPortIn:
			portIn = int(d.Uint32())
		case attrPortOut:
			portOut = int(d.Uint32())
		case attrPayload:
			p.Data = d.Bytes()
		case attrPrefix:
			p.Prefix = d.String()
		case attrSeq:
			seq := d.Uint32()
			p.Missed, l.next = int(seq-l.next), seq+1
		case attrHWHeader, attrL2Header:
			p.Header = d.Bytes()
		case attrVLAN:
			d.Nested(func(d *netlink.AttributeDecoder) error {
				vlan = tag(d)
				return nil
			})
		}
	}
	if portIn != 0 {
		p.In = portIn
	}
	if portOut != 0 {
		p.Out = portOut
	}
	if vlan != nil && len(p.Header) >= tagAt {
		p.Header = slices.Concat(p.Header[:tagAt], vlan, p.Header[tagAt:])
	}
	p.Time = time.Now()
	return p, d.Err() == nil && p.Data != nil
}

// tagAt is where a VLAN tag is: behind the addresses.
const tagAt = 12

// tag is the VLAN tag that the kernel has taken from a frame, as it is in one.
func tag(d *netlink.AttributeDecoder) []byte {
	b := make([]byte, 4)
	for d.Next() {
		switch d.Type() {
		case attrVLANProtocol:
			binary.BigEndian.PutUint16(b, d.Uint16())
		case attrVLANTCI:
			binary.BigEndian.PutUint16(b[2:], d.Uint16())
		}
	}
	return b
}

// Close ends the listener. What was logged before is seen. The kernel takes some milliseconds for it.
func (l *Listener) Close() error {
	err := net.ErrClosed
	l.closing.Do(func() {
		close(l.closed)
		err = errors.Join(l.Drain(), l.conn.SetReadDeadline(time.Unix(1, 0))) // run goes on waiting otherwise
		<-l.done
		err = errors.Join(err, l.conn.Close())
	})
	return err
}
