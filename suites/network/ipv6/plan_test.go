package ipv6_test

import (
	"net/netip"

	. "github.com/onsi/ginkgo/v2"

	"github.com/hermetic-go/nstest/nstest"
)

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
