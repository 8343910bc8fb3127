package topology_test

import (
	"encoding/json"
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

// look is the environment as it is now.
func look(env *nstest.Env) *nstest.Topology {
	GinkgoHelper()
	top, err := env.Topology()
	Expect(err).NotTo(HaveOccurred())
	return top
}

// find is a host of a topology.
func find(top *nstest.Topology, name string) nstest.TopologyHost {
	GinkgoHelper()
	for _, h := range top.Hosts {
		if h.Name == name {
			return h
		}
	}
	Fail("the topology has no host " + name)
	return nstest.TopologyHost{}
}

var _ = Describe("The topology", func() {
	It("has what the spec's own environment has", func() {
		env := nstest.Current()
		top := look(env)
		Expect(top.Networks).To(HaveLen(1))
		Expect(top.Networks[0]).To(And(HaveField("Name", "lan"), HaveField("MTU", 1500), HaveField("Gateways", BeEmpty()),
			HaveField("Prefixes", env.Network("lan").Prefixes())))
		Expect(top.Hosts).To(HaveLen(1))
		link := env.Self().Link("")
		Expect(top.Hosts[0]).To(Equal(nstest.TopologyHost{Name: "self", Links: []nstest.TopologyLink{
			{Network: "lan", Interface: "eth0", Addrs: link.Addrs(), MAC: link.MAC()},
		}}))

		env.Host("b")
		env.Host("a")
		Expect(look(env).Hosts).To(HaveExactElements(HaveField("Name", "self"), HaveField("Name", "a"), HaveField("Name", "b")))
		Expect(env.RemoveHost("b")).To(Succeed())
		Expect(look(env).Hosts).To(HaveExactElements(HaveField("Name", "self"), HaveField("Name", "a")))
	})

	It("has what the environment beside the spec has, until that is closed", func() {
		env := nstest.New(GinkgoTB(), nstest.Config{Name: "other", Network: nstest.NetworkConfig{Name: "office", MTU: 9000, NoIPv6: true}})
		env.Host("printer")
		Expect(look(env).String()).To(Equal(`other: 1 network, 2 hosts
networks
  office  10.1.0.0/16  MTU 9000
hosts
  self     eth0  office  10.1.0.2  02:42:0a:01:00:02
  printer  eth0  office  10.1.0.3  02:42:0a:01:00:03`))
		Expect(env.Close()).To(Succeed())
		_, err := env.Topology()
		Expect(err).To(MatchError(nstest.ErrClosed))
	})

	It("has no network where there is none", func() {
		env := nstest.New(GinkgoTB(), nstest.Config{Name: "bare", Loopback: true})
		Expect(look(env).String()).To(Equal("bare: 0 networks, 1 host\nhosts\n  self"))
	})

	It("shows cables that are pulled, until they are plugged in", func() {
		env := nstest.Current()
		link := env.Host("web").Link("")
		down := func() (names []string) {
			for _, h := range look(env).Hosts {
				for _, l := range h.Links {
					if l.Down {
						names = append(names, h.Name)
					}
				}
			}
			return names
		}
		Expect(down()).To(BeEmpty())
		Expect(link.Down()).To(Succeed())
		Expect(down()).To(Equal([]string{"web"}))
		Expect(look(env).SVG()).To(ContainSubstring(`class="cable down"`))
		Expect(link.Up()).To(Succeed())
		Expect(down()).To(BeEmpty())
		Expect(look(env).SVG()).NotTo(ContainSubstring(`class="cable down"`))
	})

	It("shows partitions, until they are healed", func() {
		env := nstest.Current()
		a, b, c := env.Host("a"), env.Host("b"), env.Host("c")
		first := env.Partition([]*nstest.Host{a}, []*nstest.Host{b, c})
		second := env.Partition([]*nstest.Host{env.Self()}, []*nstest.Host{b})
		top := look(env)
		Expect(top.Partitions).To(Equal([][][]string{{{"a"}, {"b", "c"}}, {{"self"}, {"b"}}}))
		Expect(top.String()).To(HaveSuffix("\npartitions\n  1a a | 1b b, c\n  2a self | 2b b"))
		Expect(top.SVG()).To(ContainSubstring(`partition 1: 1a a | 1b b, c`))
		first.Heal()
		Expect(look(env).Partitions).To(Equal([][][]string{{{"self"}, {"b"}}}))
		second.Heal()
		Expect(look(env).Partitions).To(BeEmpty())
	})

	It("has the routes that the kernel has, whoever made them", func(ctx SpecContext) {
		env := nstest.Current()
		_, err := env.AddNetwork(nstest.NetworkConfig{Name: "back"})
		Expect(err).NotTo(HaveOccurred())
		black := nstest.Route{To: netip.MustParsePrefix("192.0.2.0/24"), Type: nstest.Blackhole}
		router, err := env.AddRouter(nstest.RouterConfig{Name: "gate", Networks: []nstest.Attachment{{Network: "lan"}, {Network: "back"}}, Routes: []nstest.Route{black}})
		Expect(err).NotTo(HaveOccurred())
		Expect(look(env).Networks).To(HaveExactElements(HaveField("Gateways", env.Router("gate").Link("lan").Addrs()), HaveField("Gateways", router.Link("back").Addrs())))

		far := netip.MustParsePrefix("2001:db8::/48")
		via := router.Link("back").Addrs()[1].Next()
		Expect(router.AddRoute(nstest.Route{To: far, Via: via, Metric: 7, Table: 100})).To(Succeed())
		gate := find(look(env), "gate")
		Expect(gate.Router).To(BeTrue())
		Expect(gate.Routes).To(ConsistOf(black, nstest.Route{To: far, Via: via, Network: "back", Metric: 7, Table: 100}))

		By("of a host, but for the one through the gateway")
		web := env.Host("web")
		Expect(find(look(env), "web").Routes).To(BeEmpty())
		own := nstest.Route{To: netip.MustParsePrefix("198.51.100.0/24"), Via: router.Addr()}
		Expect(web.AddRoute(own)).To(Succeed())
		own.Network = "lan"
		Expect(find(look(env), "web").Routes).To(Equal([]nstest.Route{own}))

		By("until they are taken away")
		Expect(router.RemoveRoute(black)).To(Succeed())
		Expect(find(look(env), "gate").Routes).To(HaveLen(1))
	})

	It("has the NAT that a router does now", func() {
		env := nstest.Current()
		_, err := env.AddNetwork(nstest.NetworkConfig{Name: "home"})
		Expect(err).NotTo(HaveOccurred())
		nat := nstest.NAT{Outside: "lan", Kind: nstest.FullCone, Forwards: []nstest.Forward{{Network: "tcp", Port: 80, To: netip.MustParseAddrPort("10.2.0.9:8080")}}}
		router, err := env.AddRouter(nstest.RouterConfig{Name: "box", Networks: []nstest.Attachment{{Network: "home"}, {Network: "lan"}}, NAT: []nstest.NAT{nat}})
		Expect(err).NotTo(HaveOccurred())
		top := look(env)
		Expect(find(top, "box").NAT).To(Equal([]nstest.NAT{nat}))
		Expect(top.String()).To(ContainSubstring("\n        nat full-cone outside lan\n        forward tcp 80 to 10.2.0.9:8080"))
		nat = nstest.NAT{Outside: "lan", Kind: nstest.Symmetric}
		Expect(router.SetNAT(nat)).To(Succeed())
		Expect(find(look(env), "box").NAT).To(Equal([]nstest.NAT{nat}))
		Expect(router.SetNAT()).To(Succeed())
		Expect(find(look(env), "box").NAT).To(BeEmpty())
	})

	It("says how a firewall is made, of hosts and routers", func() {
		env := nstest.Current()
		web := env.Host("web")
		Expect(find(look(env), "web").Firewall).To(BeNil())
		Expect(web.SetFirewall(nstest.Firewall{Default: nstest.Drop, Rules: []nstest.FirewallRule{{Protocol: "icmp"}, {From: "self"}}})).To(Succeed())
		top := look(env)
		Expect(find(top, "web").Firewall).To(Equal(&nstest.TopologyFirewall{Default: "drop", Rules: 2}))
		Expect(top.String()).To(ContainSubstring("\n        firewall drop, 2 rules"))
		Expect(web.SetFirewall(nstest.Firewall{})).To(Succeed())
		Expect(find(look(env), "web").Firewall).To(BeNil())

		_, err := env.AddRouter(nstest.RouterConfig{Name: "gate", Networks: []nstest.Attachment{{Network: "lan"}},
			Firewall: nstest.Firewall{Rules: []nstest.FirewallRule{{Verdict: nstest.Reject, From: "web"}}, Stateless: true}})
		Expect(err).NotTo(HaveOccurred())
		Expect(find(look(env), "gate").Firewall).To(Equal(&nstest.TopologyFirewall{Default: "allow", Rules: 1, Stateless: true}))
	})

	It("is whole while hosts come and go", func() {
		env := nstest.Current()
		done := make(chan struct{})
		go func() {
			defer GinkgoRecover()
			defer close(done)
			for range 10 {
				h, err := env.AddHost(nstest.HostConfig{Name: "guest", NetOnly: true})
				Expect(err).NotTo(HaveOccurred())
				Expect(h.Link("").Down()).To(Succeed())
				Expect(env.RemoveHost("guest")).To(Succeed())
			}
		}()
		seen := map[int]bool{}
		for going := true; going; {
			select {
			case <-done:
				going = false
			default:
			}
			hosts := look(env).Hosts
			seen[len(hosts)] = true
			for _, h := range hosts {
				Expect(h.Links).To(HaveLen(1), h.Name)
			}
		}
		Expect(seen).To(HaveKey(1))
		Expect(seen).NotTo(HaveKey(0))
		Expect(seen).NotTo(HaveKey(3))
	})

	It("is written and read as JSON", func() {
		env := nstest.Current()
		_, err := env.AddRouter(nstest.RouterConfig{Name: "gate", Networks: []nstest.Attachment{{Network: "lan"}},
			Routes: []nstest.Route{{To: netip.MustParsePrefix("192.0.2.0/24"), Type: nstest.Prohibit}}})
		Expect(err).NotTo(HaveOccurred())
		top := look(env)
		text, err := json.Marshal(top)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(text)).To(ContainSubstring(`"Type":"prohibit"`))
		var back nstest.Topology
		Expect(json.Unmarshal(text, &back)).To(Succeed())
		Expect(&back).To(Equal(top))
	})
})
