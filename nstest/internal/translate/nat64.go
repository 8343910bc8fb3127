package translate

import (
	"fmt"
	"net/netip"
)

// WellKnown is the prefix of RFC 6052 in which IPv4 addresses are written as IPv6 ones.
var WellKnown = netip.MustParsePrefix("64:ff9b::/96")

// minMTU is what every IPv6 link carries: packets that may be broken up are broken up to this.
const minMTU = 1280

// NAT64 translates between IPv6 hosts and IPv4 (RFC 7915): TCP, UDP, ICMP echo and ICMP errors. Each IPv6 host has an address
// of Pool; whoever gives many of them one address, and lets in answers alone (RFC 6146), comes after it. It is not for
// concurrent use.
//
// Everything else is dropped in silence: other protocols, fragments of ICMP and of UDP without a checksum, IPv4 source routes
// and IPv6 routing headers. Other options of IPv4 and IPv6 are left out.
type NAT64 struct {
	prefix netip.Prefix
	pool   *pool
	lastID uint16
}

// NewNAT64 is a translator for a prefix of 96 bits.
func NewNAT64(prefix netip.Prefix) (*NAT64, error) {
	switch {
	case !prefix.IsValid() || !prefix.Addr().Is6() || prefix.Addr().Is4In6():
		return nil, fmt.Errorf("%s is not an IPv6 prefix", prefix)
	case prefix.Bits() != 96:
		return nil, fmt.Errorf("%s is not a /96: the IPv4 address is to be the last 32 bits", prefix)
	case prefix != prefix.Masked():
		return nil, fmt.Errorf("%s has host bits set: %s is the prefix", prefix, prefix.Masked())
	case prefix.Addr().As16()[8] != 0:
		return nil, fmt.Errorf("%s: RFC 6052 wants bits 64 to 71 to be zero", prefix)
	}
	return &NAT64{prefix: prefix, pool: newPool(1<<(32-Pool.Bits()) - 1)}, nil
}

// Translate translates a packet of either version. The answer is what to send, in the other version: nothing where the packet
// is to be dropped, and several packets where a large one may be broken up.
func (n *NAT64) Translate(p []byte) [][]byte {
	if len(p) == 0 {
		return nil
	}
	switch p[0] >> 4 {
	case 4:
		return n.fourToSix(p)
	case 6:
		if out := n.sixToFour(p); out != nil {
			return [][]byte{out}
		}
	}
	return nil
}

// embed is the IPv6 address that stands for an IPv4 one.
func (n *NAT64) embed(a netip.Addr) netip.Addr {
	b, four := n.prefix.Addr().As16(), a.As4()
	copy(b[12:], four[:])
	return netip.AddrFrom16(b)
}

func (n *NAT64) extract(a netip.Addr) (netip.Addr, bool) {
	b := a.As16()
	return netip.AddrFrom4([4]byte(b[12:])), n.prefix.Contains(a)
}

func (n *NAT64) sixToFour(p []byte) []byte {
	h, ok := parse6(p)
	dst, embedded := n.extract(h.dst)
	if !ok || !embedded || !dst.IsGlobalUnicast() || Pool.Contains(dst) || !h.src.IsGlobalUnicast() || n.prefix.Contains(h.src) {
		return nil
	}
	var body []byte
	out := h
	out.src, out.dst = n.pool.lend(h.src), dst
	if h.protocol == protoICMPv6 {
		out.protocol = protoICMP
		body = n.icmpTo4(h)
	} else {
		body = transport(h, sumAddrs(h.src, h.dst), sumAddrs(out.src, out.dst))
	}
	if out.length = len(body); body == nil || 20+out.length > 0xffff {
		return nil
	}
	if !h.fragment && 20+out.length <= minMTU-20 {
		n.lastID++
		out.id, out.fragment = uint32(n.lastID), true
	}
	bump(&out.hops)
	return append(out.append4(make([]byte, 0, 20+len(body))), body...)
}

func (n *NAT64) fourToSix(p []byte) [][]byte {
	h, ok := parse4(p)
	if !ok || Pool.Contains(h.src) || !h.src.IsGlobalUnicast() {
		return nil
	}
	out := h
	if out.dst, ok = n.pool.owner(h.dst); !ok {
		return nil
	}
	out.src = n.embed(h.src)
	var body []byte
	switch {
	case h.protocol == protoICMP:
		out.protocol = protoICMPv6
		body = n.icmpTo6(h, out.src, out.dst)
	case h.protocol == protoUDP && h.offset == 0 && len(h.payload) >= 8 && u16(h.payload[6:]) == 0:
		body = summedUDP(h, out.src, out.dst)
	default:
		body = transport(h, sumAddrs(h.src, h.dst), sumAddrs(out.src, out.dst))
	}
	if body == nil {
		return nil
	}
	bump(&out.hops)
	return out.pieces(body)
}

// pieces are the IPv6 packets that carry the body: one, unless it is larger than every link carries and may be broken up.
func (h header) pieces(body []byte) (packets [][]byte) {
	most := len(body)
	switch {
	case !h.fragment || !h.fragmented() && 40+len(body) <= minMTU:
	case 48+len(body) > minMTU:
		most = (minMTU - 48) &^ 7
	}
	last := h.more
	for {
		n := min(most, len(body))
		piece := h
		piece.length, piece.more = n, n < len(body) || last
		packets = append(packets, append(piece.append6(make([]byte, 0, 48+n)), body[:n]...))
		if body = body[n:]; len(body) == 0 {
			return packets
		}
		h.offset += n
	}
}

// transport is a copy of the TCP or UDP payload whose checksum covers the addresses that sum up to now.
func transport(h header, old, now uint32) []byte {
	if h.protocol != protoTCP && h.protocol != protoUDP {
		return nil
	}
	body := append(make([]byte, 0, len(h.payload)), h.payload...)
	if h.offset == 0 && !resum(h.protocol, body, old, now) {
		return nil
	}
	return body
}

// resum corrects the checksum at the beginning of a TCP segment or UDP datagram. It is false where that is cut off.
func resum(protocol byte, body []byte, old, now uint32) bool {
	at, least := 6, 8
	if protocol == protoTCP {
		at, least = 16, 20
	}
	if len(body) < least {
		return false
	}
	field := body[at:]
	if protocol == protoUDP && u16(field) == 0 {
		return true
	}
	put16(field, replace(u16(field), old, now))
	if protocol == protoUDP && u16(field) == 0 {
		put16(field, 0xffff)
	}
	return true
}

// summedUDP gives a datagram the checksum that IPv6 asks for. It takes a whole one.
func summedUDP(h header, src, dst netip.Addr) []byte {
	if h.fragmented() {
		return nil
	}
	body := append(make([]byte, 0, len(h.payload)), h.payload...)
	c := ^uint16(sum(sumPseudo6(src, dst, protoUDP, len(body)), body))
	if c == 0 {
		c = 0xffff
	}
	put16(body[6:], c)
	return body
}
