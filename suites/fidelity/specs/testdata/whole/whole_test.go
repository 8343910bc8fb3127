// Package whole is a suite of which no spec is left out, so that it is known which one is next. It is run by ginkgo.RunSpecs and by
// nstest.RunSpecs, and both have to report the same.
package whole

import (
	"fmt"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

func TestWhole(t *testing.T) {
	RegisterFailHandler(Fail)
	if os.Getenv("GOLDEN_NATIVE") == "1" {
		RunSpecs(t, "Whole")
		return
	}
	nstest.RunSpecs(t, "Whole")
}

// constructed counts the bodies of containers: a process runs each at most once.
var constructed = map[string]int{}

func construct(container string) { constructed[container]++ }

// specs registers n specs of which some fail: their locations are to be right.
func specs(container string, n int) {
	GinkgoHelper()
	construct(container)
	for i := range n {
		It(fmt.Sprint("is number ", i), Label(fmt.Sprint("label ", i%50)), func() {
			GinkgoWriter.Println("running", i)
			Expect(constructed[container]).To(Equal(1))
			Expect(i % 49).NotTo(Equal(48))
		})
	}
}

var _ = Describe("one container", Label("small"), func() {
	ReportBeforeEach(func(r SpecReport) { GinkgoWriter.Println("before", r.LeafNodeText) })
	It("is above", Offset(0), func() {})
	ReportAfterEach(func(r SpecReport) { AddReportEntry("after", r.State.String(), ReportEntryVisibilityFailureOrVerbose) })
	Describe("with another one", func() {
		It("is in between", func(ctx SpecContext) { Expect(ctx.SpecReport().LeafNodeText).To(Equal("is in between")) }, NodeTimeout(time.Minute))
		Describe("and another one", func() { specs("nested", 3) })
		BeforeEach(func() { DeferCleanup(func() { GinkgoWriter.Println("cleaned up") }) })
		It("is between too", func() { Fail("on purpose") })
	})
	It("is below", func() { By("a step") })
	Describe("in order", Ordered, func() {
		var n int
		BeforeAll(func() { n = 1 })
		It("is first", func() { n++ })
		It("is second", func() { Expect(n).To(Equal(2)) })
	})
	It("is after those in order", Serial, func() {})
	Describe("one that is elsewhere", nstest.With(nstest.Config{Hostname: "elsewhere"}), func() {
		It("has its hostname", func() { GinkgoWriter.Println("running") })
		It("has it too", func() { GinkgoWriter.Println("running") })
	})
	It("is in the suite's process", nstest.InProcess, func() { GinkgoWriter.Println("here") })
	It("comes after that", FlakeAttempts(2), func() {
		if CurrentSpecReport().NumAttempts == 1 {
			Fail("the first time")
		}
	})
	JustBeforeEach(func() { GinkgoWriter.Println("at last") })
	It("is the last", FlakeAttempts(2), func() { Fail("each time") })
})

var _ = Describe("an empty container", func() { construct("empty") })

var _ = Describe("a container with few", func() { specs("few", 2) })

var _ = It("is at the top", func() {})

var _ = DescribeTable("a table", Label("small"), func(a, b int) { Expect(a).To(Equal(b)) },
	Entry("right", 1, 1),
	Entry("wrong", 1, 2),
	Entry("right again", 2, 2),
)

// Of a big container it is known without that where the next spec is, most likely.
var _ = Describe("a big container", Label("big"), func() {
	specs("big", 150)
	AfterEach(func() { GinkgoWriter.Println("after each") })
})

// With AHEAD, a directory, there is a container whose first spec waits until a third process has constructed it: the suite's has,
// its own has, and the one for the next spec.
func init() {
	dir := os.Getenv("AHEAD")
	if dir == "" {
		return
	}
	shared := nstest.Config{Shared: []nstest.Shared{{Path: dir, AllowHostRoot: true}}}
	Describe("a container that is constructed ahead", Label("ahead"), nstest.With(shared), func() {
		f, err := os.CreateTemp(dir, "constructed")
		Expect(err).NotTo(HaveOccurred())
		Expect(f.Close()).To(Succeed())
		for i := range 100 {
			It(fmt.Sprint("has number ", i), func() {
				Eventually(os.ReadDir).WithArguments(dir).WithTimeout(time.Minute).Should(HaveLen(3))
			})
		}
	})
}
