package golden

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
)

// attempt is which one this is: nothing else tells a process of its own.
func attempt() int { return CurrentSpecReport().NumAttempts }

var _ = Describe("attempts", Label("attempts"), func() {
	BeforeEach(func() { GinkgoWriter.Println("attempt", attempt()) })
	It("passes at last", FlakeAttempts(3), func() {
		fmt.Println("printed in attempt", attempt())
		By(fmt.Sprint("trying ", attempt()))
		AddReportEntry(fmt.Sprint("entry ", attempt()))
		DeferCleanup(func() { GinkgoWriter.Println("cleaned up") })
		if attempt() < 3 {
			Fail(fmt.Sprint("attempt ", attempt()))
		}
	})
	It("never passes", FlakeAttempts(2), func() { Fail(fmt.Sprint("attempt ", attempt())) })
	It("panics first", FlakeAttempts(2), func() {
		if attempt() == 1 {
			panic("on purpose")
		}
	})
	It("skips in the second", FlakeAttempts(3), func() {
		if attempt() == 2 {
			Skip("on purpose")
		}
		Fail("on purpose")
	})
	It("passes repeatedly", MustPassRepeatedly(3), func() {})
	It("does not pass repeatedly", MustPassRepeatedly(3), func() {
		if attempt() == 2 {
			Fail("the second time")
		}
	})
	Describe("of an Ordered container", Ordered, FlakeAttempts(2), func() {
		BeforeAll(func() {
			GinkgoWriter.Println("BeforeAll", attempt())
			DeferCleanup(func() { GinkgoWriter.Println("clean-up of BeforeAll") })
		})
		AfterAll(func() { GinkgoWriter.Println("AfterAll") })
		It("is first", func() {})
		It("fails first", func() {
			if attempt() == 1 {
				Fail("the first time")
			}
		})
		It("is last", func() {})
	})
	Describe("of BeforeAll", Ordered, FlakeAttempts(2), func() {
		BeforeAll(func() {
			DeferCleanup(func() { GinkgoWriter.Println("clean-up of BeforeAll") })
			if attempt() == 1 {
				Fail("the first time")
			}
		})
		It("runs", func() {})
	})
})
