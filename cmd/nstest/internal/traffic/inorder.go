package traffic

import "slices"

// A bytesInOrder puts the segments of one direction in order. What was sent before it began is left out.
type bytesInOrder struct {
	began bool
	next  uint32 // the number of the byte that is expected
	later []part // that have come before others, in their order
	last  *Packet
}

// A part is a segment: the beginning of its bytes, as far as the capture has it.
type part struct {
	seq    uint32
	data   []byte
	length int // bytes
	packet *Packet
}

// maxLater is how many segments wait for one that is missing, before it is taken for one that the capture does not have.
const maxLater = 64

// add calls use with what has come in order: how many bytes are missing before, and those of a packet.
func (o *bytesInOrder) add(p part, use func(missing int, data []byte, packet *Packet)) {
	if !o.began {
		o.began, o.next = true, p.seq
	}
	at, _ := slices.BinarySearchFunc(o.later, p, func(a, b part) int { return int(int32(a.seq - b.seq)) })
	o.later = slices.Insert(o.later, at, p)
	for len(o.later) > 0 && (int32(o.later[0].seq-o.next) <= 0 || len(o.later) > maxLater) {
		o.take(use)
	}
}

// end is for a connection of which nothing more comes.
func (o *bytesInOrder) end(use func(missing int, data []byte, packet *Packet)) {
	for len(o.later) > 0 {
		o.take(use)
	}
}

// take uses the first part.
func (o *bytesInOrder) take(use func(missing int, data []byte, packet *Packet)) {
	p := o.later[0]
	o.later = slices.Delete(o.later, 0, 1)
	if o.last == nil || p.packet.Time.After(o.last.Time) {
		o.last = p.packet
	}
	p.packet = o.last // what has waited for others is known when they have come
	missing := int(int32(p.seq - o.next))
	if known := -missing; known > 0 { // sent again, at least in part
		if known >= p.length {
			return
		}
		p.data, p.length, missing = p.data[min(known, len(p.data)):], p.length-known, 0
	}
	use(missing, p.data, p.packet)
	if cut := p.length - len(p.data); cut > 0 {
		use(cut, nil, p.packet)
	}
	o.next += uint32(missing + p.length)
}
