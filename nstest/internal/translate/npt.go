package translate

import (
	"errors"
	"fmt"
	"net/netip"
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

// NPTs are the translations of one router; the first that an address belongs to counts.
type NPTs []NPT

// Translate translates the packet in its place: a source inside, a destination outside, and in an ICMPv6 error the addresses
// of the packet that it is about. It is the answer, or nothing where the packet is to be dropped: neither is of a prefix, or
// one cannot be translated.
func (ns NPTs) Translate(p []byte) [][]byte {
	h, ok := parse6(p)
	if !ok {
		return nil
	}
	src, leaves := ns.outside(h.src)
	dst, enters := ns.inside(h.dst)
	if !leaves && !enters || !leaves && ns.have(h.src, NPT.within) || !enters && ns.have(h.dst, NPT.without) {
		return nil
	}
	set6(p, src, dst)
	if h.protocol == protoICMPv6 && !h.fragmented() && len(h.payload) >= 8+40 && h.payload[0] < 128 {
		inner := h.payload[8:]
		if inner[0]>>4 == 6 {
			src, _ := ns.inside(addr6(inner[8:]))
			dst, _ := ns.outside(addr6(inner[24:]))
			set6(inner, src, dst)
		}
	}
	bump(&p[7])
	return [][]byte{p}
}

func (ns NPTs) outside(a netip.Addr) (netip.Addr, bool) {
	for _, n := range ns {
		if b, ok := n.Outside(a); ok {
			return b, true
		}
	}
	return a, false
}

func (ns NPTs) inside(a netip.Addr) (netip.Addr, bool) {
	for _, n := range ns {
		if b, ok := n.Inside(a); ok {
			return b, true
		}
	}
	return a, false
}

func (n NPT) within(a netip.Addr) bool  { return n.inside.Contains(a) }
func (n NPT) without(a netip.Addr) bool { return n.outside.Contains(a) }

func (ns NPTs) have(a netip.Addr, in func(NPT, netip.Addr) bool) bool {
	for _, n := range ns {
		if in(n, a) {
			return true
		}
	}
	return false
}

// bump gives back one hop: the kernel counts two for a packet that it hands to the translator and gets from it, and the
// router is one.
func bump(hops *byte) {
	if *hops < 255 {
		*hops++
	}
}
