// Package plan makes the networks that a hermetic spec is about, in the spec's own environment. What cannot be made fails the spec.
package plan

import (
	"net/netip"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// Network makes a network.
func Network(cfg nstest.NetworkConfig) *nstest.Network {
	GinkgoHelper()
	n, err := nstest.Current().AddNetwork(cfg)
	Expect(err).NotTo(HaveOccurred())
	return n
}

// Host makes a host; without an attachment it is on the first network.
func Host(name string, on ...nstest.Attachment) *nstest.Host {
	GinkgoHelper()
	h, err := nstest.Current().AddHost(nstest.HostConfig{Name: name, Networks: on})
	Expect(err).NotTo(HaveOccurred())
	return h
}

// Router makes a router.
func Router(cfg nstest.RouterConfig) *nstest.Router {
	GinkgoHelper()
	r, err := nstest.Current().AddRouter(cfg)
	Expect(err).NotTo(HaveOccurred())
	return r
}

// On are cables to these networks, with automatic addresses.
func On(networks ...string) []nstest.Attachment {
	var list []nstest.Attachment
	for _, n := range networks {
		list = append(list, nstest.Attachment{Network: n})
	}
	return list
}

// Addr is a host's address of a family on a network.
func Addr(h *nstest.Host, network string, is4 bool) netip.Addr {
	GinkgoHelper()
	for _, a := range h.Link(network).Addrs() {
		if a.Is4() == is4 {
			return a
		}
	}
	Fail("host " + h.Name() + " has no such address on " + network)
	return netip.Addr{}
}
