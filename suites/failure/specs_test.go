package failure

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hermetic-go/nstest/suites/internal/testprogram"
	"github.com/onsi/ginkgo/v2/reporters"
	"github.com/onsi/ginkgo/v2/types"
)

var specs = testprogram.New("testdata/specs")

// outcome is what a reader learns of a spec that failed.
type outcome struct {
	State    string
	Where    string // the node that failed
	Message  string // its first line
	Contains string // is in the message, if it is not ""
}

// broken are the specs of testdata/specs, and what is said of each. Only those fail that are broken.
var broken = map[string]outcome{
	"a spec that exits": {"failed", "It", "the process of this spec has ended before the spec: exit status 7", "last words"},
	"a spec that exits while it is set up never runs": {"failed", "BeforeEach", "the process of this spec has ended before the spec: exit status 8", ""},
	"a spec that exits while it is cleaned up":        {"failed", "DeferCleanup (Each)", "the process of this spec has ended before the spec: exit status 9", ""},
	"a spec that panics on a goroutine of its own":    {"failed", "It", "the process of this spec has ended before the spec: exit status 2", "panic: nobody recovers this"},
	"a spec that writes where it must not":            {"failed", "It", "the process of this spec has ended before the spec: exit status 2", "SIGSEGV"},
	"a spec that kills itself":                        {"failed", "It", "the process of this spec has ended before the spec: signal: killed (which the kernel does too, when memory runs out)", ""},
	"a spec that kills everything that it sees":       {"failed", "It", "the process of this spec has ended before the spec: signal: terminated", ""},
	"a spec that breaks the runtime":                  {"failed", "It", "the process of this spec has ended before the spec: exit status 2", "fatal error: concurrent map writes"},
	"a spec that overflows its stack":                 {"failed", "It", "the process of this spec has ended before the spec: exit status 2", "goroutine stack exceeds"},
	"a spec that closes a file that is not its own":   {"failed", "It", "the process of this spec has ended before the spec: exit status 3", "has lost its connection to the suite's"},
	"a spec that stops for good":                      {"timedout", "It", "A node timeout occurred", ""},
	"a spec that leaves daemons and goroutines":       {State: "passed"},
	"a spec whose process ends before its first node": {"failed", "It", "the process of this spec has ended before the spec: exit status 11", ""},
	"a spec that is all right":                        {State: "passed"},
	"an Ordered container in which one spec exits":    {"failed", "It", "the process of this spec has ended before the spec: exit status 10", ""},
	"an Ordered container cannot run the next":        {"failed", "It", "the process of this Ordered container has ended in an earlier spec: exit status 10", ""},
	"runs after all of them":                          {State: "passed"},
}

func TestBrokenSpecsFailAlone(t *testing.T) {
	dir := t.TempDir()
	kept := t.TempDir()
	console, status := specs.Run(t, []string{"NSTEST_KEEP=" + kept},
		"-ginkgo.no-color", "-ginkgo.json-report="+dir+"/report.json", "-ginkgo.junit-report="+dir+"/report.xml")
	if status != 1 {
		t.Fatalf("exit status %d, want 1\n%s", status, console)
	}

	got := map[string]outcome{}
	for _, s := range readReport(t, dir+"/report.json") {
		o := outcome{State: s.State.String()}
		if s.Failed() {
			o.Where = s.Failure.FailureNodeType.String()
			o.Message, _, _ = strings.Cut(s.Failure.Message, "\n")
			o.Contains = broken[s.FullText()].Contains
			if !strings.Contains(s.Failure.Message, o.Contains) {
				t.Errorf("%s: %q is not in the message:\n%s", s.FullText(), o.Contains, s.Failure.Message)
			}
			if !strings.Contains(console, s.Failure.Location.String()) || !strings.Contains(console, o.Message) {
				t.Errorf("%s: its failure is not on the console", s.FullText())
			}
		}
		got[s.FullText()] = o
		// AfterEach runs unless the process has ended before.
		ended := o.State == "timedout" || strings.HasPrefix(o.Message, "the process of this") && o.Where != "DeferCleanup (Each)"
		if in := strings.HasPrefix(s.FullText(), "a spec that "); in && strings.Contains(s.CapturedGinkgoWriterOutput, "AfterEach has run") == ended {
			t.Errorf("%s: the process has ended: %v; AfterEach has run: %v", s.FullText(), ended, !ended)
		}
	}
	if diff := cmp.Diff(broken, got); diff != "" {
		t.Errorf("(-want +got)\n%s\n%s", diff, console)
	}

	// What was asked to be kept is: of those that have failed.
	if found, err := filepath.Glob(kept + "/*-a_spec_that_exits/files/tmp/evidence"); err != nil || len(found) != 1 {
		t.Errorf("files of a failed spec: %v, %v", found, err)
	}
	if found, err := filepath.Glob(kept + "/*-a_spec_that_is_all_right*"); err != nil || len(found) != 0 {
		t.Errorf("files of a spec that has passed: %v, %v", found, err)
	}

	var junit reporters.JUnitTestSuites
	decode(t, dir+"/report.xml", xml.Unmarshal, &junit)
	for _, c := range junit.TestSuites[0].TestCases {
		name, ok := strings.CutPrefix(c.Name, "[It] ")
		if !ok {
			continue
		}
		if want := broken[name]; want.State != "passed" && (c.Failure == nil || !strings.HasPrefix(c.Failure.Message, want.Message)) {
			t.Errorf("%s: JUnit says %+v, want %s", name, c.Failure, want.Message)
		}
	}
	if !regexp.MustCompile(`(?m)^FAIL! -- 3 Passed \| 14 Failed \| 0 Pending \| 0 Skipped$`).MatchString(console) {
		t.Errorf("the console does not say how many have failed:\n%s", console)
	}
}

// The first spec of a suite begins before anything is told of it.
func TestOrderedContainerThatBreaksFirst(t *testing.T) {
	report := t.TempDir() + "/report.json"
	console, status := specs.Run(t, nil, "-ginkgo.no-color", "-ginkgo.focus=an Ordered container", "-ginkgo.json-report="+report)
	if status != 1 {
		t.Fatalf("exit status %d, want 1\n%s", status, console)
	}
	ran := 0
	for _, s := range readReport(t, report) {
		if want := broken[s.FullText()].Message; s.State != types.SpecStateSkipped {
			ran++
			if s.Failure.Message != want {
				t.Errorf("%s: %q, want %q", s.FullText(), s.Failure.Message, want)
			}
		}
	}
	if ran != 2 {
		t.Errorf("%d specs have run, want 2\n%s", ran, console)
	}
}

func readReport(t *testing.T, path string) types.SpecReports {
	t.Helper()
	var reports []types.Report
	decode(t, path, json.Unmarshal, &reports)
	return reports[0].SpecReports
}

func decode[T any](t *testing.T, path string, unmarshal func([]byte, any) error, into *T) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = unmarshal(data, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}
