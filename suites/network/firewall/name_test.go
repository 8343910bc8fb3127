package firewall_test

import (
	"net/netip"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

var _ = Describe("From and To", func() {
	It("are hosts, networks, addresses and prefixes", func() {
		p := newPlace()
		other := host("other", "home")
		for i, to := range addrs(p.server) {
			mine, theirs := addrs(p.client)[i].String(), addrs(other)[i].String()
			home, office := nstest.Current().Network("home").Prefixes()[i].String(), nstest.Current().Network("office").Prefixes()[i].String()
			server := to.String()
			for _, c := range []struct {
				rule          nstest.FirewallRule
				client, other outcome
			}{
				{nstest.FirewallRule{}, refused, refused},
				{nstest.FirewallRule{From: "client"}, refused, answered},
				{nstest.FirewallRule{From: "CLIENT"}, refused, answered},
				{nstest.FirewallRule{From: mine}, refused, answered},
				{nstest.FirewallRule{From: theirs}, answered, refused},
				{nstest.FirewallRule{From: "home"}, refused, refused},
				{nstest.FirewallRule{From: home}, refused, refused},
				{nstest.FirewallRule{From: "office"}, answered, answered},
				{nstest.FirewallRule{From: office}, answered, answered},
				{nstest.FirewallRule{To: "office"}, refused, refused},
				{nstest.FirewallRule{To: office, From: mine}, refused, answered},
				{nstest.FirewallRule{To: "server", From: "other"}, answered, refused},
				{nstest.FirewallRule{To: server, From: home}, refused, refused},
				{nstest.FirewallRule{To: "client"}, answered, answered},
				{nstest.FirewallRule{To: "router"}, answered, answered},
			} {
				c.rule.Verdict = nstest.Reject
				for _, h := range []*nstest.Host{p.server, p.router.Host} {
					set(h, nstest.Firewall{Rules: []nstest.FirewallRule{c.rule}})
					for from, want := range map[*nstest.Host]outcome{p.client: c.client, other: c.other} {
						probe := probe{from, "tcp", to, 80}
						got, err := probe.try(patience)
						Expect(got).To(Equal(want), "%s with %+v on %s: %v", probe, c.rule, h.Name(), err)
					}
					set(h, nstest.Firewall{})
				}
			}
		}
	})

	It("follow a host", func() {
		p := newPlace()
		env := nstest.Current()
		passer := host("passer", "home")
		set(p.server, nstest.Firewall{Rules: []nstest.FirewallRule{{Verdict: nstest.Reject, From: "passer"}}})
		before := addrs(passer)
		for _, to := range addrs(p.server) {
			probe{passer, "tcp", to, 80}.ends(refused)
			probe{p.client, "tcp", to, 80}.ends(answered)
		}

		By("removing it: its addresses are somebody else's")
		Expect(env.RemoveHost("passer")).To(Succeed())
		heir := host("heir", "home")
		Expect(addrs(heir)).To(Equal(before))
		for _, to := range addrs(p.server) {
			probe{heir, "tcp", to, 80}.ends(answered)
		}

		By("making it again, with other addresses")
		passer = host("passer", "home")
		Expect(addrs(passer)).NotTo(Equal(before))
		for _, to := range addrs(p.server) {
			probe{passer, "tcp", to, 80}.ends(refused)
			probe{heir, "tcp", to, 80}.ends(answered)
		}
	})

	It("know the address that a host makes itself, even on hosts that deny everything else", func() {
		p := newPlace()
		auto := func(name string) *nstest.Host {
			h, err := nstest.Current().AddHost(nstest.HostConfig{Name: name, NetOnly: true, Networks: []nstest.Attachment{{Network: "home", Auto: true}}})
			Expect(err).NotTo(HaveOccurred())
			set(h, nstest.Firewall{Default: nstest.Drop, Rules: []nstest.FirewallRule{{Direction: nstest.Out, Protocol: "tcp"}}})
			return h
		}
		nomad, settler := auto("nomad"), auto("settler")
		set(p.router.Host, nstest.Firewall{Default: nstest.Drop, Rules: []nstest.FirewallRule{{Direction: nstest.Through}}})
		Expect(p.router.Advertise(nstest.Advertisement{Network: "home", Interval: 50 * time.Millisecond})).To(Succeed())
		set(p.server, nstest.Firewall{Rules: []nstest.FirewallRule{{Verdict: nstest.Reject, From: "nomad"}}})
		for _, c := range []struct {
			from *nstest.Host
			want outcome
		}{{settler, answered}, {nomad, refused}} {
			Eventually(func() outcome {
				got, _ := probe{c.from, "tcp", addrs(p.server)[1], 80}.try(time.Second)
				return got
			}).Should(Equal(c.want))
		}
	})

	It("mean a host rather than a network of the same name, if it is there in time", func() {
		p := newPlace()
		network("dmz")
		net := host("stranger", "dmz")
		_, err := nstest.Current().AddRouter(nstest.RouterConfig{Name: "second", Networks: on([]string{"dmz", "home"}), NetOnly: true})
		Expect(err).NotTo(HaveOccurred())
		Expect(p.router.AddRoute(nstest.Route{To: nstest.Current().Network("dmz").Prefixes()[0], Via: nstest.Current().Host("second").Link("home").Addrs()[0]})).To(Succeed())
		Expect(nstest.Current().Host("second").AddRoute(nstest.Route{To: nstest.Current().Network("office").Prefixes()[0], Via: p.router.Link("home").Addrs()[0]})).To(Succeed())
		fromDMZ := nstest.Firewall{Rules: []nstest.FirewallRule{{Verdict: nstest.Reject, From: "dmz"}}}
		to := addrs(p.server)[0]
		probe{net, "tcp", to, 80}.ends(answered)
		set(p.server, fromDMZ)
		probe{net, "tcp", to, 80}.ends(refused)
		probe{p.client, "tcp", to, 80}.ends(answered)

		By("making a host of that name: the firewall that is in force means what it meant")
		dmz := host("dmz", "home")
		probe{dmz, "tcp", to, 80}.ends(answered)
		probe{net, "tcp", to, 80}.ends(refused)
		set(p.server, fromDMZ)
		probe{dmz, "tcp", to, 80}.ends(refused)
		probe{net, "tcp", to, 80}.ends(answered)
	})
})

var _ = DescribeTable("A firewall is refused", func(f nstest.Firewall, errno error, words string) {
	host("web")
	err := nstest.Current().Host("web").SetFirewall(f)
	Expect(err).To(MatchError(ContainSubstring(words)))
	if errno != nil {
		Expect(err).To(MatchError(errno))
	}
	Expect(err).To(MatchError(HavePrefix("nstest: set firewall of web")))
},
	Entry("that names nobody", rule(nstest.FirewallRule{From: "wbe"}), syscall.ENOENT, "there are the hosts self, web and the networks lan"),
	Entry("that ends with somebody unknown", rule(nstest.FirewallRule{To: "moon"}), syscall.ENOENT, `"moon"`),
	Entry("between families", rule(nstest.FirewallRule{From: "10.0.0.0/8", To: "fd00::1"}), syscall.EINVAL, "rule 1: 10.0.0.0/8 and fd00::1 are of different families"),
	Entry("from one family to a portal in the other", rule(nstest.FirewallRule{To: "10.0.0.1", Protocol: "tcp", Redirect: netip.MustParseAddrPort("[fd00::1]:80")}), syscall.EINVAL, "different families"),
	Entry("with host bits", rule(nstest.FirewallRule{From: "10.0.0.1/8"}), syscall.EINVAL, "10.0.0.0/8 is the prefix"),
	Entry("with an IPv4 address in IPv6", rule(nstest.FirewallRule{From: "::ffff:10.0.0.1"}), syscall.EINVAL, "plain"),
	Entry("with a zone", rule(nstest.FirewallRule{From: "fe80::1%eth0"}), syscall.EINVAL, "plain"),
	Entry("with ports of anything", rule(nstest.FirewallRule{Ports: ports(80)}), syscall.EINVAL, "tcp or udp"),
	Entry("with ports of ICMP", rule(nstest.FirewallRule{Protocol: "icmp", Ports: ports(80)}), syscall.EINVAL, "tcp or udp"),
	Entry("with port 0", rule(nstest.FirewallRule{Protocol: "tcp", Ports: ports(0)}), syscall.EINVAL, "begin at 1"),
	Entry("with ports the wrong way round", rule(nstest.FirewallRule{Protocol: "tcp", Ports: []nstest.PortRange{{First: 90, Last: 80}}}), syscall.EINVAL, "swap them"),
	Entry("with too many ports", rule(nstest.FirewallRule{Protocol: "tcp", Ports: make([]nstest.PortRange, 17)}), syscall.E2BIG, "several rules"),
	Entry("with another protocol", rule(nstest.FirewallRule{Protocol: "sctp"}), syscall.EPROTONOSUPPORT, "none of tcp, udp and icmp"),
	Entry("with a verdict that there is not", rule(nstest.FirewallRule{Verdict: 3}), nil, "rule 1: 3 is no verdict"),
	Entry("with a direction that there is not", rule(nstest.FirewallRule{Direction: -1}), nil, "rule 1: -1 is no direction"),
	Entry("with a default that there is not", nstest.Firewall{Default: 9}, nil, "9 is no verdict"),
	Entry("with too many rules", nstest.Firewall{Rules: make([]nstest.FirewallRule, 201)}, syscall.E2BIG, "201 rules"),
	Entry("with a portal for UDP", rule(nstest.FirewallRule{Protocol: "udp", Redirect: portal}), syscall.EINVAL, "only tcp"),
	Entry("with a portal for anything", rule(nstest.FirewallRule{Redirect: portal}), syscall.EINVAL, "only tcp"),
	Entry("with a portal that drops", rule(nstest.FirewallRule{Verdict: nstest.Drop, Protocol: "tcp", Redirect: portal}), syscall.EINVAL, "dropped or rejected"),
	Entry("with a portal on the loopback", rule(nstest.FirewallRule{Protocol: "tcp", Redirect: netip.MustParseAddrPort("127.0.0.1:80")}), syscall.EADDRNOTAVAIL, "address that a host has"),
	Entry("with a portal without a port", rule(nstest.FirewallRule{Protocol: "tcp", Redirect: netip.MustParseAddrPort("10.0.0.1:0")}), syscall.EINVAL, "an address and a port"),
	Entry("with a portal but without state", nstest.Firewall{Stateless: true, Rules: []nstest.FirewallRule{{Protocol: "tcp", Redirect: portal}}}, syscall.EINVAL, "stateless"),
)

var portal = netip.MustParseAddrPort("10.0.0.1:80")

func rule(r nstest.FirewallRule) nstest.Firewall {
	return nstest.Firewall{Rules: []nstest.FirewallRule{r}}
}
