package keeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/translate"
	"golang.org/x/sys/unix"
)

// The devices of translators, and their peers, have numbers that no cable and no borrowed device will ever have.
const (
	nat64Index = 1 << 24
	nptIndex   = nat64Index + 2
)

// largest is the MTU of these devices, so that the kernel compares the size of a packet with the MTU of the link that it
// leaves by, and says so to its sender.
const largest = 65535

// beyond is the next hop that all packets to a translator have, so that the kernel keeps one neighbour and not one for each
// address. Nobody asks for its MAC.
var beyond = netip.MustParseAddr("fe80::1")

// deviceLimit is how long a new device may take to be in operation.
const deviceLimit = 10 * time.Second

// A translator is a device of a router, and the goroutine that answers what is sent out of it.
type translator struct {
	index int
	port  *translate.Port
	done  chan struct{}
}

// newTranslator makes the device, to which no route leads yet.
func newTranslator(h *host, name string, index int, t translate.Translator) (_ *translator, err error) {
	netns, err := h.route.NetNS()
	if err != nil {
		return nil, err
	}
	defer netns.Close()
	var msgs rtnl.Batch
	mac := func(i int) net.HardwareAddr { return net.HardwareAddr{0x02, 'n', 's', 0xff, 0, byte(i)} }
	msgs.Veth(rtnl.VethSpec{Name: name, Index: index, MTU: largest, MAC: mac(index), Peer: rtnl.VethPeer{Name: name + "-peer", Index: index + 1, MAC: mac(index + 1)}})
	msgs.AddrGenNone(index)
	msgs.AddrGenNone(index + 1)
	msgs.NoARP(index)
	msgs.LinkUp(index + 1)
	if err := h.route.Send(&msgs); err != nil {
		return nil, errors.Join(fmt.Errorf("make device %s: %w", name, err), removeDevice(h, index))
	}
	x := &translator{index: index, done: make(chan struct{})}
	err = ns.InNet(netns, func() (err error) {
		if err := translate.Plain(name); err != nil {
			return err
		}
		x.port, err = translate.OpenPort(index + 1)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, removeDevice(h, index))
	}
	go func() {
		defer close(x.done)
		x.port.Serve(t)
	}()
	msgs.LinkUp(index)
	err = h.route.Send(&msgs)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), deviceLimit)
		defer cancel()
		err = h.route.WaitUp(ctx, index, index+1) // the peer sends nothing before it is in operation as well
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make device %s: %w", name, err), x.remove(h))
	}
	return x, nil
}

// close ends the goroutine. The device is left to end with its namespace.
func (x *translator) close() error {
	err := x.port.Close()
	<-x.done
	return err
}

// remove takes the device away as well, with the routes that lead to it.
func (x *translator) remove(h *host) error {
	return errors.Join(x.close(), removeDevice(h, x.index))
}

func removeDevice(h *host, index int) error {
	var msgs rtnl.Batch
	msgs.DelLink(index)
	if err := h.route.Send(&msgs); err != nil && !errors.Is(err, unix.ENODEV) {
		return err
	}
	return nil
}

// inside runs f in the host's network namespace.
func (h *host) inside(f func() error) error {
	netns, err := h.route.NetNS()
	if err != nil {
		return err
	}
	defer netns.Close()
	return ns.InNet(netns, f)
}
