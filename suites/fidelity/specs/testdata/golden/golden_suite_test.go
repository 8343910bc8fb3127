// Package golden is specs that use all that Ginkgo has. The suite is run twice, by ginkgo.RunSpecs and by
// nstest.RunSpecs, and both have to report the same.
package golden

import (
	"fmt"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	. "github.com/onsi/gomega"
)

// scene is which of the things is part of the tree that a suite can have only one of, or that end it.
var scene = os.Getenv("GOLDEN_SCENE")

func TestGolden(t *testing.T) {

	RegisterFailHandler(Fail)
	if scene == "previewed" {
		fmt.Println(len(PreviewSpecs("Golden").SpecReports), "specs")
	}
	runSpecs(t, "Golden", Label("golden"), AroundNode(func() { GinkgoWriter.Println("around every node") }))
}

var _ = ReportBeforeSuite(func(r Report) { fmt.Println("before", r.SuiteDescription, r.PreRunStats.TotalSpecs) })

var _ = ReportAfterSuite("the end", func(r Report) {
	fmt.Println("after", r.SuiteDescription, len(r.SpecReports), r.SuiteSucceeded)
})

var _ = ReportAfterEach(func(r SpecReport) {
	if r.LeafNodeText == "makes its report fail" && r.State.Is(types.SpecStatePassed) {
		Fail("the report fails")
	}
	for _, e := range r.ReportEntries {
		AddReportEntry("seen", e.Name+": "+e.StringRepresentation(), ReportEntryVisibilityFailureOrVerbose)
	}
})

// set is what BeforeSuite has set up.
var set string

func init() {
	switch scene {
	case "", "previewed":
		BeforeSuite(func() {
			set = "by BeforeSuite"
			DeferCleanup(func() { GinkgoWriter.Println("cleaned up after BeforeSuite") })
			By("setting up")
			printConfiguration()
			GinkgoWriter.Println("set up")
		})
		AfterSuite(func(SpecContext) { GinkgoWriter.Println("torn down", set) })
	case "BeforeSuite fails":
		BeforeSuite(func() {
			DeferCleanup(func() { Fail("the clean-up fails too") })
			DeferOnFailure(func() { GinkgoWriter.Println("on failure of BeforeSuite") })
			Fail("no luck")
		})
		AfterSuite(func() { panic("torn down nevertheless") })
	case "BeforeSuite skips":
		BeforeSuite(func() { Skip("no need") })
	case "BeforeSuite panics":
		BeforeSuite(func() { panic("no luck") })
	case "BeforeSuite times out":
		BeforeSuite(func(ctx SpecContext) { <-ctx.Done() }, NodeTimeout(8*tick))
	case "BeforeSuite is slow":
		BeforeSuite(func() { <-time.After(1500 * time.Millisecond) })
		It("is in time", Label("slow"), func(SpecContext) {}, SpecTimeout(time.Second))
		It("tries again in time", Label("slow"), FlakeAttempts(2), func(SpecContext) {
			if attempt() == 1 {
				Fail("the first time")
			}
		}, SpecTimeout(time.Second))
	case "in process":
		BeforeSuite(func() { set = "by BeforeSuite"; GinkgoWriter.Println("set up") })
		AfterSuite(func() { GinkgoWriter.Println("torn down", set) })
		Describe("container", append([]any{Label("in process"), AroundNode(func() { GinkgoWriter.Println("around") }), func() {
			BeforeEach(func() { DeferCleanup(func() { GinkgoWriter.Println("cleaned up", set) }) })
			It("passes", func() { By("a step"); AddReportEntry("entry", 1) })
			It("fails", func() { Fail("on purpose") })
			Describe("ordered", Ordered, func() {
				BeforeAll(func() { set = "by BeforeAll"; DeferCleanup(func() { panic("at the end") }) })
				It("is first", func() { set += " and the first" })
				It("is last", func() { GinkgoWriter.Println(set) })
			})
		}}, inProcess...)...)
		It("is inside", Label("in process"), func() { GinkgoWriter.Println(set[:3]); Expect(set).To(HavePrefix("by")) })
	case "BeforeSuite in process":
		BeforeSuite(func() {
			DeferCleanup(func() { GinkgoWriter.Println("cleaned up after BeforeSuite") })
			GinkgoWriter.Println("set up")
		}, inProcess...)
		AfterSuite(func() { Fail("the end fails") })
	case "AfterSuite fails":
		AfterSuite(func() {
			DeferCleanup(func() error { return fmt.Errorf("the clean-up fails too") })
			Fail("the end fails")
		})
	case "synchronized":
		SynchronizedBeforeSuite(func(SpecContext) []byte {
			GinkgoWriter.Println("made")
			DeferCleanup(func() { fmt.Println("cleaned up what was made") })
			return []byte("made once")
		}, func(_ SpecContext, data []byte) {
			set = string(data)
			DeferCleanup(func() { GinkgoWriter.Println("cleaned up", set) })
		})
		SynchronizedAfterSuite(func() { GinkgoWriter.Println("torn down", set) }, func(SpecContext) { fmt.Println("torn down for all") })
	case "synchronized set-up fails":
		SynchronizedBeforeSuite(func() {}, func() { Fail("no luck") })
		SynchronizedAfterSuite(func() {}, func() { Fail("the end fails") })
	case "set-up for all fails":
		SynchronizedBeforeSuite(func() []byte { Fail("no luck"); return nil }, func([]byte) {})
	}
}

var _ = Describe("set-up", Label("suite"), func() {
	BeforeEach(func() {
		if set == "" {
			Skip("nothing is set up")
		}
	})
	It("is there", func() { GinkgoWriter.Println("set", set); Expect(set).NotTo(BeEmpty()) })
	It("is there for the next one", func() { Expect(set).NotTo(BeEmpty()) })
})
