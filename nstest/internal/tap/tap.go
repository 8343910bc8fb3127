// Package tap sees the frames that pass the devices of a network namespace, through a ring of packet_mmap that the kernel
// fills (packet(7); Documentation/networking/packet_mmap.rst).
package tap

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
)

// A Frame is one that has passed a device.
type Frame struct {
	Device   int // its index
	Time     time.Time
	Outbound bool   // the device has sent it; otherwise it has received it
	Data     []byte // the beginning, up to the tap's Snap; it is good until the call returns
	Length   int    // of the whole frame, in bytes
}

// Config describes a tap.
type Config struct {
	Device int  // the index of the only device that is listened at; 0 = all, also those that come later
	Snap   int  // how many bytes of each frame are kept; 0 = all, up to 128 KiB, as are more
	Blocks int  // of 256 KiB, in which frames wait until they are seen; what does not fit is lost. 0 = 16
	Idle   bool // no frame is seen until Resume
}

const (
	defaultBlocks = 16
	blockSize     = 1 << 18 // a multiple of the page, on every architecture
	maxFrame      = 1 << 17 // more than a device sends at a time by default, segments not yet cut included
	// delay is after how many milliseconds the kernel hands over a block that is not full.
	delay = 10
)

// A Tap is a ring and whoever takes frames from it.
type Tap struct {
	file *os.File
	raw  interface {
		Read(func(fd uintptr) bool) error
	}

	taking sync.Mutex  // held by whoever takes frames; guards what follows
	see    func(Frame) // nil while the tap rests
	snap   int
	keep   int       // what the kernel's filter keeps of each frame; 0 = it keeps no frame
	since  time.Time // earlier frames are not for see
	ring   []byte    // nil after Close
	taken  int       // how many blocks were; the next is of this number, modulo that of the ring's
	seen   uint64
	lost   uint64 // as far as was asked

	closing sync.Once
	closed  chan struct{}
	done    chan struct{}
}

// Open listens in the network namespace that netns refers to, for which it needs CAP_NET_RAW and CAP_SYS_ADMIN in the user
// namespace that owns that. see is called for every frame that passes after Open has returned, in their order, by one goroutine
// at a time, and must be quick. The caller closes the tap, and netns, which is not needed any more.
func Open(netns *os.File, cfg Config, see func(Frame)) (*Tap, error) {
	t := &Tap{see: see, closed: make(chan struct{}), done: make(chan struct{})}
	if cfg.Idle {
		t.see = nil
	}
	var fd int
	err := ns.InNet(netns, func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0) // nothing before bind
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open tap: %w", err)
	}
	t.file = os.NewFile(uintptr(fd), "tap")
	if err := t.listen(fd, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("open tap: %w", err), t.file.Close())
	}
	if t.raw, err = t.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, t.release())
	}
	go t.run()
	return t, nil
}

// listen makes the ring and binds the socket.
func (t *Tap) listen(fd int, cfg Config) error {
	blocks := cmp.Or(cfg.Blocks, defaultBlocks)
	request := unix.TpacketReq3{Block_size: blockSize, Block_nr: uint32(blocks), Frame_size: blockSize, Frame_nr: uint32(blocks), Retire_blk_tov: delay}
	t.snap = snapOf(cfg.Snap)
	keep := t.snap
	if cfg.Idle {
		keep = 0
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return os.NewSyscallError("set PACKET_VERSION", err)
	}
	if err := setFilter(fd, keep); err != nil {
		return err
	}
	t.keep = keep
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_RESERVE, tagSize); err != nil {
		return os.NewSyscallError("set PACKET_RESERVE", err)
	}
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &request); err != nil {
		return os.NewSyscallError("set PACKET_RX_RING", err)
	}
	var err error
	if t.ring, err = unix.Mmap(fd, 0, blocks*blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return os.NewSyscallError("mmap", err)
	}
	all := uint16(unix.ETH_P_ALL)
	err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: cfg.Device})
	if err != nil {
		return errors.Join(os.NewSyscallError("bind", err), unix.Munmap(t.ring))
	}
	return nil
}

func snapOf(snap int) int { return min(cmp.Or(snap, maxFrame), maxFrame) }

// setFilter has the kernel keep so many bytes of each frame, and no frame at all if that is none.
func setFilter(fd, keep int) error {
	program, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: uint32(keep)}})
	if err != nil {
		return err
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: (*unix.SockFilter)(unsafe.Pointer(&program[0]))}
	return os.NewSyscallError("set SO_ATTACH_FILTER", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &filter))
}

// run takes frames as they come, until the tap is closed.
func (t *Tap) run() {
	defer close(t.done)
	_ = t.raw.Read(func(uintptr) bool {
		for {
			more := t.take()
			select {
			case <-t.closed:
				return true
			default:
			}
			if !more {
				return false
			}
		}
	})
}

// Flush returns when every frame that has passed before was seen, however many come meanwhile. It waits until the kernel hands
// over the block that the last of them is in.
func (t *Tap) Flush() error {
	conn, err := t.file.SyscallConn()
	if err != nil {
		return err
	}
	for end := t.end(); t.before(end); {
		if t.take() {
			continue
		}
		var polled error
		err := conn.Control(func(fd uintptr) {
			_, polled = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, delay)
		})
		if err = errors.Join(err, polled); err != nil && !errors.Is(err, unix.EINTR) && t.before(end) {
			return err
		}
	}
	return nil
}

// end is how many blocks will have been taken when all that have frames now were.
func (t *Tap) end() int {
	t.taking.Lock()
	defer t.taking.Unlock()
	end := t.taken
	for ; end < t.taken+len(t.ring)/blockSize; end++ {
		h := t.block(end)
		if !handedOver(h) {
			if atomic.LoadUint32(&h.Num_pkts) > 0 {
				end++
			}
			break
		}
	}
	return end
}

// before reports whether the tap is open, and fewer than so many blocks were taken.
func (t *Tap) before(end int) bool {
	t.taking.Lock()
	defer t.taking.Unlock()
	return t.ring != nil && t.taken < end
}

// take sees the frames of a block if one was handed over.
func (t *Tap) take() bool {
	t.taking.Lock()
	defer t.taking.Unlock()
	return t.ring != nil && t.takeNext()
}

// takeNext is take for those who hold the mutex of an open tap.
func (t *Tap) takeNext() bool {
	h := t.block(t.taken)
	if !handedOver(h) {
		return false
	}
	t.takeBlock(t.bytes(t.taken)[h.Offset_to_first_pkt:], int(h.Num_pkts))
	atomic.StoreUint32(&h.Num_pkts, 0) // the kernel does so only when it comes to the block again
	atomic.StoreUint32(&h.Block_status, unix.TP_STATUS_KERNEL)
	t.taken++
	return true
}

// bytes is the block of a number.
func (t *Tap) bytes(n int) []byte {
	return t.ring[n%(len(t.ring)/blockSize)*blockSize:][:blockSize:blockSize]
}

// block is its header.
func (t *Tap) block(n int) *unix.TpacketHdrV1 {
	return (*unix.TpacketHdrV1)(unsafe.Pointer(&t.bytes(n)[unsafe.Offsetof(unix.TpacketBlockDesc{}.Hdr)]))
}

// handedOver reports whether the kernel has done so with a block, and with it everything that is in it.
func handedOver(h *unix.TpacketHdrV1) bool {
	return atomic.LoadUint32(&h.Block_status)&unix.TP_STATUS_USER != 0
}

// takeBlock sees n frames, of which b begins with the first.
func (t *Tap) takeBlock(b []byte, n int) {
	for ; n > 0; n-- {
		h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&b[0]))
		link := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&b[tpacketAlign(unix.SizeofTpacket3Hdr)]))
		data, length := b[h.Mac:][:h.Snaplen:h.Snaplen], int(h.Len)
		if h.Status&unix.TP_STATUS_VLAN_VALID != 0 && len(data) >= tagAt {
			data, length = tagged(b[h.Mac-tagSize:][:h.Snaplen+tagSize:h.Snaplen+tagSize], h), length+tagSize
			data = data[:min(len(data), t.snap)]
		}
		f := Frame{
			Device: int(link.Ifindex), Time: time.Unix(int64(h.Sec), int64(h.Nsec)), Outbound: link.Pkttype == unix.PACKET_OUTGOING,
			Data: data, Length: length,
		}
		if t.see != nil && !f.Time.Before(t.since) {
			t.seen++
			t.see(f)
		}
		b = b[h.Next_offset:]
	}
}

// tagSize is the size of a VLAN tag, and tagAt its place: behind the addresses.
const tagSize, tagAt = 4, 12

// tagged puts the VLAN tag, which the kernel has taken from the frame, back into it. Before the frame b has room for that
// (PACKET_RESERVE).
func tagged(b []byte, h *unix.Tpacket3Hdr) []byte {
	copy(b, b[tagSize:][:tagAt])
	protocol := uint16(unix.ETH_P_8021Q)
	if h.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		protocol = h.Hv1.Vlan_tpid
	}
	binary.BigEndian.PutUint16(b[tagAt:], protocol)
	binary.BigEndian.PutUint16(b[tagAt+2:], uint16(h.Hv1.Vlan_tci))
	return b
}

func tpacketAlign(n int) int { return (n + unix.TPACKET_ALIGNMENT - 1) &^ (unix.TPACKET_ALIGNMENT - 1) }

// Statistics are how many frames were seen, and how many were lost because they came faster than they were taken.
func (t *Tap) Statistics() (seen, lost uint64, err error) {
	t.taking.Lock()
	defer t.taking.Unlock()
	if t.ring != nil {
		err = t.count()
	}
	return t.seen, t.lost, err
}

// count asks the kernel how many frames were lost since it was asked before. The mutex is held.
func (t *Tap) count() error {
	conn, err := t.file.SyscallConn()
	if err != nil {
		return err
	}
	var asked error
	err = conn.Control(func(fd uintptr) {
		var s *unix.TpacketStatsV3
		if s, asked = unix.GetsockoptTpacketStatsV3(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); asked == nil {
			t.lost += uint64(s.Drops)
		}
	})
	return errors.Join(err, asked)
}

// Close ends the tap. Frames that have passed before are seen. It may be called again, and returns then when the tap has ended.
func (t *Tap) Close() error {
	err := net.ErrClosed
	t.closing.Do(func() {
		close(t.closed)
		err = t.Flush()
		if derr := t.file.SetReadDeadline(time.Unix(1, 0)); derr != nil { // run goes on waiting otherwise
			err = errors.Join(err, derr)
		}
		<-t.done
		err = errors.Join(err, t.release())
	})
	return err
}

// Closed reports whether Close was called.
func (t *Tap) Closed() bool {
	select {
	case <-t.closed:
		return true
	default:
		return false
	}
}

// release gives the ring back. The kernel waits until no processor is at work with the socket, some milliseconds.
func (t *Tap) release() error {
	t.taking.Lock()
	defer t.taking.Unlock()
	ring, err := t.ring, t.count()
	t.ring = nil
	return errors.Join(err, unix.Munmap(ring), t.file.Close())
}
