package lan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/nflog"
	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/tap"
)

const (
	bridgeIndex = 2 // lo is 1
	firstPort   = 3 // index of the first port of every lease
	lastPort    = 1 << 24
	// lastNumberedPort is that of a switch with a number, which takes the upper byte of the address.
	lastNumberedPort = 1 << 16
)

// MaxPorts is how many ports a switch can have at a time, those of trunks included.
const MaxPorts = 1023

// bridge is a switch without its lease: a network namespace with br0, alive for as long as its files.
type bridge struct {
	net   *os.File
	route *rtnl.Conn
	// silent tells that IPv6 is off in the namespace, or absent, so that a port never speaks. Elsewhere each port has to be
	// kept from it.
	silent    bool
	ipv6      bool
	filter    *nftables.Conn  // made for the first fault
	cuts      []Cut           // that are in force: the table exists where there are any
	blocks    int             // how many tables there were
	logged    bool            // what they drop is logged
	spans     bool            // it speaks the spanning tree protocol
	base      rtnl.Stats      // of br0 when the lease began: the kernel cannot set them back
	drops     *nflog.Listener // made for the first fault that is watched, guarded by the switch's portMu, as is hearing
	hearing   *hearing        // which lease is told
	fresh     bool            // not counted by the pool yet
	early     bool            // one of those that the pool counts as such; guarded by its mutex
	marked    bool            // can be told from a new one: not to be leased again
	idleSince time.Time

	tapping sync.Mutex // held while the tap is opened or closed; guards what follows
	tap     *tap.Tap   // that rests between leases; nil until one is recorded, or will be
	untap   bool       // none is opened any more
}

// newBridge makes a namespace with a bridge that is up. The sysctls are looked for below sysctls, /proc/sys but for tests.
func newBridge(sysctls string) (*bridge, error) {
	b := &bridge{fresh: true, ipv6: true}
	var err error
	b.net, err = ns.InNewNet(func() (err error) {
		if err := b.silence(sysctls); err != nil {
			return err
		}
		b.route, err = rtnl.Open()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make switch: %w", err)
	}
	var msgs rtnl.Batch
	msgs.NSID(b.net, 0) // a look at a port's peer would make a number, some number, for the switch itself
	msgs.Bridge(rtnl.BridgeSpec{Name: "br0", Index: bridgeIndex, MAC: deviceMAC(bridgeIndex)})
	if b.ipv6 {
		msgs.AddrGenNone(bridgeIndex)
	}
	msgs.LinkUp(bridgeIndex)
	err = b.route.Send(&msgs)
	if err == nil {
		err = b.takeBase() // which also settles the operational state, some time before the kernel would
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make switch: %w", err), b.close())
	}
	return b, nil
}

// silence sets what a new network namespace inherits from the machine, or has by default, and what would make the switch
// speak, route or filter. It runs in the namespace.
func (b *bridge) silence(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "net/ipv6")); err != nil {
		// No IPv6, or no /proc of this kind. AddrGenNone is refused where IPv6 is off altogether.
		b.ipv6 = haveIPv6()
		b.silent = !b.ipv6
	} else if err := ns.WriteSysctl(dir, "net/ipv6/conf/all/disable_ipv6", "1"); err == nil { // of later devices as well
		b.silent = true
	} else if !unwritable(err) {
		return err
	}
	// Ports and bridge have no IPv4 address, so that an unset one is harmless: for a file system that is read-only.
	for _, name := range []string{
		"net/ipv4/ip_forward",
		"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables", "net/bridge/bridge-nf-call-arptables",
	} {
		if err := ns.WriteSysctl(dir, name, "0"); err != nil && !unwritable(err) {
			return err
		}
	}
	return nil
}

// unwritable tells of a sysctl that does not exist, or that a container has made read-only.
func unwritable(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS)
}

func haveIPv6() bool {
	s, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	_ = unix.Close(s)
	return true
}

// deviceMAC is the address of a switch's own device: locally administered, and the same on every switch, so that one is
// like the other. Hosts must not use addresses that begin with 02:6e:73.
func deviceMAC(index int) net.HardwareAddr {
	return net.HardwareAddr{0x02, 'n', 's', byte(index >> 16), byte(index >> 8), byte(index)}
}

// Reserved reports whether a MAC address is of those that switches have, which no host can have.
func Reserved(mac net.HardwareAddr) bool {
	return len(mac) == 6 && bytes.Equal(mac[:3], deviceMAC(0)[:3])
}

// drain waits until br0 has no port left, and then takes the base of its counters.
func (b *bridge) drain(ctx context.Context) error {
	err := b.route.WatchLinks(ctx, func(indices []int) bool { return indices[len(indices)-1] <= bridgeIndex })
	if err != nil {
		return fmt.Errorf("drain switch: %w", err)
	}
	// The last port may still be in the course of leaving the bridge, under the lock that this message takes.
	var msgs rtnl.Batch
	msgs.LinkUp(bridgeIndex)
	if err := b.route.Send(&msgs); err != nil {
		return fmt.Errorf("drain switch: %w", err)
	}
	return b.takeBase()
}

func (b *bridge) takeBase() error {
	l, err := b.route.Link(bridgeIndex)
	if err != nil {
		return fmt.Errorf("read counters of switch: %w", err)
	}
	b.base = l.Stats
	return nil
}

func (b *bridge) close() error {
	var err error
	if b.filter != nil {
		err = b.filter.CloseLasting()
	}
	b.tapping.Lock()
	defer b.tapping.Unlock()
	b.untap = true
	if b.tap != nil {
		err = errors.Join(err, b.tap.Close())
	}
	err = errors.Join(err, b.closeDrops())
	return errors.Join(err, b.route.Close(), b.net.Close())
}
