package golden

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("timeouts", Label("timeouts"), func() {
	AfterEach(func() { GinkgoWriter.Println("AfterEach") })
	It("ends in time", func(ctx SpecContext) { Expect(ctx.Err()).NotTo(HaveOccurred()) }, NodeTimeout(time.Minute))
	It("ends when its time is out", func(ctx SpecContext) {
		<-ctx.Done()
		GinkgoWriter.Println(context.Cause(ctx))
	}, NodeTimeout(tick))
	It("fails when its time is out", func(ctx SpecContext) {
		By("waiting")
		<-ctx.Done()
		Fail("because " + context.Cause(ctx).Error())
	}, NodeTimeout(tick))
	It("is polled when its time is out", func(ctx SpecContext) {
		Eventually(ctx, func() int { return 1 }).Should(Equal(2))
	}, SpecTimeout(tick))
	It("panics when its time is out", func(ctx context.Context) { <-ctx.Done(); panic("late") }, SpecTimeout(tick))
	It("skips when its time is out", func(ctx context.Context) { <-ctx.Done(); Skip("late") }, SpecTimeout(tick))
	It("never ends", func(SpecContext) {
		DeferCleanup(func() { GinkgoWriter.Println("cleaned up") })
		select {}
	}, NodeTimeout(tick), GracePeriod(tick))
	It("is the one after", func() {})
	Describe("of set-up", func() {
		BeforeEach(func(ctx SpecContext) { <-ctx.Done() }, NodeTimeout(tick))
		It("does not run", func() { Fail("never") })
	})
	Describe("of tear-down", func() {
		AfterEach(func(ctx SpecContext) { <-ctx.Done(); Fail("in AfterEach") }, NodeTimeout(tick))
		It("fails twice", func() { Fail("on purpose") })
		It("fails", func() {})
	})
	Describe("of a spec as a whole", func() {
		BeforeEach(func(ctx SpecContext) { <-ctx.Done() })
		It("ends in BeforeEach", func(SpecContext) { Fail("never") }, SpecTimeout(tick))
	})
	Describe("of an Ordered container", Ordered, func() {
		It("is first", func() {})
		It("never ends", func(SpecContext) { select {} }, NodeTimeout(tick), GracePeriod(tick))
		It("is skipped", func() {})
		AfterAll(func() { GinkgoWriter.Println("AfterAll") })
	})
	Describe("of an Ordered container that continues", Ordered, ContinueOnFailure, func() {
		It("ends late", func(ctx SpecContext) { <-ctx.Done() }, NodeTimeout(tick))
		It("runs", func() {})
	})
	It("calls back", func(ctx SpecContext) {
		DeferOnFailure(func() { GinkgoWriter.Println("called back") })
		<-ctx.Done()
	}, NodeTimeout(tick))
})

func init() {
	switch scene {
	case "waiting": // for signals, and for the suite's timeout
		Describe("waiting", Label("waiting"), Ordered, ContinueOnFailure, func() {
			AfterEach(func() { GinkgoWriter.Println("AfterEach") })
			It("waits", func(ctx SpecContext) {
				DeferCleanup(func() { GinkgoWriter.Println("cleaned up") })
				By("waiting")
				print("now waiting\n")
				<-ctx.Done()
				GinkgoWriter.Println(context.Cause(ctx))
			})
			It("does not run", func() {})
		})
	case "stuck":
		Describe("stuck", Label("waiting"), func() {
			It("is stuck", func() {
				DeferCleanup(func(ctx SpecContext) {
					GinkgoWriter.Println("cleaning up")
					print("now cleaning up\n")
					<-ctx.Done()
				})
				print("now waiting\n")
				select {}
			})
			It("does not run", func() {})
		})
	}
}
