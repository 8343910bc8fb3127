package firewall

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
)

// A span is the numbers from first to last, of one size and in network byte order.
type span struct{ first, last []byte }

// next is the number after b, if there is one of that size.
func next(b []byte) ([]byte, bool) {
	b = slices.Clone(b)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return b, true
		}
	}
	return b, false
}

// merge sorts spans of one size, and joins those that overlap or touch, which a set of the kernel must not hold.
func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return bytes.Compare(a.first, b.first) })
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 {
			after, more := next(out[n-1].last)
			if !more {
				break // nothing is beyond
			}
			if bytes.Compare(s.first, after) <= 0 {
				if bytes.Compare(s.last, out[n-1].last) > 0 {
					out[n-1].last = s.last
				}
				continue
			}
		}
		out = append(out, s)
	}
	return out
}

// addresses are those of a family.
func addresses(list []netip.Prefix, is4 bool) []span {
	var spans []span
	for _, p := range list {
		if p.Addr().Is4() != is4 {
			continue
		}
		last := p.Masked().Addr().AsSlice()
		for i := p.Bits(); i < 8*len(last); i++ {
			last[i/8] |= 0x80 >> (i % 8)
		}
		spans = append(spans, span{p.Masked().Addr().AsSlice(), last})
	}
	return merge(spans)
}

func ports(list []Ports) []span {
	var spans []span
	for _, p := range list {
		spans = append(spans, span{binary.BigEndian.AppendUint16(nil, p.First), binary.BigEndian.AppendUint16(nil, p.Last)})
	}
	return merge(spans)
}
