package nat_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

var kinds = []nstest.NATKind{nstest.FullCone, nstest.AddressRestricted, nstest.PortRestricted, nstest.Symmetric}

var _ = Describe("a NAT", func() {
	for _, is4 := range []bool{true, false} {
		family := map[bool]string{true: "IPv4", false: "IPv6"}[is4]
		for _, protocol := range []string{"UDP", "TCP"} {
			classify := (*world).classifyUDP
			if protocol == "TCP" {
				classify = (*world).classifyTCP
			}
			It("is none where a router does without: "+protocol+" over "+family+" is open", func() {
				w := newWorld(is4)
				Expect(classify(w, w.client).kind()).To(Equal("open"))
			})
			for _, kind := range kinds {
				It("is "+kind.String()+" for "+protocol+" over "+family, func() {
					w := newWorld(is4, nstest.NAT{Outside: "internet", Kind: kind, NAT66: !is4})
					Expect(classify(w, w.client).kind()).To(Equal(kind.String()))
				})
			}
		}
	}
})
