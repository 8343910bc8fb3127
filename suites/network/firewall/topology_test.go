package firewall_test

import (
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

// A place is two hosts on networks of their own, and the router between them. Both hosts answer on ports 80 to 82.
type place struct {
	client, server *nstest.Host
	router         *nstest.Router
}

func newPlace() place {
	GinkgoHelper()
	network("home")
	network("office")
	p := place{client: host("client", "home"), server: host("server", "office"), router: router("router", "home", "office")}
	echo(p.client, 80, 81, 82)
	echo(p.server, 80, 81, 82)
	return p
}

func network(name string) {
	GinkgoHelper()
	_, err := nstest.Current().AddNetwork(nstest.NetworkConfig{Name: name})
	Expect(err).NotTo(HaveOccurred())
}

func host(name string, networks ...string) *nstest.Host {
	GinkgoHelper()
	h, err := nstest.Current().AddHost(nstest.HostConfig{Name: name, Networks: on(networks), NetOnly: true})
	Expect(err).NotTo(HaveOccurred())
	return h
}

func router(name string, networks ...string) *nstest.Router {
	GinkgoHelper()
	r, err := nstest.Current().AddRouter(nstest.RouterConfig{Name: name, Networks: on(networks), NetOnly: true})
	Expect(err).NotTo(HaveOccurred())
	return r
}

func on(networks []string) (list []nstest.Attachment) {
	for _, n := range networks {
		list = append(list, nstest.Attachment{Network: n})
	}
	return list
}

// addrs are a host's addresses on its first network: IPv4 and IPv6.
func addrs(h *nstest.Host) []netip.Addr {
	GinkgoHelper()
	a := h.Links()[0].Addrs()
	Expect(a).To(HaveLen(2))
	return a
}

func set(h *nstest.Host, f nstest.Firewall) {
	GinkgoHelper()
	Expect(h.SetFirewall(f)).To(Succeed())
}

func ports(list ...uint16) (out []nstest.PortRange) {
	for _, p := range list {
		out = append(out, nstest.PortRange{First: p})
	}
	return out
}
