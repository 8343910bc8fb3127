package traffic

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"net/netip"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// A decoder takes packets apart.
type decoder struct {
	seed   maphash.Seed
	parser *gopacket.DecodingLayerParser
	found  []gopacket.LayerType

	eth     layers.Ethernet
	vlan    layers.Dot1Q
	arp     layers.ARP
	ip4     layers.IPv4
	ip6     layers.IPv6
	hop     layers.IPv6ExtensionSkipper
	tcp     layers.TCP
	udp     layers.UDP
	icmp4   layers.ICMPv4
	icmp6   layers.ICMPv6
	payload gopacket.Payload

	http2 map[flow]bool // connections that may be of it
	kept  int           // bytes of their segments
}

// maxKept bounds what is kept of connections of HTTP/2, in bytes. A variable for the test.
var maxKept = 64 << 20

func newDecoder() *decoder {
	d := &decoder{seed: maphash.MakeSeed(), http2: map[flow]bool{}}
	d.parser = gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &d.eth, &d.vlan, &d.arp, &d.ip4, &d.ip6, &d.hop, &d.tcp, &d.udp, &d.icmp4, &d.icmp6, &d.payload)
	d.parser.IgnoreUnsupported = true
	return d
}

// decode takes a frame apart, as far as it goes. length is that on the wire.
func (d *decoder) decode(frame []byte, length int) *Packet {
	p := &Packet{Protocol: "?", Length: max(length, len(frame)), key: maphash.Bytes(d.seed, frame)}
	if len(frame) < 14 {
		p.Text = fmt.Sprintf("%d bytes", p.Length)
		return p
	}
	copy(p.ends[0][:], frame[:6])
	copy(p.ends[1][:], frame[6:12])
	_ = d.parser.DecodeLayers(frame, &d.found) // of a packet that is cut, what was found is used
	var src, dst netip.Addr
	for _, layer := range d.found {
		switch layer {
		case layers.LayerTypeEthernet:
			p.Protocol = d.eth.EthernetType.String()
			p.Text = fmt.Sprintf("%s, %d bytes", p.Protocol, p.Length)
		case layers.LayerTypeARP:
			d.describeARP(p)
		case layers.LayerTypeIPv4:
			src, dst = addr(d.ip4.SrcIP), addr(d.ip4.DstIP)
			d.network(p, src, dst, d.ip4.Protocol.String())
		case layers.LayerTypeIPv6:
			src, dst = addr(d.ip6.SrcIP), addr(d.ip6.DstIP)
			d.network(p, src, dst, d.ip6.NextHeader.String())
		case layers.LayerTypeTCP:
			p.Src, p.Dst = netip.AddrPortFrom(src, uint16(d.tcp.SrcPort)), netip.AddrPortFrom(dst, uint16(d.tcp.DstPort))
			d.describeTCP(p)
		case layers.LayerTypeUDP:
			p.Src, p.Dst = netip.AddrPortFrom(src, uint16(d.udp.SrcPort)), netip.AddrPortFrom(dst, uint16(d.udp.DstPort))
			p.Protocol = "UDP"
			p.Text = fmt.Sprintf("UDP %d → %d, %d bytes", d.udp.SrcPort, d.udp.DstPort, len(d.udp.Payload))
			if d.udp.SrcPort == 53 || d.udp.DstPort == 53 {
				p.messages = dns(d.udp.Payload)
			}
		case layers.LayerTypeICMPv4:
			p.Protocol, p.Text = "ICMP", "ICMP "+spaced(d.icmp4.TypeCode.String())
			if t := d.icmp4.TypeCode.Type(); t == layers.ICMPv4TypeDestinationUnreachable || t == layers.ICMPv4TypeTimeExceeded {
				p.about = quote4(d.icmp4.Payload)
			}
		case layers.LayerTypeICMPv6:
			p.Protocol, p.Text = "ICMPv6", "ICMPv6 "+spaced(d.icmp6.TypeCode.String())
			if t := d.icmp6.TypeCode.Type(); t == layers.ICMPv6TypeDestinationUnreachable || t == layers.ICMPv6TypeTimeExceeded {
				p.about = quote6(d.icmp6.Payload)
			}
		}
	}
	if p.about != nil {
		p.about.text = strings.TrimPrefix(strings.TrimPrefix(p.Text, "ICMP "), "ICMPv6 ")
		p.messages = []message{{kind: ICMP, text: p.Text, bad: true}}
	}
	return p
}

func (d *decoder) network(p *Packet, src, dst netip.Addr, protocol string) {
	p.Src, p.Dst, p.Protocol = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0), protocol
	p.Text = fmt.Sprintf("%s, %d bytes", protocol, p.Length)
}

func addr(ip []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

func (d *decoder) describeARP(p *Packet) {
	p.Protocol = "ARP"
	from, to := addr(d.arp.SourceProtAddress), addr(d.arp.DstProtAddress)
	p.Src, p.Dst = netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, 0)
	if d.arp.Operation == layers.ARPReply {
		p.Text = fmt.Sprintf("ARP %s is here", from)
		return
	}
	p.Text = fmt.Sprintf("ARP who has %s?", to)
}

func (d *decoder) describeTCP(p *Packet) {
	t := &d.tcp
	length := len(t.Payload)
	if cut := p.Length - len(d.eth.Contents) - len(d.eth.Payload); cut > 0 { // the capture has only the beginning
		length += cut
	}
	p.Protocol = "TCP"
	p.TCP = &Segment{SYN: t.SYN, ACK: t.ACK, FIN: t.FIN, RST: t.RST, Seq: t.Seq, Acked: t.Ack, Payload: length}
	var flags []string
	for _, f := range []struct {
		set  bool
		name string
	}{{t.SYN, "SYN"}, {t.FIN, "FIN"}, {t.RST, "RST"}, {t.ACK, "ACK"}, {t.PSH, "PSH"}} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	p.Text = fmt.Sprintf("TCP %d → %d %s", t.SrcPort, t.DstPort, strings.Join(flags, " "))
	if length > 0 {
		p.Text += fmt.Sprintf(", %d bytes", length)
		p.messages = append(http(t.Payload), handshake(t.Payload)...)
		d.keep(p, t.Payload)
	}
}

// keep keeps the payload of a segment if its connection may be of HTTP/2, where a message is not where a segment begins.
func (d *decoder) keep(p *Packet, payload []byte) {
	f := flowOf(p.Src, p.Dst)
	if !d.http2[f] {
		if !speaksHTTP2(payload) {
			p.framed = framed(payload)
			return
		}
		if len(d.http2) >= maxConns {
			return
		}
		d.http2[f] = true
	}
	if d.kept += len(payload); d.kept <= maxKept {
		p.payload = bytes.Clone(payload)
	}
}

// spaced is the name of a constant in words: "DestinationUnreachable(Port)" is "destination unreachable (port)".
func spaced(name string) string {
	var b strings.Builder
	for i, r := range name {
		switch {
		case r == '(':
			b.WriteByte(' ')
		case r >= 'A' && r <= 'Z' && i > 0 && name[i-1] >= 'a' && name[i-1] <= 'z':
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// quote4 is the beginning of an IPv4 packet.
func quote4(b []byte) *quote {
	if len(b) < 20 || b[0]>>4 != 4 {
		return nil
	}
	header := int(b[0]&15) * 4
	if len(b) < header+4 || header < 20 {
		return nil
	}
	return ports(addr(b[12:16]), addr(b[16:20]), b[header:])
}

// quote6 is the beginning of an IPv6 packet without extension headers, behind four octets.
func quote6(b []byte) *quote {
	if len(b) < 4+40+4 || b[4]>>4 != 6 {
		return nil
	}
	b = b[4:]
	return ports(addr(b[8:24]), addr(b[24:40]), b[40:])
}

func ports(src, dst netip.Addr, b []byte) *quote {
	return &quote{src: netip.AddrPortFrom(src, uint16(b[0])<<8|uint16(b[1])), dst: netip.AddrPortFrom(dst, uint16(b[2])<<8|uint16(b[3]))}
}
