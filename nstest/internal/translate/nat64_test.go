package translate

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

var (
	host6   = netip.MustParseAddr("fd6e:7374:6573:7401::2")
	server4 = netip.MustParseAddr("10.2.0.3")
	server6 = netip.MustParseAddr("64:ff9b::10.2.0.3")
	lent    = netip.MustParseAddr("240.0.0.1") // to host6, the first to speak
)

func newNAT64(t testing.TB) *NAT64 {
	t.Helper()
	n, err := NewNAT64(WellKnown)
	if err != nil {
		t.Fatal(err)
	}
	n.pool.lend(host6)
	return n
}

func packet6(src, dst netip.Addr, protocol byte, payload []byte) []byte {
	return append(header{src: src, dst: dst, protocol: protocol, hops: 63, length: len(payload)}.append6(nil), payload...)
}

func packet4(src, dst netip.Addr, protocol byte, payload []byte) []byte {
	return append(header{src: src, dst: dst, protocol: protocol, hops: 63, length: len(payload)}.append4(nil), payload...)
}

// mayBreak clears DF.
func mayBreak(p []byte) []byte {
	p[6] &^= 0x40
	put16(p[10:], 0)
	put16(p[10:], ^uint16(sum(0, p[:20])))
	return p
}

// pseudo is the sum of the pseudo-header, of the version that the addresses are of.
func pseudo(src, dst netip.Addr, protocol byte, length int) uint32 {
	return fold(sumAddrs(src, dst) + uint32(protocol) + uint32(length))
}

func udp6(src, dst netip.Addr, text string) []byte {
	b := append([]byte{0x30, 0x39, 0, 53, 0, byte(8 + len(text)), 0, 0}, text...)
	put16(b[4:], uint16(len(b)))
	put16(b[6:], ^uint16(sum(pseudo(src, dst, protoUDP, len(b)), b)))
	return b
}

func tcp(src, dst netip.Addr, text string) []byte {
	b := append([]byte{0x30, 0x39, 0, 80, 12: 5 << 4, 19: 0}, text...)
	put16(b[16:], ^uint16(sum(pseudo(src, dst, protoTCP, len(b)), b)))
	return b
}

func icmp6(src, dst netip.Addr, kind, code byte, rest uint32, body []byte) []byte {
	b := append(binary.BigEndian.AppendUint32([]byte{kind, code, 0, 0}, rest), body...)
	put16(b[2:], ^uint16(sum(pseudo(src, dst, protoICMPv6, len(b)), b)))
	return b
}

func icmp4(kind, code byte, rest uint32, body []byte) []byte {
	b := append(binary.BigEndian.AppendUint32([]byte{kind, code, 0, 0}, rest), body...)
	put16(b[2:], ^uint16(sum(0, b)))
	return b
}

// valid reports whether a whole packet is as its receiver wants it, checksums included.
func valid(p []byte) bool {
	var h header
	var ok bool
	six := p[0]>>4 == 6
	if six {
		h, ok = parse6(p)
	} else {
		h, ok = parse4(p)
	}
	switch {
	case !ok || h.fragmented():
		return false
	case h.protocol == protoICMP:
		return !six && sum(0, h.payload) == 0xffff
	case h.protocol == protoUDP && u16(h.payload[6:]) == 0:
		return !six
	case h.protocol == protoICMPv6 && !six:
		return false
	}
	return sum(pseudo(h.src, h.dst, h.protocol, h.length), h.payload) == 0xffff
}

func wantValid6(t *testing.T, p []byte) {
	t.Helper()
	if !valid(p) {
		t.Errorf("not a valid packet: %x", p)
	}
}

func one(t *testing.T, packets [][]byte) []byte {
	t.Helper()
	if len(packets) != 1 {
		t.Fatalf("%d packets came out: %x", len(packets), packets)
	}
	if !valid(packets[0]) {
		t.Fatalf("not a valid packet: %x", packets[0])
	}
	return packets[0]
}

func TestNAT64TranslatesBothWays(t *testing.T) {
	n := newNAT64(t)
	for name, c := range map[string]struct {
		p6, p4 byte
		six    func(src, dst netip.Addr) []byte
		four   func(src, dst netip.Addr) []byte
	}{
		"TCP":  {protoTCP, protoTCP, func(s, d netip.Addr) []byte { return tcp(s, d, "GET") }, func(s, d netip.Addr) []byte { return tcp(s, d, "GET") }},
		"UDP":  {protoUDP, protoUDP, func(s, d netip.Addr) []byte { return udp6(s, d, "hi") }, func(s, d netip.Addr) []byte { return udp6(s, d, "hi") }},
		"ping": {protoICMPv6, protoICMP, func(s, d netip.Addr) []byte { return icmp6(s, d, echo6, 0, 7<<16+1, []byte("x")) }, func(netip.Addr, netip.Addr) []byte { return icmp4(echo4, 0, 7<<16+1, []byte("x")) }},
		"pong": {protoICMPv6, protoICMP, func(s, d netip.Addr) []byte { return icmp6(s, d, echoReply6, 0, 7<<16+1, []byte("x")) }, func(netip.Addr, netip.Addr) []byte { return icmp4(echoReply4, 0, 7<<16+1, []byte("x")) }},
	} {
		t.Run(name, func(t *testing.T) {
			out := one(t, n.Translate(packet6(host6, server6, c.p6, c.six(host6, server6))))
			h, _ := parse4(out)
			if h.src != lent || h.dst != server4 || h.protocol != c.p4 || h.hops != 64 || !bytes.Equal(h.payload, c.four(lent, server4)) {
				t.Errorf("to IPv4: %+v", h)
			}
			out = one(t, n.Translate(packet4(server4, lent, c.p4, c.four(server4, lent))))
			h, _ = parse6(out)
			if h.src != server6 || h.dst != host6 || h.protocol != c.p6 || h.hops != 64 || !bytes.Equal(h.payload, c.six(server6, host6)) {
				t.Errorf("to IPv6: %+v", h)
			}
		})
	}
}

func TestNAT64GivesUDPTheChecksumThatIPv6Wants(t *testing.T) {
	datagram := udp6(server4, lent, "hi")
	want := udp6(server6, host6, "hi")
	put16(datagram[6:], 0)
	out := one(t, newNAT64(t).Translate(packet4(server4, lent, protoUDP, datagram)))
	if !bytes.Equal(out[40:], want) {
		t.Errorf("%x, want %x", out[40:], want)
	}
}

func TestNAT64TranslatesErrors(t *testing.T) {
	n := newNAT64(t)
	hop4, hop6 := netip.MustParseAddr("10.3.0.1"), netip.MustParseAddr("64:ff9b::10.3.0.1")
	sent4, sent6 := packet4(lent, server4, protoUDP, udp6(lent, server4, "hi")), packet6(host6, server6, protoUDP, udp6(host6, server6, "hi"))
	for _, c := range []struct {
		kind4, code4 byte
		rest4        uint32
		kind6, code6 byte
		rest6        uint32
	}{
		{exceeded4, 0, 0, exceeded6, 0, 0},
		{unreachable4, 3, 0, unreachable6, 4, 0},
		{unreachable4, 1, 0, unreachable6, 0, 0},
		{unreachable4, 13, 0, unreachable6, 1, 0},
		{unreachable4, 4, 1400, tooBig6, 0, 1420},
		{unreachable4, 4, 576, tooBig6, 0, 1280},
		{unreachable4, 2, 0, parameter6, 1, 6},
		{parameter4, 0, 8 << 24, parameter6, 0, 7},
	} {
		out := one(t, n.Translate(packet4(hop4, lent, protoICMP, icmp4(c.kind4, c.code4, c.rest4, sent4))))
		want := packet6(hop6, host6, protoICMPv6, icmp6(hop6, host6, c.kind6, c.code6, c.rest6, sent6))
		want[7]++
		if !bytes.Equal(out, want) {
			t.Errorf("ICMP %d/%d (%d):\n got %x\nwant %x", c.kind4, c.code4, c.rest4, out, want)
		}
	}
	// The other way: a host that does not want what it got.
	came6, came4 := packet6(server6, host6, protoUDP, udp6(server6, host6, "hi")), packet4(server4, lent, protoUDP, udp6(server4, lent, "hi"))
	for _, c := range []struct {
		kind6, code6 byte
		rest6        uint32
		kind4, code4 byte
		rest4        uint32
	}{
		{unreachable6, 4, 0, unreachable4, 3, 0},
		{unreachable6, 0, 0, unreachable4, 1, 0},
		{unreachable6, 1, 0, unreachable4, 10, 0},
		{tooBig6, 0, 1300, unreachable4, 4, 1280},
		{exceeded6, 1, 0, exceeded4, 1, 0},
		{parameter6, 1, 6, unreachable4, 2, 0},
		{parameter6, 0, 7, parameter4, 0, 8 << 24},
	} {
		out := one(t, n.Translate(packet6(host6, server6, protoICMPv6, icmp6(host6, server6, c.kind6, c.code6, c.rest6, came6))))
		if want := icmp4(c.kind4, c.code4, c.rest4, came4); !bytes.Equal(out[20:], want) {
			t.Errorf("ICMPv6 %d/%d (%d):\n got %x\nwant %x", c.kind6, c.code6, c.rest6, out[20:], want)
		}
	}
}

func TestNAT64TranslatesQuotedPings(t *testing.T) {
	n := newNAT64(t)
	hop4, hop6 := netip.MustParseAddr("10.3.0.1"), netip.MustParseAddr("64:ff9b::10.3.0.1")
	sent4 := packet4(lent, server4, protoICMP, icmp4(echo4, 0, 9, []byte("abc")))
	sent6 := packet6(host6, server6, protoICMPv6, icmp6(host6, server6, echo6, 0, 9, []byte("abc")))
	out := one(t, n.Translate(packet4(hop4, lent, protoICMP, icmp4(exceeded4, 0, 0, sent4))))
	if want := icmp6(hop6, host6, exceeded6, 0, 0, sent6); !bytes.Equal(out[40:], want) {
		t.Errorf("got %x\nwant %x", out[40:], want)
	}
}

func TestNAT64BreaksUpWhatMayBe(t *testing.T) {
	n := newNAT64(t)
	datagram := udp6(server4, lent, string(bytes.Repeat([]byte("0123456789"), 300)))
	want := udp6(server6, host6, string(bytes.Repeat([]byte("0123456789"), 300)))
	whole := packet4(server4, lent, protoUDP, datagram)
	if got := n.Translate(whole); len(got) != 1 {
		t.Errorf("a packet with DF became %d", len(got))
	}
	joined := func(packets [][]byte) []byte {
		var out []byte
		for i, p := range packets {
			h, ok := parse6(p)
			if !ok || len(p) > minMTU || h.offset != len(out) || h.more != (i < len(packets)-1) {
				t.Fatalf("piece %d of %d: %+v", i, len(packets), h)
			}
			out = append(out, h.payload...)
		}
		return out
	}
	if got := joined(n.Translate(mayBreak(whole))); !bytes.Equal(got, want) {
		t.Error("the pieces of a large packet are not the packet")
	}
	var out [][]byte
	for at := 0; at < len(datagram); at += 1480 {
		end := min(at+1480, len(datagram))
		h := header{src: server4, dst: lent, protocol: protoUDP, hops: 63, id: 5, offset: at, more: end < len(datagram), fragment: true, length: end - at}
		out = append(out, n.Translate(append(h.append4(nil), datagram[at:end]...))...)
	}
	if got := joined(out); !bytes.Equal(got, want) {
		t.Error("the pieces of fragments are not the packet")
	}
	// Fragments of IPv6 stay such.
	var back []byte
	for at := 0; at < len(want); at += 1232 {
		end := min(at+1232, len(want))
		d := udp6(host6, server6, string(bytes.Repeat([]byte("0123456789"), 300)))
		h := header{src: host6, dst: server6, protocol: protoUDP, hops: 63, id: 70005, offset: at, more: end < len(d), fragment: true, length: end - at}
		for _, p := range n.Translate(append(h.append6(nil), d[at:end]...)) {
			h, ok := parse4(p)
			if !ok || h.offset != at || h.more != (end < len(d)) || h.id != 70005&0xffff {
				t.Fatalf("fragment at %d: %+v", at, h)
			}
			back = append(back, h.payload...)
		}
	}
	if want := udp6(lent, server4, string(bytes.Repeat([]byte("0123456789"), 300))); !bytes.Equal(back, want) {
		t.Error("the fragments are not the datagram")
	}
}

func TestNAT64Drops(t *testing.T) {
	n := newNAT64(t)
	ping := func(src, dst netip.Addr) []byte {
		return packet6(src, dst, protoICMPv6, icmp6(src, dst, echo6, 0, 1, nil))
	}
	if n.Translate(ping(host6, server6)) == nil {
		t.Fatal("the packet that the others are made from is dropped too")
	}
	wrong := ping(host6, server6)
	wrong[43]++
	options := packet4(server4, lent, protoICMP, icmp4(echoReply4, 0, 1, nil))
	if n.Translate(options) == nil {
		t.Fatal("the packet that the others are made from is dropped too")
	}
	routed := append([]byte{0x46, 0, 0, 32}, options[4:20]...)
	routed = append(append(routed, 131, 4, 4, 0), options[20:]...)
	put16(routed[10:], 0)
	put16(routed[10:], ^uint16(sum(0, routed[:24])))
	for name, p := range map[string][]byte{
		"to another prefix":          ping(host6, netip.MustParseAddr("2001:db8::1")),
		"to a multicast address":     ping(host6, netip.MustParseAddr("64:ff9b::224.0.0.1")),
		"to this machine":            ping(host6, netip.MustParseAddr("64:ff9b::127.0.0.1")),
		"to the pool":                ping(host6, netip.MustParseAddr("64:ff9b::240.0.0.1")),
		"from the translated prefix": ping(server6, server6),
		"from a link-local address":  ping(netip.MustParseAddr("fe80::1"), server6),
		"a wrong checksum":           wrong,
		"another protocol":           packet6(host6, server6, 132, make([]byte, 20)),
		"from the pool":              packet4(lent, lent, protoUDP, udp6(lent, lent, "")),
		"to nobody":                  packet4(server4, netip.MustParseAddr("240.0.0.9"), protoICMP, icmp4(echoReply4, 0, 1, nil)),
		"to no address of the pool":  packet4(server4, server4, protoICMP, icmp4(echoReply4, 0, 1, nil)),
		"an IPv4 source route":       routed,
		"nothing":                    nil,
	} {
		if got := n.Translate(p); got != nil {
			t.Errorf("%s: %x", name, got)
		}
	}
}

func TestPoolIsBounded(t *testing.T) {
	p := newPool(3)
	host := func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0xfd, 15: byte(i)}) }
	for i := range 3 {
		p.lend(host(i))
	}
	p.find(host(0)) // so that host 1 has been silent for longest
	if got, want := p.lend(host(9)), poolAddr(2); got != want {
		t.Errorf("lent %s, want %s", got, want)
	}
	if _, ok := p.find(host(1)); ok {
		t.Error("the one that lost its address has it still")
	}
	if got, ok := p.owner(poolAddr(2)); !ok || got != host(9) {
		t.Errorf("owner is %s", got)
	}
	if len(p.byHost) != 3 || p.recent.Len() != 3 {
		t.Errorf("%d hosts, %d leases", len(p.byHost), p.recent.Len())
	}
}

func TestNAT64SaysWhyNot(t *testing.T) {
	for _, p := range []string{"64:ff9b::/64", "10.0.0.0/8", "64:ff9b::1/96", "2001:db8:0:0:100::/96"} {
		if _, err := NewNAT64(netip.MustParsePrefix(p)); err == nil {
			t.Errorf("%s was taken", p)
		}
	}
	if _, err := NewNAT64(netip.Prefix{}); err == nil {
		t.Error("no prefix was taken")
	}
}

// What goes in may be anything; what comes out is a packet of the other version, and correct if it was correct.
func FuzzTranslate(f *testing.F) {
	sent4 := packet4(lent, server4, protoUDP, udp6(lent, server4, "hi"))
	came6 := packet6(server6, host6, protoTCP, tcp(server6, host6, "hi"))
	for _, p := range [][]byte{
		packet6(host6, server6, protoTCP, tcp(host6, server6, "GET")),
		packet6(host6, server6, protoICMPv6, icmp6(host6, server6, unreachable6, 4, 0, came6)),
		packet4(server4, lent, protoUDP, udp6(server4, lent, "hi")),
		packet4(server4, lent, protoICMP, icmp4(exceeded4, 0, 0, sent4)),
		packet6(host6, server6, protoHopByHop, append([]byte{protoUDP, 0, 1, 4, 0, 0, 0, 0}, udp6(host6, server6, "hi")...)),
		append(header{src: host6, dst: server6, protocol: protoUDP, more: true, length: 16}.append6(nil), make([]byte, 16)...),
	} {
		f.Add(p)
	}
	npts := Sites{{mustNPT(f, "fd6e:7374:6573::/48", "2001:db8:1::/48"), []netip.Prefix{netip.MustParsePrefix("fd6e:7374:6573:7401::/64")}}}
	f.Fuzz(func(t *testing.T, p []byte) {
		was := len(p) >= 40 && valid2(p)
		for _, out := range newNAT64(t).Translate(p) {
			h, ok := parse4(out)
			if p[0]>>4 == 4 {
				h, ok = parse6(out)
			}
			if !ok {
				t.Fatalf("not a packet: %x", out)
			}
			if was && !h.fragmented() && !valid(out) {
				t.Fatalf("a valid packet became an invalid one: %x", out)
			}
		}
		for _, out := range npts.Translate(bytes.Clone(p)) {
			if was != valid2(out) && h6(p).protocol != protoICMPv6 {
				t.Fatalf("the checksum has changed: %x", out)
			}
		}
	})
}

// valid2 is valid for what may not have the headers that it needs.
func valid2(p []byte) bool {
	h := h6(p)
	if p[0]>>4 == 4 {
		h, _ = parse4(p)
	}
	return len(h.payload) >= 8 && valid(p)
}

func h6(p []byte) header { h, _ := parse6(p); return h }
