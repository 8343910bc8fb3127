package nstest

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A Link is the cable between a host and a network.
type Link struct {
	host *Host
	info wire.LinkResult
}

// Host is the host at the one end.
func (l *Link) Host() *Host { return l.host }

// Network is the name of the network at the other end.
func (l *Link) Network() string { return l.info.Network }

// Interface is the name of the host's network device: "eth0".
func (l *Link) Interface() string { return l.info.Interface }

// Addrs are the addresses that the host was given on this link.
func (l *Link) Addrs() []netip.Addr { return slices.Clone(l.info.Addrs) }

// MAC is the device's hardware address.
func (l *Link) MAC() string { return l.info.MAC }

// Up plugs the cable in again. Frames pass when it returns.
func (l *Link) Up() error { return l.set(true) }

// Down pulls the cable out of the switch. The host sees NO-CARRIER; its device's administrative state, addresses and
// routes stay as they are.
func (l *Link) Down() error { return l.set(false) }

func (l *Link) set(up bool) error {
	op := "pull link of"
	if up {
		op = "plug link of"
	}
	e := l.host.env
	return wrap(op, e.name, l.host.name, e.call(context.Background(), wire.MethodLink, wire.LinkParams{Host: l.host.name, Network: l.info.Network, Up: up}, nil))
}

// AddLink gives a running host a further cable. Its processes see the device come.
func (h *Host) AddLink(a Attachment) (*Link, error) { panic("still to be built") }

// Remove takes the cable and its device away. Processes of the host see the device go.
func (l *Link) Remove() error { panic("still to be built") }

// Move plugs the cable into the switch of another network. The host sees its carrier go and come; addresses and routes
// stay as they are: see Renew.
func (l *Link) Move(network string) error { panic("still to be built") }

// Renew replaces the link's addresses with some of the network that it is on: these, and the next free ones of each family
// that has none among them. The default route follows.
func (l *Link) Renew(addrs ...netip.Addr) error { panic("still to be built") }

// SetMTU sets the largest packet, in bytes, at both ends of the cable.
func (l *Link) SetMTU(n int) error { panic("still to be built") }

// Flap pulls and plugs the cable by turns until the fault is healed.
func (l *Link) Flap(up, down time.Duration) (*Fault, error) { panic("still to be built") }
