// Package rtnetlink configures network devices for specs, one request at a time, so that the kernel's answer to each can be
// asserted (rtnetlink(7)). Its errors are errnos.
//
// It works in the network namespace of the calling thread: the environment's in a spec, the probe's in a probe of nsx.
package rtnetlink

import (
	"encoding/binary"
	"fmt"
	"net"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// execute sends one message, and returns what is answered.
func execute(kind int, flags netlink.HeaderFlags, data []byte) ([]netlink.Message, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return conn.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request | flags}, Data: data,
	})
}

// request sends one message that is acknowledged or refused.
func request(what string, kind int, flags netlink.HeaderFlags, data []byte) error {
	if _, err := execute(kind, netlink.Acknowledge|flags, data); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// linkHeader is a struct ifinfomsg. Index 0 is none.
func linkHeader(index int, flags, change uint32) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	ne := binary.NativeEndian
	ne.PutUint32(b[4:], uint32(index))
	ne.PutUint32(b[8:], flags)
	ne.PutUint32(b[12:], change)
	return b
}

// attributes are those that fill adds, encoded.
func attributes(fill func(*netlink.AttributeEncoder)) []byte {
	e := netlink.NewAttributeEncoder()
	fill(e)
	b, err := e.Encode()
	if err != nil {
		panic("rtnetlink: encode attributes: " + err.Error()) // one is too long: a constant of a spec
	}
	return b
}

// indexOf is the number of a device. The error is ENODEV if there is none.
func indexOf(name string) (int, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0, fmt.Errorf("look up device %s: %w", name, unix.ENODEV)
	}
	return i.Index, nil
}
