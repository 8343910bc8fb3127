// Package nat is the home of the nftables with which a router translates addresses and ports.
//
// Linux gives every connection a mapping of its own. What RFC 4787 calls endpoint-independent mapping is made of maps in
// which packets that leave enter where they come from, before the connection gets its mapping from there.
package nat

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
)

// Kind says which mappings and filters there are.
type Kind int

// The values of Kind.
const (
	PortRestricted Kind = iota
	AddressRestricted
	FullCone
	Symmetric
)

// Spec is the translation of what leaves by one device.
type Spec struct {
	Outside  int        // index of the device
	Inside   []int      // of those whose packets are translated
	Addr4    netip.Addr // what stands outside for those inside; the zero value is no translation of IPv4
	Addr6    netip.Addr // likewise of IPv6
	Kind     Kind       //
	Hairpin  bool       // packets from inside to Addr4 and Addr6 are led as if they came from outside
	Forwards []Forward  //
	Timeouts            // of mappings; those of connections are the same in all specs
}

// outside is the address of a family; the zero value is none.
func (s Spec) outside(f family) netip.Addr {
	if f.words == 1 {
		return s.Addr4
	}
	return s.Addr6
}

// Timeouts are how long nothing need be heard, in whole seconds.
type Timeouts struct{ UDP, TCP time.Duration }

// The defaults.
const (
	DefaultUDP = 30 * time.Second
	DefaultTCP = 2*time.Hour + 4*time.Minute // RFC 5382, REQ-5
)

// Forward is a port of the outside that leads inside.
type Forward struct {
	Protocol uint8 // IPPROTO_TCP or IPPROTO_UDP
	Port     uint16
	To       netip.AddrPort
}

// Set makes the translations of a network namespace that has none.
//
// It needs nftables with NAT, maps with timeouts, numgen and socket (Linux 5.7), and conntrack's netlink.
func Set(netns *os.File, specs []Spec) error { return set(netns, specs, false) }

// Replace replaces the translations of a network namespace, those of each family at one instant, and then cuts the
// connections that it has. The kernel takes some milliseconds to free what was there. After an error the old translations
// are in force, or some of the new.
func Replace(netns *os.File, specs []Spec) error { return set(netns, specs, true) }

func set(netns *os.File, specs []Spec, replace bool) error {
	return ns.InNet(netns, func() error {
		if err := setTimeouts(specs); err != nil {
			return err
		}
		if err := transact(specs, replace); err != nil {
			return fmt.Errorf("translate addresses: nftables: %w", err)
		}
		return cut()
	})
}

// buffer is for a transaction, which is one sendmsg(2), and the answers, which come after all of it: as many bytes as an
// ordinary user may have (net.core.wmem_max, rmem_max), if that is less. The usual 212992 suffice for four NATs.
const buffer = 4 << 20

func transact(specs []Spec, replace bool) error {
	c, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return errors.Join(c.SetReadBuffer(buffer), c.SetWriteBuffer(buffer))
	}))
	if err != nil {
		return err
	}
	for _, f := range families { // a transaction of both has too many answers for the buffers of an ordinary user
		err := f.table(c, specs, replace)
		if err == nil {
			err = c.Flush()
		}
		if err != nil {
			return errors.Join(err, c.CloseLasting())
		}
	}
	return c.CloseLasting()
}
