package translate

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// NPT translates an IPv6 prefix into another and back (RFC 6296). It keeps no state: an address inside has one address
// outside and the other way round, and no checksum changes, since the difference of the prefixes is made up for within the
// address.
type NPT struct {
	inside, outside netip.Prefix
	adjust          uint32 // is added to a word of an address on its way out
}

// NewNPT is a translation between prefixes of one length, which is at most 64.
func NewNPT(inside, outside netip.Prefix) (NPT, error) {
	for _, p := range []netip.Prefix{inside, outside} {
		switch {
		case !p.IsValid() || !p.Addr().Is6() || p.Addr().Is4In6():
			return NPT{}, fmt.Errorf("%s is not an IPv6 prefix", p)
		case p.Bits() > 64:
			return NPT{}, fmt.Errorf("%s is longer than /64: RFC 6296 translates no part of the interface identifier", p)
		case p != p.Masked():
			return NPT{}, fmt.Errorf("%s has host bits set: %s is the prefix", p, p.Masked())
		}
	}
	if inside.Bits() != outside.Bits() {
		return NPT{}, fmt.Errorf("%s and %s are of different lengths", inside, outside)
	}
	if inside.Overlaps(outside) {
		return NPT{}, errors.New("inside and outside are the same prefix")
	}
	in, out := inside.Addr().As16(), outside.Addr().As16()
	return NPT{inside, outside, fold(sum(0, in[:]) + 0xffff - sum(0, out[:]))}, nil
}

// Outside is what the address is outside. It is false for one that is not of the prefix inside, or that cannot be
// translated: where the prefix is at most 48 bits long, in the subnet 0xffff; where it is longer, with an interface identifier
// of nothing but zeros or ones.
func (n NPT) Outside(a netip.Addr) (netip.Addr, bool) {
	return n.rewrite(a, n.inside, n.outside, n.adjust)
}

// Inside is the opposite of Outside.
func (n NPT) Inside(a netip.Addr) (netip.Addr, bool) {
	return n.rewrite(a, n.outside, n.inside, 0xffff-n.adjust)
}

func (n NPT) rewrite(a netip.Addr, from, to netip.Prefix, adjust uint32) (netip.Addr, bool) {
	if !from.Contains(a) {
		return a, false
	}
	b, prefix := a.As16(), to.Addr().As16()
	whole := to.Bits() / 8
	copy(b[:whole], prefix[:whole])
	if rest := to.Bits() % 8; rest > 0 {
		mask := byte(0xff) << (8 - rest)
		b[whole] = prefix[whole]&mask | b[whole]&^mask
	}
	w := 6
	if to.Bits() > 48 {
		if [8]byte(b[8:]) == [8]byte{} {
			return a, false
		}
		for w = 8; w < 14 && u16(b[w:]) == 0xffff; w += 2 {
		}
	}
	if u16(b[w:]) == 0xffff {
		return a, false
	}
	v := fold(uint32(u16(b[w:])) + adjust)
	if v == 0xffff {
		v = 0
	}
	put16(b[w:], uint16(v))
	return netip.AddrFrom16(b), true
}

// A Site is a prefix inside that a router translates.
type Site struct {
	NPT
	// Local are the prefixes of its networks on which the router is. Hosts outside may have addresses in the rest of it.
	Local []netip.Prefix
}

// Sites are the translations of one router.
type Sites []Site

// Translate translates the packet in its place. One to an address outside gets in; its source is translated too if it is of a
// local network, so that hosts inside reach each other by what they are outside. Any other comes from inside. In an ICMPv6 error
// the packet that it is about is translated the other way round. The answer is nothing where the packet is to be dropped: it is
// of no site, or has an address that cannot be translated.
func (s Sites) Translate(p []byte) [][]byte {
	h, ok := parse6(p)
	if !ok {
		return nil
	}
	src, dst := h.src, h.dst
	enters := s.outside(dst)
	leaves := !enters || s.local(src)
	if enters {
		if dst, ok = s.in(dst); !ok {
			return nil
		}
	}
	if leaves {
		if src, ok = s.out(src); !ok {
			return nil
		}
	}
	set6(p, src, dst)
	if h.protocol == protoICMPv6 && !h.fragmented() && len(h.payload) >= 8+40 && h.payload[0] < 128 && h.payload[8]>>4 == 6 {
		inner := h.payload[8:]
		src, dst := addr6(inner[8:]), addr6(inner[24:])
		if enters {
			src, _ = s.in(src)
		}
		if leaves {
			dst, _ = s.out(dst)
		}
		set6(inner, src, dst)
	}
	bump(&p[7])
	return [][]byte{p}
}

func (s Sites) out(a netip.Addr) (netip.Addr, bool) {
	for _, n := range s {
		if b, ok := n.Outside(a); ok {
			return b, true
		}
	}
	return a, false
}

func (s Sites) in(a netip.Addr) (netip.Addr, bool) {
	for _, n := range s {
		if b, ok := n.Inside(a); ok {
			return b, true
		}
	}
	return a, false
}

func (s Sites) outside(a netip.Addr) bool {
	return slices.ContainsFunc(s, func(n Site) bool { return n.NPT.outside.Contains(a) })
}

func (s Sites) local(a netip.Addr) bool {
	return slices.ContainsFunc(s, func(n Site) bool {
		return slices.ContainsFunc(n.Local, func(p netip.Prefix) bool { return p.Contains(a) })
	})
}

// bump gives back one hop: the kernel counts two for a packet that it hands to the translator and gets from it, and the
// router is one.
func bump(hops *byte) {
	if *hops < 255 {
		*hops++
	}
}
