package routers_test

import (
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/plan"
)

var _ = Describe("a router", func() {
	It("is the gateway for hosts that are there and for those to come, in both families", func() {
		plan.Network(nstest.NetworkConfig{Name: "a"})
		plan.Network(nstest.NetworkConfig{Name: "b"})
		early := plan.Host("early", plan.On("a")...)
		server := plan.Host("server", plan.On("b")...)
		tellCallers(server)
		By("without it, there is no way")
		for _, is4 := range []bool{true, false} {
			_, err := call(early, plan.Addr(server, "b", is4))
			Expect(err).To(MatchError(unix.ENETUNREACH))
		}
		r := plan.Router(nstest.RouterConfig{Name: "r", Networks: plan.On("a", "b")})
		late := plan.Host("late", plan.On("a")...)
		for _, client := range []*nstest.Host{early, late} {
			for _, is4 := range []bool{true, false} {
				Expect(call(client, plan.Addr(server, "b", is4))).To(Equal(plan.Addr(client, "a", is4).String()))
			}
		}
		first := nstest.Current().Network("a").Prefixes()[0].Addr().Next()
		Expect(nstest.Current().Network("a").Gateway()).To(Equal(first))
		Expect(r.Link("a").Addrs()).To(ContainElement(first))
		Expect(nstest.Current().Router("R")).To(BeIdenticalTo(r))

		By("once it is gone, there is none again")
		Expect(nstest.Current().RemoveHost("r")).To(Succeed())
		Expect(nstest.Current().Network("a").Gateway()).To(Equal(netip.Addr{}))
		for _, is4 := range []bool{true, false} {
			_, err := call(early, plan.Addr(server, "b", is4))
			Expect(err).To(MatchError(unix.ENETUNREACH))
		}
		Expect(func() { nstest.Current().Router("r") }).To(PanicWith(ContainSubstring(`no router "r"`)))
		plan.Router(nstest.RouterConfig{Name: "r", Networks: plan.On("a", "b")})
		Expect(call(early, plan.Addr(server, "b", true))).To(Equal(early.Addr().String()))
	})
})
