package keeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"golang.org/x/sys/unix"
)

// announce tells the neighbours who has the cable's addresses now. Where MAC addresses are not what follows from addresses,
// one that was somebody else's may be in a neighbour's cache with his, for up to a minute.
func (c *cable) announce(route *rtnl.Conn) error {
	netns, err := route.NetNS()
	if err != nil {
		return err
	}
	defer netns.Close()
	fd := -1
	if err := ns.InNet(netns, func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		return err
	}); err != nil {
		return fmt.Errorf("announce addresses: open packet socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	for _, a := range c.addrs {
		frame := announcement(c.mac, a.Addr())
		err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16(frame[12:]), Ifindex: c.index, Halen: 6})
		if err != nil && !errors.Is(err, unix.ENETDOWN) { // a process of the host has set the device down
			return fmt.Errorf("announce address %s: %w", a, err)
		}
	}
	return nil
}

// announcement is the frame by which the owner of an address makes himself known: an ARP announcement (RFC 5227, section 2.3)
// or an unsolicited neighbour advertisement (RFC 4861, section 7.2.6).
func announcement(mac net.HardwareAddr, a netip.Addr) []byte {
	if a.Is4() {
		frame := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac...)
		frame = append(frame, 0x08, 0x06 /* ARP */, 0, 1 /* Ethernet */, 0x08, 0x00 /* IPv4 */, 6, 4, 0, 1 /* request */)
		frame = append(append(frame, mac...), a.AsSlice()...)
		return append(append(frame, 0, 0, 0, 0, 0, 0), a.AsSlice()...)
	}
	allNodes := netip.IPv6LinkLocalAllNodes()
	const override = 0x20
	body := append([]byte{136 /* neighbour advertisement */, 0, 0, 0, override, 0, 0, 0}, a.AsSlice()...)
	body = append(append(body, 2 /* target's link-layer address */, 1), mac...)
	pseudo := append(append(a.AsSlice(), allNodes.AsSlice()...), 0, 0, 0, byte(len(body)), 0, 0, 0, unix.IPPROTO_ICMPV6)
	binary.BigEndian.PutUint16(body[2:], checksum(append(pseudo, body...)))
	frame := append(append([]byte{0x33, 0x33, 0, 0, 0, 1}, mac...), 0x86, 0xdd /* IPv6 */)
	frame = append(frame, 6<<4, 0, 0, 0, 0, byte(len(body)), unix.IPPROTO_ICMPV6, 255 /* hops */)
	frame = append(append(frame, a.AsSlice()...), allNodes.AsSlice()...)
	return append(frame, body...)
}

// checksum is that of RFC 1071 over an even number of bytes.
func checksum(p []byte) uint16 {
	var sum uint32
	for i := 0; i < len(p); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
