package keeper

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/lan"
	"github.com/hermetic-go/nstest/nstest/internal/pcapng"
	"github.com/hermetic-go/nstest/nstest/internal/tap"
)

// A label is what hangs on a port.
type label struct {
	place
	about string // what it is, where it is no device
	mac   []byte
	addrs []netip.Prefix
}

// label says what hangs on a port of the cable's network.
func (c *cable) label(port lan.PortID, host string) {
	if port != 0 && c.network.lan != nil {
		c.network.labels.Store(port, label{place: place{host, c.name()}, mac: c.mac, addrs: c.prefixes()})
	}
}

// wants reports whether what is at a place is of those that are wanted.
func (c *capture) wants(l label) bool {
	return (c.params.Host == "" || c.params.Host == l.host) && (c.device == "" || c.device == l.device)
}

// see writes a frame that passed a switch, if it is one of those that are wanted.
func (c *capture) see(e *environment, l label, f tap.Frame) {
	if !c.wants(l) {
		return
	}
	direction := pcapng.Outbound
	if f.Outbound { // of the switch is inbound to the host
		direction = pcapng.Inbound
	}
	c.take(e, l, f, direction)
}

// take writes a frame that is one of those that the filter wants, with comments.
func (c *capture) take(e *environment, l label, f tap.Frame, d pcapng.Direction, comments ...string) {
	if c.filter != nil && !c.filter.Match(f.Data, f.Length) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	err := c.write(e, l, f, d, comments)
	if errors.Is(err, pcapng.ErrLimit) && c.ring != nil {
		if err = c.turn(); err == nil {
			err = c.write(e, l, f, d, comments)
		}
	}
	switch {
	case errors.Is(err, pcapng.ErrLimit):
		c.stats.Omitted++
	case err != nil:
		c.stats.Lost++
	default:
		c.stats.Packets++
	}
}

// write writes a frame, with what has happened before. The mutex is held.
func (c *capture) write(e *environment, l label, f tap.Frame, d pcapng.Direction, comments []string) error {
	if err := c.writeNames(e); err != nil {
		return err
	}
	at, err := c.at(l)
	if err != nil {
		return err
	}
	notes, rest := c.before(f.Time)
	k := pcapng.Packet{Interface: at.number, Time: f.Time, Direction: d, Data: f.Data, Length: f.Length, Comments: slices.Concat(comments, notes)}
	if c.params.Snap > 0 {
		k.Data = k.Data[:min(len(k.Data), c.params.Snap)]
	}
	if err := c.out.WritePacket(k); err != nil {
		return err
	}
	at.packets++
	c.notes = rest
	return nil
}

// writeNames tells the file what hosts are called that have come since. The mutex is held.
func (c *capture) writeNames(e *environment) error {
	changes := e.zone.Changes()
	if changes == c.names {
		return nil
	}
	if err := c.tell(e.zone.Names()); err != nil {
		return err
	}
	c.names = changes
	return nil
}

// tell tells the file the names that it does not have.
func (c *capture) tell(names map[netip.Addr][]string) error {
	for a, list := range names {
		slices.Sort(list)
		names[a] = slices.DeleteFunc(list, func(name string) bool { return slices.Contains(c.told[a], name) })
		if len(names[a]) == 0 {
			delete(names, a)
		}
	}
	if err := c.out.WriteNames(names); err != nil {
		return err
	}
	for a, list := range names {
		c.told[a] = append(c.told[a], list...)
	}
	return nil
}

// at is a place's interface, of which the file is told before its first packet. The mutex is held.
func (c *capture) at(l label) (*seen, error) {
	if s := c.seen[l.place]; s != nil {
		return s, nil
	}
	names := map[netip.Addr][]string{} // of a host that may have gone before its packets were taken
	for _, p := range l.addrs {
		if !p.Addr().IsLinkLocalUnicast() {
			names[p.Addr()] = []string{strings.ToLower(l.host)}
		}
	}
	if err := c.tell(names); err != nil {
		return nil, err
	}
	n, err := c.out.AddInterface(pcapng.Interface{Name: l.String(), Description: l.about, MAC: l.mac, Addrs: l.addrs, Filter: c.params.Filter, Snap: c.params.Snap})
	if err != nil {
		return nil, err
	}
	s := &seen{number: n}
	c.seen[l.place] = s
	return s, nil
}
