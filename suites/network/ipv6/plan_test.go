package ipv6_test

import (
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

// addNetwork, addHost and addRouter make what a spec needs.
func addNetwork(cfg nstest.NetworkConfig) *nstest.Network {
	GinkgoHelper()
	n, err := nstest.Current().AddNetwork(cfg)
	Expect(err).NotTo(HaveOccurred())
	return n
}

func addHost(name string, on ...nstest.Attachment) *nstest.Host {
	GinkgoHelper()
	h, err := nstest.Current().AddHost(nstest.HostConfig{Name: name, Networks: on})
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

// addr6 is the IPv6 address that a host was given on a network.
func addr6(h *nstest.Host, network string) netip.Addr {
	GinkgoHelper()
	for _, a := range h.Link(network).Addrs() {
		if a.Is6() {
			return a
		}
	}
	Fail("host " + h.Name() + " has no IPv6 address on " + network)
	return netip.Addr{}
}
