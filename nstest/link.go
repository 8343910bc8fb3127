package nstest

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A Link is the cable between a host and a network. What it tells of itself is what this program has made of it: changes
// made by another program that holds the environment, or by a process of the host, do not show. Its methods may be called
// from any goroutine.
type Link struct {
	host *Host

	// Guarded by the host's mutex.
	info wire.LinkResult
	gone bool
}

// Host is the host at the one end.
func (l *Link) Host() *Host { return l.host }

// Network is the name of the network at the other end.
func (l *Link) Network() string { return l.now().Network }

// Interface is the name of the host's network device: "eth0".
func (l *Link) Interface() string { return l.now().Interface }

// Addrs are the addresses that the host was given on this link. After Move they are those of the network that was left,
// until Renew.
func (l *Link) Addrs() []netip.Addr { return slices.Clone(l.now().Addrs) }

// MAC is the device's hardware address.
func (l *Link) MAC() string { return l.now().MAC }

// MTU is the largest packet, in bytes.
func (l *Link) MTU() int { return l.now().MTU }

func (l *Link) now() wire.LinkResult {
	l.host.mu.Lock()
	defer l.host.mu.Unlock()
	return l.info
}

// Up plugs the cable in again. Frames pass when it returns, unless the host has set its device down.
func (l *Link) Up() error { return l.set("plug link of", true) }

// Down pulls the cable out of the switch. The host sees NO-CARRIER; its device's administrative state, addresses and
// routes stay as they are.
func (l *Link) Down() error { return l.set("pull link of", false) }

func (l *Link) set(op string, up bool) error {
	return l.change(op, func(network string) error {
		return l.call(wire.MethodLink, wire.LinkParams{Host: l.host.name, Network: network, Up: up}, nil)
	})
}

// AddLink gives a running host a further cable, as a device ethN with the lowest number that is free. Its processes see the
// device come (RTM_NEWLINK, rtnetlink(7)). The link is ready when AddLink returns, the host's name stands for the new
// addresses as well, and the partitions in force hold for it. A host can have one link to each network.
//
// Where several networks of a host have a gateway, the default route through that of the first device is taken.
func (h *Host) AddLink(a Attachment) (*Link, error) {
	l := &Link{host: h}
	err := h.change("add link to", func() error {
		err := h.env.call(context.Background(), wire.MethodAddLink, wire.AddLinkParams{Host: h.name, Attachment: wire.Attachment(a)}, &l.info)
		if err != nil {
			return err
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.links = append(h.links, l)
		slices.SortFunc(h.links, func(a, b *Link) int {
			return cmp.Or(cmp.Compare(len(a.info.Interface), len(b.info.Interface)), strings.Compare(a.info.Interface, b.info.Interface))
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Remove takes the cable and its device away. Processes of the host see the device go (RTM_DELLINK), and the host's name no
// longer stands for its addresses. The last link can be removed too. What is done with the Link afterwards is an error.
func (l *Link) Remove() error {
	return l.change("remove link of", func(network string) error {
		if err := l.call(wire.MethodRemoveLink, wire.LinkParams{Host: l.host.name, Network: network}, nil); err != nil {
			return err
		}
		l.host.mu.Lock()
		defer l.host.mu.Unlock()
		l.gone = true
		l.host.links = slices.DeleteFunc(l.host.links, func(other *Link) bool { return other == l })
		return nil
	})
}

// Move plugs the cable into the switch of another network. The host's device stays the same: its processes see the carrier
// go and come. Addresses and routes stay as they are, as those of a machine that nobody has told: see Renew. A cable that is
// pulled stays so. It needs Linux 5.13.
func (l *Link) Move(network string) error {
	return l.change("move link of", func(from string) error {
		var r wire.LinkResult
		err := l.call(wire.MethodMoveLink, wire.MoveLinkParams{Host: l.host.name, Network: from, To: network}, &r)
		return l.update(r, err)
	})
}

// Renew gives the link addresses of the network that it is on, as a DHCP client does: these, and for each family that has
// none among them the one that it has there already or else the next free one. Those of another network go. The default
// route follows that network's gateway, and the host's name the addresses. Routes that were added by hand go with the
// addresses that they depend on.
//
// The device has to be up; the cable need not be plugged in.
func (l *Link) Renew(addrs ...netip.Addr) error {
	return l.change("renew link of", func(network string) error {
		var r wire.LinkResult
		err := l.call(wire.MethodRenewLink, wire.RenewLinkParams{Host: l.host.name, Network: network, Addrs: addrs}, &r)
		return l.update(r, err)
	})
}

// SetMTU sets the largest packet, in bytes, at both ends of the cable: 68 to 65535, with IPv6 at least 1280. A frame that is
// larger than what the other host's cable takes is dropped by the switch, in silence.
func (l *Link) SetMTU(n int) error {
	return l.change("set MTU of link of", func(network string) error {
		err := l.call(wire.MethodLinkMTU, wire.LinkMTUParams{Host: l.host.name, Network: network, MTU: n}, nil)
		if err != nil {
			return err
		}
		l.host.mu.Lock()
		defer l.host.mu.Unlock()
		l.info.MTU = n
		return nil
	})
}

// Flap pulls the cable, and then plugs and pulls it by turns until the fault is healed, which plugs it in. Each turn takes
// at least 10 ms. Up, Down and Move have their effect, which lasts until the next turn of up and down; Remove ends the fault.
func (l *Link) Flap(up, down time.Duration) (*Fault, error) {
	var r wire.PartitionResult
	err := l.change("flap link of", func(network string) error {
		return l.call(wire.MethodFlap, wire.FlapParams{Host: l.host.name, Network: network, Up: up, Down: down}, &r)
	})
	if err != nil {
		return nil, err
	}
	return &Fault{env: l.host.env, id: r.Fault}, nil
}

func (l *Link) call(method string, params, result any) error {
	return l.host.env.call(context.Background(), method, params, result)
}

// update takes note of what the link has become.
func (l *Link) update(r wire.LinkResult, err error) error {
	if err != nil {
		return err
	}
	l.host.mu.Lock()
	defer l.host.mu.Unlock()
	l.info = r
	return nil
}

// change calls f with the network that the link is on, while this program changes no other link of the host.
func (l *Link) change(op string, f func(network string) error) error {
	return l.host.change(op, func() error {
		l.host.mu.Lock()
		network, gone := l.info.Network, l.gone
		l.host.mu.Unlock()
		if gone {
			return fmt.Errorf("the link to network %q was removed: AddLink makes another", network)
		}
		return f(network)
	})
}

// change calls f, so that the links are noted in the order in which they have changed.
func (h *Host) change(op string, f func() error) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	return wrap(op, h.env.name, h.name, f())
}
