package daemons_test

import (
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const groupPort = 5000

// A listener has what comes to a socket for port 5000.
type listener struct {
	host  *nstest.Host
	conn  net.PacketConn
	mu    sync.Mutex
	texts []string
}

func newListener(h *nstest.Host) *listener {
	GinkgoHelper()
	l := &listener{host: h}
	var err error
	l.conn, err = h.ListenPacket("udp", fmt.Sprintf(":%d", groupPort))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(l.conn.Close)
	go func() {
		buf := make([]byte, 1500)
		for {
			n, _, err := l.conn.ReadFrom(buf)
			if err != nil {
				return
			}
			l.mu.Lock()
			l.texts = append(l.texts, string(buf[:n]))
			l.mu.Unlock()
		}
	}()
	return l
}

func (l *listener) heard() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.texts...)
}

// membership has the socket join or leave a group.
func (l *listener) membership(group netip.Addr, join bool) {
	GinkgoHelper()
	Expect(l.host.Do(func() error {
		device, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		to := &net.UDPAddr{IP: group.AsSlice()}
		change4, change6 := ipv4.NewPacketConn(l.conn).JoinGroup, ipv6.NewPacketConn(l.conn).JoinGroup
		if !join {
			change4, change6 = ipv4.NewPacketConn(l.conn).LeaveGroup, ipv6.NewPacketConn(l.conn).LeaveGroup
		}
		if group.Is4() {
			return change4(device, to)
		}
		return change6(device, to)
	})).To(Succeed())
}

var _ = Describe("Multicast", func() {
	for _, group := range []netip.Addr{netip.MustParseAddr("239.1.2.3"), netip.MustParseAddr("ff15::1:2:3")} {
		It("comes to those of the segment who have joined the group: "+group.String(), func() {
			env := nstest.Current()
			for _, name := range []string{"here", "elsewhere"} {
				_, err := env.AddNetwork(nstest.NetworkConfig{Name: name})
				Expect(err).NotTo(HaveOccurred())
			}
			on := func(name, network string) *nstest.Host {
				GinkgoHelper()
				h, err := env.AddHost(nstest.HostConfig{Name: name, Networks: []nstest.Attachment{{Network: network}}})
				Expect(err).NotTo(HaveOccurred())
				return h
			}
			sender := on("sender", "here")
			first, second, stranger := newListener(on("first", "here")), newListener(on("second", "here")), newListener(on("stranger", "here"))
			far := newListener(on("far", "elsewhere"))
			_, err := env.AddRouter(nstest.RouterConfig{Name: "router", Networks: []nstest.Attachment{{Network: "here"}, {Network: "elsewhere"}}})
			Expect(err).NotTo(HaveOccurred())
			reports := newCapture(sender.Link(""))

			By("joining: the hosts tell the segment")
			for _, l := range []*listener{first, second, far} {
				l.membership(group, true)
			}
			for _, l := range []*listener{first, second} {
				Eventually(reports.with).WithArguments(macBytes(l.host.Link("")), group.AsSlice()).ShouldNot(BeEmpty(), "the report of %s", l.host.Name())
			}
			Expect(reports.with(macBytes(stranger.host.Link("")), group.AsSlice())).To(BeEmpty())

			family := func(h *nstest.Host) netip.Addr {
				for _, a := range h.Addrs() {
					if a.Is4() == group.Is4() {
						return a
					}
				}
				return netip.Addr{}
			}
			send := func(to netip.Addr, text string) {
				GinkgoHelper()
				conn, err := sender.ListenPacket("udp", netip.AddrPortFrom(family(sender), 0).String())
				Expect(err).NotTo(HaveOccurred())
				defer conn.Close()
				if group.Is4() {
					Expect(ipv4.NewPacketConn(conn).SetMulticastTTL(8)).To(Succeed())
				} else {
					Expect(ipv6.NewPacketConn(conn).SetMulticastHopLimit(8)).To(Succeed())
				}
				_, err = conn.WriteTo([]byte(text), net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, groupPort)))
				Expect(err).NotTo(HaveOccurred())
			}
			// everybody has heard what was said to him alone, and thus all that was sent before.
			said := func(text string) {
				GinkgoHelper()
				for _, l := range []*listener{first, second, stranger, far} {
					Eventually(func() []string { send(family(l.host), text); return l.heard() }).Should(ContainElement(text), l.host.Name())
				}
			}

			send(group, "to the group")
			Eventually(first.heard).Should(Equal([]string{"to the group"}))
			Eventually(second.heard).Should(Equal([]string{"to the group"}))
			said("to one")
			Expect(stranger.heard()).NotTo(ContainElement("to the group"), "it has not joined")
			Expect(far.heard()).NotTo(ContainElement("to the group"), "it has joined, on another network, and nothing routes multicast there")

			By("leaving: the others go on")
			second.membership(group, false)
			send(group, "again")
			Eventually(first.heard).Should(ContainElement("again"))
			said("at last")
			Expect(second.heard()).NotTo(ContainElement("again"))
		})
	}
})
