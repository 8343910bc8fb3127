package network

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/internal/rtnetlink"
	"github.com/hermetic-go/nstest/suites/property"
)

// haveCarrier succeeds for a device that is set up and has a wire.
func haveCarrier() types.GomegaMatcher {
	return And(HaveField("Up", true), HaveField("Carrier", true), HaveField("State", rtnetlink.StateUp))
}

// lackCarrier succeeds for one that is set up and has none. Of a peer in another namespace the kernel does not say more than
// that it is down.
func lackCarrier() types.GomegaMatcher {
	return And(HaveField("Up", true), HaveField("Carrier", false),
		HaveField("State", BeElementOf(rtnetlink.StateDown, rtnetlink.StateLowerLayerDown)))
}

func registerCarrier() {
	property.It("N9", func(ctx SpecContext, c *property.Check) {
		inside := newNamespace(ctx)
		here(device{Name: "near", Kind: "veth", Peer: "far"}, device{Name: "left", Kind: "veth", Peer: "right"})
		Expect(rtnetlink.Move("far", inside.file, "")).To(Succeed())
		// A change of the one end is work for the kernel that it does a little later at the other.
		see := func(name string, want types.GomegaMatcher) {
			GinkgoHelper()
			Eventually(ctx, rtnetlink.Find).WithArguments(name).Should(want)
			l, err := rtnetlink.Find(name)
			Expect(err).NotTo(HaveOccurred())
			c.Saw(name, l)
		}
		c.Positive("with both ends up each has carrier", func() {
			here(device{Name: "near", Set: "up"}, device{Name: "left", Set: "up"}, device{Name: "right", Set: "up"})
			inside.equipped(ctx, device{Name: "far", Set: "up"})
			for _, name := range []string{"near", "left", "right"} {
				see(name, haveCarrier())
			}
		})
		c.Negative("with one down, in another namespace or in the same, the other one has none, and stays up", func() {
			inside.equipped(ctx, device{Name: "far", Set: "down"})
			here(device{Name: "right", Set: "down"})
			see("near", lackCarrier())
			see("left", And(lackCarrier(), HaveField("State", rtnetlink.StateLowerLayerDown)))
		})
		c.Positive("with both up again it has one again", func() {
			inside.equipped(ctx, device{Name: "far", Set: "up"})
			see("near", haveCarrier())
		})
	})

	property.Seed("are joined by a veth as by a wire: one end is set down and ip(8) shows NO-CARRIER at the other", func(ctx SpecContext) {
		require.Program("ip")
		run(ctx, "ip netns add red")
		run(ctx, "ip link add wire type veth peer name end netns red")
		run(ctx, "ip link set wire up")
		run(ctx, "ip -n red link set end up")
		show := func() string { return run(ctx, "ip link show wire") }
		Eventually(ctx, show).Should(And(ContainSubstring("LOWER_UP"), Not(ContainSubstring("NO-CARRIER"))))
		run(ctx, "ip -n red link set end down")
		Eventually(ctx, show).Should(MatchRegexp("<NO-CARRIER,.*,UP>"))
		run(ctx, "ip -n red link set end up")
		Eventually(ctx, show).Should(And(ContainSubstring("LOWER_UP"), Not(ContainSubstring("NO-CARRIER"))))
	})

	property.Seed("see a cable pulled: a host of an environment loses its carrier, and nothing else", func(ctx SpecContext) {
		web, client := nstest.Current().Host("web"), nstest.Current().Host("client")
		Expect(serve(web)).To(Succeed())
		Expect(client).To(matchers.Reach("web:80"))
		link := func(h *nstest.Host) (l rtnetlink.Link) {
			GinkgoHelper()
			Expect(h.Do(func() (err error) { l, err = rtnetlink.Find("eth0"); return err })).To(Succeed())
			return l
		}
		lan := nstest.Current().Network("").Prefixes()[0].String()

		Expect(client.Link("").Down()).To(Succeed())
		Eventually(ctx, link).WithArguments(client).Should(lackCarrier())
		Expect(client).To(matchers.HaveRoute(lan))
		Expect(link(web)).To(haveCarrier())
		Expect(nstest.Current()).To(matchers.Reach("web:80"), "the others go on")

		Expect(client.Link("").Up()).To(Succeed())
		Eventually(ctx, link).WithArguments(client).Should(haveCarrier())
		Expect(client).To(matchers.Reach("web:80"))
	})
}
