package daemons_test

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// ospf is the configuration of a router in the one area: OSPFv2 for IPv4 (RFC 2328) and OSPFv3 for IPv6 (RFC 5340). A
// neighbour that says nothing is dead after 3 seconds.
func ospf(int) string {
	text := ""
	for version, family := range map[string]string{"v2": "ipv4", "v3": "ipv6"} {
		text += fmt.Sprintf(`
protocol ospf %[1]s ospf%[1]s {
	tick 1;
	ecmp no;
	%[2]s { import all; export none; };
	area 0 {
		interface "eth0" { stub yes; };
		interface "eth1", "eth2" { type ptp; hello 1; dead 3; retransmit 2; };
	};
}
`, version, family)
	}
	return text
}

var _ = Describe("Four routers in a ring with OSPF", func() {
	It("learn the ways, and the other way round where a cable is pulled", func() {
		s := newSquare()
		s.serve()
		r1, r2, h1, h2 := s.routers[0], s.routers[1], s.hosts[0], s.hosts[1]
		state := func() string {
			return s.answers("show ospf neighbors ospfv2", "show ospf neighbors ospfv3", "show route")
		}

		By("before, there is no way but to neighbours")
		Eventually(connect).WithArguments(h1, h2.Addr()).Should(MatchError(unix.ENETUNREACH))
		Eventually(connect).WithArguments(r1.Host, h1.Addr()).Should(Succeed())

		By("starting the daemons: the direct way is the shortest")
		s.start(ospf)
		Eventually(s.converged).Should(Succeed(), state)
		Eventually(r1.ways).WithArguments(h2.Addrs()).Should(HaveEach("r1-r2"), state)
		Eventually(r2.ways).WithArguments(h1.Addrs()).Should(HaveEach("r1-r2"), state)
		Eventually(reached).WithArguments(s.hosts[:]).Should(Succeed(), state)

		By("pulling r1's cable to r2: r1 has lost its carrier, and tells")
		Expect(r1.Link("r1-r2").Down()).To(Succeed())
		Eventually(r1.ways).WithArguments(h2.Addrs()).Should(HaveEach("r1-r4"), state)
		Eventually(r2.ways).WithArguments(h1.Addrs()).Should(HaveEach("r2-r3"), state)
		Eventually(reached).WithArguments(s.hosts[:]).Should(Succeed(), state)

		By("r2 has its carrier still, and misses the hellos of r1 alone")
		for _, protocol := range []string{"ospfv2", "ospfv3"} {
			neighbours := func() string { return r2.ask("show ospf neighbors " + protocol) }
			Eventually(neighbours).Should(And(ContainSubstring("10.255.0.3"), Not(ContainSubstring("10.255.0.1"))), state)
		}
		Expect(r2.ask("show interfaces summary")).To(MatchRegexp(`(?m)^eth1 +up `))
	})
})
