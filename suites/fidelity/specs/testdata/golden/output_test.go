package golden

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	. "github.com/onsi/gomega"
)

type measured struct {
	Name  string
	Count int
	inner string
}

type coloured struct{ Text string }

func (c coloured) ColorableString() string { return "{{red}}" + c.Text + "{{/}}" }

type stringer int

func (s stringer) String() string { return strings.Repeat("*", int(s)) }

var _ = Describe("output", Label("output"), func() {
	It("takes steps", func() {
		By("taking one")
		GinkgoWriter.Println("between")
		By("taking one with a callback", func() {
			GinkgoWriter.Println("in the callback")
			By("taking one inside")
		})
		By("failing", func() { Fail("in a step") })
	})
	It("makes entries", func() {
		for visibility, name := range map[ReportEntryVisibility]string{ReportEntryVisibilityAlways: "always"} {
			AddReportEntry(name, visibility)
		}
		AddReportEntry("none")
		AddReportEntry("nil", nil)
		AddReportEntry("text", "value")
		AddReportEntry("number", 17, ReportEntryVisibilityFailureOrVerbose)
		AddReportEntry("struct", measured{"a", 1, "hidden"}, ReportEntryVisibilityNever)
		AddReportEntry("map", map[string][]int{"a": {1, 2}})
		AddReportEntry("coloured", coloured{"red"})
		AddReportEntry("stringer", stringer(3))
		AddReportEntry("multi", "a\nb\n")
		AddReportEntry("elsewhere", Offset(1), "value")
		AddReportEntry("error", fmt.Errorf("an error"))
	})
	It("changes entries", func() {
		m := &measured{Name: "before"}
		AddReportEntry("pointer", m)
		c := &coloured{"before"}
		AddReportEntry("coloured pointer", c)
		m.Name = "after"
		DeferCleanup(func() { m.Count, c.Text = 2, "after" })
	})
	It("makes entries everywhere", func() {
		DeferCleanup(func() { AddReportEntry("in a clean-up", 1) })
		done := make(chan struct{})
		go func() { defer close(done); AddReportEntry("on another goroutine", 2); By("another goroutine's step") }()
		<-done
	})
	It("prints", func() {
		fmt.Println("to standard output")
		fmt.Fprintln(os.Stderr, "to standard error")
		fmt.Print("without an end")
		GinkgoWriter.Print("to the writer")
		GinkgoWriter.Printf(" %s {{red}}literally{{/}}\n", "formatted")
	})
	It("prints by a child", func() {
		cmd := exec.Command("sh", "-c", "echo by a child")
		cmd.Stdout, cmd.Stderr = GinkgoWriter, GinkgoWriter
		Expect(cmd.Run()).To(Succeed())
	})
	It("prints when it fails", func() {
		fmt.Println("to standard output")
		GinkgoWriter.Println("to the writer")
		Fail("on purpose")
	})
	It("prints much", func() {
		for i := range 2000 {
			GinkgoWriter.Println("line", i)
		}
		fmt.Println(strings.Repeat("much ", 20000))
	})
	It("tees", func() {
		var b strings.Builder
		GinkgoWriter.TeeTo(&b)
		defer GinkgoWriter.ClearTeeWriters()
		GinkgoWriter.Println("teed")
		Expect(b.String()).To(Equal("teed\n"))
	})
	It("logs", func() {
		GinkgoLogr.Info("structured", "key", "value")
		GinkgoWriter.Println("no colours:", GinkgoT().F("{{red}}x{{/}}"))
	})
	It("uses GinkgoT", func() {
		t := GinkgoT()
		t.Log("logged", t.Name())
		t.Setenv("GOLDEN_VARIABLE", "set")
		Expect(os.Getenv("GOLDEN_VARIABLE")).To(Equal("set"))
		Expect(t.TempDir()).To(BeADirectory())
		t.Cleanup(func() { GinkgoWriter.Println("cleaned up") })
		t.Error("an error")
	})
	It("uses GinkgoTB", func() {
		t := GinkgoTB()
		t.Helper()
		t.Logf("logged %d", 1)
		t.Chdir(t.TempDir())
		GinkgoWriter.Println(t.Context().Err(), t.Failed(), t.Skipped())
		t.Fail()
	})
	It("skips by GinkgoT", func() { GinkgoT().Skip("on purpose") })
	It("fails now by GinkgoT", func() { GinkgoT().FailNow() })
	It("says where it is", func() {
		r := CurrentSpecReport()
		GinkgoWriter.Println(r.FullText(), r.ParallelProcess == GinkgoParallelProcess(), r.RunningInParallel, r.Labels(), r.LeafNodeLocation.LineNumber,
			r.ContainerHierarchyTexts, r.State, r.NumAttempts, r.MaxFlakeAttempts, r.IsSerial)
		GinkgoWriter.Println(GinkgoRandomSeed(), GinkgoLabelFilter(), GinkgoSemVerFilter())
		printConfiguration()
	})
	It("says that it has failed", func() {
		DeferCleanup(func() {
			GinkgoWriter.Println("clean-up", CurrentSpecReport().Failed(), CurrentSpecReport().Failure.Message)
		})
		Fail("on purpose")
	})
	Describe("its AfterEach", func() {
		AfterEach(func() {
			r := CurrentSpecReport()
			GinkgoWriter.Println(r.State, r.Failed(), r.Failure.Message, len(r.ReportEntries), r.CapturedGinkgoWriterOutput)
		})
		It("knows of a failure", func() { AddReportEntry("one", 1); GinkgoWriter.Println("said"); Fail("on purpose") })
		It("knows of none", func() {})
		It("knows of a skip", func() { Skip("on purpose") })
	})
	Describe("reporting", func() {
		ReportBeforeEach(func(r SpecReport) { GinkgoWriter.Println("report before", r.LeafNodeText, r.State) })
		ReportAfterEach(func(r SpecReport) {
			GinkgoWriter.Println("report after", r.LeafNodeText, r.State, r.Failure.Message, len(r.SpecEvents))
			AddReportEntry("by the report", r.NumAttempts)
		})
		It("is reported", func() { By("a step") })
		It("is reported as failed", func() { Fail("on purpose") })
		PIt("is reported as pending", func() {})
	})
	Describe("whose report fails first", func() {
		ReportBeforeEach(func(r SpecReport) {
			if r.State != types.SpecStateSkipped {
				Fail("the report fails")
			}
		})
		It("does not run", func() { Fail("never") })
	})
	Describe("whose report fails first, in an Ordered container", Ordered, func() {
		ReportBeforeEach(func(r SpecReport) {
			if r.LeafNodeText == "does not run" && r.State != types.SpecStateSkipped {
				Fail("the report fails")
			}
		})
		AfterAll(func() { GinkgoWriter.Println("AfterAll") })
		It("is first", func() {})
		It("does not run", func() { Fail("never") })
		It("is skipped", func() {})
	})
})

var _ = Describe("labels", Label("labels", "other:value"), SpecPriority(3), func() {
	It("has labels", Label("mine"), SemVerConstraint(">= 1.2.0"), func() {})
	It("is for old versions", SemVerConstraint("< 1.2.0"), func() {})
	It("has components", ComponentSemVerConstraint("db", "> 2.0.0"), func() {})
	It("has decorators in a slice", []any{Label("slice"), []any{Label("deep")}}, func() {})
})

func init() {
	if scene == "focus passes" {
		FIt("is focused and passes", func() {})
	}
	if scene == "focus" {
		Describe("focused", func() {
			FIt("is focused", func() {})
			It("is not", func() {})
			FDescribe("container", func() {
				It("is focused with it", func() {})
				FIt("is the only one", func() {})
			})
		})
		FDescribe("all", Ordered, func() {
			BeforeAll(func() {})
			It("one", func() {})
			It("two", func() {})
		})
		FIt("is focused at the top", func() {})
	}
}

var _ = Describe("progress", Label("progress"), func() {
	It("attaches reporters", func(ctx SpecContext) {
		detach := ctx.AttachProgressReporter(func() string { return "first" })
		ctx.AttachProgressReporter(func() string { return "second" })
		off := AttachProgressReporter(func() string { return "global" })
		DeferCleanup(off)
		detach()
		By("waiting")
		<-ctx.Done()
	}, NodeTimeout(tick))
	It("is polled", func(ctx SpecContext) {
		By("being slow")
		<-ctx.Done()
	}, PollProgressAfter(4*tick), PollProgressInterval(time20), NodeTimeout(6*tick))
})

const time20 = 20 * tick

var _ = Describe("coverage", Label("coverage"), func() {
	It("covers one statement", func() { Expect(Sign(1)).To(Equal("positive")) })
	It("covers another one", func() { Expect(Sign(-1)).To(Equal("negative")) })
})

// printConfiguration prints what Ginkgo says of the suite's configuration.
func printConfiguration() {
	suite, reporter := GinkgoConfiguration()
	suite.ParallelHost, suite.Timeout = "", suite.Timeout.Round(time.Minute) // the ginkgo command gives what is left of it
	GinkgoWriter.Printf("%+v %v %v\n", suite, reporter.Verbosity(), reporter.FullTrace)
}
