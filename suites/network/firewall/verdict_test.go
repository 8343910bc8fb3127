package firewall_test

import (
	. "github.com/onsi/ginkgo/v2"

	"github.com/hermetic-go/nstest/nstest"
)

var _ = Describe("A rule", func() {
	// at is the host that sees the client's packets to the server in this direction.
	at := func(p place, d nstest.Direction) *nstest.Host {
		switch d {
		case nstest.In:
			return p.server
		case nstest.Out:
			return p.client
		}
		return p.router.Host
	}
	protocols := []string{"tcp", "udp", "icmp"}

	for _, direction := range []struct {
		name string
		nstest.Direction
	}{{"in", nstest.In}, {"out", nstest.Out}, {"through", nstest.Through}} {
		name, d := direction.name, direction.Direction
		It("drops and rejects what goes "+name+", of either family, and nothing else", func() {
			p := newPlace()
			for _, v := range []nstest.Verdict{nstest.Drop, nstest.Reject} {
				for _, protocol := range protocols {
					rule := nstest.FirewallRule{Verdict: v, Direction: d, Protocol: protocol, From: "client"}
					if protocol != "icmp" {
						rule.Ports = ports(80)
					}
					set(at(p, d), nstest.Firewall{Rules: []nstest.FirewallRule{rule}})
					want := denied(v, d == nstest.Out, protocol)
					for i, to := range addrs(p.server) {
						probe{p.client, protocol, to, 80}.ends(want)
						for _, other := range protocols {
							if other != protocol {
								probe{p.client, other, to, 80}.ends(answered)
							} else if other != "icmp" {
								probe{p.client, other, to, 81}.ends(answered)
							}
						}
						probe{p.server, protocol, addrs(p.client)[i], 80}.ends(answered)
					}
				}
			}
			By("removing it")
			set(at(p, d), nstest.Firewall{})
			for _, protocol := range protocols {
				for _, to := range addrs(p.server) {
					probe{p.client, protocol, to, 80}.ends(answered)
				}
			}
		})

		It("allows what goes "+name+" where all else is denied", func() {
			p := newPlace()
			for _, protocol := range protocols {
				rule := nstest.FirewallRule{Direction: d, Protocol: protocol}
				if protocol != "icmp" {
					rule.Ports = ports(80)
				}
				set(at(p, d), nstest.Firewall{Rules: []nstest.FirewallRule{rule}, Default: nstest.Reject})
				for i, to := range addrs(p.server) {
					probe{p.client, protocol, to, 80}.ends(answered)
					for _, other := range protocols {
						if other != protocol {
							probe{p.client, other, to, 80}.ends(denied(nstest.Reject, d == nstest.Out, other))
						} else if other != "icmp" {
							probe{p.client, other, to, 81}.ends(denied(nstest.Reject, d == nstest.Out, other))
						}
					}
					if d != nstest.Through { // there it is the same direction
						probe{p.server, protocol, addrs(p.client)[i], 80}.ends(denied(nstest.Reject, d == nstest.In, protocol))
					}
				}
			}
		})
	}

	It("counts before those after it", func() {
		p := newPlace()
		allow := nstest.FirewallRule{Protocol: "tcp", Ports: ports(80)}
		deny := nstest.FirewallRule{Verdict: nstest.Reject}
		for _, to := range addrs(p.server) {
			set(p.server, nstest.Firewall{Rules: []nstest.FirewallRule{allow, deny}})
			probe{p.client, "tcp", to, 80}.ends(answered)
			probe{p.client, "tcp", to, 81}.ends(refused)
			set(p.server, nstest.Firewall{Rules: []nstest.FirewallRule{deny, allow}})
			probe{p.client, "tcp", to, 80}.ends(refused)
		}
	})

	It("is about ports up to the last one of each range", func() {
		p := newPlace()
		echo(p.server, 100, 199, 200)
		set(p.server, nstest.Firewall{Default: nstest.Reject, Rules: []nstest.FirewallRule{
			{Protocol: "tcp", Ports: []nstest.PortRange{{First: 82}, {First: 100, Last: 199}, {First: 150, Last: 160}}},
			{Protocol: "udp", Ports: []nstest.PortRange{{First: 81, Last: 100}}},
		}})
		for _, to := range addrs(p.server) {
			for port, want := range map[uint16]outcome{81: refused, 82: answered, 100: answered, 199: answered, 200: refused} {
				probe{p.client, "tcp", to, port}.ends(want)
			}
			for port, want := range map[uint16]outcome{80: refused, 81: answered, 100: answered, 199: refused} {
				probe{p.client, "udp", to, port}.ends(want)
			}
		}
	})
})

var _ = Describe("A host that denies everything", func() {
	It("still talks to itself and resolves names, and its neighbours still find it", func(ctx SpecContext) {
		p := newPlace()
		set(p.server, nstest.Firewall{Default: nstest.Drop, Rules: []nstest.FirewallRule{{Direction: nstest.In, Protocol: "tcp", Ports: ports(80)}}})
		neighbour := host("neighbour", "office") // which has to ask who has the address
		echo(neighbour, 80)
		for i, to := range addrs(p.server) {
			probe{neighbour, "tcp", to, 80}.ends(answered)
			probe{neighbour, "tcp", to, 81}.ends(silent)
			probe{p.server, "tcp", to, 81}.ends(answered)
			probe{p.server, "tcp", addrs(neighbour)[i], 80}.ends(silent)
		}
		names(ctx, p.server, "neighbour")
	})

	It("is told when what it is allowed to ask fails", func() {
		p := newPlace()
		ask := nstest.FirewallRule{Direction: nstest.Out, Protocol: "udp"}
		for _, to := range addrs(p.server) {
			set(p.client, nstest.Firewall{Default: nstest.Drop, Rules: []nstest.FirewallRule{ask}})
			probe{p.client, "udp", to, 7}.ends(refused) // nobody listens there
			set(p.client, nstest.Firewall{Default: nstest.Drop, Rules: []nstest.FirewallRule{ask}, Stateless: true})
			probe{p.client, "udp", to, 7}.ends(silent)
		}
	})
})
