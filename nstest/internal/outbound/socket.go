package outbound

import (
	"net"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// transparent lets a socket have addresses that are not the namespace's (IP_TRANSPARENT, ip(7)). It needs CAP_NET_ADMIN in
// the user namespace that owns the network namespace.
func transparent(network, _ string, c syscall.RawConn) error {
	level, option := unix.SOL_IP, unix.IP_TRANSPARENT
	if strings.HasSuffix(network, "6") {
		level, option = unix.SOL_IPV6, unix.IPV6_TRANSPARENT
	}
	return setOption(c, level, option)
}

// receiveDestination has a socket tell where each packet was sent.
func receiveDestination(c *net.UDPConn, family string) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	if family == "6" {
		return setOption(raw, unix.SOL_IPV6, unix.IPV6_RECVORIGDSTADDR)
	}
	return setOption(raw, unix.SOL_IP, unix.IP_RECVORIGDSTADDR)
}

func setOption(c syscall.RawConn, level, option int) error {
	var set error
	if err := c.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), level, option, 1) }); err != nil {
		return err
	}
	return set
}
