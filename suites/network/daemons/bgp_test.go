package daemons_test

import (
	"fmt"
	"strings"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// bgp is the configuration of a router that is an autonomous system of its own, 64512 and so on, with a session to each
// neighbour (RFC 4271), by which routes of both families go (RFC 4760).
func (s *square) bgp(i int) string {
	text := "protocol direct { ipv4; ipv6; interface \"eth0\"; }\n"
	for _, l := range s.routers[i].Links() {
		for j, other := range s.routers {
			for _, far := range other.Links() {
				if i == j || far.Network() != l.Network() {
					continue
				}
				text += fmt.Sprintf(`
protocol bgp %s {
	local as %d;
	neighbor %s as %d;
	ipv4 { import all; export all; };
	ipv6 { import all; export all; };
	connect delay time 1;
	connect retry time 1;
	error wait time 1, 2;
	hold time 6;
}
`, other.Name(), 64512+i, far.Addrs()[0], 64512+j)
			}
		}
	}
	return text
}

var _ = Describe("Four autonomous systems in a ring with BGP", func() {
	It("tell each other their ways, and take them back when a session ends", func() {
		s := newSquare()
		s.serve()
		r1, r2, h1, h2 := s.routers[0], s.routers[1], s.hosts[0], s.hosts[1]
		state := func() string { return s.answers("show protocols", "show route") }
		path := func() string { // the systems between r1 and h2
			for line := range strings.Lines(r1.ask("show route primary all for " + h2.Addr().String())) {
				if text, ok := strings.CutPrefix(strings.TrimSpace(line), "BGP.as_path: "); ok {
					return text
				}
			}
			return "none"
		}

		By("before, there is no way but to neighbours")
		Eventually(connect).WithArguments(h1, h2.Addr()).Should(MatchError(unix.ENETUNREACH))
		Eventually(connect).WithArguments(r1.Host, h1.Addr()).Should(Succeed())

		By("starting the daemons: the direct way is the shortest")
		s.start(s.bgp)
		Eventually(s.converged).Should(Succeed(), state)
		Eventually(path).Should(Equal("64513"), state)
		Eventually(r1.ways).WithArguments(h2.Addrs()).Should(HaveEach("r1-r2"), state)
		Eventually(reached).WithArguments(s.hosts[:]).Should(Succeed(), state)

		By("ending the session between r1 and r2: the long way is left")
		Expect(r1.ask("disable r2")).To(ContainSubstring("r2: disabled"))
		Eventually(path).Should(Equal("64515 64514 64513"), state)
		Eventually(r1.ways).WithArguments(h2.Addrs()).Should(HaveEach("r1-r4"), state)
		Eventually(r2.ways).WithArguments(h1.Addrs()).Should(HaveEach("r2-r3"), state)
		Eventually(reached).WithArguments(s.hosts[:]).Should(Succeed(), state)

		By("killing r2's daemon: its network is withdrawn")
		r2.bird.kill()
		Eventually(r1.ways).WithArguments(h2.Addrs()).Should(HaveEach(noWay), state)
		Expect(path()).To(Equal("none"))
		Eventually(connect).WithArguments(h1, h2.Addr()).Should(MatchError(unix.ENETUNREACH))

		By("between the others there is a way still")
		Eventually(reached).WithArguments([]*nstest.Host{h1, s.hosts[2], s.hosts[3]}).Should(Succeed())
	})
})
