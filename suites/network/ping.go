package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/rtnetlink"
	"github.com/hermetic-go/nstest/suites/property"
)

// Pings are repeated, because the first packet over a new device may be lost, until one is answered.
const (
	pings    = 50
	pingWait = 200 * time.Millisecond
)

// ping sends echo requests until one is answered.
func ping(to netip.Addr) error {
	network, request, reply, protocol := "ip4:icmp", icmp.Type(ipv4.ICMPTypeEcho), icmp.Type(ipv4.ICMPTypeEchoReply), 1
	if to.Is6() {
		network, request, reply, protocol = "ip6:ipv6-icmp", ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, 58
	}
	conn, err := icmp.ListenPacket(network, "")
	if err != nil {
		return fmt.Errorf("ping %s: %w", to, err)
	}
	defer func() { _ = conn.Close() }()
	id := os.Getpid() & 0xffff
	buf := make([]byte, 1500)
	for n := range pings {
		m, err := (&icmp.Message{Type: request, Body: &icmp.Echo{ID: id, Seq: n}}).Marshal(nil)
		if err != nil {
			return fmt.Errorf("ping %s: %w", to, err)
		}
		if _, err := conn.WriteTo(m, &net.IPAddr{IP: to.AsSlice(), Zone: to.Zone()}); err != nil {
			return fmt.Errorf("ping %s: %w", to, err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(pingWait)); err != nil {
			return fmt.Errorf("ping %s: %w", to, err)
		}
		for {
			size, _, err := conn.ReadFrom(buf)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return fmt.Errorf("ping %s: %w", to, err)
			}
			answer, err := icmp.ParseMessage(protocol, buf[:size])
			if err != nil {
				return fmt.Errorf("ping %s: %w", to, err)
			}
			if echo, ok := answer.Body.(*icmp.Echo); ok && answer.Type == reply && echo.ID == id {
				return nil
			}
		}
	}
	return fmt.Errorf("ping %s: none of %d was answered: %w", to, pings, unix.ETIMEDOUT)
}

// pingAll pings each address.
var pingAll = nsx.Register("network/ping", func(_ *nsx.Parent, list []netip.Addr) (any, error) {
	for _, a := range list {
		if err := ping(a); err != nil {
			return nil, err
		}
	}
	return nil, nil
})

func addrs(list ...string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func registerPing() {
	property.It("N5", func(ctx SpecContext, c *property.Check) {
		inside, apart := newNamespace(ctx), newNamespace(ctx)
		here(device{Name: "wire", Kind: "veth", Peer: "wire-peer"})
		Expect(rtnetlink.Move("wire-peer", inside.file, "")).To(Succeed())
		here(device{Name: "wire", Addrs: prefixes("198.51.100.1/24", "fd00:5::1/64"), Set: "up"})
		inside.equipped(ctx, device{Name: "lo", Set: "up"}, device{Name: "wire-peer", Addrs: prefixes("198.51.100.2/24", "fd00:5::2/64"), Set: "up"})

		send := func(from namespace, to ...string) error {
			_, err := nsx.Run(ctx, from.join(), pingAll, addrs(to...))
			c.Saw(fmt.Sprint("pings of ", to), err)
			return err
		}
		c.Positive("one at each end of a veth reaches the other, and itself over lo", func() {
			Expect(send(inside, "127.0.0.1", "::1", "198.51.100.1", "fd00:5::1")).To(Succeed())
			for _, a := range addrs("198.51.100.2", "fd00:5::2") {
				err := ping(a)
				c.Saw("our ping of "+a.String(), err)
				Expect(err).NotTo(HaveOccurred())
			}
		})
		c.Negative("one that has no wire reaches neither, nor itself while its lo is down", func() {
			for _, to := range []string{"127.0.0.1", "198.51.100.1", "198.51.100.2"} {
				Expect(send(apart, to)).To(MatchError(unix.ENETUNREACH))
			}
			for _, to := range []string{"::1", "fd00:5::1", "fd00:5::2"} { // IPv6 looks first for an address to send from
				Expect(send(apart, to)).To(MatchError(unix.EADDRNOTAVAIL))
			}
		})
	})
}
