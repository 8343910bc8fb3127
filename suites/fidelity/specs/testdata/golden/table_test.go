package golden

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("tables", Label("tables"), func() {
	DescribeTable("adding", func(a, b, sum int) { Expect(a + b).To(Equal(sum)) },
		Entry("small", 1, 2, 3),
		Entry("wrong", 1, 2, 4),
		Entry(nil, 2, 2, 4),
		Entry(func(a, b, sum int) string { return fmt.Sprintf("%d and %d", a, b) }, 2, 3, 5),
		Entry(EntryDescription("%d + %d = %d"), 3, 3, 6),
		Entry("labelled", Label("entry"), 3, 4, 7),
		PEntry("pending", 1, 1, 1),
	)
	DescribeTable("with a context", func(ctx SpecContext, text string) { Expect(ctx.SpecReport().LeafNodeText).To(Equal(text)) },
		Entry("right", "right", NodeTimeout(60*tick)),
		Entry("wrong", "right"),
	)
	DescribeTable("with too few parameters", func(a, b int) {}, Entry("one", 1))
	DescribeTable("with nil", func(err error) { Expect(err).NotTo(HaveOccurred()) }, Entry("nil", nil))
	DescribeTableSubtree("subtree", func(n int) {
		var m int
		BeforeEach(func() { m = n; DeferCleanup(func() { GinkgoWriter.Println("cleaned up", n) }) })
		It("is as many", func() { Expect(m).To(Equal(n)) })
		It("is even", func() { Expect(m % 2).To(BeZero()) })
	},
		Entry("one", 1),
		Entry("two", 2),
		Entry("two", 2),
	)
})
