package translate

import "net/netip"

const (
	protoICMP     = 1
	protoTCP      = 6
	protoUDP      = 17
	protoHopByHop = 0
	protoRouting  = 43
	protoFragment = 44
	protoICMPv6   = 58
	protoOptions  = 60
)

// A header is what both versions of IP have, of a packet or of the beginning of one.
type header struct {
	src, dst netip.Addr
	protocol byte
	class    byte // traffic class, type of service
	hops     byte
	payload  []byte // without what is padding
	length   int    // of the whole payload, of which a quotation in an ICMP error has the beginning only

	id       uint32
	offset   int // of the payload in the whole, in bytes
	more     bool
	fragment bool // it has a fragment header, or may be broken up (IPv4: DF is not set)
}

// fragmented tells of a packet that is not whole.
func (h header) fragmented() bool { return h.offset > 0 || h.more }

func addr6(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b)) }

func set6(p []byte, src, dst netip.Addr) {
	s, d := src.As16(), dst.As16()
	copy(p[8:], s[:])
	copy(p[24:], d[:])
}

// parse6 is false for what is not a packet, whole or a fragment, or has a header that must be understood and is not.
func parse6(p []byte) (header, bool) {
	h, ok := quoted6(p)
	return h, ok && len(h.payload) == h.length && h.offset+h.length <= 0xffff
}

// quoted6 is parse6 for what may have been cut short.
func quoted6(p []byte) (h header, ok bool) {
	if len(p) < 40 || p[0]>>4 != 6 {
		return h, false
	}
	h = header{src: addr6(p[8:]), dst: addr6(p[24:]), protocol: p[6], class: p[0]<<4 | p[1]>>4, hops: p[7], length: int(u16(p[4:]))}
	h.payload = p[40:min(len(p), 40+h.length)]
	for {
		n := 8
		if h.protocol != protoHopByHop && h.protocol != protoRouting && h.protocol != protoOptions && h.protocol != protoFragment {
			return h, true
		}
		if len(h.payload) < n {
			return h, false
		}
		if h.protocol != protoFragment {
			n += 8 * int(h.payload[1])
		}
		switch {
		case len(h.payload) < n, h.protocol == protoRouting && h.payload[3] != 0, h.protocol == protoFragment && h.fragment:
			return h, false
		case h.protocol == protoFragment:
			h.offset, h.more, h.fragment = int(u16(h.payload[2:])&^7), h.payload[3]&1 != 0, true
			h.id = uint32(u16(h.payload[4:]))<<16 | uint32(u16(h.payload[6:]))
		}
		h.protocol, h.payload, h.length = h.payload[0], h.payload[n:], h.length-n
		if h.offset > 0 {
			return h, true // the rest is not headers
		}
	}
}

// parse4 is false for what is not a packet, has a wrong checksum, or a source route.
func parse4(p []byte) (header, bool) {
	h, ok := quoted4(p)
	return h, ok && len(h.payload) == h.length && h.offset+h.length <= 0xffff && sum(0, p[:4*int(p[0]&15)]) == 0xffff
}

// quoted4 is parse4 for what may have been cut short.
func quoted4(p []byte) (h header, ok bool) {
	if len(p) < 20 || p[0]>>4 != 4 {
		return h, false
	}
	n, total := 4*int(p[0]&15), int(u16(p[2:]))
	if n < 20 || len(p) < n || total < n || sourceRoute(p[20:n]) {
		return h, false
	}
	flags := u16(p[6:])
	return header{
		src: netip.AddrFrom4([4]byte(p[12:])), dst: netip.AddrFrom4([4]byte(p[16:])), protocol: p[9], class: p[1], hops: p[8],
		payload: p[n:min(len(p), total)], length: total - n,
		id: uint32(u16(p[4:])), offset: int(flags&0x1fff) * 8, more: flags&0x2000 != 0, fragment: flags&0x4000 == 0,
	}, true
}

func sourceRoute(options []byte) bool {
	for len(options) > 0 {
		switch options[0] {
		case 0:
			return false
		case 1:
			options = options[1:]
			continue
		case 131, 137:
			return true
		}
		if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
			return true
		}
		options = options[options[1]:]
	}
	return false
}

// append4 appends an IPv4 header for a payload of h.length bytes.
func (h header) append4(b []byte) []byte {
	start := len(b)
	flags := uint16(h.offset / 8)
	if h.more {
		flags |= 0x2000
	}
	if !h.fragment {
		flags |= 0x4000
	}
	total := 20 + h.length
	b = append(b, 0x45, h.class, byte(total>>8), byte(total), byte(h.id>>8), byte(h.id), byte(flags>>8), byte(flags), h.hops, h.protocol, 0, 0)
	b = append(append(b, h.src.AsSlice()...), h.dst.AsSlice()...)
	put16(b[start+10:], ^uint16(sum(0, b[start:])))
	return b
}

// append6 appends an IPv6 header for a payload of h.length bytes, and a fragment header if the packet is not whole.
func (h header) append6(b []byte) []byte {
	next, length := h.protocol, h.length
	if h.fragmented() {
		next, length = protoFragment, length+8
	}
	b = append(b, 0x60|h.class>>4, h.class<<4, 0, 0, byte(length>>8), byte(length), next, h.hops)
	b = append(append(b, h.src.AsSlice()...), h.dst.AsSlice()...)
	if h.fragmented() {
		flags := uint16(h.offset)
		if h.more {
			flags |= 1
		}
		b = append(b, h.protocol, 0, byte(flags>>8), byte(flags), byte(h.id>>24), byte(h.id>>16), byte(h.id>>8), byte(h.id))
	}
	return b
}
