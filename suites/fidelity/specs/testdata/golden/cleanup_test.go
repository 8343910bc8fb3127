package golden

import (
	"context"
	"errors"

	. "github.com/onsi/ginkgo/v2"
)

var _ = Describe("clean-up", Label("cleanup"), func() {
	note := func(text string) { GinkgoWriter.Println(text) }
	It("runs in reverse order", func() {
		DeferCleanup(note, "third")
		DeferCleanup(note, "second")
		DeferCleanup(note, "first")
	})
	It("fails several times", func() {
		DeferCleanup(func() { Fail("the third") })
		DeferCleanup(func() error { return errors.New("the second") })
		DeferCleanup(func() (int, error) { return 1, nil })
		DeferCleanup(func() { panic("the first") })
	})
	It("has a context", func(SpecContext) {
		DeferCleanup(func(ctx SpecContext, text string) { note(text + " " + ctx.SpecReport().LeafNodeText) }, "by")
		DeferCleanup(func(ctx context.Context) { note(ctx.Err().Error()) }, NodeTimeout(tick)) // panics
		DeferCleanup(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, NodeTimeout(tick))
	})
	It("registers on other goroutines", func() {
		for range 3 {
			done := make(chan struct{})
			go func() {
				defer close(done)
				DeferCleanup(note, "on another goroutine")
			}()
			<-done
		}
	})
	It("has callbacks for failures", func() {
		DeferOnFailure(note, "second")
		DeferOnFailure(func(SpecContext) { note("first"); Fail("in the callback") }, NodeTimeout(tick))
		DeferCleanup(note, "last")
		Fail("on purpose")
	})
	It("does not call back without a failure", func() { DeferOnFailure(note, "never") })
	It("calls back for a failure of a clean-up", func() {
		DeferOnFailure(note, "called back")
		DeferCleanup(func() { Fail("in a clean-up") })
		DeferCleanup(note, "before")
	})
	Describe("of set-up", func() {
		BeforeEach(func() { DeferCleanup(note, "of BeforeEach"); DeferOnFailure(note, "of BeforeEach") })
		JustBeforeEach(func() { DeferCleanup(note, "of JustBeforeEach") })
		AfterEach(func() { DeferCleanup(note, "of AfterEach") })
		It("runs", func() { DeferCleanup(note, "of It") })
		It("runs after a failure", func() { DeferCleanup(note, "of It"); Fail("on purpose") })
	})
	Describe("of an Ordered container", Ordered, func() {
		BeforeAll(func() {
			DeferCleanup(func(SpecContext) { note("of BeforeAll") })
			DeferCleanup(func() error { return errors.New("fails at the end") })
			DeferOnFailure(note, "of BeforeAll")
		})
		AfterAll(func() { DeferCleanup(note, "of AfterAll") })
		It("is first", func() { DeferCleanup(note, "of the first") })
		It("is second", func() { DeferCleanup(note, "of the second") })
		It("is last", func() {})
	})
	Describe("of a failing Ordered container", Ordered, func() {
		BeforeAll(func() { DeferOnFailure(note, "of BeforeAll"); DeferCleanup(note, "of BeforeAll") })
		It("is first", func() {})
		It("fails", func() { Fail("on purpose") })
		It("is skipped", func() {})
	})
})
