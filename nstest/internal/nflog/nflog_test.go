package nflog

import (
	"encoding/binary"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Packets that come as fast as they are taken do not keep a caller.
func TestTakeEndsWhereMoreCome(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	send := func() {
		if err := unix.Send(pair[1], logged(t), 0); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	l := &Listener{buf: make([]byte, largest)}
	l.see = func(Packet) {
		if seen++; seen <= 2*mostQueued {
			send()
		}
	}
	send()
	for _, c := range []struct {
		all  int
		more bool
	}{{mostQueued, true}, {2 * mostQueued, true}, {2*mostQueued + 1, false}} {
		if more, err := l.take(pair[0]); more != c.more || err != nil || seen != c.all {
			t.Fatalf("%d packets were seen, more: %t, %v; want %d, %t", seen, more, err, c.all, c.more)
		}
	}
}

// logged is the kernel's message of a packet of one byte.
func logged(t *testing.T) []byte {
	attributes, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: attrPayload, Data: []byte{1}}})
	if err != nil {
		t.Fatal(err)
	}
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+4+len(attributes)))
	b = binary.NativeEndian.AppendUint16(b, unix.NFNL_SUBSYS_ULOG<<8|messagePacket)
	return append(append(b, make([]byte, 10+4)...), attributes...)
}
