package translate

import (
	"encoding/binary"
	"net/netip"
)

// Types of ICMP messages.
const (
	echoReply4, unreachable4, echo4, exceeded4, parameter4               = 0, 3, 8, 11, 12
	unreachable6, tooBig6, exceeded6, parameter6, echo6, echoReply6      = 1, 2, 3, 4, 128, 129
	needFragment4, portUnreachable4, portUnreachable6, unknownNext6      = 4, 3, 4, 1
	hostUnreachable4, protocolUnreachable4, prohibited4, noRoute6        = 1, 2, 10, 0
	nextHeaderPointer6, adminProhibited6                            byte = 6, 1
)

// icmpTo4 translates an ICMPv6 message into an ICMP one (RFC 7915, section 5.2). It is nil for one that is dropped.
func (n *NAT64) icmpTo4(h header) []byte {
	if h.fragmented() || len(h.payload) < 8 || sum(sumPseudo6(h.src, h.dst, protoICMPv6, h.length), h.payload) != 0xffff {
		return nil
	}
	var body []byte
	if kind, ok := echoTo4(h.payload[0]); ok {
		body = append([]byte{kind}, h.payload[1:]...)
	} else {
		first, ok := errorTo4(h.payload)
		quote := n.quoteTo4(h.payload[8:])
		if !ok || quote == nil {
			return nil
		}
		body = append(first[:], quote...)
	}
	put16(body[2:], 0)
	put16(body[2:], ^uint16(sum(0, body)))
	return body
}

// icmpTo6 translates an ICMP message into an ICMPv6 one (RFC 7915, section 4.2). It is nil for one that is dropped.
func (n *NAT64) icmpTo6(h header, src, dst netip.Addr) []byte {
	if h.fragmented() || len(h.payload) < 8 || sum(0, h.payload) != 0xffff {
		return nil
	}
	var body []byte
	if kind, ok := echoTo6(h.payload[0]); ok {
		body = append([]byte{kind}, h.payload[1:]...)
	} else {
		first, ok := errorTo6(h.payload)
		quote := n.quoteTo6(h.payload[8:])
		if !ok || quote == nil {
			return nil
		}
		body = append(first[:], quote...)
		body = body[:min(len(body), minMTU-40)]
	}
	put16(body[2:], 0)
	put16(body[2:], ^uint16(sum(sumPseudo6(src, dst, protoICMPv6, len(body)), body)))
	return body
}

func echoTo4(kind byte) (byte, bool) {
	switch kind {
	case echo6:
		return echo4, true
	case echoReply6:
		return echoReply4, true
	}
	return 0, false
}

func echoTo6(kind byte) (byte, bool) {
	switch kind {
	case echo4:
		return echo6, true
	case echoReply4:
		return echoReply6, true
	}
	return 0, false
}

// errorTo4 is what comes before the quotation.
func errorTo4(m []byte) (out [8]byte, ok bool) {
	kind, code := m[0], m[1]
	switch {
	case kind == unreachable6 && code == adminProhibited6:
		out[0], out[1] = unreachable4, prohibited4
	case kind == unreachable6 && code == portUnreachable6:
		out[0], out[1] = unreachable4, portUnreachable4
	case kind == unreachable6 && code <= 3:
		out[0], out[1] = unreachable4, hostUnreachable4
	case kind == tooBig6:
		out[0], out[1] = unreachable4, needFragment4
		mtu := binary.BigEndian.Uint32(m[4:])
		put16(out[6:], uint16(min(max(mtu, 20+68)-20, 0xffff)))
	case kind == exceeded6 && code <= 1:
		out[0], out[1] = exceeded4, code
	case kind == parameter6 && code == unknownNext6:
		out[0], out[1] = unreachable4, protocolUnreachable4
	case kind == parameter6 && code == 0:
		out[0] = parameter4
		out[4], ok = pointerTo4(binary.BigEndian.Uint32(m[4:]))
		return out, ok
	default:
		return out, false
	}
	return out, true
}

// errorTo6 is what comes before the quotation.
func errorTo6(m []byte) (out [8]byte, ok bool) {
	kind, code := m[0], m[1]
	switch {
	case kind == unreachable4 && code == needFragment4:
		out[0] = tooBig6
		binary.BigEndian.PutUint32(out[4:], max(uint32(u16(m[6:]))+20, minMTU))
	case kind == unreachable4 && code == protocolUnreachable4:
		out[0], out[1], out[7] = parameter6, unknownNext6, nextHeaderPointer6
	case kind == unreachable4 && code == portUnreachable4:
		out[0], out[1] = unreachable6, portUnreachable6
	case kind == unreachable4 && (code == 9 || code == prohibited4 || code == 13 || code == 15):
		out[0], out[1] = unreachable6, adminProhibited6
	case kind == unreachable4 && code <= 12:
		out[0], out[1] = unreachable6, noRoute6
	case kind == exceeded4 && code <= 1:
		out[0], out[1] = exceeded6, code
	case kind == parameter4 && (code == 0 || code == 2):
		out[0] = parameter6
		out[7], ok = pointerTo6(m[4])
		return out, ok
	default:
		return out, false
	}
	return out, true
}

// pointerTo4 and pointerTo6 are figures 6 and 3 of RFC 7915: which field an error is about.
func pointerTo4(at uint32) (byte, bool) {
	switch {
	case at <= 1:
		return byte(at), true
	case at == 4 || at == 5:
		return 2, true
	case at == 6:
		return 9, true
	case at == 7:
		return 8, true
	case at >= 8 && at <= 23:
		return 12, true
	case at >= 24 && at <= 39:
		return 16, true
	}
	return 0, false
}

func pointerTo6(at byte) (byte, bool) {
	switch {
	case at <= 1:
		return at, true
	case at == 2 || at == 3:
		return 4, true
	case at == 8:
		return 7, true
	case at == 9:
		return 6, true
	case at >= 12 && at <= 15:
		return 8, true
	case at >= 16 && at <= 19:
		return 24, true
	}
	return 0, false
}

// quoteTo4 translates the packet that an ICMPv6 error is about: one that came from IPv4.
func (n *NAT64) quoteTo4(q []byte) []byte {
	h, ok := quoted6(q)
	if !ok {
		return nil
	}
	out := h
	src, embedded := n.extract(h.src)
	dst, lent := n.pool.find(h.dst)
	if !embedded || !lent || 20+h.length > 0xffff {
		return nil
	}
	out.src, out.dst = src, dst
	body := append([]byte(nil), h.payload...)
	if h.protocol == protoICMPv6 {
		out.protocol = protoICMP
		if kind, ok := quotedEcho(h, body, echoTo4); ok {
			now := uint32(kind) << 8
			old := sumPseudo6(h.src, h.dst, protoICMPv6, h.length) + uint32(body[0])<<8
			body[0] = kind
			put16(body[2:], replace(u16(body[2:]), old, now))
		}
	} else if h.offset == 0 {
		resum(h.protocol, body, sumAddrs(h.src, h.dst), sumAddrs(out.src, out.dst))
	}
	return append(out.append4(nil), body...)
}

// quoteTo6 translates the packet that an ICMP error is about: one that came from IPv6.
func (n *NAT64) quoteTo6(q []byte) []byte {
	h, ok := quoted4(q)
	if !ok {
		return nil
	}
	out := h
	if out.src, ok = n.pool.owner(h.src); !ok {
		return nil
	}
	out.dst = n.embed(h.dst)
	body := append([]byte(nil), h.payload...)
	if h.protocol == protoICMP {
		out.protocol = protoICMPv6
		if kind, ok := quotedEcho(h, body, echoTo6); ok {
			now := sumPseudo6(out.src, out.dst, protoICMPv6, h.length) + uint32(kind)<<8
			old := uint32(body[0]) << 8
			body[0] = kind
			put16(body[2:], replace(u16(body[2:]), old, now))
		}
	} else if h.offset == 0 {
		resum(h.protocol, body, sumAddrs(h.src, h.dst), sumAddrs(out.src, out.dst))
	}
	return append(out.append6(nil), body...)
}

// quotedEcho is the translated type of a quoted echo message.
func quotedEcho(h header, body []byte, translated func(byte) (byte, bool)) (byte, bool) {
	if h.offset > 0 || len(body) < 4 {
		return 0, false
	}
	return translated(body[0])
}
