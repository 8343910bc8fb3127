package plant

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// A Wire is a network on which packets are sent, as a capture of all cables sees them: where they leave and where they arrive.
type Wire struct {
	hosts  []end
	out    bytes.Buffer
	file   *pcapgo.NgWriter
	err    error
	number uint16

	dropper int // the interface of the switch; 0 before it has dropped something
}

type end struct {
	name string
	addr netip.Addr
	mac  net.HardwareAddr
}

// Latency is how long packets are under way.
const Latency = 100 * time.Microsecond

// NewWire is a network 10.0.0.0/24 of hosts, whose addresses count from 1 on.
func NewWire(hosts ...string) *Wire {
	w := &Wire{}
	for i, name := range hosts {
		n := byte(i + 1)
		w.hosts = append(w.hosts, end{name, netip.AddrFrom4([4]byte{10, 0, 0, n}), net.HardwareAddr{2, 0, 0, 0, 0, n}})
		iface := pcapgo.NgInterface{Name: name + "/eth0", LinkType: layers.LinkTypeEthernet, TimestampResolution: 9}
		if i == 0 {
			w.file, w.err = pcapgo.NewNgWriterInterface(&w.out, iface, pcapgo.DefaultNgWriterOptions)
		} else if w.err == nil {
			_, w.err = w.file.AddInterface(iface)
		}
	}
	return w
}

// Addr is a host's address.
func (w *Wire) Addr(host string) netip.Addr { return w.hosts[w.index(host)].addr }

func (w *Wire) index(host string) int {
	for i, h := range w.hosts {
		if h.name == host {
			return i
		}
	}
	panic("no host " + host + " is on the wire")
}

// Capture is the file, after which nothing can be sent.
func (w *Wire) Capture() ([]byte, error) {
	err := errors.Join(w.err, w.file.Flush())
	return w.out.Bytes(), err
}

// A Segment is a packet of TCP. Flags are some of "SFRAP".
type Segment struct {
	From, To         string
	FromPort, ToPort uint16
	Flags            string
	Seq, Ack         uint32
	Payload          string
	Lost             bool   // it does not arrive
	Dropped          string // and the capture says that the switch has dropped it, with this comment
}

// TCP sends a segment at a time from the beginning.
func (w *Wire) TCP(at time.Duration, s Segment) {
	t := &layers.TCP{SrcPort: layers.TCPPort(s.FromPort), DstPort: layers.TCPPort(s.ToPort), Seq: s.Seq, Ack: s.Ack, Window: 64240}
	for _, f := range s.Flags {
		switch f {
		case 'S':
			t.SYN = true
		case 'F':
			t.FIN = true
		case 'R':
			t.RST = true
		case 'A':
			t.ACK = true
		case 'P':
			t.PSH = true
		}
	}
	ip := w.ip(s.From, s.To, layers.IPProtocolTCP)
	w.fail(t.SetNetworkLayerForChecksum(ip))
	frame := w.send(at, s.From, s.To, s.Lost || s.Dropped != "", ip, t, gopacket.Payload(s.Payload))
	if s.Dropped != "" {
		w.drop(at+Latency/2, frame, s.Dropped)
	}
}

// Exchange is a connection at a time from the beginning that opens, on which the client says something and the server
// answers, and that is closed.
func (w *Wire) Exchange(at time.Duration, client, server string, port, toPort uint16, question, answer string) {
	c := Segment{From: client, To: server, FromPort: port, ToPort: toPort, Seq: 1000}
	s := Segment{From: server, To: client, FromPort: toPort, ToPort: port, Seq: 5000}
	send := func(x *Segment, other *Segment, flags, payload string) {
		x.Flags, x.Payload, x.Ack = flags, payload, other.Seq
		w.TCP(at, *x)
		at += 2 * Latency
		x.Seq += uint32(len(payload))
		if flags[0] == 'S' || flags[0] == 'F' {
			x.Seq++
		}
	}
	send(&c, &s, "S", "")
	send(&s, &c, "SA", "")
	send(&c, &s, "A", "")
	send(&c, &s, "PA", question)
	send(&s, &c, "PA", answer)
	send(&c, &s, "FA", "")
	send(&s, &c, "FA", "")
	send(&c, &s, "A", "")
}

// UDP sends a datagram.
func (w *Wire) UDP(at time.Duration, from, to string, fromPort, toPort uint16, payload []byte) {
	u := &layers.UDP{SrcPort: layers.UDPPort(fromPort), DstPort: layers.UDPPort(toPort)}
	ip := w.ip(from, to, layers.IPProtocolUDP)
	w.fail(u.SetNetworkLayerForChecksum(ip))
	w.send(at, from, to, false, ip, u, gopacket.Payload(payload))
}

// Unreachable sends a host's ICMP error about a SYN of another one.
func (w *Wire) Unreachable(at time.Duration, from, to string, fromPort, toPort uint16) {
	quoted := w.serialize(w.ip(to, from, layers.IPProtocolTCP), gopacket.Payload([]byte{byte(fromPort >> 8), byte(fromPort), byte(toPort >> 8), byte(toPort), 0, 0, 0, 0}))
	icmp := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4CodePort)}
	w.send(at, from, to, false, w.ip(from, to, layers.IPProtocolICMPv4), icmp, gopacket.Payload(quoted))
}

func (w *Wire) ip(from, to string, protocol layers.IPProtocol) *layers.IPv4 {
	w.number++
	return &layers.IPv4{Version: 4, TTL: 64, Id: w.number, Protocol: protocol, SrcIP: w.Addr(from).AsSlice(), DstIP: w.Addr(to).AsSlice()}
}

func (w *Wire) serialize(list ...gopacket.SerializableLayer) []byte {
	b := gopacket.NewSerializeBuffer()
	w.fail(gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, list...))
	return b.Bytes()
}

func (w *Wire) send(at time.Duration, from, to string, lost bool, list ...gopacket.SerializableLayer) []byte {
	src, dst := w.index(from), w.index(to)
	eth := &layers.Ethernet{SrcMAC: w.hosts[src].mac, DstMAC: w.hosts[dst].mac, EthernetType: layers.EthernetTypeIPv4}
	frame := w.serialize(append([]gopacket.SerializableLayer{eth}, list...)...)
	w.see(at, src, pcapgo.NgEpbFlagDirectionOutbound, frame)
	if !lost {
		w.see(at+Latency, dst, pcapgo.NgEpbFlagDirectionInbound, frame)
	}
	return frame
}

// drop has a frame dropped by the switch.
func (w *Wire) drop(at time.Duration, frame []byte, comments ...string) {
	if w.dropper == 0 {
		number, err := w.file.AddInterface(pcapgo.NgInterface{Name: "lan/switch", LinkType: layers.LinkTypeEthernet, TimestampResolution: 9})
		w.fail(err)
		w.dropper = number
	}
	info := gopacket.CaptureInfo{Timestamp: Began.Add(at), CaptureLength: len(frame), Length: len(frame), InterfaceIndex: w.dropper}
	w.fail(w.file.WritePacketWithOptions(info, frame, pcapgo.NgPacketOptions{Comments: comments}))
}

func (w *Wire) see(at time.Duration, iface int, direction pcapgo.NgEpbFlag, frame []byte) {
	info := gopacket.CaptureInfo{Timestamp: Began.Add(at), CaptureLength: len(frame), Length: len(frame), InterfaceIndex: iface}
	w.fail(w.file.WritePacketWithOptions(info, frame, pcapgo.NgPacketOptions{Flags: &pcapgo.NgEpbFlags{Direction: direction}}))
}

func (w *Wire) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}
