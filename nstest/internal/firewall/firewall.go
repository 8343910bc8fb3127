// Package firewall makes the kernel of a host filter: it compiles rules to nftables (Linux 5.2, for address translation in
// tables of both families) and loads them at one instant.
package firewall

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Firewall is rules of which the first that fits counts.
type Firewall struct {
	Rules     []Rule
	Default   Verdict // of what no rule fits
	Stateless bool
}

// A Rule fits what all of it applies to.
type Rule struct {
	Verdict    Verdict
	Directions []Direction    // none is all
	From, To   []netip.Prefix // nil is anybody, and empty nobody
	Protocol   Protocol
	Ports      []Ports // of the destination; for TCP and UDP only
	Redirect   netip.AddrPort
	Segment    netip.Prefix // whose hosts reach the address of Redirect without us
}

// Verdict is what becomes of a packet.
type Verdict int

// The values of Verdict.
const (
	Allow Verdict = iota
	Drop
	Reject
)

// Direction is the way of a packet, as the host sees it.
type Direction int

// The values of Direction.
const (
	In Direction = iota
	Out
	Through
)

// Protocol is what a packet carries.
type Protocol int

// The values of Protocol. ICMP is that of either family.
const (
	AnyProtocol Protocol = 0
	ICMP        Protocol = unix.IPPROTO_ICMP
	TCP         Protocol = unix.IPPROTO_TCP
	UDP         Protocol = unix.IPPROTO_UDP
)

// Ports are those from First to Last.
type Ports struct{ First, Last uint16 }

// table is the name of the only table that this package knows of.
const table = "nstest-firewall"

// Set replaces the firewall of a network namespace in one transaction. When it fails, the one before is still in force.
func Set(netns *os.File, f Firewall) error {
	t := compile(f)
	return t.load(netns)
}

// Remove takes the firewall away.
func Remove(netns *os.File) error {
	var t transaction
	t.clear()
	return t.load(netns)
}

func (t *transaction) load(netns *os.File) error {
	var conn *netlink.Conn
	err := ns.InNet(netns, func() (err error) {
		conn, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	err = errors.Join(t.commit(conn), conn.Close())
	if errors.Is(err, unix.EMSGSIZE) {
		return fmt.Errorf("its rules are more than the kernel takes at once from an ordinary user: have fewer, name a direction in each, or raise net.core.wmem_max: %w", err)
	}
	if err != nil {
		return fmt.Errorf("nftables family inet: %w", err)
	}
	return nil
}

// What a firewall can hold at most. The kernel takes that in one message from root. From an ordinary user it takes as many
// rules that are about one direction and one host each.
const (
	MostRules = 200
	MostPorts = 16 // ranges of a rule
)
