package topology_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/fixtures/topology"
	"github.com/hermetic-go/nstest/nstest"
)

// hello has a host serve its name by HTTP.
func hello(h *nstest.Host) {
	GinkgoHelper()
	l, err := h.Listen("tcp", ":80")
	Expect(err).NotTo(HaveOccurred())
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, h.Name()) })}
	DeferCleanup(s.Close)
	go s.Serve(l)
}

// get is what the spec's own process gets, as any program would.
func get(url string) string {
	GinkgoHelper()
	resp, err := http.Get(url)
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	return string(body)
}

var _ = Describe("A ready-made topology", func() {
	self := topology.Options{Self: true}

	DescribeTable("has the spec take part", func(make func(env *nstest.Env) *nstest.Host) {
		far := make(nstest.Current())
		hello(far)
		for _, a := range far.Addrs() {
			Expect(get("http://" + netip.AddrPortFrom(a, 80).String())).To(Equal(far.Name()))
		}
		Expect(get("http://" + far.Name() + "/")).To(Equal(far.Name()))
	},
		Entry("of a lan", func(env *nstest.Env) *nstest.Host {
			return topology.NewLan(GinkgoTB(), env, topology.LanConfig{Options: self}).Hosts[2]
		}),
		Entry("of a star", func(env *nstest.Env) *nstest.Host {
			return topology.NewStar(GinkgoTB(), env, topology.StarConfig{Options: self}).Hosts[2][1]
		}),
		Entry("of a chain", func(env *nstest.Env) *nstest.Host {
			return topology.NewChain(GinkgoTB(), env, topology.ChainConfig{Options: self}).Right[0]
		}),
		Entry("of a fabric", func(env *nstest.Env) *nstest.Host {
			return topology.NewSpineLeaf(GinkgoTB(), env, topology.SpineLeafConfig{Options: self}).Hosts[2][1]
		}),
		Entry("of a ring", func(env *nstest.Env) *nstest.Host {
			return topology.NewRing(GinkgoTB(), env, topology.RingConfig{Options: self}).Hosts[2][0]
		}),
	)

	It("has the spec be on the internet, where sites are seen as their gateways", func() {
		sites := topology.NewSites(GinkgoTB(), nstest.Current(), topology.SitesConfig{Options: self})
		l, err := net.Listen("tcp", ":80")
		Expect(err).NotTo(HaveOccurred())
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) })}
		DeferCleanup(s.Close)
		go s.Serve(l)
		for _, site := range sites.Sites {
			for i, to := range nstest.Current().Self().Addrs() {
				resp, err := site.Hosts[0].HTTPClient().Get("http://" + netip.AddrPortFrom(to, 80).String())
				Expect(err).NotTo(HaveOccurred())
				seen, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				Expect(err).NotTo(HaveOccurred())
				Expect(netip.MustParseAddrPort(string(seen)).Addr()).To(Equal(site.Gateway.Link(sites.Internet.Name()).Addrs()[i]))
			}
		}
	})

	It("is refused where it makes no sense, by name", func() {
		_, err := topology.AddRing(nstest.Current(), topology.RingConfig{Routers: 1})
		Expect(err).To(MatchError("topology: add ring: 1 routers in a ring: the least is 3"))
	})
})
