package daemons_test

import (
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

const leaseFile = "/run/dnsmasq.leases"

var _ = Describe("dnsmasq", func() {
	It("leases an address to a host that has none, and takes it back", func(ctx SpecContext) {
		program := require.PackageProgram("dnsmasq", "dnsmasq-base")
		env := nstest.Current()
		_, err := env.AddNetwork(nstest.NetworkConfig{Name: "office", NoIPv4: true})
		Expect(err).NotTo(HaveOccurred())
		on := func(name string) *nstest.Host {
			GinkgoHelper()
			h, err := env.AddHost(nstest.HostConfig{Name: name, Networks: []nstest.Attachment{{Network: "office"}}})
			Expect(err).NotTo(HaveOccurred())
			return h
		}
		server, laptop, phone := on("server"), on("laptop"), on("phone")
		Expect(addAddress(server.Link(""), netip.MustParsePrefix("192.0.2.1/24"))).To(Succeed())
		d := start(server, program, "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--bind-interfaces",
			"--log-dhcp", "--no-ping", "--dhcp-authoritative",
			"--dhcp-range=192.0.2.100,192.0.2.150,1h", "--dhcp-option=option:router,192.0.2.1", "--dhcp-leasefile="+leaseFile)
		Eventually(d.said).WithArguments("DHCP, sockets bound exclusively").Should(Succeed())
		leases := func() string { // which it writes anew each time: for a moment there are none
			GinkgoHelper()
			var text []byte
			Expect(server.Do(func() (err error) { text, err = os.ReadFile(leaseFile); return err })).To(Succeed())
			return string(text)
		}

		By("asking for one")
		client := dhcpClient(laptop)
		lease, err := client.Request(ctx, dhcpv4.WithOption(dhcpv4.OptHostName("laptop")))
		Expect(err).NotTo(HaveOccurred())
		got := prefixOf(lease)
		Expect(netip.MustParsePrefix("192.0.2.0/24").Contains(got.Addr())).To(BeTrue(), got.String())
		Expect(lease.ACK.Router()).To(Equal([]net.IP{net.IPv4(192, 0, 2, 1).To4()}))
		Eventually(leases).Should(ContainSubstring(laptop.Link("").MAC() + " " + got.Addr().String() + " laptop "))

		By("using it: before, there is no way to the server")
		l, err := server.Listen("tcp", "192.0.2.1:80")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(l.Close)
		Eventually(connect).WithArguments(laptop, netip.MustParseAddr("192.0.2.1")).Should(MatchError(unix.ENETUNREACH))
		Expect(addAddress(laptop.Link(""), got)).To(Succeed())
		Eventually(connect).WithArguments(laptop, netip.MustParseAddr("192.0.2.1")).Should(Succeed())

		By("another host gets another one")
		other, err := dhcpClient(phone).Request(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(prefixOf(other)).NotTo(Equal(got))
		Eventually(func() int { return strings.Count(leases(), "\n") }).Should(Equal(2))

		By("renewing it, from the address and to the server alone: the same one")
		client = dhcpClient(laptop, nclient4.WithUnicast(net.UDPAddrFromAddrPort(netip.AddrPortFrom(got.Addr(), nclient4.ClientPort))),
			nclient4.WithServerAddr(&net.UDPAddr{IP: lease.ACK.ServerIdentifier(), Port: nclient4.ServerPort}))
		lease, err = client.Renew(ctx, lease)
		Expect(err).NotTo(HaveOccurred())
		Expect(prefixOf(lease)).To(Equal(got))

		By("giving it back: the other one stays")
		Expect(client.Release(lease)).To(Succeed())
		Eventually(leases).Should(And(
			ContainSubstring(phone.Link("").MAC()+" "+prefixOf(other).Addr().String()+" "), Not(ContainSubstring(got.Addr().String()+" ")),
		))
	})
})

// dhcpClient is a client at a host's only link.
func dhcpClient(h *nstest.Host, options ...nclient4.ClientOpt) (c *nclient4.Client) {
	GinkgoHelper()
	Expect(h.Do(func() (err error) {
		c, err = nclient4.New(h.Link("").Interface(), append(options, nclient4.WithRetry(10))...)
		return err
	})).To(Succeed())
	DeferCleanup(c.Close)
	return c
}

// prefixOf is the address that is leased, with the length of the network's prefix.
func prefixOf(l *nclient4.Lease) netip.Prefix {
	a, _ := netip.AddrFromSlice(l.ACK.YourIPAddr.To4())
	bits, _ := l.ACK.SubnetMask().Size()
	return netip.PrefixFrom(a, bits)
}
