package links_test

import (
	"encoding/binary"
	"errors"
	"net"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// A tap sees and sends frames of one protocol on a host's device, promiscuously (packet(7)).
type tap struct{ fd, index int }

// local is an EtherType for experiments (IEEE 802): nobody answers.
const local = 0x88b5

// all is every EtherType.
const all = unix.ETH_P_ALL

func newTap(h *nstest.Host, device string, protocol uint16) *tap {
	GinkgoHelper()
	t := in(h, func() (*tap, error) {
		d, err := net.InterfaceByName(device)
		if err != nil {
			return nil, err
		}
		swapped := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, protocol))
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		t := &tap{fd, d.Index}
		limit := unix.NsecToTimeval(int64(50 * time.Millisecond))
		return t, errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
			unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{Ifindex: int32(d.Index), Type: unix.PACKET_MR_PROMISC}),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: swapped, Ifindex: d.Index}),
		)
	})
	DeferCleanup(unix.Close, t.fd)
	return t
}

func (t *tap) send(frame []byte) {
	GinkgoHelper()
	Expect(unix.Sendto(t.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: t.index, Halen: 6})).To(Succeed())
}

// A seen frame is one that came in.
type seen struct {
	Frame  []byte
	Tagged bool
	TCI    uint16 // IEEE 802.1Q: three bits of priority, one of drop eligibility, twelve of VLAN
}

// next is the next frame that came in, and whether one came in the time of the socket.
func (t *tap) next() (seen, bool) {
	GinkgoHelper()
	frame, oob := make([]byte, 2048), make([]byte, 256)
	for {
		n, oobn, _, from, err := unix.Recvmsg(t.fd, frame, oob, 0)
		if errors.Is(err, unix.EAGAIN) {
			return seen{}, false
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		Expect(err).NotTo(HaveOccurred())
		if from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		s := seen{Frame: frame[:n]}
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		Expect(err).NotTo(HaveOccurred())
		for _, m := range messages { // struct tpacket_auxdata
			if m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_VLAN_VALID != 0 {
				s.Tagged, s.TCI = true, binary.NativeEndian.Uint16(m.Data[16:])
			}
		}
		return s, true
	}
}

// gets reports whether f holds for one of the frames that come in. It waits for one that has to come.
func (t *tap) gets(f func(seen) bool) bool {
	GinkgoHelper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if t.sees(f) {
			return true
		}
	}
	return false
}

// sees is gets for one that must not come.
func (t *tap) sees(f func(seen) bool) bool {
	GinkgoHelper()
	for {
		s, ok := t.next()
		if !ok {
			return false
		}
		if f(s) {
			return true
		}
	}
}

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// frame is an Ethernet frame, with a tag (IEEE 802.1Q) where tci is not 0.
func frame(from *nstest.Link, to net.HardwareAddr, tci uint16, payload string) []byte {
	GinkgoHelper()
	mac, err := net.ParseMAC(from.MAC())
	Expect(err).NotTo(HaveOccurred())
	b := append(append([]byte{}, to...), mac...)
	if tci != 0 {
		b = binary.BigEndian.AppendUint16(b, unix.ETH_P_8021Q)
		b = binary.BigEndian.AppendUint16(b, tci)
	}
	b = binary.BigEndian.AppendUint16(b, local)
	return append(append(b, payload...), make([]byte, 46)...)
}
