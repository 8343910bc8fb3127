package translate

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Translator makes packets out of a packet, which it may overwrite.
type Translator interface{ Translate(packet []byte) [][]byte }

// A Port is the end of a veth at which packets are translated. The other end is the router's, without ARP.
type Port struct{ file *os.File }

// OpenPort opens the device with this index in the network namespace of the calling thread. The Port may be used from any
// thread, and by one goroutine at a time; Close ends Serve.
func OpenPort(index int) (*Port, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0) // nothing before bind
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	p := &Port{os.NewFile(uintptr(fd), "packet")}
	err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	if err == nil {
		all := uint16(unix.ETH_P_ALL)
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: index})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on link %d: %w", index, err), p.Close())
	}
	return p, nil
}

const ethernet = 14 // bytes of header: destination, source, type

// Serve answers each packet with what becomes of it, until Close. What cannot be sent is lost.
func (p *Port) Serve(t Translator) {
	var frame [ethernet + 1<<16]byte
	out := make([]byte, 0, len(frame))
	for {
		n, err := p.file.Read(frame[:])
		switch {
		case errors.Is(err, unix.ENETDOWN): // somebody has set the device down; the error comes once
			continue
		case err != nil:
			return
		case n < ethernet:
			continue
		}
		for _, packet := range t.Translate(frame[ethernet:n]) {
			kind := uint16(unix.ETH_P_IP)
			if packet[0]>>4 == 6 {
				kind = unix.ETH_P_IPV6
			}
			out = append(append(out[:0], frame[6:12]...), frame[6:12]...)
			out = append(append(out, byte(kind>>8), byte(kind)), packet...)
			if _, err := p.file.Write(out); errors.Is(err, os.ErrClosed) {
				return
			}
		}
	}
}

// Close ends Serve.
func (p *Port) Close() error { return p.file.Close() }

// Plain has a device in the network namespace of the calling thread get packets as they are on the wire: each on its own,
// and with its checksum.
func Plain(device string) error {
	const set = 0x8946 // SIOCETHTOOL
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	for _, command := range []uint32{unix.ETHTOOL_STSO, unix.ETHTOOL_SGSO, unix.ETHTOOL_STXCSUM} {
		value := [2]uint32{command, 0} // struct ethtool_value: off
		req := struct {
			name [unix.IFNAMSIZ]byte
			data unsafe.Pointer
			_    [16]byte
		}{data: unsafe.Pointer(&value)}
		copy(req.name[:unix.IFNAMSIZ-1], device)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), set, uintptr(unsafe.Pointer(&req))); errno != 0 {
			return fmt.Errorf("switch off the offloads of %s: %w", device, errno)
		}
	}
	return nil
}
