package tap

import (
	"bytes"
	"errors"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Resume ends the rest of a tap, which begins anew: see is called for frames that pass from now on, and Statistics count from
// here. An open tap that rests costs little, where opening and closing one takes some tens of milliseconds, in which the kernel
// waits until no processor is at work with the list of them.
func (t *Tap) Resume(snap int, see func(Frame)) error {
	t.taking.Lock()
	defer t.taking.Unlock()
	if t.ring == nil {
		return errClosed
	}
	for t.takeNext() { // what is left of before; see is nil
	}
	err := t.count()
	t.seen, t.lost = 0, 0
	t.see, t.snap, t.since = see, snapOf(snap), time.Now()
	if err = errors.Join(err, t.filter(t.snap)); err != nil {
		t.see = nil
	}
	return err
}

// Rest makes the tap see nothing more until Resume. The kernel's filter stays as it is, since to change it takes longer than
// anything else here: what passes meanwhile is let go. It sees what has passed before, at once: what sends frames has ended, so
// that nobody writes to the block that the kernel still has.
func (t *Tap) Rest() error {
	t.taking.Lock()
	defer t.taking.Unlock()
	if t.ring == nil {
		return errClosed
	}
	for t.takeNext() {
	}
	if t.see != nil {
		t.peek()
	}
	err := t.count()
	t.see = nil
	return err
}

var errClosed = errors.New("the tap is closed")

// filter is setFilter for this tap, if that keeps something else now. The mutex is held.
func (t *Tap) filter(keep int) error {
	if keep == t.keep {
		return nil
	}
	conn, err := t.file.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = conn.Control(func(fd uintptr) { set = setFilter(int(fd), keep) })
	if err = errors.Join(err, set); err == nil {
		t.keep = keep
	}
	return err
}

// peek sees the frames of a block that was not handed over. Should somebody write to it all the same, what is seen may be
// nonsense, and no byte beyond. The mutex is held.
func (t *Tap) peek() {
	h := t.block(t.taken)
	if handedOver(h) {
		return
	}
	n := atomic.LoadUint32(&h.Num_pkts)
	b := bytes.Clone(t.bytes(t.taken)[:min(atomic.LoadUint32(&h.Blk_len), blockSize)])
	const least = unix.SizeofTpacket3Hdr + unix.TPACKET_ALIGNMENT + unix.SizeofSockaddrLinklayer
	for at := int(h.Offset_to_first_pkt); n > 0; n-- {
		if at < 0 || at%8 != 0 || at+least > len(b) {
			return
		}
		frame := (*unix.Tpacket3Hdr)(unsafe.Pointer(&b[at]))
		if frame.Mac < least || at+int(frame.Mac)+int(frame.Snaplen) > len(b) {
			return
		}
		t.takeBlock(b[at:], 1)
		if frame.Next_offset == 0 { // the last of a block that the kernel has just done with
			return
		}
		at += int(frame.Next_offset)
	}
}
