package inspect

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"golang.org/x/sys/unix"
)

// tcpStates are those of TCP (enum in include/net/tcp_states.h), which all sockets have.
var tcpStates = map[byte]string{
	1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT", 7: "CLOSE", 8: "CLOSE_WAIT",
	9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "SYN_RECV",
}

const listening = 10

// sockets lists the sockets of the namespace, without those who have them open.
func (n *Net) sockets() ([]record.Socket, []string) {
	list := &socketList{}
	var notes []string
	note := func(protocol string, changed bool, err error) {
		switch {
		case errors.Is(err, errEnough):
		case err != nil:
			notes = append(notes, fmt.Sprintf("%s sockets: %v", protocol, err))
		case changed:
			notes = append(notes, protocol+" sockets: the list changed while it was read, and something may be missing")
		}
	}
	for _, p := range []struct {
		name             string
		family, protocol byte
	}{{"tcp", unix.AF_INET, unix.IPPROTO_TCP}, {"tcp", unix.AF_INET6, unix.IPPROTO_TCP}, {"udp", unix.AF_INET, unix.IPPROTO_UDP}, {"udp", unix.AF_INET6, unix.IPPROTO_UDP}} {
		changed, err := n.inet(p.name, p.family, p.protocol, list)
		note(p.name, changed, err)
	}
	changed, err := n.unix(list)
	note("unix", changed, err)
	for i, f := range n.raw {
		note("raw", false, rawSockets(f, i == 1, list))
	}
	if n.packet != nil {
		note("packet", false, packetSockets(n.packet, list))
	}
	if list.full {
		notes = append(notes, more(mostSockets, "sockets"))
	}
	return list.sockets, notes
}

// A socketList is the beginning of a list of sockets.
type socketList struct {
	sockets []record.Socket
	full    bool
}

func (l *socketList) add(s record.Socket) error {
	if len(l.sockets) == mostSockets {
		l.full = true
		return errEnough
	}
	l.sockets = append(l.sockets, s)
	return nil
}

// diagnose asks sock_diag(7), of a socket of its own where an earlier list was not read to its end.
func (n *Net) diagnose(request []byte, each func([]byte) error) (bool, error) {
	if n.spent {
		return false, errEnough
	}
	changed, err := n.diag.dump(unix.SOCK_DIAG_BY_FAMILY, request, each)
	n.spent = err != nil && !isErrno(err)
	return changed, err
}

func isErrno(err error) bool {
	var errno unix.Errno
	return errors.As(err, &errno)
}

func (n *Net) inet(name string, family, protocol byte, list *socketList) (bool, error) {
	request := make([]byte, 56) // struct inet_diag_req_v2
	request[0], request[1] = family, protocol
	native.PutUint32(request[4:], ^uint32(0)) // in all states
	return n.diagnose(request, func(p []byte) error {
		if len(p) < 72 { // struct inet_diag_msg
			return nil
		}
		s := record.Socket{
			Protocol: name, Local: address(p[0], p[8:24], p[4:6]), Remote: address(p[0], p[24:40], p[6:8]),
			Receive: int(native.Uint32(p[56:])), Send: int(native.Uint32(p[60:])), Retries: int(p[3]), Inode: uint64(native.Uint32(p[68:])),
		}
		if name == "tcp" || p[1] == 1 {
			s.State = tcpStates[p[1]]
		}
		if native.Uint16(p[6:]) == 0 { // the port of nobody
			s.Remote = ""
		}
		if p[1] != listening && p[2] != 1 { // the timer is not that of retransmission
			s.Retries = 0
		}
		return list.add(s)
	})
}

// address is one in network byte order.
func address(family byte, addr, port []byte) string {
	a := netip.AddrFrom4([4]byte(addr))
	if family == unix.AF_INET6 {
		a = netip.AddrFrom16([16]byte(addr))
	}
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port)).String()
}

// Attributes of unix_diag, and what is asked for.
const (
	unixName, unixPeer, unixQueue        = 0, 2, 4
	showName, showPeer, showQueue uint32 = 1, 4, 16
)

func (n *Net) unix(list *socketList) (bool, error) {
	request := make([]byte, 24) // struct unix_diag_req
	request[0] = unix.AF_UNIX
	native.PutUint32(request[4:], ^uint32(0))
	native.PutUint32(request[12:], showName|showPeer|showQueue)
	begin := len(list.sockets)
	names := map[uint64]string{}
	changed, err := n.diagnose(request, func(p []byte) error {
		if len(p) < 16 { // struct unix_diag_msg
			return nil
		}
		s := record.Socket{Protocol: "unix", Inode: uint64(native.Uint32(p[4:]))}
		if p[2] == listening || p[2] == 1 {
			s.State = tcpStates[p[2]]
		}
		eachAttribute(p[16:], func(kind uint16, value []byte) {
			switch {
			case kind == unixName && len(value) > 0 && value[0] == 0:
				s.Local = "@" + clip(string(value[1:]))
			case kind == unixName:
				s.Local = clip(unix.ByteSliceToString(value))
			case kind == unixPeer && len(value) >= 4:
				s.Remote = fmt.Sprintf("socket:[%d]", native.Uint32(value))
			case kind == unixQueue && len(value) >= 8:
				s.Receive, s.Send = int(native.Uint32(value)), int(native.Uint32(value[4:]))
			}
		})
		names[s.Inode] = s.Local
		return list.add(s)
	})
	for i := begin; i < len(list.sockets); i++ { // a name says more than a number
		s := &list.sockets[i]
		if inode, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(s.Remote, "socket:["), "]"), 10, 64); err == nil && names[inode] != "" {
			s.Remote = names[inode]
		}
	}
	return changed, err
}

// rawSockets reads /proc/net/raw or raw6. Not every kernel has a diagnosis of them.
func rawSockets(r io.Reader, is6 bool, list *socketList) error {
	for s := bufio.NewScanner(r); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 10 || f[0] == "sl" {
			continue
		}
		send, receive, _ := strings.Cut(f[4], ":")
		k := record.Socket{Protocol: "raw", Local: procAddress(f[1], is6), Receive: hexNumber(receive), Send: hexNumber(send)}
		k.Inode, _ = strconv.ParseUint(f[9], 10, 64)
		if err := list.add(k); err != nil {
			return err
		}
	}
	return nil
}

// procAddress is an address of /proc/net: words in the machine's byte order, and a number, which of a raw socket is that of
// its protocol.
func procAddress(s string, is6 bool) string {
	word, number, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(word)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return ""
	}
	for i := 0; i < len(b); i += 4 {
		native.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return fmt.Sprintf("%s protocol %d", a, hexNumber(number))
}

func hexNumber(s string) int {
	n, _ := strconv.ParseUint(s, 16, 32)
	return int(n)
}

// packetSockets reads /proc/net/packet.
func packetSockets(r io.Reader, list *socketList) error {
	for s := bufio.NewScanner(r); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 9 || f[0] == "sk" {
			continue
		}
		k := record.Socket{Protocol: "packet", Local: "protocol 0x" + f[3] + " interface " + f[4]}
		k.Receive, _ = strconv.Atoi(f[6])
		k.Inode, _ = strconv.ParseUint(f[8], 10, 64)
		if err := list.add(k); err != nil {
			return err
		}
	}
	return nil
}
