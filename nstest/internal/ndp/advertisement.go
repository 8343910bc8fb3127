// Package ndp writes router advertisements.
package ndp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Types of ICMPv6 messages (RFC 4861).
const (
	TypeSolicitation  = 133
	TypeAdvertisement = 134
)

// HopLimit is that of every message: one that has crossed a router is none.
const HopLimit = 255

// AllNodes and AllRouters are whom routers and hosts speak to.
var (
	AllNodes   = netip.MustParseAddr("ff02::1")
	AllRouters = netip.MustParseAddr("ff02::2")
)

// maxSize is that of a message, so that it crosses every link in one piece.
const maxSize = 1280 - 40

// Advertisement is the content of a router advertisement. Times are sent in whole seconds, rounded down.
type Advertisement struct {
	HopLimit       byte          // that hosts are to use; 0 says nothing
	Managed, Other bool          // the flags M and O: DHCPv6 has addresses, has other settings
	Lifetime       time.Duration // as a default router, up to 18 hours
	Source         net.HardwareAddr
	MTU            uint32 // 0 says nothing
	Prefixes       []Prefix
	DNS            []netip.Addr // RFC 8106
	Search         []string     // RFC 8106
	NAT64          netip.Prefix // RFC 8781; the zero value says nothing

	// Known is how long DNS, Search and NAT64 are to be known.
	Known time.Duration
}

// Prefix is one that is on the link, and from which hosts make addresses of their own.
type Prefix struct {
	netip.Prefix
	Valid, Preferred time.Duration
}

// pref64Lengths are those of RFC 8781, by their code.
var pref64Lengths = [...]int{96, 64, 56, 48, 40, 32}

// Marshal is the ICMPv6 message, whose checksum the kernel fills in.
func (a Advertisement) Marshal() ([]byte, error) {
	be := binary.BigEndian
	b := []byte{TypeAdvertisement, 0, 0, 0, a.HopLimit, 0}
	if a.Managed {
		b[5] |= 0x80
	}
	if a.Other {
		b[5] |= 0x40
	}
	b = be.AppendUint16(b, uint16(min(seconds(a.Lifetime), 0xffff)))
	b = append(b, make([]byte, 8)...) // reachable time and retransmission timer: unspecified
	if len(a.Source) == 6 {
		b = append(append(b, 1, 1), a.Source...)
	}
	if a.MTU > 0 {
		b = be.AppendUint32(append(b, 5, 1, 0, 0), a.MTU)
	}
	for _, p := range a.Prefixes {
		const onLink, autonomous = 0x80, 0x40
		b = append(b, 3, 4, byte(p.Bits()), onLink|autonomous)
		b = be.AppendUint32(be.AppendUint32(b, seconds(p.Valid)), seconds(p.Preferred))
		b = append(append(b, 0, 0, 0, 0), p.Addr().AsSlice()...)
	}
	if len(a.DNS) > 0 {
		b = be.AppendUint32(append(b, 25, byte(1+2*len(a.DNS)), 0, 0), seconds(a.Known))
		for _, d := range a.DNS {
			b = append(b, d.AsSlice()...)
		}
	}
	if len(a.Search) > 0 {
		names := encode(a.Search)
		b = be.AppendUint32(append(b, 31, byte(1+len(names)/8), 0, 0), seconds(a.Known))
		b = append(b, names...)
	}
	if a.NAT64.IsValid() {
		code := -1
		for i, n := range pref64Lengths {
			if n == a.NAT64.Bits() {
				code = i
			}
		}
		if code < 0 {
			return nil, fmt.Errorf("%s: a NAT64 prefix has 32, 40, 48, 56, 64 or 96 bits", a.NAT64)
		}
		scaled := min((seconds(a.Known)+7)/8, 0x1fff)
		b = be.AppendUint16(append(b, 38, 2), uint16(scaled<<3)|uint16(code))
		b = append(b, a.NAT64.Addr().AsSlice()[:12]...)
	}
	if len(b) > maxSize {
		return nil, fmt.Errorf("a router advertisement of %d bytes is too large: at most %d cross every link", len(b), maxSize)
	}
	return b, nil
}

// encode writes names as RFC 1035 does, padded to eight bytes.
func encode(names []string) []byte {
	var b []byte
	for _, name := range names {
		for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
			b = append(append(b, byte(len(label))), label...)
		}
		b = append(b, 0)
	}
	return append(b, make([]byte, (8-len(b)%8)%8)...)
}

// seconds is what is sent for a time: 0 for a negative one, and infinity for one that does not fit.
func seconds(d time.Duration) uint32 {
	return uint32(min(max(d/time.Second, 0), 0xffffffff))
}
