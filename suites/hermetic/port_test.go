package hermetic_test

import (
	"net"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// Run by ginkgo -p, these run at the same time.
var _ = Describe("A hundred specs", func() {
	for range 100 {
		It("listen on the same port and the same abstract socket", func() {
			tcp, err := net.Listen("tcp", ":80")
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(tcp.Close)
			abstract, err := net.Listen("unix", "@one-name-for-all")
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(abstract.Close)
			_, err = net.Listen("tcp", ":80")
			Expect(err).To(MatchError(ContainSubstring("address already in use")), "the control: this would be said if it were not alone")
			_, err = net.Listen("unix", "@one-name-for-all")
			Expect(err).To(MatchError(ContainSubstring("address already in use")))
		})
	}
})
