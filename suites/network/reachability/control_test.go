package reachability_test

import (
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

// simple is two hosts with a router between them.
func simple() *plan {
	at := func(network int, a string) port {
		return port{network: network, addrs: []netip.Addr{netip.MustParseAddr(a)}}
	}
	return &plan{
		networks: []network{
			{"left", []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}},
			{"right", []netip.Prefix{netip.MustParsePrefix("10.77.1.0/24")}},
		},
		nodes: []node{
			{name: "a", ports: []port{at(0, "10.77.0.2")}},
			{name: "router", router: true, ports: []port{at(0, "10.77.0.1"), at(1, "10.77.1.1")}},
			{name: "b", ports: []port{at(1, "10.77.1.130")}},
		},
	}
}

// The plan's answers are right where anybody can see what is right.
var _ = DescribeTable("In a simple plan", func(change func(a, router, b *node, p *plan), there, back bool) {
	p := simple()
	change(&p.nodes[0], &p.nodes[1], &p.nodes[2], p)
	Expect(p.expect(question{0, 2, p.nodes[2].addrs()[0], echo})).To(Equal(there), "a reaches b")
	Expect(p.expect(question{2, 0, p.nodes[0].addrs()[0], echo})).To(Equal(back), "b reaches a")
},
	Entry("hosts reach each other", func(_, _, _ *node, _ *plan) {}, true, true),
	Entry("with a cable pulled, nobody does", func(_, _, b *node, _ *plan) { b.ports[0].down = true }, false, false),
	Entry("those do who are cut from each other and have no network in common", func(_, _, _ *node, p *plan) { p.groups = [][]int{{0}, {2}} }, true, true),
	Entry("those do not who are cut from the router", func(_, _, _ *node, p *plan) { p.groups = [][]int{{0}, {1}} }, false, false),
	Entry("there is no way back without a gateway", func(_, _, b *node, _ *plan) { b.ports[0].noGateway = true }, false, false),
	Entry("a host that does not forward is no router", func(_, r, _ *node, _ *plan) { r.router = false }, false, false),
	Entry("a half of a network can be far away", func(a, _, _ *node, _ *plan) {
		a.routes = []nstest.Route{{To: netip.MustParsePrefix("10.77.1.128/25"), Type: nstest.Blackhole}}
	}, false, false),
	Entry("the other half is not", func(a, _, _ *node, _ *plan) {
		a.routes = []nstest.Route{{To: netip.MustParsePrefix("10.77.1.0/25"), Type: nstest.Blackhole}}
	}, true, true),
	Entry("a firewall knows who has asked", func(_, r, _ *node, _ *plan) {
		r.firewall.Rules = []nstest.FirewallRule{{Verdict: nstest.Drop, From: "a"}}
	}, false, true),
	Entry("or does not, without state", func(_, r, _ *node, _ *plan) {
		r.firewall.Stateless, r.firewall.Rules = true, []nstest.FirewallRule{{Verdict: nstest.Drop, From: "a"}}
	}, false, false),
	Entry("a firewall is about a direction", func(a, _, _ *node, _ *plan) {
		a.firewall.Rules = []nstest.FirewallRule{{Verdict: nstest.Drop, Direction: nstest.In, To: "left"}}
	}, true, false),
)

var _ = Describe("The comparison", func() {
	It("tells of every wrong answer", func() {
		p := simple()
		p.nodes[0].firewall.Rules = []nstest.FirewallRule{{Verdict: nstest.Drop, Direction: nstest.In, From: "b"}}
		e := newEnvironment(p)
		right := p.answers(echo, connect, refusal)
		Expect(e.differences(right)).To(BeEmpty())
		e.patience = silence
		wrong := map[question]bool{}
		for q, yes := range right {
			wrong[q] = !yes
		}
		Expect(wrong).To(ContainElements(true, false))
		Expect(e.differences(wrong)).To(HaveLen(len(wrong)))
	})
})
