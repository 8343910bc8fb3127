package firewall_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

// names resolves a name in a host.
func names(ctx context.Context, h *nstest.Host, name string) {
	GinkgoHelper()
	got, err := h.LookupNetIP(ctx, name)
	Expect(err).NotTo(HaveOccurred())
	Expect(got).To(ConsistOf(nstest.Current().Host(name).Addrs()))
}

var _ = Describe("Answers", func() {
	It("pass by themselves, and with Stateless by a rule of their own", func() {
		p := newPlace()
		ask := nstest.FirewallRule{Direction: nstest.Out, To: "server"}
		hear := nstest.FirewallRule{Direction: nstest.In, From: "server"}
		for _, protocol := range []string{"tcp", "udp", "icmp"} {
			for _, to := range addrs(p.server) {
				p := probe{p.client, protocol, to, 80}
				set(p.from, nstest.Firewall{Default: nstest.Drop, Rules: []nstest.FirewallRule{ask}})
				p.ends(answered)
				set(p.from, nstest.Firewall{Default: nstest.Drop, Rules: []nstest.FirewallRule{ask}, Stateless: true})
				p.ends(silent)
				set(p.from, nstest.Firewall{Default: nstest.Drop, Rules: []nstest.FirewallRule{ask, hear}, Stateless: true})
				p.ends(answered)
			}
		}
	})

	It("need a rule for each direction through a stateless router", func() {
		p := newPlace()
		there := nstest.FirewallRule{Direction: nstest.Through, Protocol: "tcp", Ports: ports(80)}
		back := nstest.FirewallRule{Direction: nstest.Through, Protocol: "tcp", From: "office"}
		for _, to := range addrs(p.server) {
			probe := probe{p.client, "tcp", to, 80}
			set(p.router.Host, nstest.Firewall{Default: nstest.Drop, Rules: []nstest.FirewallRule{there}})
			probe.ends(answered)
			set(p.router.Host, nstest.Firewall{Default: nstest.Drop, Rules: []nstest.FirewallRule{there}, Stateless: true})
			probe.ends(silent)
			set(p.router.Host, nstest.Firewall{Default: nstest.Drop, Rules: []nstest.FirewallRule{there, back}, Stateless: true})
			probe.ends(answered)
		}
	})

	It("of a stateless firewall's Reject pass", func() {
		p := newPlace()
		for _, h := range []*nstest.Host{p.server, p.router.Host, p.client} {
			set(h, nstest.Firewall{Default: nstest.Reject, Stateless: true})
			for _, protocol := range []string{"tcp", "udp", "icmp"} {
				for _, to := range addrs(p.server) {
					probe{p.client, protocol, to, 80}.ends(denied(nstest.Reject, h == p.client, protocol))
				}
			}
			set(h, nstest.Firewall{})
		}
	})
})
