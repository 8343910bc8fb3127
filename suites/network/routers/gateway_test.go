package routers_test

import (
	"net/netip"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/plan"
)

// defaultRoute is the next hop of a host's default route; "" if it has none.
func defaultRoute(h *nstest.Host, family string) string {
	GinkgoHelper()
	out, err := h.Command("sh", "-c", "ip "+family+" route show default | sed -n 's/.* via \\([^ ]*\\) .*/\\1/p' | tr -d '\\n'").Output()
	Expect(err).NotTo(HaveOccurred())
	return string(out)
}

var _ = Describe("the gateway of a network", func() {
	It("is whoever has the address that the network was given", func() {
		at := netip.MustParseAddr("192.0.2.254")
		plan.Network(nstest.NetworkConfig{Name: "a", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Gateway: at})
		plan.Network(nstest.NetworkConfig{Name: "b"})
		server, h := plan.Host("server", plan.On("b")...), plan.Host("h", plan.On("a")...)
		tellCallers(server)
		plan.Router(nstest.RouterConfig{Name: "another", Networks: plan.On("a")})
		Expect(nstest.Current().Network("a").Gateway()).To(Equal(at))
		Expect(defaultRoute(h, "-6")).To(BeEmpty())
		Expect(defaultRoute(nstest.Current().Host("another"), "-4")).To(Equal(at.String()), "another router has a default route as any host")
		_, err := callWithin(silence, h, server.Addr())
		Expect(err).To(HaveOccurred(), "nobody has it yet")

		r := plan.Router(nstest.RouterConfig{Name: "r", Networks: []nstest.Attachment{{Network: "a", Addrs: []netip.Addr{at}}, {Network: "b"}}})
		Eventually(call).WithArguments(h, server.Addr()).Should(Equal(h.Addr().String()), "the host asks for the address once a second")
		Expect(defaultRoute(h, "-6")).To(Equal(plan.Addr(r.Host, "a", false).String()), "and it is the gateway of the other family, too")
		Expect(call(h, plan.Addr(server, "b", false))).To(Equal(plan.Addr(h, "a", false).String()))
	})

	It("is the first router, and the others go through it", func() {
		for _, n := range []string{"office", "backbone", "lab"} {
			plan.Network(nstest.NetworkConfig{Name: n})
		}
		first := plan.Router(nstest.RouterConfig{Name: "first", Networks: plan.On("office", "backbone")})
		second := plan.Router(nstest.RouterConfig{Name: "second", Networks: plan.On("backbone", "lab")})
		Expect(nstest.Current().Network("backbone").Gateway()).To(Equal(plan.Addr(first.Host, "backbone", true)))
		Expect(defaultRoute(second.Host, "-4")).To(Equal(plan.Addr(first.Host, "backbone", true).String()))
		Expect(defaultRoute(first.Host, "-4")).To(BeEmpty())
		Expect(first.AddRoute(nstest.Route{To: nstest.Current().Network("lab").Prefixes()[0], Via: plan.Addr(second.Host, "backbone", true)})).To(Succeed())
		bench, desk := plan.Host("bench", plan.On("lab")...), plan.Host("desk", plan.On("office")...)
		tellCallers(desk)
		Expect(call(bench, desk.Addr())).To(Equal(bench.Addr().String()))
	})

	It("is none for hosts that want none, and a router that is to be none is none", func() {
		plan.Network(nstest.NetworkConfig{Name: "a"})
		host := func(name string, without bool) *nstest.Host {
			h, err := nstest.Current().AddHost(nstest.HostConfig{Name: name, Networks: []nstest.Attachment{{Network: "a", NoGateway: without}}})
			Expect(err).NotTo(HaveOccurred())
			return h
		}
		early, with := host("early", true), host("with", false)
		r := plan.Router(nstest.RouterConfig{Name: "none", Networks: []nstest.Attachment{{Network: "a", NoGateway: true}}})
		Expect(nstest.Current().Network("a").Gateway().IsValid()).To(BeFalse())
		Expect(defaultRoute(with, "-4")).To(BeEmpty())
		gateway := plan.Router(nstest.RouterConfig{Name: "gateway", Networks: plan.On("a")}).Addr()
		late := host("late", true)
		Expect(defaultRoute(with, "-4")).To(Equal(gateway.String()))
		for _, h := range []*nstest.Host{early, late, r.Host} {
			Expect(defaultRoute(h, "-4")).To(BeEmpty(), h.Name())
		}
	})

	It("leaves alone the default route that a host has made for itself", func() {
		plan.Network(nstest.NetworkConfig{Name: "a"})
		h := plan.Host("h", plan.On("a")...)
		own := nstest.Route{Via: netip.MustParseAddr("10.2.7.7")}
		Expect(h.AddRoute(own)).To(Succeed())
		r := plan.Router(nstest.RouterConfig{Name: "r", Networks: plan.On("a")})
		Expect(defaultRoute(h, "-4")).To(Equal("10.2.7.7"))
		Expect(defaultRoute(h, "-6")).To(Equal(plan.Addr(r.Host, "a", false).String()))
		Expect(nstest.Current().RemoveHost("r")).To(Succeed())
		Expect(defaultRoute(h, "-4")).To(Equal("10.2.7.7"))
		Expect(defaultRoute(h, "-6")).To(BeEmpty())
	})

	It("serves the environment's own host, and hosts of all sorts that come at one time", func() {
		plan.Network(nstest.NetworkConfig{Name: "far"})
		far := plan.Host("far", plan.On("far")...)
		tellCallers(far)
		hosts := make([]*nstest.Host, 8)
		var wait sync.WaitGroup
		for i := range hosts {
			wait.Go(func() {
				defer GinkgoRecover()
				if i == 3 {
					plan.Router(nstest.RouterConfig{Name: "r", Networks: plan.On("", "far"), NetOnly: true})
					hosts[i] = nstest.Current().Self()
					return
				}
				h, err := nstest.Current().AddHost(nstest.HostConfig{Name: "h" + string(rune('0'+i)), NetOnly: i%2 == 0})
				Expect(err).NotTo(HaveOccurred())
				hosts[i] = h
			})
		}
		wait.Wait()
		for _, h := range hosts {
			Expect(call(h, far.Addr())).To(Equal(h.Addr().String()))
		}
	})
})

var _ = Describe("a router that cannot be", func() {
	It("is refused by name, and leaves nothing", func() {
		plan.Network(nstest.NetworkConfig{Name: "a"})
		h := plan.Host("h", plan.On("a")...)
		for says, cfg := range map[string]nstest.RouterConfig{
			`router "r" is on no network`:                         {},
			`there is no network "b"`:                             {Networks: plan.On("a", "b")},
			`is to be on network "a" twice`:                       {Networks: plan.On("a", "a")},
			`is the address of host "h"`:                          {Networks: []nstest.Attachment{{Network: "a", Addrs: []netip.Addr{h.Addr()}}}},
			`router "r" is not on the network "lan", its Outside`: {Networks: plan.On("a"), NAT64: &nstest.NAT64{Outside: "lan"}},
			`with this metric in this table`:                      {Networks: plan.On("a"), Routes: []nstest.Route{{To: netip.MustParsePrefix("192.0.2.0/24"), Network: "a"}, {To: netip.MustParsePrefix("192.0.2.0/24"), Network: "a"}}},
			`router "r" is not on network "b"`:                    {Networks: plan.On("a"), Routes: []nstest.Route{{To: netip.MustParsePrefix("192.0.2.0/24"), Network: "b"}}},
			`there is nothing to translate`:                       {Networks: plan.On("a"), NAT: []nstest.NAT{{Outside: "a"}}},
			`host name "r r"`:                                     {Name: "r r", Networks: plan.On("a")},
		} {
			if cfg.Name == "" {
				cfg.Name = "r"
			}
			_, err := nstest.Current().AddRouter(cfg)
			Expect(err).To(MatchError(ContainSubstring(says)))
			Expect(nstest.Current().Network("a").Gateway().IsValid()).To(BeFalse(), says)
			Expect(defaultRoute(h, "-4")).To(BeEmpty(), says)
		}
		r := plan.Router(nstest.RouterConfig{Name: "r", Networks: plan.On("a")})
		Expect(r.Addr()).To(Equal(netip.MustParseAddr("10.2.0.1")), "name and address are free")
		_, err := nstest.Current().AddRouter(nstest.RouterConfig{Name: "r", Networks: plan.On("a")})
		Expect(err).To(MatchError(unix.EEXIST))
		Expect(nstest.Current().Network("a").Gateway()).To(Equal(r.Addr()))
	})
})
