package nat_test

import (
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

// A world is an internet on which two servers are, and a home behind a router.
type world struct {
	router  *nstest.Router
	client  *nstest.Host
	servers [2]*nstest.Host
	is4     bool
}

// newWorld makes a world whose traffic is of one family. Without NAT the router leads to the home from everywhere.
func newWorld(is4 bool, nat ...nstest.NAT) *world {
	GinkgoHelper()
	addNetwork("internet")
	addNetwork("home")
	w := &world{is4: is4}
	w.servers = [2]*nstest.Host{addHost("stun1", "internet"), addHost("stun2", "internet")}
	w.client = addHost("client", "home")
	w.router = addRouter(nstest.RouterConfig{Name: "router", Networks: on("internet", "home"), NAT: nat})
	return w
}

func (w *world) server(i int) netip.Addr      { return addr(w.servers[i], "internet", w.is4) }
func (w *world) outside() netip.Addr          { return addr(w.router.Host, "internet", w.is4) }
func (w *world) of(h *nstest.Host) netip.Addr { return addr(h, "home", w.is4) }

func addNetwork(name string) {
	GinkgoHelper()
	_, err := nstest.Current().AddNetwork(nstest.NetworkConfig{Name: name})
	Expect(err).NotTo(HaveOccurred())
}

func addHost(name string, networks ...string) *nstest.Host {
	GinkgoHelper()
	h, err := nstest.Current().AddHost(nstest.HostConfig{Name: name, Networks: on(networks...)})
	Expect(err).NotTo(HaveOccurred())
	return h
}

func addRouter(cfg nstest.RouterConfig) *nstest.Router {
	GinkgoHelper()
	r, err := nstest.Current().AddRouter(cfg)
	Expect(err).NotTo(HaveOccurred())
	return r
}

func on(networks ...string) []nstest.Attachment {
	var list []nstest.Attachment
	for _, n := range networks {
		list = append(list, nstest.Attachment{Network: n})
	}
	return list
}

// addr is a host's address of a family on a network.
func addr(h *nstest.Host, network string, is4 bool) netip.Addr {
	GinkgoHelper()
	for _, a := range h.Link(network).Addrs() {
		if a.Is4() == is4 {
			return a
		}
	}
	Fail("host " + h.Name() + " has no such address on " + network)
	return netip.Addr{}
}
