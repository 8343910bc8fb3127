package golden

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("ordered", Label("ordered"), func() {
	note := func(text string) func() { return func() { GinkgoWriter.Println(text) } }
	Describe("that passes", Ordered, func() {
		var state []string
		BeforeAll(func() { state = append(state, "all") })
		BeforeEach(func() { state = append(state, "each") })
		AfterEach(note("AfterEach"))
		AfterAll(func() { Expect(state).To(HaveLen(4)) })
		It("is first", func() { Expect(state).To(Equal([]string{"all", "each"})) })
		It("sees what the first did", func() { Expect(state).To(Equal([]string{"all", "each", "each"})) })
		PIt("is pending", func() {})
		It("is last", func() { Expect(state).To(HaveLen(4)) })
	})
	Describe("that fails", Ordered, func() {
		It("is first", func() {})
		It("fails", func() { Fail("on purpose") })
		It("is skipped", func() {})
		AfterAll(note("AfterAll"))
	})
	Describe("that continues", Ordered, ContinueOnFailure, func() {
		It("fails", func() { Fail("on purpose") })
		It("runs", func() {})
		It("panics", func() { panic("on purpose") })
		AfterAll(func() { Fail("at the end") })
	})
	Describe("whose BeforeAll fails", Ordered, func() {
		BeforeAll(func() { DeferCleanup(note("clean-up")); Fail("on purpose") })
		AfterAll(note("AfterAll"))
		It("does not run", func() {})
		It("is skipped", func() {})
	})
	Describe("whose BeforeAll fails and continues", Ordered, ContinueOnFailure, func() {
		BeforeAll(func() { Fail("on purpose") })
		It("does not run", func() {})
		It("is skipped", func() {})
	})
	Describe("whose BeforeAll skips", Ordered, func() {
		BeforeAll(func() { Skip("on purpose") })
		AfterAll(note("AfterAll"))
		It("is skipped", func() {})
		It("is skipped too", func() {})
	})
	Describe("whose AfterAll fails", Ordered, func() {
		AfterAll(func() { Fail("at the end") })
		It("is first", func() {})
		It("is last", func() {})
	})
	Describe("in which one skips", Ordered, func() {
		It("skips", func() { Skip("on purpose") })
		It("runs", func() {})
	})
	Describe("once", func() {
		BeforeEach(note("once before"), OncePerOrdered)
		JustBeforeEach(note("once just before"), OncePerOrdered)
		AfterEach(note("once after"), OncePerOrdered)
		JustAfterEach(note("once just after"), OncePerOrdered)
		It("is for a spec alone", func() {})
		Describe("for all", Ordered, func() {
			BeforeEach(note("before each"))
			It("is first", func() {})
			It("is last", func() {})
		})
	})
	Describe("nested", Ordered, func() {
		BeforeAll(note("outer"))
		It("is in the outer", func() {})
		Describe("inner", Ordered, func() {
			BeforeAll(note("inner"))
			AfterAll(note("end of inner"))
			It("is in the inner", func() {})
			It("is in the inner too", func() {})
		})
		Describe("not ordered", func() {
			BeforeEach(note("each"))
			It("is in the other", func() {})
		})
		AfterAll(note("end of outer"))
	})
	Describe("serial", Serial, func() {
		It("is alone", func() { Expect(CurrentSpecReport().IsSerial).To(BeTrue()) })
	})
	DescribeTable("as a table", func(a, b int) { GinkgoWriter.Println(a, b); Expect(a).To(BeNumerically("<=", b)) }, Ordered,
		Entry("one", 1, 2), Entry("two", 2, 1), Entry("three", 1, 1))
})
