package golden

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
)

// Nodes outside of containers are constructed before main, and BeforeEach at the top level is for all specs.

var _ = BeforeEach(func() {
	GinkgoWriter.Println("at the top")
	DeferCleanup(func() { GinkgoWriter.Println("cleaned up at the top") })
})

var _ = AfterEach(func() {
	if CurrentSpecReport().LeafNodeText == "fails in the AfterEach at the top" {
		Fail("at the top")
	}
})

var (
	_ = It("is at the top", Label("top"), func() { fmt.Println("printed at the top") })
	_ = It("fails at the top", Label("top"), func() { Fail("on purpose") })
	_ = It("fails in the AfterEach at the top", Label("top"), func() {})
	_ = PIt("is pending at the top", Label("top"), func() {})
)

func init() {
	for i := range 3 {
		It("is one of several at the top", Label("top"), func() {
			if i == 1 {
				Fail("the second")
			}
		})
	}
}
