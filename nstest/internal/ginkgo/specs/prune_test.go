package specs

import (
	"testing"

	"github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestGinkgo(t *testing.T) {
	RegisterFailHandler(ginkgo.Fail)
	ginkgo.RunSpecs(t, "specs")
}

// Where a newer Ginkgo keeps its tree elsewhere, suites with many specs get slow and nothing else says so.
var _ = ginkgo.It("knows where Ginkgo keeps the tree", func(ctx ginkgo.SpecContext) {
	in, err := inside(ctx)
	if err != nil {
		ginkgo.Fail(err.Error())
	}
	Expect(in.layout).NotTo(BeNil())
})
