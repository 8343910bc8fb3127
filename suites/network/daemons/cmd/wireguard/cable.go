package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"unsafe"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"
)

// A cable does what a TUN device does, for who may make devices but not open /dev/net/tun: it is a pair of veth without ARP.
// The host has the one end, and we send and receive the packets at the other by packet sockets (packet(7)).
type cable struct {
	name string
	mtu  int
	mac  net.HardwareAddr // of the host's end

	v4, v6  *packet.Conn
	packets chan []byte // from the host
	events  chan tun.Event
	done    chan struct{}
	once    sync.Once
}

func newCable(name string, mtu int) (tun.Device, error) {
	far := name + "-far"
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, MTU: mtu}, PeerName: far, PeerMTU: uint32(mtu)}
	if err := netlink.LinkAdd(pair); err != nil {
		return nil, fmt.Errorf("add cable %s: %w", name, err)
	}
	near, err := netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checksums(name), netlink.LinkSetARPOff(near), netlink.LinkSetUp(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: far}})); err != nil {
		return nil, err
	}
	c := &cable{name: name, mtu: mtu, mac: near.Attrs().HardwareAddr, packets: make(chan []byte), events: make(chan tun.Event, 1), done: make(chan struct{})}
	if c.v4, err = c.receive(far, unix.ETH_P_IP); err != nil {
		return nil, err
	}
	if c.v6, err = c.receive(far, unix.ETH_P_IPV6); err != nil {
		return nil, err
	}
	c.events <- tun.EventUp
	return c, nil
}

// checksums has the kernel compute the checksums of what it sends, and cut it into packets: at a cable it leaves both to
// whoever is at the other end.
func checksums(name string) error {
	const setTXChecksum = 0x17 // ETHTOOL_STXCSUM
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	value := struct{ command, data uint32 }{setTXChecksum, 0}
	request := struct { // ifreq of netdevice(7)
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return fmt.Errorf("turn checksum offload of %s off: %w", name, errno)
	}
	return nil
}

// receive has the packets of one version of IP come in. A socket for one protocol does not hear what we send ourselves.
func (c *cable) receive(device string, protocol int) (*packet.Conn, error) {
	far, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	conn, err := packet.Listen(far, packet.Datagram, protocol, nil)
	if err != nil {
		return nil, fmt.Errorf("receive packets at %s: %w", device, err)
	}
	go func() {
		for {
			buf := make([]byte, c.mtu)
			n, _, err := conn.ReadFrom(buf)
			if errors.Is(err, unix.ENETDOWN) { // it says so once
				continue
			}
			if err != nil {
				return
			}
			select {
			case c.packets <- buf[:n]:
			case <-c.done:
				return
			}
		}
	}()
	return conn, nil
}

// Read is part of tun.Device: one packet from the host.
func (c *cable) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	select {
	case p := <-c.packets:
		sizes[0] = copy(bufs[0][offset:], p)
		return 1, nil
	case <-c.done:
		return 0, os.ErrClosed
	}
}

// Write is part of tun.Device: packets to the host.
func (c *cable) Write(bufs [][]byte, offset int) (int, error) {
	for i, b := range bufs {
		p, conn := b[offset:], c.v4
		if len(p) > 0 && p[0]>>4 == 6 {
			conn = c.v6
		}
		if _, err := conn.WriteTo(p, &packet.Addr{HardwareAddr: c.mac}); err != nil {
			return i, err
		}
	}
	return len(bufs), nil
}

// Close is part of tun.Device.
func (c *cable) Close() (err error) {
	c.once.Do(func() {
		close(c.done)
		close(c.events)
		err = errors.Join(c.v4.Close(), c.v6.Close())
	})
	return err
}

// File is part of tun.Device: there is none.
func (c *cable) File() *os.File { return nil }

// MTU is part of tun.Device.
func (c *cable) MTU() (int, error) { return c.mtu, nil }

// Name is part of tun.Device.
func (c *cable) Name() (string, error) { return c.name, nil }

// Events is part of tun.Device.
func (c *cable) Events() <-chan tun.Event { return c.events }

// BatchSize is part of tun.Device.
func (c *cable) BatchSize() int { return 1 }
