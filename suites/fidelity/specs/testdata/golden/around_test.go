package golden

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

type key string

var _ = Describe("around", Label("around"), AroundNode(func(ctx context.Context, body func(context.Context)) {
	GinkgoWriter.Println("container: before")
	body(context.WithValue(ctx, key("container"), "c"))
	GinkgoWriter.Println("container: after")
}), func() {
	BeforeEach(func(ctx SpecContext) {
		GinkgoWriter.Println("set-up", ctx.Value(key("container")), ctx.Value(key("node")))
	})
	It("has values", AroundNode(func(ctx context.Context) context.Context { return context.WithValue(ctx, key("node"), "n") }),
		func(ctx SpecContext) {
			DeferCleanup(func(ctx SpecContext) {
				GinkgoWriter.Println("clean-up", ctx.Value(key("container")), ctx.Value(key("node")))
			})
			Expect(ctx.Value(key("container"))).To(Equal("c"))
			Expect(ctx.Value(key("node"))).To(Equal("n"))
		})
	It("fails around", AroundNode(func() { Fail("around") }), func() { Fail("never") })
	It("fails after", AroundNode(func(ctx context.Context, body func(context.Context)) { body(ctx); Fail("after") }), func() {})
	It("is not called", AroundNode(func(context.Context, func(context.Context)) {}), func() { Fail("never") })
	It("gets no context", AroundNode(func(_ context.Context, body func(context.Context)) { body(context.Background()) }), func() { Fail("never") })
	It("is cancelled", AroundNode(func(ctx context.Context, body func(context.Context)) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		body(ctx)
	}), func(ctx SpecContext) { Expect(ctx.Err()).NotTo(HaveOccurred()) })
	Describe("Ordered", Ordered, AroundNode(func() { GinkgoWriter.Println("ordered") }), func() {
		BeforeAll(func() { DeferCleanup(func() { GinkgoWriter.Println("clean-up") }) })
		It("is first", func() {})
		It("is last", func() {})
	})
})
