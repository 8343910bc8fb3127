package routers_test

import (
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
)

var _ = Describe("a router", func() {
	It("is the gateway for hosts that are there and for those to come, in both families", func() {
		addNetwork(nstest.NetworkConfig{Name: "a"})
		addNetwork(nstest.NetworkConfig{Name: "b"})
		early := addHost("early", "a")
		server := addHost("server", "b")
		tellCallers(server)
		By("without it, there is no way")
		for _, is4 := range []bool{true, false} {
			_, err := call(early, addr(server, "b", is4))
			Expect(err).To(MatchError(unix.ENETUNREACH))
		}
		r := addRouter(nstest.RouterConfig{Name: "r", Networks: on("a", "b")})
		late := addHost("late", "a")
		for _, client := range []*nstest.Host{early, late} {
			for _, is4 := range []bool{true, false} {
				Expect(call(client, addr(server, "b", is4))).To(Equal(addr(client, "a", is4).String()))
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
			_, err := call(early, addr(server, "b", is4))
			Expect(err).To(MatchError(unix.ENETUNREACH))
		}
		Expect(func() { nstest.Current().Router("r") }).To(PanicWith(ContainSubstring(`no router "r"`)))
		addRouter(nstest.RouterConfig{Name: "r", Networks: on("a", "b")})
		Expect(call(early, addr(server, "b", true))).To(Equal(early.Addr().String()))
	})
})
