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

// A Filter is the firewall of a network namespace. It must not be used by several goroutines at a time.
//
// Its socket is kept, because the kernel takes some milliseconds to close one.
type Filter struct {
	conn *netlink.Conn
	sets int32 // how many firewalls it has put in force
}

// Open makes a Filter, which does nothing as yet. The caller closes it.
func Open(netns *os.File) (*Filter, error) {
	var f Filter
	err := ns.InNet(netns, func() (err error) {
		f.conn, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	if err := f.conn.SetWriteBuffer(sendBuffer); err != nil {
		return nil, errors.Join(fmt.Errorf("open nftables: %w", err), f.conn.Close())
	}
	return &f, nil
}

// Set replaces the firewall in one transaction. When it fails, the one before is still in force, and the Filter is of no use any
// more.
//
// Both firewalls are hooked at the moment of the change, and the kernel judges a packet by each on its own: by the old one as it
// was before, or as nothing after it; by the new one as nothing before, or as it is after. Where the new one came first, a packet
// could meet it before that moment and the old one after it, and pass both. So the new one comes last; in one change of 131 the
// priorities begin again, and a packet may pass in that instant.
func (f *Filter) Set(rules Firewall) error {
	priority := firstPriority + f.sets%(lastPriority-firstPriority+1)
	f.sets++
	return f.load(compile(rules, priority))
}

// Remove takes the firewall away. After an error, the same holds.
func (f *Filter) Remove() error {
	var t transaction
	t.clear()
	return f.load(&t)
}

// Close lets go of the kernel's filter, which stays as it is.
func (f *Filter) Close() error { return f.conn.Close() }

func (f *Filter) load(t *transaction) error {
	switch err := t.commit(f.conn); {
	case errors.Is(err, unix.EMSGSIZE):
		return fmt.Errorf("its rules are more than the kernel takes at once from an ordinary user: have fewer, name a direction in each, or raise net.core.wmem_max: %w", err)
	case err != nil:
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
