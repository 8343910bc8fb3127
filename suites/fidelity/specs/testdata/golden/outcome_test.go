package golden

import (
	"errors"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// tick is a short time, for timeouts that are to run out.
// tick is how long a node has that is to run out of time: enough to come to where it waits for that, on a busy machine too.
const tick = 300 * time.Millisecond

var _ = Describe("outcomes", Label("outcomes"), func() {
	It("passes", func() {})
	It("fails", func() { Fail("on purpose") })
	It("fails in a helper", func() { helper("in a helper") })
	It("fails an assertion", func() { Expect([]string{"a"}).To(ConsistOf("b"), "what is %s", "expected") })
	It("fails in time", func() { Eventually(func() int { return 1 }, tick).Should(Equal(2)) })
	It("panics", func() { panic("on purpose") })
	It("panics with an error", func() { panic(fmt.Errorf("on purpose: %w", errors.ErrUnsupported)) })
	It("panics with nil", func() { panic(nil) })
	It("dereferences nil", func() {
		var p *time.Time
		GinkgoWriter.Println(p.String())
	})
	It("skips", func() { Skip("on purpose") })
	PIt("is pending", func() { Fail("never") })
	PIt("is pending too")
	It("fails on another goroutine", func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer GinkgoRecover()
			Fail("on another goroutine")
		}()
		<-done
		By("going on")
	})
	It("fails twice", func() {
		DeferCleanup(func() { Fail("for the second time") })
		Fail("for the first time")
	})
	It("makes its report fail", func() {})
	It("says lines\nand more", func() { Fail("first\nsecond") })
	It("fails with an offset", func() { offset() })
	elsewhere := func() { It("has the location of its helper's caller", Offset(1), func() { Fail("here") }) }
	elsewhere()

	for _, kind := range []string{"BeforeEach", "JustBeforeEach", "It", "JustAfterEach", "AfterEach", "DeferCleanup", "DeferOnFailure"} {
		for end, how := range ends {
			Describe(fmt.Sprintf("%s that ends by %s", kind, how), func() {
				at := func(node string) {
					GinkgoWriter.Println(node)
					if node == kind {
						endings[end](node)
					}
				}
				BeforeEach(func() { at("BeforeEach") })
				JustBeforeEach(func() { at("JustBeforeEach") })
				JustAfterEach(func() { at("JustAfterEach") })
				AfterEach(func() { at("AfterEach") })
				It("is in the report", func() {
					DeferCleanup(at, "DeferCleanup")
					DeferOnFailure(at, "DeferOnFailure")
					at("It")
					if kind == "DeferOnFailure" {
						Fail("so that the callback runs")
					}
				})
			})
		}
	}
})

// ends are the names of endings, in order.
var ends = []string{"fail", "panic", "skip", "error"}

var endings = []func(string){
	0: func(node string) { Fail("in " + node) },
	1: func(node string) { panic("in " + node) },
	2: func(node string) { Skip("in " + node) },
	3: func(node string) { Expect(errors.New("in " + node)).NotTo(HaveOccurred()) },
}

func helper(text string) {
	GinkgoHelper()
	Expect(text).To(BeEmpty())
}

func offset() { Fail("one frame up", 1) }

// Several at one place with one text.
var _ = Describe("duplicates", Label("outcomes"), func() {
	for i := range 4 {
		It("is at the same place", func() { Expect(i).NotTo(Equal(2)) })
	}
	for i := range 3 {
		Context("at the same place", func() {
			BeforeEach(func() { GinkgoWriter.Println("before", i) })
			It("is in another container", func() { Expect(i).NotTo(Equal(1)) })
		})
	}
})

func init() {
	if scene == "abort" {
		Describe("aborting", Label("abort"), Serial, func() {
			It("is before", func() {})
			It("aborts", func() {
				DeferCleanup(func() { GinkgoWriter.Println("cleaned up") })
				AbortSuite("enough")
			})
			It("is after", func() {})
		})
	}
}
