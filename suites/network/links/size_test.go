package links_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// unfragmented sends a packet of n bytes in all from a host, which must not be taken apart, and waits for the answer.
func unfragmented(from *nstest.Host, to netip.Addr, n int, wait time.Duration) error {
	c, err := from.DialContext(context.Background(), "udp", netip.AddrPortFrom(to, 7).String())
	if err != nil {
		return err
	}
	defer c.Close()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	header := 28
	var inner error
	err = raw.Control(func(fd uintptr) {
		if to.Is4() {
			inner = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
			return
		}
		header = 48
		inner = errors.Join(unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IP_PMTUDISC_DO),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1))
	})
	if err := errors.Join(err, inner, c.SetDeadline(time.Now().Add(wait))); err != nil {
		return err
	}
	if _, err := c.Write(make([]byte, n-header)); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1<<16))
	return err
}

var _ = Describe("The MTU", func() {
	DescribeTable("of a network is that of its cables", func(mtu int) {
		add(nstest.NetworkConfig{Name: "net", MTU: mtu})
		a, b := hostOn("a", "net"), hostOn("b", "net")
		echo(b)
		Expect(a.Link("").MTU()).To(Equal(mtu))
		for _, addr := range b.Addrs() {
			Expect(unfragmented(a, addr, mtu, patience)).To(Succeed(), "%s", addr)
			Expect(unfragmented(a, addr, mtu+1, patience)).To(MatchError(unix.EMSGSIZE), "%s", addr)
		}
		By("adding the host of the spec")
		l := plug(nstest.Current().Self(), nstest.Attachment{Network: "net"})
		Expect(l.MTU()).To(Equal(mtu))
		Expect(unfragmented(nstest.Current().Self(), b.Addrs()[1], mtu, patience)).To(Succeed())
	},
		Entry("the least for IPv6", 1280),
		Entry("the usual", 1500),
		Entry("jumbo frames", 9000),
		Entry("all that UDP can use", 65000),
	)

	It("can be as much as IP can have", func() {
		add(nstest.NetworkConfig{Name: "net", MTU: 65535})
		a, b := hostOn("a", "net"), hostOn("b", "net")
		echo(b)
		Expect(in(a, func() (int, error) { return mustInterface("eth0").MTU, nil })).To(Equal(65535))
		Expect(unfragmented(a, b.Addrs()[0], 65535, patience)).To(Succeed())
	})

	It("can be set while hosts run, at both ends", func() {
		a, b := hostOn("a"), hostOn("b")
		echo(b)
		to := b.Addrs()[0]
		Expect(unfragmented(a, to, 9000, patience)).To(MatchError(unix.EMSGSIZE))
		Expect(a.Link("").SetMTU(9000)).To(Succeed())
		Expect(a.Link("").MTU()).To(Equal(9000))
		Expect(unfragmented(a, to, 9000, silence)).To(MatchError(ContainSubstring("timeout")), "b's cable does not take it")
		Expect(b.Link("").SetMTU(9000)).To(Succeed())
		Expect(unfragmented(a, to, 9000, patience)).To(Succeed())
		Expect(a.Link("").SetMTU(1280)).To(Succeed())
		Expect(unfragmented(a, to, 1281, patience)).To(MatchError(unix.EMSGSIZE))
		Expect(unfragmented(a, to, 1280, patience)).To(Succeed())
		for _, addr := range b.Addrs() {
			reach(a, addr)
		}
	})

	It("of a link with IPv4 alone can be as little as 68", func() {
		add(nstest.NetworkConfig{Name: "four", NoIPv6: true})
		a, b := hostOn("a", "four"), hostOn("b", "four")
		echo(b)
		Expect(a.Link("").SetMTU(68)).To(Succeed())
		Expect(unfragmented(a, b.Addr(), 69, patience)).To(MatchError(unix.EMSGSIZE))
		reach(a, b.Addr())
		Expect(a.Link("").SetMTU(67)).To(MatchError(ContainSubstring("an MTU of 67 is not between 68 and 65535 bytes")))
	})

	It("goes with a cable that moves", func() {
		network("dmz")
		a := hostOn("a")
		Expect(a.Link("").SetMTU(9000)).To(Succeed())
		Expect(a.Link("").Move("dmz")).To(Succeed())
		Expect(a.Link("").MTU()).To(Equal(9000))
		Expect(in(a, func() (int, error) { return mustInterface("eth0").MTU, nil })).To(Equal(9000))
	})
})
