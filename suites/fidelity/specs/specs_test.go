// Package specs compares a Ginkgo suite whose specs are hermetic with the same suite under ginkgo.RunSpecs: reports, text
// and exit status have to be the same.
package specs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/suites/internal/testprogram"
)

const dir = "testdata/golden"

// The golden suite, and the same without nstest in the program.
var (
	golden = testprogram.New(dir)
	bare   = testprogram.New(dir, "-tags=bare")
	racy   = testprogram.New(dir, "-race")
	cover  = testprogram.New(dir, "-cover")
)

// A suite of which no spec is left out.
var whole = testprogram.New("testdata/whole")

func TestMain(m *testing.M) {
	code := testprogram.Main(m, golden, bare, racy, cover, whole, refused)
	if err := os.RemoveAll(scratch()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// native makes the golden suite one of ginkgo.RunSpecs.
const native = "GOLDEN_NATIVE=1"

// soak is for what takes too long for every commit.
func soak(t *testing.T) {
	t.Helper()
	if os.Getenv("NSTEST_SOAK") == "" {
		t.Skip("this takes long\nWhat to do: set NSTEST_SOAK=1, as make soak does")
	}
}

// An outcome is all that is to be seen of a run.
type outcome struct {
	text, junit string
	report      []suiteReport
	code        int
}

// observe runs the suite. Orders of specs are the same each time.
func observe(t *testing.T, p *testprogram.Program, env []string, args ...string) outcome {
	t.Helper()
	into := t.TempDir()
	json, junit := filepath.Join(into, "report.json"), filepath.Join(into, "report.xml")
	flags := []string{"-test.timeout=5m", "-ginkgo.no-color", "-ginkgo.seed=7", "-ginkgo.json-report=" + json, "-ginkgo.junit-report=" + junit}
	var o outcome
	o.text, o.code = p.Run(t, env, append(flags, args...)...)
	o.report, o.junit = readReport(t, json), readText(junit)
	return o
}

// readText is empty for a file that is not there.
func readText(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}

// mode is a way to run the suite.
type mode struct {
	scene string
	flags string // separated by semicolons
	ran   string // what the text has to contain, so that the comparison is of something
	quiet bool   // goroutines are in the text, which are not the same: compare the reports alone
}

func (m mode) name() string { return strings.TrimSpace(m.scene + " " + m.flags) }

func (m mode) args() []string { return strings.Split(m.flags, ";") }

var modes = []mode{
	{flags: "-ginkgo.v;-test.v;-ginkgo.label-filter=!timeouts && !progress && !cleanup", ran: "Ran 136 of"},
	{flags: "-ginkgo.label-filter=timeouts || progress || cleanup", ran: "Ran 33 of", quiet: true},
	{flags: "-ginkgo.vv;-ginkgo.label-filter=ordered || labels", ran: "Ran 27 of"},
	{flags: "-ginkgo.succinct;-ginkgo.label-filter=around", ran: "Ran 8 of"},
	{flags: "-ginkgo.trace;-ginkgo.show-node-events;-ginkgo.label-filter=tables", ran: "Ran 16 of"},
	{flags: "-ginkgo.dry-run;-ginkgo.v", ran: "Ran 188 of"},
	{flags: "-ginkgo.fail-fast;-ginkgo.label-filter=top || suite", ran: "Ran 1 of"},
	{flags: "-ginkgo.randomize-all;-ginkgo.v;-ginkgo.label-filter=top || attempts", ran: "Ran 15 of"},
	{flags: "-ginkgo.flake-attempts=2;-ginkgo.label-filter=top", ran: "Ran 6 of"},
	{flags: "-ginkgo.sleep-on-failure=10ms;-ginkgo.label-filter=top", ran: "Ran 6 of", quiet: true},
	{flags: "-ginkgo.focus=as a table|is one of several", ran: "Ran 5 of"},
	{flags: "-ginkgo.label-filter=outcomes;-ginkgo.skip=ends by|fails|panics", ran: "Ran 12 of"},
	{flags: "-ginkgo.focus-file=table_test.go:14-20", ran: "Ran 4 of"},
	{flags: "-ginkgo.skip-file=(outcome|cleanup|ordered|attempt|timeout|around|output|table)_test.go", ran: "Ran 8 of"},
	{flags: "-ginkgo.label-filter=labels;-ginkgo.sem-ver-filter=1.1.0,db=2.1.0", ran: "Ran 3 of"},
	{flags: "-ginkgo.fail-on-pending;-ginkgo.label-filter=suite", ran: "Ran 2 of"},
	{flags: "-ginkgo.fail-on-empty;-ginkgo.label-filter=nothing", ran: "Ran 0 of"},
	{flags: "-ginkgo.label-filter=suite;-test.count=2", ran: "does not support using go test -count"},
	{flags: "-ginkgo.label-filter=suite;-test.run=Nothing", ran: "no tests to run"},
	{scene: "BeforeSuite fails", flags: "-ginkgo.v;-ginkgo.label-filter=suite", ran: "no luck"},
	{scene: "BeforeSuite skips", flags: "-ginkgo.label-filter=suite", ran: "Suite skipped in BeforeSuite"},
	{scene: "BeforeSuite panics", flags: "-ginkgo.label-filter=suite", ran: "no luck"},
	{scene: "BeforeSuite times out", flags: "-ginkgo.label-filter=suite", ran: "node timeout", quiet: true},
	{scene: "BeforeSuite is slow", flags: "-ginkgo.v;-ginkgo.label-filter=slow", ran: "1 Flaked", quiet: true},
	{scene: "previewed", flags: "-ginkgo.v;-ginkgo.label-filter=suite || coverage", ran: "Ran 4 of"},
	{scene: "in process", flags: "-ginkgo.v;-ginkgo.label-filter=in process", ran: "Ran 5 of"},
	{scene: "BeforeSuite in process", flags: "-ginkgo.v;-ginkgo.label-filter=suite", ran: "the end fails"},
	{scene: "AfterSuite fails", flags: "-ginkgo.v;-ginkgo.label-filter=suite", ran: "the end fails"},
	{scene: "synchronized", flags: "-ginkgo.v;-ginkgo.label-filter=suite", ran: "torn down for all"},
	{scene: "synchronized set-up fails", flags: "-ginkgo.v;-ginkgo.label-filter=suite", ran: "no luck"},
	{scene: "set-up for all fails", flags: "-ginkgo.v;-ginkgo.label-filter=suite", ran: "no luck"},
	{scene: "focus", flags: "-ginkgo.v", ran: "Ran 5 of"},
	{scene: "focus passes", flags: "-ginkgo.v", ran: "PASS | FOCUSED"},
	{scene: "abort", flags: "-ginkgo.v;-ginkgo.label-filter=abort || top", ran: "enough"},
	// The time is enough for a suite to come to where it waits, and for each node before, on a busy machine too.
	{scene: "waiting", flags: "-ginkgo.timeout=5s;-ginkgo.label-filter=waiting", ran: "Suite Timeout Elapsed", quiet: true},
	{scene: "waiting", flags: "-ginkgo.timeout=9s;-ginkgo.poll-progress-after=3s;-ginkgo.poll-progress-interval=1m;-ginkgo.label-filter=waiting", ran: "Automatically polling progress", quiet: true},
}

func TestModes(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name(), func(t *testing.T) {
			t.Parallel()
			want := observe(t, golden, []string{native, "GOLDEN_SCENE=" + m.scene}, m.args()...)
			got := observe(t, golden, []string{"GOLDEN_SCENE=" + m.scene}, m.args()...)
			if !strings.Contains(want.text, m.ran) {
				t.Errorf("the native run has no %q:\n%s", m.ran, want.text)
			}
			compare(t, got, want, m.quiet)
		})
	}
}

// Trees are constructed ahead where it is known which spec is next, as it is where all run, or may be.
func TestAhead(t *testing.T) {
	for _, m := range []mode{
		{flags: "-ginkgo.v;-ginkgo.skip=a big container", ran: "Ran 21 of"},
		{flags: "-ginkgo.v;-ginkgo.label-filter=big && (/label [034]$/ || /label 4[89]$/)", ran: "Ran 15 of"},
		{flags: "-ginkgo.randomize-all;-ginkgo.v;-ginkgo.label-filter=small", ran: "Ran 18 of"},
		{ran: "Ran 171 of"},
	} {
		t.Run(m.name(), func(t *testing.T) {
			t.Parallel()
			want, got := observe(t, whole, []string{native}, m.args()...), observe(t, whole, nil, m.args()...)
			if !strings.Contains(want.text, m.ran) {
				t.Errorf("the native run has no %q:\n%s", m.ran, want.text)
			}
			compare(t, got, want, m.quiet)
		})
	}
}

// The spare process does construct the container of the next spec, while the one before runs.
func TestASpareConstructsAhead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, code := whole.Run(t, []string{"AHEAD=" + dir}, "-test.run=^TestWhole$", "-ginkgo.no-color", "-ginkgo.focus=has number 0$"); code != 0 || !strings.Contains(out, "1 Passed") {
		t.Errorf("exit status %d:\n%s", code, out)
	}
}

// What is prepared ahead changes nothing.
func TestWithoutSpares(t *testing.T) {
	soak(t)
	args := []string{"-ginkgo.v", "-ginkgo.label-filter=top || suite"}
	compare(t, observe(t, golden, []string{"NSTEST_SPARES=0"}, args...), observe(t, golden, nil, args...), false)
}

// A suite of ginkgo.RunSpecs is as it was before nstest was in the program.
func TestImportChangesNothing(t *testing.T) {
	for _, m := range []mode{
		{flags: "-ginkgo.v;-test.v;-ginkgo.trace;-ginkgo.label-filter=!timeouts"}, {flags: "-ginkgo.label-filter=timeouts", quiet: true},
		{flags: "-ginkgo.v;-ginkgo.dry-run"}, {scene: "focus", flags: "-ginkgo.vv"}, {scene: "synchronized", flags: "-ginkgo.vv;-ginkgo.label-filter=suite"},
	} {
		t.Run(m.name(), func(t *testing.T) {
			t.Parallel()
			want := observe(t, bare, []string{"GOLDEN_SCENE=" + m.scene}, m.args()...)
			got := observe(t, golden, []string{native, "GOLDEN_SCENE=" + m.scene}, m.args()...)
			compare(t, got, want, m.quiet)
		})
	}
}

// What runs in environments counts for coverage.
func TestCoverage(t *testing.T) {
	t.Parallel()
	profile := func(env ...string) string {
		path := filepath.Join(t.TempDir(), "cover.out")
		if out, code := cover.Run(t, env, "-test.coverprofile="+path, "-ginkgo.label-filter=coverage"); code != 0 {
			t.Fatal(out)
		}
		return readText(path)
	}
	want := profile(native)
	if got := profile(); got != want || !strings.Contains(want, "covered.go:") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The race detector finds nothing in it, and changes nothing.
func TestRace(t *testing.T) {
	soak(t)
	for _, m := range modes[:3] {
		want := observe(t, racy, []string{native}, m.args()...)
		compare(t, observe(t, racy, nil, m.args()...), want, m.quiet)
	}
}
