package dial

import (
	"net"

	"golang.org/x/sys/unix"
)

// network is what a network's name, as in net.Dial, asks for.
type network struct {
	name   string
	family int // AF_UNSPEC stands for both IP families
	typ    int
}

func parseNetwork(name string) (network, error) {
	switch name {
	case "tcp":
		return network{name, unix.AF_UNSPEC, unix.SOCK_STREAM}, nil
	case "tcp4":
		return network{name, unix.AF_INET, unix.SOCK_STREAM}, nil
	case "tcp6":
		return network{name, unix.AF_INET6, unix.SOCK_STREAM}, nil
	case "udp":
		return network{name, unix.AF_UNSPEC, unix.SOCK_DGRAM}, nil
	case "udp4":
		return network{name, unix.AF_INET, unix.SOCK_DGRAM}, nil
	case "udp6":
		return network{name, unix.AF_INET6, unix.SOCK_DGRAM}, nil
	case "unix":
		return network{name, unix.AF_UNIX, unix.SOCK_STREAM}, nil
	case "unixgram":
		return network{name, unix.AF_UNIX, unix.SOCK_DGRAM}, nil
	case "unixpacket":
		return network{name, unix.AF_UNIX, unix.SOCK_SEQPACKET}, nil
	}
	return network{}, net.UnknownNetworkError(name)
}

func (n network) isUnix() bool { return n.family == unix.AF_UNIX }

// isPacket reports whether the network has no connections to listen for.
func (n network) isPacket() bool { return n.typ == unix.SOCK_DGRAM }

// permits reports whether the network reaches addresses like that of e.
func (n network) permits(e endpoint) bool {
	switch {
	case n.family == unix.AF_INET && e.ip.Addr().IsValid():
		return e.ip.Addr().Is4()
	case n.family == unix.AF_INET6 && e.ip.Addr().IsValid():
		return e.ip.Addr().Is6()
	}
	return true
}
