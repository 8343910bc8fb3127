// Package decorated is a suite that says for all specs what their environments are like.
package decorated

import (
	"os"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

func TestDecorated(t *testing.T) {
	RegisterFailHandler(Fail)
	nstest.RunSpecs(t, "Decorated", Label("a label, as for Ginkgo"), nstest.With(nstest.Config{Hostname: "everywhere"}))
}

var _ = It("is in an environment like that", func() {
	Expect(os.Hostname()).To(Equal("everywhere"))
})

var _ = Describe("a container with a config of its own", nstest.With(nstest.Config{Hostname: "here"}), func() {
	It("goes by that", func() {
		Expect(os.Hostname()).To(Equal("here"))
	})
})
