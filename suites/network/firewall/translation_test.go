package firewall_test

import (
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

var _ = Describe("Beside a NAT", func() {
	var inside, outside *nstest.Host
	var gate *nstest.Router
	var public netip.Addr

	BeforeEach(func() {
		network("home")
		network("internet")
		inside, outside = host("inside", "home"), host("outside", "internet")
		var err error
		gate, err = nstest.Current().AddRouter(nstest.RouterConfig{
			Name: "gate", Networks: on([]string{"home", "internet"}), NetOnly: true,
			NAT: []nstest.NAT{{Outside: "internet", Forwards: []nstest.Forward{{Network: "tcp", Port: 8000, To: netip.AddrPortFrom(inside.Addr(), 80)}}}},
		})
		Expect(err).NotTo(HaveOccurred())
		public = gate.Link("internet").Addrs()[0]
		echo(inside, 80)
		echo(outside, 82)
		tell(outside, 80)
	})

	It("a rule names whom a connection is for in the end, and who has opened it", func() {
		in, out := probe{outside, "tcp", public, 8000}, probe{inside, "tcp", outside.Addr(), 82}
		in.ends(answered)
		out.ends(answered)
		for _, c := range []struct {
			rule    nstest.FirewallRule
			in, out outcome
		}{
			{nstest.FirewallRule{To: "inside"}, refused, answered},
			{nstest.FirewallRule{To: "inside", Protocol: "tcp", Ports: ports(80)}, refused, answered},
			{nstest.FirewallRule{To: "inside", Protocol: "tcp", Ports: ports(8000)}, answered, answered},
			{nstest.FirewallRule{To: public.String()}, answered, answered},
			{nstest.FirewallRule{From: "inside"}, answered, refused},
			{nstest.FirewallRule{From: "outside"}, refused, answered},
			{nstest.FirewallRule{From: public.String()}, answered, answered},
			{nstest.FirewallRule{To: "outside"}, answered, refused},
		} {
			By(in.String())
			c.rule.Verdict, c.rule.Direction = nstest.Reject, nstest.Through
			set(gate.Host, nstest.Firewall{Rules: []nstest.FirewallRule{c.rule}})
			in.ends(c.in)
			out.ends(c.out)
		}
		By("cutting a connection that is translated, while another goes on")
		set(gate.Host, nstest.Firewall{})
		forwarded, translated := connect(outside, public, 8000), connect(inside, outside.Addr(), 82)
		set(gate.Host, nstest.Firewall{Default: nstest.Reject, Rules: []nstest.FirewallRule{{Direction: nstest.Through, To: "inside"}}})
		Expect(exchange(forwarded, patience)).To(Succeed())
		Expect(outcomeOf(exchange(translated, patience))).To(Equal(refused))
	})

	It("a portal gets what would have been translated, until the host is let through", func() {
		tell(gate.Host, 8080)
		Expect(ask(inside, outside.Addr(), 80)).To(Equal("outside knows " + public.String()))
		portal := nstest.FirewallRule{Direction: nstest.Through, Protocol: "tcp", Ports: ports(80), From: "home", Redirect: netip.AddrPortFrom(gate.Addr(), 8080)}
		set(gate.Host, nstest.Firewall{Default: nstest.Reject, Rules: []nstest.FirewallRule{portal}})
		Expect(ask(inside, outside.Addr(), 80)).To(Equal("gate knows " + inside.Addr().String()))
		probe{inside, "tcp", outside.Addr(), 82}.ends(refused)
		set(gate.Host, nstest.Firewall{Default: nstest.Reject, Rules: []nstest.FirewallRule{{From: "inside"}, portal}})
		Expect(ask(inside, outside.Addr(), 80)).To(Equal("outside knows " + public.String()))
		probe{inside, "tcp", outside.Addr(), 82}.ends(answered)

		By("taking the firewall away: the translation stays")
		set(gate.Host, nstest.Firewall{})
		Expect(ask(inside, outside.Addr(), 80)).To(Equal("outside knows " + public.String()))
	})
})
