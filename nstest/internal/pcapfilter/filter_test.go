package pcapfilter_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/pcapfilter"
	"github.com/hermetic-go/nstest/nstest/internal/pcapng"
)

var (
	client4, server4 = netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("10.1.0.3")
	client6, server6 = netip.MustParseAddr("fd00::2"), netip.MustParseAddr("fd00::3")
)

func ethernet(etherType uint16, dst string, payload ...byte) []byte {
	b := append([]byte(dst), "\x02\x42\x0a\x01\x00\x02"...)
	return append(binary.BigEndian.AppendUint16(b, etherType), payload...)
}

const mac = "\x02\x42\x0a\x01\x00\x03"

func ip(proto byte, src, dst netip.Addr, fragment uint16, payload ...byte) []byte {
	if src.Is6() {
		b := []byte{0x60, 0, 0, 0, byte(len(payload) >> 8), byte(len(payload)), proto, 64}
		return ethernet(0x86dd, mac, append(append(append(b, src.AsSlice()...), dst.AsSlice()...), payload...)...)
	}
	b := []byte{0x45, 0, 0, byte(20 + len(payload)), 0, 1, byte(fragment >> 8), byte(fragment), 64, proto, 0, 0}
	return ethernet(0x0800, mac, append(append(append(b, src.AsSlice()...), dst.AsSlice()...), payload...)...)
}

func ports(src, dst uint16, rest ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, src)
	return append(binary.BigEndian.AppendUint16(b, dst), rest...)
}

func tcp(src, dst uint16, flags byte) []byte {
	return ports(src, dst, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0)
}

func udp(src, dst uint16) []byte { return ports(src, dst, 0, 8, 0, 0) }

var frames = [][]byte{
	ip(6, client4, server4, 0, tcp(40000, 80, 2)...),
	ip(6, server4, client4, 0, tcp(80, 40000, 18)...),
	ip(6, client4, server4, 0, tcp(40001, 8005, 16)...),
	ip(6, client6, server6, 0, tcp(40000, 443, 2)...),
	ip(17, client4, server4, 0, udp(50000, 53)...),
	ip(17, client6, server6, 0, udp(50000, 53)...),
	ip(17, server6, client6, 0, udp(53, 50000)...),
	ip(17, client4, server4, 0x2000, udp(50000, 53)...),                  // a first fragment
	ip(17, client4, server4, 5, udp(50000, 53)...),                       // a later one
	ip(1, client4, server4, 0, 8, 0, 0, 0, 0, 1, 0, 1),                   // echo
	ip(1, server4, client4, 0, 0, 0, 0, 0, 0, 1, 0, 1),                   // its reply
	ip(58, client6, server6, 0, 128, 0, 0, 0, 0, 1, 0, 1),                // echo
	ip(58, client6, server6, 0, 135, 0, 0, 0, 0, 0, 0, 0),                // neighbour solicitation
	ip(132, client4, server4, 0, ports(1000, 2000, 0, 0, 0, 0, 0, 0)...), // SCTP
	ip(6, netip.MustParseAddr("192.168.1.7"), client4, 0, tcp(22, 22, 4)...),
	ethernet(0x0806, "\xff\xff\xff\xff\xff\xff", append(append(append([]byte{0, 1, 8, 0, 6, 4, 0, 1, 2, 0x42, 10, 1, 0, 2}, client4.AsSlice()...), 0, 0, 0, 0, 0, 0), server4.AsSlice()...)...),
	ethernet(0x88cc, "\x01\x80\xc2\x00\x00\x0e", 1, 2, 3),
}

// What a filter chooses is what tcpdump, with libpcap, chooses from the same packets. The bytes of TCP are those of IPv4 alone
// for libpcap, and of IPv6 too for us.
func TestChoosesWhatLibpcapChooses(t *testing.T) {
	tcpdump, err := exec.LookPath("tcpdump")
	switch {
	case err != nil && os.Getenv("NSTEST_MUST_RUN") == "1":
		t.Fatalf("NSTEST_MUST_RUN=1, and tcpdump is not installed: %v", err)
	case err != nil:
		t.Skip("tcpdump is not installed\n    What to do: install the package tcpdump")
	}
	file := filepath.Join(t.TempDir(), "all.pcapng")
	write(t, file)
	expressions := []string{
		"", "tcp", "udp", "icmp", "icmp6", "arp", "ip", "ip6", "sctp", "not ip and not ip6", "tcp or udp",
		"host 10.1.0.2", "src host 10.1.0.2", "dst 10.1.0.2", "src or dst host 10.1.0.3", "host fd00::3", "src fd00::3", "ip host 10.1.0.3", "arp host 10.1.0.3",
		"host 10.1.0.2 and tcp", "net 10.1.0.0/16", "net 10.1", "src net 192.168.0.0/16", "ip6 net fd00::/64", "not net 10.0.0.0/8",
		"port 80", "src port 80", "dst port 80", "tcp port 80 or 443", "port 53 and ip6", "udp port 53", "ip and udp port 53", "portrange 8000-8010", "tcp portrange 79-81", "src and dst port 22",
		"port http", "port domain or ssh", "! tcp", "!(tcp or udp)", "tcp and not port 80 or arp", "arp or tcp and port 80", "(arp or tcp) and port 80",
		"ip and tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn", "ip and tcp[13] & 2 != 0", "tcp[tcpflags] & tcp-rst != 0 or udp", "icmp[icmptype] = icmp-echo", "icmp[0] == 0", "ip[8] > 63", "ip[2:2] >= 40", "ether[12:2] = 0x806",
		"len > 50", "len <= 42", "ip[0] & 0xf = 5 and tcp", "(ip[8] + 1) = 65", "tcp[2:2] * 2 = 160", "ip and tcp[0:2] >> 3 = 5000",
		"ether host 02:42:0a:01:00:03", "ether src 02:42:0a:01:00:02", "ether dst 02:42:0a:01:00:02", "broadcast", "multicast", "ether broadcast", "ip proto 17", "ip6 proto 58", "ip proto \\tcp", "tcp && port 22 || icmp",
	}
	for _, e := range expressions {
		t.Run(e, func(t *testing.T) {
			output, err := exec.CommandContext(t.Context(), tcpdump, "-n", "-r", file, e).Output()
			if err != nil {
				t.Fatal(err)
			}
			f, err := pcapfilter.Parse(e, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := times(f), shown(t, string(output)); !slices.Equal(got, want) {
				t.Errorf("got packets %v, tcpdump has %v\n%s", got, want, output)
			}
		})
	}
}

// times are the seconds of the packets that the filter chooses, which are their numbers.
func times(f *pcapfilter.Filter) (list []int) {
	for i, frame := range frames {
		if f.Match(frame, len(frame)) {
			list = append(list, i)
		}
	}
	return list
}

func shown(t *testing.T, output string) (list []int) {
	for line := range strings.Lines(output) {
		m := regexp.MustCompile(`^\d\d:\d\d:(\d\d)\.`).FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}

// write writes the packets, the first one at second 0.
func write(t *testing.T, file string) {
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := pcapng.NewWriter(f, 0, "nstest", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddInterface(pcapng.Interface{Name: "eth0"}); err != nil {
		t.Fatal(err)
	}
	for i, frame := range frames {
		if err := w.WritePacket(pcapng.Packet{Time: time.Unix(3600*24+int64(i), 0), Data: frame}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefusesWhatItDoesNotKnow(t *testing.T) {
	for e, want := range map[string]string{
		"tcp and":                `a primitive such as "host 10.1.0.2" or "tcp port 80" is missing`,
		"port":                   "port of what?",
		"port x":                 `"x" is no port: 0 to 65535`,
		"port 65536":             `"65536" is no port`,
		"host nobody":            `"nobody" is neither an address nor the name of a host`,
		"net 10.1.0.1/16":        "write 10.1.0.0/16",
		"net x":                  `"x" is no network`,
		"tcp host 10.1.0.2":      `write "tcp and host …"`,
		"icmp port 80":           "icmp has no ports",
		"(tcp":                   `")" is missing`,
		"tcp)":                   `what is ")" here?`,
		"tcp[13":                 `"]" is missing`,
		"tcp[13]":                `a comparison such as "!= 0" is missing`,
		"tcp[0:3] = 1":           "1, 2 or 4 bytes",
		"tcp[x] = 1":             `"x" is no number`,
		"portrange 80":           `"80" is no range of ports`,
		"vlan 5":                 "is missing before \"vlan\"",
		"80":                     "is missing before \"80\"",
		"ether host 10.1.0.2":    "no address of Ethernet",
		"ip proto 256":           "no protocol of IP",
		"greater 5":              "len >= N",
		"src and port 5":         `"dst" is missing`,
		"tcp broadcast":          "those of ether are",
		strings.Repeat("(", 500): "too many parentheses",
		strings.Repeat("!", 500): "too many negations",

		strings.Repeat("1=1||", 10_000) + "1=1": "32768 are possible",
	} {
		_, err := pcapfilter.Parse(e, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: got %v, want %s", e, err, want)
		}
	}
}

func TestHostsHaveNames(t *testing.T) {
	f, err := pcapfilter.Parse("host web and tcp", func(name string) []netip.Addr {
		return map[string][]netip.Addr{"web": {server4, server6}}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(times(f)); got != "[0 1 2 3]" {
		t.Errorf("got packets %s", got)
	}
}

func FuzzFilter(f *testing.F) {
	f.Add("tcp[13] & 2 != 0 and (host 10.1.0.2 or net 10.1)", frames[0])
	f.Add("port 80 or 443", frames[3])
	f.Fuzz(func(t *testing.T, e string, frame []byte) {
		if filter, err := pcapfilter.Parse(e, nil); err == nil {
			filter.Match(frame, len(frame))
		}
	})
}
