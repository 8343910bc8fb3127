package nat

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// setTimeouts sets how long the kernel remembers connections of the calling thread's network namespace: as long as their
// mappings. A TCP connection that it has forgotten stays so (nf_conntrack_tcp_loose), as a mapping of its own would be
// another one.
func setTimeouts(specs []Spec) error {
	values := []sysctl{{"udp_timeout", 30}, {"udp_timeout_stream", 120}, {"tcp_timeout_established", 432000}, {"tcp_loose", 1}} // the kernel's own
	if len(specs) > 0 {
		udp, tcp := int(specs[0].UDP.Seconds()), int(specs[0].TCP.Seconds())
		values = []sysctl{{"udp_timeout", udp}, {"udp_timeout_stream", udp}, {"tcp_timeout_established", tcp}, {"tcp_loose", 0}}
	}
	for _, s := range values {
		if err := ns.WriteSysctl(ns.Sysctls, "net/netfilter/nf_conntrack_"+s.name, strconv.Itoa(s.value)); err != nil {
			return fmt.Errorf("set time limits of connections: %w", err)
		}
	}
	return nil
}

type sysctl struct {
	name  string
	value int
}

const (
	subsystem   = 1 // NFNL_SUBSYS_CTNETLINK
	deleteEntry = 2 // IPCTNL_MSG_CT_DELETE
)

// cut makes the kernel forget all connections of the calling thread's network namespace.
func cut() error {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return fmt.Errorf("cut connections: %w", err)
	}
	_, err = c.Execute(netlink.Message{
		Header: netlink.Header{Type: subsystem<<8 | deleteEntry, Flags: netlink.Request | netlink.Acknowledge},
		Data:   make([]byte, 4), // struct nfgenmsg: any family, no attribute, so that all entries are meant
	})
	if err = errors.Join(err, c.Close()); err != nil {
		return fmt.Errorf("cut connections: ctnetlink: %w", err)
	}
	return nil
}
