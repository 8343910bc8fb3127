package links_test

import (
	"bytes"
	"net"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func carrying(payload string) func(seen) bool {
	return func(s seen) bool { return bytes.Contains(s.Frame, []byte(payload)) }
}

func macOf(l *nstest.Link) net.HardwareAddr {
	GinkgoHelper()
	mac, err := net.ParseMAC(l.MAC())
	Expect(err).NotTo(HaveOccurred())
	return mac
}

var _ = Describe("Frames", func() {
	DescribeTable("between two hosts, before a third one that is promiscuous", func(cfg nstest.NetworkConfig, overheard bool) {
		add(cfg)
		a, b, c := hostOn("a", cfg.Name), hostOn("b", cfg.Name), hostOn("c", cfg.Name)
		echo(b)
		reach(a, b.Addr()) // by now a switch knows who is behind which port
		tapA, tapB, tapC := newTap(a, "eth0", local), newTap(b, "eth0", local), newTap(c, "eth0", local)
		tapA.send(frame(a.Link(""), broadcast, 0, "to all"))
		Expect(tapC.gets(carrying("to all"))).To(BeTrue(), "the control: the tap sees a frame")
		tapA.send(frame(a.Link(""), macOf(b.Link("")), 0, "to b"))
		Expect(tapB.gets(carrying("to b"))).To(BeTrue(), "the receiver")
		Expect(tapC.sees(carrying("to b"))).To(Equal(overheard), "the third host")
	},
		Entry("on a switch: are not seen", nstest.NetworkConfig{Name: "switch"}, false),
		Entry("on a hub: are seen", nstest.NetworkConfig{Name: "hub", Hub: true}, true),
	)

	It("go to all on a hub that a host has moved to, too", func() {
		add(nstest.NetworkConfig{Name: "hub", Hub: true})
		a, b, c := hostOn("a"), hostOn("b", "hub"), hostOn("c", "hub")
		Expect(a.Link("").Move("hub")).To(Succeed())
		Expect(a.Link("").Renew()).To(Succeed())
		echo(a)
		reach(b, a.Addr())
		tapB, tapC := newTap(b, "eth0", local), newTap(c, "eth0", local)
		tapB.send(frame(b.Link(""), macOf(a.Link("")), 0, "to a"))
		Expect(tapC.gets(carrying("to a"))).To(BeTrue())
	})

	It("with a tag pass a switch unchanged", func() {
		const tci = 5<<13 | 42 // priority 5, VLAN 42
		a, b := hostOn("a"), hostOn("b")
		tapA, tapB := newTap(a, "eth0", all), newTap(b, "eth0", all)
		tapA.send(frame(a.Link(""), macOf(b.Link("")), tci, "tagged"))
		tapA.send(frame(a.Link(""), macOf(b.Link("")), 0, "plain"))
		Expect(tapB.gets(func(s seen) bool { return carrying("tagged")(s) && s.Tagged && s.TCI == tci })).To(BeTrue())
		Expect(tapB.gets(func(s seen) bool { return carrying("plain")(s) && !s.Tagged })).To(BeTrue(), "the control: this one has no tag")
	})

	It("of one network are not seen on another", func() {
		network("other")
		a, b, c := hostOn("a"), hostOn("b"), hostOn("c", "other")
		tapA, tapB, tapC := newTap(a, "eth0", local), newTap(b, "eth0", local), newTap(c, "eth0", local)
		tapA.send(frame(a.Link(""), broadcast, 0, "to all"))
		Expect(tapB.gets(carrying("to all"))).To(BeTrue(), "the control: on the same network")
		Expect(tapC.sees(carrying("to all"))).To(BeFalse())
		Expect(c.Link("").Move("lan")).To(Succeed())
		tapA.send(frame(a.Link(""), broadcast, 0, "to all"))
		Expect(tapC.gets(carrying("to all"))).To(BeTrue(), "the control: the same tap, once its host is on the network")
	})
})
