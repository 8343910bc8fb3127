// Package pcapng writes captures in the format pcapng (draft-ietf-opsawg-pcapng), which Wireshark and tcpdump read.
//
// Every block goes to the file by one call of Write, so that a file whose writer ends amid its work ends with a whole one.
package pcapng

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"
)

// The types of blocks.
const (
	sectionHeader       = 0x0a0d0d0a
	interfaceDescr      = 1
	nameResolution      = 4
	interfaceStatistics = 5
	enhancedPacket      = 6
	decryptionSecrets   = 0x0a
)

// magic is how readers learn the order of bytes.
const magic = 0x1a2b3c4d

// ethernet is the link type of all interfaces (LINKTYPE_ETHERNET).
const ethernet = 1

// A Writer writes one section. Its methods must not be called at the same time.
type Writer struct {
	w          io.Writer
	buf        []byte
	interfaces int
	size       int64
	limit      int64
}

// ErrLimit means that the file has no room for a block, which was not written. A smaller one may follow.
var ErrLimit = errors.New("the file has reached its limit")

// NewWriter begins a section. application is the program that captures, with its version; comment may be "". limit is how many
// bytes may be written, 0 = any number; of these some are kept for statistics, once for each interface.
func NewWriter(w io.Writer, limit int64, application, comment string) (*Writer, error) {
	p := &Writer{w: w, limit: limit}
	return p, p.block(sectionHeader, func(b []byte) []byte {
		b = binary.LittleEndian.AppendUint32(b, magic)
		b = binary.LittleEndian.AppendUint16(b, 1) // version 1.0
		b = binary.LittleEndian.AppendUint16(b, 0)
		b = binary.LittleEndian.AppendUint64(b, ^uint64(0)) // a section of unknown length
		return text(text(text(b, optComment, comment), 3, "Linux"), 4, application)
	})
}

// Size is how many bytes were written.
func (p *Writer) Size() int64 { return p.size }

// An Interface is where packets are seen.
type Interface struct {
	Name        string // "web/eth0"
	Description string // "" = none
	MAC         net.HardwareAddr
	Addrs       []netip.Prefix
	Filter      string // by which its packets were chosen
	Snap        int    // how many bytes of each packet are kept; 0 = all
}

// AddInterface describes an interface, and returns its number, for Packet.
func (p *Writer) AddInterface(i Interface) (int, error) {
	err := p.block(interfaceDescr, func(b []byte) []byte {
		b = binary.LittleEndian.AppendUint16(b, ethernet)
		b = binary.LittleEndian.AppendUint16(b, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(i.Snap))
		b = text(text(b, 2, i.Name), 3, i.Description)
		for _, a := range i.Addrs {
			b = address(b, a)
		}
		if len(i.MAC) == 6 {
			b = option(b, 6, i.MAC)
		}
		b = option(b, 9, []byte{9}) // times are in nanoseconds
		if i.Filter != "" {
			b = option(b, 11, append([]byte{0}, i.Filter...)) // 0: the text of a filter of libpcap
		}
		return b
	})
	if err != nil {
		return 0, err
	}
	p.interfaces++
	return p.interfaces - 1, nil
}

// address appends the option of an address of an interface.
func address(b []byte, a netip.Prefix) []byte {
	if a.Addr().Is4() {
		ip := a.Addr().As4()
		return option(b, 4, append(ip[:], net.CIDRMask(a.Bits(), 32)...))
	}
	ip := a.Addr().As16()
	return option(b, 5, append(ip[:], byte(a.Bits())))
}

// A Direction is which way a packet went, as its interface sees it.
type Direction uint32

// The values of Direction.
const (
	Unknown  Direction = 0
	Inbound  Direction = 1
	Outbound Direction = 2
)

// A Packet is a frame that was seen.
type Packet struct {
	Interface int
	Time      time.Time
	Direction Direction
	Data      []byte
	Length    int // of the frame on the wire; 0 = that of Data
	Comments  []string
}

// WritePacket writes a packet.
func (p *Writer) WritePacket(k Packet) error {
	if k.Interface < 0 || k.Interface >= p.interfaces {
		return fmt.Errorf("write packet: no interface %d", k.Interface)
	}
	return p.block(enhancedPacket, func(b []byte) []byte {
		at := uint64(k.Time.UnixNano())
		b = binary.LittleEndian.AppendUint32(b, uint32(k.Interface))
		b = binary.LittleEndian.AppendUint32(b, uint32(at>>32))
		b = binary.LittleEndian.AppendUint32(b, uint32(at))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(k.Data)))
		b = binary.LittleEndian.AppendUint32(b, uint32(max(k.Length, len(k.Data))))
		b = padded(append(b, k.Data...), len(k.Data))
		if k.Direction != Unknown {
			b = option(b, 2, binary.LittleEndian.AppendUint32(nil, uint32(k.Direction)))
		}
		for _, c := range k.Comments {
			b = text(b, optComment, c)
		}
		return b
	})
}

// WriteNames tells readers what addresses are called.
func (p *Writer) WriteNames(names map[netip.Addr][]string) error {
	if len(names) == 0 {
		return nil
	}
	addrs := make([]netip.Addr, 0, len(names))
	for a := range names {
		addrs = append(addrs, a)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return p.block(nameResolution, func(b []byte) []byte {
		for _, a := range addrs {
			kind := uint16(1)
			if a.Is6() {
				kind = 2
			}
			record := a.AsSlice()
			for _, name := range names[a] {
				record = append(append(record, name...), 0)
			}
			b = option(b, kind, record)
		}
		return binary.LittleEndian.AppendUint32(b, 0)
	})
}

// WriteSecrets gives readers what they need to decrypt TLS: lines as in the file that SSLKEYLOGFILE names. It comes before
// the packets that it is for.
func (p *Writer) WriteSecrets(keyLog []byte) error {
	return p.block(decryptionSecrets, func(b []byte) []byte {
		b = binary.LittleEndian.AppendUint32(b, 0x544c534b) // TLS key log
		b = binary.LittleEndian.AppendUint32(b, uint32(len(keyLog)))
		return padded(append(b, keyLog...), len(keyLog))
	})
}

// WriteStatistics tells how many packets an interface has seen, and how many of them were lost because nobody took them in time.
func (p *Writer) WriteStatistics(iface int, at time.Time, received, lost uint64) error {
	return p.block(interfaceStatistics, func(b []byte) []byte {
		ns := uint64(at.UnixNano())
		b = binary.LittleEndian.AppendUint32(b, uint32(iface))
		b = binary.LittleEndian.AppendUint32(b, uint32(ns>>32))
		b = binary.LittleEndian.AppendUint32(b, uint32(ns))
		b = option(b, 4, binary.LittleEndian.AppendUint64(nil, received))
		return option(b, 5, binary.LittleEndian.AppendUint64(nil, lost))
	})
}

// block writes a block whose body add appends. Options end by themselves with it.
func (p *Writer) block(kind uint32, add func([]byte) []byte) error {
	b := binary.LittleEndian.AppendUint32(p.buf[:0], kind)
	b = add(append(b, 0, 0, 0, 0))
	if kind != decryptionSecrets && kind != nameResolution {
		b = binary.LittleEndian.AppendUint32(b, 0) // the end of the options
	}
	n := uint32(len(b) + 4)
	binary.LittleEndian.PutUint32(b[4:], n)
	b = binary.LittleEndian.AppendUint32(b, n)
	p.buf = b
	if p.limit > 0 && p.size+int64(n)+p.reserved(kind) > p.limit {
		return ErrLimit
	}
	written, err := p.w.Write(b)
	p.size += int64(written)
	return err
}

// statistics is how large a block of them is.
const statistics = 52

// reserved is how many bytes have to be left after a block.
func (p *Writer) reserved(kind uint32) int64 {
	switch kind {
	case interfaceStatistics:
		return 0
	case interfaceDescr:
		return int64(p.interfaces+1) * statistics
	}
	return int64(p.interfaces) * statistics
}

const optComment = 1

// maxOption is how long an option can be: its length is a number of 16 bits.
const maxOption = 1<<16 - 1

// text appends an option that is a text, unless that is "".
func text(b []byte, code uint16, s string) []byte {
	if s == "" {
		return b
	}
	return option(b, code, []byte(s[:min(len(s), maxOption)]))
}

// option appends an option, or a record of names, which has the same form.
func option(b []byte, code uint16, value []byte) []byte {
	value = value[:min(len(value), maxOption)]
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return padded(append(b, value...), len(value))
}

// padded appends zeros after a field of n bytes, to a multiple of four.
func padded(b []byte, n int) []byte { return append(b, make([]byte, -n&3)...) }
