package routers_test

import (
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/plan"
)

var _ = Describe("policy rules", func() {
	It("choose one of two uplinks by who sends, in both families", func() {
		for _, name := range []string{"homes", "dsl", "fibre", "internet"} {
			plan.Network(nstest.NetworkConfig{Name: name})
		}
		server := plan.Host("server", plan.On("internet")...)
		tellCallers(server)
		// Each uplink is known by the address that it gives to those who come through it.
		var uplinks [2]*nstest.Router
		for i, name := range []string{"dsl", "fibre"} {
			uplinks[i] = plan.Router(nstest.RouterConfig{Name: "isp-" + name, Networks: plan.On(name, "internet"), NAT: []nstest.NAT{{Outside: "internet", NAT66: true}}})
		}
		first, second := plan.Host("first", plan.On("homes")...), plan.Host("second", plan.On("homes")...)
		cfg := nstest.RouterConfig{Name: "box", Networks: plan.On("homes", "dsl", "fibre")}
		for _, is4 := range []bool{true, false} {
			from := plan.Addr(second, "homes", is4)
			cfg.Rules = append(cfg.Rules, nstest.Rule{From: netip.PrefixFrom(from, from.BitLen()), Table: 100, Priority: 1000})
			cfg.Routes = append(cfg.Routes, nstest.Route{Via: plan.Addr(uplinks[1].Host, "fibre", is4), Table: 100})
		}
		box := plan.Router(cfg)
		for _, u := range uplinks { // the way back
			network := u.Links()[0].Network()
			for i, is4 := range []bool{true, false} {
				homes := nstest.Current().Network("homes").Prefixes()[i]
				Expect(u.AddRoute(nstest.Route{To: homes, Via: plan.Addr(box.Host, network, is4)})).To(Succeed())
			}
		}
		for _, is4 := range []bool{true, false} {
			to := plan.Addr(server, "internet", is4)
			Expect(call(first, to)).To(Equal(plan.Addr(uplinks[0].Host, "internet", is4).String()))
			Expect(call(second, to)).To(Equal(plan.Addr(uplinks[1].Host, "internet", is4).String()))
		}
		By("without the rule there is one way for all")
		Expect(box.AddRule(cfg.Rules[0])).To(MatchError(unix.EEXIST))
		Expect(box.RemoveRule(cfg.Rules[0])).To(Succeed())
		Expect(box.RemoveRule(cfg.Rules[0])).To(MatchError(unix.ENOENT))
		Expect(call(second, plan.Addr(server, "internet", true))).To(Equal(plan.Addr(uplinks[0].Host, "internet", true).String()))
		Expect(call(second, plan.Addr(server, "internet", false))).To(Equal(plan.Addr(uplinks[1].Host, "internet", false).String()))
	})

	It("look at where a packet comes from, at its mark and at its destination", func() {
		plan.Network(nstest.NetworkConfig{Name: "a"})
		h := plan.Host("h", plan.On("a")...)
		for _, r := range []nstest.Rule{
			{In: "a", Table: 7, Priority: 100},
			{Mark: 0x10, Mask: 0xf0, Table: 7, Priority: 101},
			{To: netip.MustParsePrefix("192.0.2.0/24"), Priority: 102},
		} {
			Expect(h.AddRule(r)).To(Succeed())
		}
		Expect(h.AddRule(nstest.Rule{In: "a", IPv6: true, Table: 7, Priority: 103})).To(Succeed())
		out, err := h.Command("ip", "rule").Output()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(out)).To(And(
			MatchRegexp(`100:\s+from all iif eth0 lookup 7`),
			MatchRegexp(`101:\s+from all fwmark 0x10/0xf0 lookup 7`),
			MatchRegexp(`102:\s+from all to 192.0.2.0/24 lookup main`),
		))
		Expect(string(out)).NotTo(ContainSubstring("103:"))
		out, err = h.Command("ip", "-6", "rule").Output()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(out)).To(MatchRegexp(`103:\s+from all iif eth0 lookup 7`))
	})

	It("are refused by name where they make no sense", func() {
		plan.Network(nstest.NetworkConfig{Name: "a"})
		h := plan.Host("h", plan.On("a")...)
		v4, v6 := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")
		for says, rule := range map[string]nstest.Rule{
			"of different families":            {From: v4, To: v6},
			"of IPv6 with the IPv4 prefix":     {From: v4, IPv6: true},
			"without host bits":                {From: netip.MustParsePrefix("192.0.2.1/24")},
			"must be between 0 and 4294967295": {From: v4, Priority: -1},
		} {
			Expect(h.AddRule(rule)).To(MatchError(ContainSubstring(says)))
			_, err := nstest.Current().AddRouter(nstest.RouterConfig{Name: "r", Networks: plan.On("a"), Rules: []nstest.Rule{rule}})
			Expect(err).To(MatchError(ContainSubstring(says)))
		}
		Expect(h.AddRule(nstest.Rule{In: "b"})).To(MatchError(ContainSubstring(`no link to network "b"`)))
		_, err := nstest.Current().AddRouter(nstest.RouterConfig{Name: "r", Networks: plan.On("a"), Rules: []nstest.Rule{{In: "b"}}})
		Expect(err).To(MatchError(ContainSubstring(`from network "b": router "r" is not on it`)))
	})
})
