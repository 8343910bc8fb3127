package dial

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// endpoint is one address to connect to or to bind: an IP address and port, or the path of a unix socket.
type endpoint struct {
	ip   netip.AddrPort // an IPv4 address is never a mapped one; the zero address is that of no host at all
	path string
}

// isWildcard reports whether an IP endpoint names no address in particular.
func (e endpoint) isWildcard() bool { return !e.ip.Addr().IsValid() || e.ip.Addr().IsUnspecified() }

// at is the endpoint's port on addr.
func (e endpoint) at(addr netip.Addr) endpoint {
	return endpoint{ip: netip.AddrPortFrom(addr, e.ip.Port())}
}

// addr is the endpoint as package net names it.
func (e endpoint) addr(n network) net.Addr {
	switch {
	case n.isUnix():
		return &net.UnixAddr{Name: e.path, Net: n.name}
	case n.isPacket():
		return net.UDPAddrFromAddrPort(e.ip)
	default:
		return net.TCPAddrFromAddrPort(e.ip)
	}
}

// raw is the endpoint as bind(2) takes it.
func (e endpoint) raw(n network) (family int, sockaddr []byte, err error) {
	if n.isUnix() {
		sockaddr, err = rawUnix(e.path)
		return unix.AF_UNIX, sockaddr, err
	}
	ip := e.ip.Addr()
	if ip.Is4() {
		b := binary.NativeEndian.AppendUint16(nil, unix.AF_INET)
		b = binary.BigEndian.AppendUint16(b, e.ip.Port())
		b = append(b, ip.AsSlice()...)
		return unix.AF_INET, append(b, make([]byte, 8)...), nil
	}
	index, err := zoneIndex(ip.Zone())
	if err != nil {
		return 0, nil, err
	}
	b := binary.NativeEndian.AppendUint16(nil, unix.AF_INET6)
	b = binary.BigEndian.AppendUint16(b, e.ip.Port())
	b = append(b, 0, 0, 0, 0) // flow information
	b = append(b, ip.AsSlice()...)
	return unix.AF_INET6, binary.NativeEndian.AppendUint32(b, index), nil
}

// sockaddr is an IP endpoint as unix.Connect takes it.
func (e endpoint) sockaddr() (family int, sa unix.Sockaddr, err error) {
	ip, port := e.ip.Addr(), int(e.ip.Port())
	if ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: ip.As4()}, nil
	}
	index, err := zoneIndex(ip.Zone())
	if err != nil {
		return 0, nil, err
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: ip.As16(), ZoneId: index}, nil
}

// rawUnix encodes a unix socket's address (unix(7)): a path, an abstract name behind "@" or a NUL, or "", for which
// bind(2) picks an abstract name.
func rawUnix(path string) ([]byte, error) {
	b := binary.NativeEndian.AppendUint16(nil, unix.AF_UNIX)
	var room unix.RawSockaddrUnix
	switch {
	case path == "":
		return b, nil
	case path[0] == '@' || path[0] == 0:
		if len(path) > len(room.Path) {
			return nil, os.NewSyscallError("bind", unix.EINVAL)
		}
		b = append(b, 0)
		return append(b, path[1:]...), nil
	case len(path) >= len(room.Path) || strings.IndexByte(path, 0) >= 0:
		return nil, os.NewSyscallError("bind", unix.EINVAL)
	}
	b = append(b, path...)
	return append(b, 0), nil
}

// zoneIndex is the index inside a host of the interface that an IPv6 zone names: lo is 1, ethN is N+2, as hosts are
// made; a number is the index itself. The interfaces of the calling process are never asked.
func zoneIndex(zone string) (uint32, error) {
	digits, add := zone, uint64(0)
	switch {
	case zone == "":
		return 0, nil
	case zone == "lo":
		return 1, nil
	case strings.HasPrefix(zone, "eth"):
		digits, add = zone[len("eth"):], 2
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || n+add == 0 || strconv.FormatUint(n, 10) != digits {
		return 0, &net.AddrError{Err: "no interface of a host has this name", Addr: zone}
	}
	return uint32(n + add), nil
}
