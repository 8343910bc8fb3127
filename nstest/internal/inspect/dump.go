package inspect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

var native = binary.NativeEndian

// A netlink is a socket that asks for lists. It belongs to the network namespace in which it was made.
type netlink struct {
	fd  int
	seq uint32
}

// answerTime is how long the kernel may take for one part of a list, which waits for whoever changes any network of the machine.
const answerTime = 5 * time.Second

func openNetlink(protocol int) (*netlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	limit := unix.NsecToTimeval(answerTime.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink socket: %w", err), unix.Close(fd))
	}
	return &netlink{fd: fd}, nil
}

func (n *netlink) close() error { return unix.Close(n.fd) }

// errEnough is what a caller of dump returns who wants no more. The socket can list nothing else then.
var errEnough = errors.New("enough")

// dump asks for a list and calls each for what comes, which is valid until each returns, until it returns an error. changed
// reports that the list changed while it was read, so that something may be missing.
func (n *netlink) dump(kind uint16, request []byte, each func(payload []byte) error) (changed bool, err error) {
	n.seq++
	msg := native.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(request)))
	msg = native.AppendUint16(msg, kind)
	msg = native.AppendUint16(msg, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	msg = native.AppendUint32(msg, n.seq)
	msg = native.AppendUint32(msg, 0)
	if err := unix.Sendto(n.fd, append(msg, request...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return false, err
	}
	buf := make([]byte, 64<<10)
	for {
		size, _, err := unix.Recvfrom(n.fd, buf, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return changed, fmt.Errorf("no answer within %v", answerTime)
		case err != nil:
			return changed, err
		}
		for p := buf[:size]; len(p) >= unix.NLMSG_HDRLEN; {
			length := int(native.Uint32(p))
			if length < unix.NLMSG_HDRLEN || length > len(p) {
				return changed, errors.New("a message is cut")
			}
			kind, flags, seq, payload := native.Uint16(p[4:]), native.Uint16(p[6:]), native.Uint32(p[8:]), p[unix.NLMSG_HDRLEN:length]
			p = p[min((length+3)&^3, len(p)):]
			if seq != n.seq {
				continue
			}
			changed = changed || flags&unix.NLM_F_DUMP_INTR != 0
			switch {
			case kind == unix.NLMSG_DONE:
				return changed, nil
			case kind == unix.NLMSG_ERROR && len(payload) >= 4:
				return changed, unix.Errno(-int32(native.Uint32(payload)))
			}
			if err := each(payload); err != nil {
				return changed, err
			}
		}
	}
}

// eachAttribute calls f for the attributes in p, which are aligned as those of all of netlink.
func eachAttribute(p []byte, f func(kind uint16, value []byte)) {
	for len(p) >= unix.SizeofNlAttr {
		size := int(native.Uint16(p))
		if size < unix.SizeofNlAttr || size > len(p) {
			return
		}
		f(native.Uint16(p[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), p[unix.SizeofNlAttr:size])
		p = p[min((size+3)&^3, len(p)):]
	}
}
