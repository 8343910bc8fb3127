// Package traffic reads a capture of all cables of an environment: which packets went where and which were lost, which
// connections there were and how they ended, and what was said in HTTP/1, TLS handshakes and DNS.
//
// A capture is taken for hostile: what cannot be read ends the reading or is passed over, and everything is bounded.
package traffic

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
)

// A Capture is what was read.
type Capture struct {
	Packets  []*Packet // by time
	Conns    []*Conn   // by their beginning
	Messages []Message // by time
	Omitted  int       // how many sightings of packets, from the beginning of the file, were too many
	Err      error     // why the file was not read to its end; nil if it was

	owners  map[netip.Addr]string
	macs    map[[6]byte]bool // of hosts
	tables  int              // bytes that are left for those of HPACK
	ended   int              // of Conns: how many were asked for their room when there was none for another one of HTTP/2
	refused int              // how often none had any
}

// maxSightings is how many packets of the file are remembered, the last ones. A variable for the test.
var maxSightings = 300_000

// A sighting is a packet as it is in the file: one that passes a switch is there twice.
type sighting struct {
	*Packet
	host    string
	inbound bool
	unknown bool // which way
	dropped bool // at a switch, and not seen at a host
}

// Read reads a file in the format pcapng whose interfaces are named HOST/DEVICE. owners are the hosts that have addresses;
// names that the file has come on top.
func Read(r io.Reader, owners map[netip.Addr]string) *Capture {
	c := &Capture{owners: map[netip.Addr]string{}, macs: map[[6]byte]bool{}, tables: maxTables}
	for a, host := range owners {
		c.owners[a] = host
	}
	seen := c.read(r)
	slices.SortStableFunc(seen, func(a, b sighting) int { return a.Time.Compare(b.Time) })
	c.pair(seen)
	c.learnSenders()
	c.follow()
	return c
}

// Owner is the host that has an address, or the address as a text.
func (c *Capture) Owner(a netip.Addr) string {
	if host := c.owners[a.Unmap().WithZone("")]; host != "" {
		return host
	}
	return a.String()
}

// sectionHeader is how a file in the format pcapng begins.
const sectionHeader = "\x0a\x0d\x0d\x0a"

func (c *Capture) read(r io.Reader) (seen []sighting) {
	defer func() {
		if p := recover(); p != nil { // a decoder has met what it did not expect
			c.Err = fmt.Errorf("read capture: %v", p)
		}
	}()
	buffered := bufio.NewReaderSize(r, 1<<16)
	if magic, err := buffered.Peek(4); err != nil || string(magic) != sectionHeader { // gzip is read by NgReader too
		if len(magic) > 0 {
			c.Err = errors.New("read capture: it is not of the format pcapng")
		}
		return nil
	}
	file, err := pcapgo.NewNgReader(buffered, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		c.Err = fmt.Errorf("read capture: %w", err)
		return nil
	}
	d := newDecoder()
	names := 0
	for number := 1; ; number++ {
		data, info, options, err := file.ZeroCopyReadPacketDataWithOptions()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.Err = fmt.Errorf("read capture: packet %d: %w", number, err)
			}
			return seen
		}
		if n := file.NNames(); n != names {
			if n < names { // a new section
				names = 0
			}
			for ; names < n; names++ {
				c.learnName(file.Name(names))
			}
		}
		s := sighting{unknown: true}
		if i, err := file.Interface(info.InterfaceIndex); err == nil {
			var device string
			s.host, device, _ = strings.Cut(i.Name, "/")
			s.dropped = device == switchDevice
		}
		if f := options.Flags; f != nil && f.Direction != pcapgo.NgEpbFlagDirectionUnknown {
			s.unknown, s.inbound = false, f.Direction == pcapgo.NgEpbFlagDirectionInbound
		}
		s.Packet = d.decode(data, info.Length)
		s.Number, s.Time = number, info.Timestamp
		s.comment(options.Comments)
		seen = append(seen, s)
		if len(seen) >= 2*maxSightings {
			c.Omitted += maxSightings
			seen = slices.Delete(seen, 0, maxSightings)
		}
	}
}

// switchDevice is what the interface of a network's switch is called, at which packets are that it has dropped.
const switchDevice = "switch"

// maxComments is how many of a packet are kept.
const maxComments = 40

// comment takes what the file says at a packet. What was dropped has the reason first.
func (s *sighting) comment(list []string) {
	for i, text := range list[:min(len(list), maxComments)] {
		if text = clip([]byte(text)); s.dropped && i == 0 {
			s.Dropped = text
		} else {
			s.Comments = append(s.Comments, text)
		}
	}
}

// learnName takes the name of a host from the file: the first one of each address.
func (c *Capture) learnName(r pcapgo.NgNameRecord, err error) {
	ip, ok := r.Addr.(*pcapgo.NgIPAddress)
	if err != nil || !ok || len(r.Names) == 0 || c.owners[ip.Addr] != "" || len(c.owners) > 1<<16 {
		return
	}
	c.owners[ip.Addr] = strings.TrimSuffix(r.Names[0], ".")
}

// The times between the two sightings of a packet: impairments delay packets, and the clocks of two switches' rings
// differ a little.
const (
	maxDelay   = 30 * time.Second
	maxReorder = 5 * time.Millisecond
	inFlight   = 20 * time.Millisecond // at the end of the capture
)

// pair makes one packet of its sightings.
func (c *Capture) pair(seen []sighting) {
	type key struct {
		frame uint64
		size  int
	}
	left := map[key][]*Packet{}   // that hosts have sent, the last ones first
	early := map[key][]sighting{} // that have arrived before
	for _, s := range seen {
		k := key{s.key, s.Length}
		switch {
		case s.dropped:
			if p := dropped(left[k], s); p != nil {
				p.Dropped, p.Comments = cmp.Or(p.Dropped, s.Dropped, "dropped"), append(p.Comments, s.Comments...)
			} else { // it was sent before the capture began
				s.Dropped = cmp.Or(s.Dropped, "dropped")
				c.Packets = append(c.Packets, s.Packet)
			}
		case s.unknown || !s.inbound:
			s.From = s.host
			c.macs[s.ends[1]] = true
			for _, e := range early[k] {
				if s.Time.Sub(e.Time) <= maxReorder {
					s.To = append(s.To, e.host)
					s.Time, s.Number = e.Time, min(s.Number, e.Number)
				}
			}
			delete(early, k)
			left[k] = append([]*Packet{s.Packet}, left[k][:min(len(left[k]), 15)]...)
			c.Packets = append(c.Packets, s.Packet)
		default:
			p := sender(left[k], s)
			if p == nil {
				early[k] = append(early[k], s)
				continue
			}
			p.To = append(p.To, s.host)
			p.Comments = append(p.Comments, s.Comments...)
		}
	}
	for _, list := range early { // what was sent before the capture began
		p := list[0]
		for _, s := range list {
			p.To = append(p.To, s.host)
		}
		c.Packets = append(c.Packets, p.Packet)
	}
	slices.SortStableFunc(c.Packets, func(a, b *Packet) int { return a.Time.Compare(b.Time) })
	c.markLost()
}

// learnSenders takes the host that is the first to send from an address for its owner, unless another one is known: a router
// sends the same later.
func (c *Capture) learnSenders() {
	for _, p := range c.Packets {
		a := p.Src.Addr()
		if p.From != "" && a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && c.owners[a] == "" && len(c.owners) < 1<<16 {
			c.owners[a] = p.From
		}
	}
}

// sender is the packet that has arrived at a host: the last one that is like it and has not been there.
func sender(candidates []*Packet, s sighting) *Packet {
	for _, p := range candidates {
		if s.Time.Sub(p.Time) <= maxDelay && p.From != s.host && !slices.Contains(p.To, s.host) {
			return p
		}
	}
	return nil
}

// dropped is the packet that a switch has dropped: the last one that is like it and of which that is not known yet, or was
// dropped on its way to somebody else as well.
func dropped(candidates []*Packet, s sighting) *Packet {
	for _, p := range candidates {
		if s.Time.Sub(p.Time) <= maxDelay && p.Dropped == "" {
			return p
		}
	}
	if len(candidates) > 0 {
		return candidates[0]
	}
	return nil
}

// markLost finds the packets to known hosts that have arrived nowhere.
func (c *Capture) markLost() {
	if len(c.Packets) == 0 {
		return
	}
	arrivals := slices.ContainsFunc(c.Packets, func(p *Packet) bool { return len(p.To) > 0 })
	end := c.Packets[len(c.Packets)-1].Time.Add(-inFlight)
	for _, p := range c.Packets {
		multicast := p.ends[0][0]&1 != 0
		if p.Dropped != "" && len(p.To) == 0 {
			p.Lost = true
			continue
		}
		p.Lost = arrivals && p.From != "" && len(p.To) == 0 && !multicast && c.macs[p.ends[0]] && p.ends[0] != p.ends[1] && p.Time.Before(end)
	}
}
