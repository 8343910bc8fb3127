package network

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// pingLimit is how long ping waits for an answer. On a path that is open one takes microseconds.
const pingLimit = 10 * time.Second

// echo sends an echo request to an address and waits for the answer. The network is one of package icmp: "udp4" for a ping
// socket, icmp(7), which takes no rights, "ip4:icmp" and "ip6:ipv6-icmp" for a raw one.
func echo(network, address string) error {
	const protocolICMP, protocolICMPv6 = 1, 58
	request := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 1234, Seq: 1, Data: []byte("nstest")}}
	answer, protocol, unspecified := icmp.Type(ipv4.ICMPTypeEchoReply), protocolICMP, "0.0.0.0"
	if strings.Contains(network, "6") {
		request.Type, answer, protocol, unspecified = ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, protocolICMPv6, "::"
	}
	conn, err := icmp.ListenPacket(network, unspecified)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(pingLimit)); err != nil {
		return err
	}
	packet, err := request.Marshal(nil) // the kernel adds the checksum of an ICMPv6 message
	if err != nil {
		return err
	}
	var to net.Addr = &net.IPAddr{IP: net.ParseIP(address)}
	if strings.HasPrefix(network, "udp") {
		to = &net.UDPAddr{IP: net.ParseIP(address)}
	}
	if _, err := conn.WriteTo(packet, to); err != nil {
		return err
	}
	buf := make([]byte, 1500)
	for { // a raw socket sees other messages as well, its own request among them
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		m, err := icmp.ParseMessage(protocol, buf[:n])
		if err == nil && m.Type == answer {
			return nil
		}
	}
}

// lift sets lo up in the calling thread's namespace.
func lift() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// answered is what became of a ping if nothing went wrong.
const answered = "answered"

// became is what has become of a ping.
func became(err error) string {
	if err == nil {
		return answered
	}
	return err.Error()
}

// permission is what became of ping sockets when a group range was written.
type permission struct {
	Range, After string     // net.ipv4.ping_group_range
	Refused      unix.Errno // of a ping socket before
	Written      unix.Errno // of writing the range
	Ping         string     // what became of a ping then
}

// permit pings 127.0.0.1 before and after groups may, in a new namespace.
var permit = nsx.Register("network/permit", func(_ *nsx.Parent, groups string) (p permission, err error) {
	if err := lift(); err != nil {
		return p, err
	}
	file := setting{"net.ipv4.ping_group_range", groups}
	if p.Range, err = file.read(); err != nil {
		return p, err
	}
	errors.As(echo("udp4", "127.0.0.1"), &p.Refused)
	if p.Written, err = file.write(); err != nil {
		return p, err
	}
	p.Ping = became(echo("udp4", "127.0.0.1"))
	p.After, err = file.read()
	return p, err
})

// highestGroup is the last of the gids from 0 on that exist here.
func highestGroup() (int, error) {
	text, err := os.ReadFile("/proc/self/gid_map")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var inside, outside, count int
		if _, err := fmt.Sscan(line, &inside, &outside, &count); err != nil {
			return 0, err
		}
		if inside == 0 {
			return count - 1, nil
		}
	}
	return 0, errors.New("gid 0 is not mapped")
}

// echoes are pings of ::1, while lo is down and when it is up.
var echoes = nsx.Register("network/echoes", func(*nsx.Parent, any) (list [2]string, err error) {
	list[0] = became(echo("ip6:ipv6-icmp", "::1"))
	if err := lift(); err != nil {
		return list, err
	}
	list[1] = became(echo("ip6:ipv6-icmp", "::1"))
	return list, nil
})

// pingFromNew pings an IPv6 address, with lo up.
var pingFromNew = nsx.Register("network/echo", func(_ *nsx.Parent, address string) (string, error) {
	if err := lift(); err != nil {
		return "", err
	}
	return became(echo("ip6:ipv6-icmp", address)), nil
})

func registerEcho() {
	property.It("N19", func(ctx SpecContext, c *property.Check) {
		highest, err := highestGroup()
		Expect(err).NotTo(HaveOccurred())
		groups := fmt.Sprintf("0 %d", highest)
		allowed, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.Net}, permit, groups)
		Expect(err).NotTo(HaveOccurred())
		c.Positive("groups that exist here can be let, and then ping", func() {
			c.Saw("ping_group_range "+groups, allowed)
			Expect(allowed.Written).To(BeZero())
			Expect(strings.Fields(allowed.After)).To(Equal(strings.Fields(groups)))
			Expect(allowed.Ping).To(Equal(answered))
		})
		c.Negative("in a new namespace nobody may: its range is that of the machine's groups 1 to 0, who have no number here", func() {
			c.Saw("ping_group_range", allowed.Range)
			c.Saw("ping", allowed.Refused)
			Expect(strings.Fields(allowed.Range)).To(Equal([]string{"65534", "65534"}))
			Expect(allowed.Refused).To(Equal(unix.EACCES))
		})
		c.Negative("and a range with groups that do not exist here is refused", func() {
			const everybody = "0 2147483647"
			p, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.Net}, permit, everybody)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("ping_group_range "+everybody, p)
			Expect(p.Written).To(Equal(unix.EINVAL))
			Expect(p.Ping).NotTo(Equal(answered))
		})
	})

	property.It("N29", func(ctx SpecContext, c *property.Check) {
		_, absent := os.Stat("/proc/net/if_inet6")
		c.Need(absent, "boot the machine without ipv6.disable=1")
		far := nstest.Current().Host("far")
		var address string
		for _, a := range far.Addrs() {
			if a.Is6() {
				address = a.String()
			}
		}
		list, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.Net}, echoes, nil)
		Expect(err).NotTo(HaveOccurred())
		c.Negative("::1 does not answer while lo is down, as it is in a new namespace", func() {
			c.Saw("ping ::1", list[0])
			Expect(list[0]).NotTo(Equal(answered))
		})
		c.Positive("it does once lo is up", func() {
			c.Saw("ping ::1", list[1])
			Expect(list[1]).To(Equal(answered))
		})
		c.Positive("and so does a neighbour", func() {
			text := became(echo("ip6:ipv6-icmp", address))
			c.Saw("ping "+address, text)
			Expect(text).To(Equal(answered))
		})
		c.Negative("whom a new namespace knows no way to", func() {
			text, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.Net}, pingFromNew, address)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("ping "+address, text)
			Expect(text).NotTo(Equal(answered))
		})
	})
}
