package translate

import (
	"encoding/binary"
	"net/netip"
)

// sum adds the 16-bit words of b to acc, in the one's complement arithmetic of RFC 1071. A last odd byte counts as the
// high half of a word.
func sum(acc uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		acc += uint32(b[0])<<8 | uint32(b[1])
		acc = acc>>16 + acc&0xffff
	}
	if len(b) == 1 {
		acc += uint32(b[0]) << 8
	}
	return fold(acc)
}

func fold(acc uint32) uint32 {
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return acc
}

// sumAddrs is the part of a pseudo-header that is different in IPv4 and IPv6. Protocol and length are the same for TCP and
// UDP.
func sumAddrs(src, dst netip.Addr) uint32 {
	return sum(sum(0, src.AsSlice()), dst.AsSlice())
}

// sumPseudo6 is the pseudo-header of RFC 8200.
func sumPseudo6(src, dst netip.Addr, protocol byte, length int) uint32 {
	return fold(sumAddrs(src, dst) + uint32(length>>16) + uint32(length&0xffff) + uint32(protocol))
}

// replace is the checksum after words that summed up to old have become some that sum up to now (RFC 1624).
func replace(checksum uint16, old, now uint32) uint16 {
	return ^uint16(fold(uint32(^checksum) + 0xffff - fold(old) + fold(now)))
}

func u16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }

func put16(b []byte, v uint16) { binary.BigEndian.PutUint16(b, v) }
