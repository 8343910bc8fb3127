package pcapfilter

import (
	"encoding/binary"
	"net/netip"
)

// The numbers of protocols.
const (
	etherIPv4, etherARP, etherIPv6 = 0x0800, 0x0806, 0x86dd

	protoICMP, protoTCP, protoUDP, protoICMPv6, protoSCTP = 1, 6, 17, 58, 132
)

// A packet is where the layers of a frame begin: 0 for one that it does not have, or of which not enough is there.
type packet struct {
	frame     []byte
	length    int
	etherType int
	network   int // IP or ARP
	src, dst  netip.Addr
	proto     int // of the transport, -1 = none
	transport int // in a later fragment there is none
}

func dissect(frame []byte) packet {
	p := packet{frame: frame, proto: -1}
	if len(frame) < 14 {
		return p
	}
	p.etherType = int(binary.BigEndian.Uint16(frame[12:]))
	p.network = 14
	switch p.etherType {
	case etherARP:
		p.arp(frame[14:])
	case etherIPv4:
		p.ipv4(frame[14:])
	case etherIPv6:
		p.ipv6(frame[14:])
	}
	return p
}

// arp takes the addresses from a packet for IPv4 on Ethernet (RFC 826).
func (p *packet) arp(b []byte) {
	if len(b) >= 28 && b[4] == 6 && b[5] == 4 {
		p.src, p.dst = netip.AddrFrom4([4]byte(b[14:])), netip.AddrFrom4([4]byte(b[24:]))
	}
}

func (p *packet) ipv4(b []byte) {
	if len(b) < 20 {
		return
	}
	p.src, p.dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	p.proto = int(b[9])
	if binary.BigEndian.Uint16(b[6:])&0x1fff == 0 {
		p.transport = 14 + int(b[0]&15)*4
	}
}

// ipv6 walks along the extension headers (RFC 8200, section 4).
func (p *packet) ipv6(b []byte) {
	if len(b) < 40 {
		return
	}
	p.src, p.dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	p.proto = int(b[6])
	at := 40
	for first := true; ; {
		if len(b) < at+8 {
			if first && len(b) >= at {
				p.transport = 14 + at
			}
			return
		}
		switch p.proto {
		case 0, 43, 60: // hop by hop, routing, destination options
			p.proto = int(b[at])
			at += 8 + 8*int(b[at+1])
		case 44: // fragment
			p.proto = int(b[at])
			first = first && binary.BigEndian.Uint16(b[at+2:])&0xfff8 == 0
			at += 8
		default:
			if first {
				p.transport = 14 + at
			}
			return
		}
	}
}

// ports are those of TCP, UDP and SCTP; ok is false for what has none.
func (p *packet) ports() (src, dst int, ok bool) {
	if p.proto != protoTCP && p.proto != protoUDP && p.proto != protoSCTP || p.transport == 0 || len(p.frame) < p.transport+4 {
		return 0, 0, false
	}
	return int(binary.BigEndian.Uint16(p.frame[p.transport:])), int(binary.BigEndian.Uint16(p.frame[p.transport+2:])), true
}
