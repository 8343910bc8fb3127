package failure

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/ginkgo/v2/reporters"

	"github.com/hermetic-go/nstest/suites/internal/testprogram"
)

// The specs and tests of which bundles are kept.
var kept = testprogram.New("testdata/kept")

// What a Ginkgo report has of time and place.
var elsewhere = regexp.MustCompile(` @ \d\d/\d\d/\d\d \d\d:\d\d:\d\d(\.\d+)?|(\[|in )[\d.]+ seconds\]?|/\S*/testdata/kept/|(_test\.go):\d+`)

// console is what the console shows of one spec, without times, paths and line numbers, but for that of the bundles' directory.
func console(output, dir, spec string) string {
	const delimiter = "------------------------------\n"
	for part := range strings.SplitSeq(output, delimiter) {
		if strings.Contains(part, "\n"+spec+"\n") {
			if dir != "" {
				part = strings.ReplaceAll(part, dir, "DIR")
			}
			return elsewhere.ReplaceAllString(stamp.ReplaceAllString(part, "TIME"), "$3")
		}
	}
	return ""
}

const failing = `• [FAILED] 
a shop [It] fails (for sure)
kept_test.go

  Timeline >>
  STEP: starting a server
  STEP: buying
ENTRY  [FAILED] in [It] - kept_test.go
  << Timeline

  [FAILED] hunter2
  Expected
      <int>: 1
  to equal
      <int>: 2
  In [It] at: kept_test.go
`

// named is what a bundle adds to that.
const named = `  What processes have printed last:
  sh on web (pid 2):
    ready
    password hunter2
  nstest bundle - kept_test.go
    DIR/TIME-a_shop_fails__for_sure_
`

// attached is what system-out of a report for JUnit has of a bundle.
func attached(bundle string) string {
	return strings.ReplaceAll(`[[ATTACHMENT|DIR/BUNDLE/topology.svg]]
[[ATTACHMENT|DIR/BUNDLE/manifest.json]]
[[ATTACHMENT|DIR/BUNDLE/events.jsonl]]
[[ATTACHMENT|DIR/BUNDLE/state.json]]
[[ATTACHMENT|DIR/BUNDLE/goroutines.txt]]
[[ATTACHMENT|DIR/BUNDLE/capture.pcapng]]
`, "BUNDLE", bundle)
}

// With NSTEST_KEEP a spec that fails has a bundle, which all reports name. What else they say is what they say without.
func TestSpecsAreKept(t *testing.T) {
	reports := t.TempDir()
	for _, c := range []struct {
		dir, entry string
		want       []string
	}{
		{"", "", nil},
		{t.TempDir(), named, []string{
			"a_shop_fails__for_sure_", "a_shop_passes_in_the_end", "a_shop_passes_in_the_end-attempt-2", "in_order_fails_second",
		}},
	} {
		out, status := kept.Run(t, []string{"NSTEST_KEEP=" + c.dir}, "-test.run=TestKept", "-ginkgo.no-color", "-ginkgo.seed=1",
			"-ginkgo.json-report="+reports+"/report.json", "-ginkgo.junit-report="+reports+"/report.xml")
		if status != 1 || !strings.Contains(out, "FAIL! -- 3 Passed | 3 Failed | 1 Flaked | 0 Pending | 1 Skipped") {
			t.Fatalf("exit status %d\n%s", status, out)
		}
		said := console(out, c.dir, "a shop [It] fails (for sure)")
		if diff := cmp.Diff(strings.Replace(failing, "ENTRY", c.entry, 1), said); diff != "" {
			t.Errorf("NSTEST_KEEP=%q: the console (-want +got)\n%s", c.dir, diff)
		}
		entries := map[string][]string{} // by the report
		for _, s := range readReport(t, reports+"/report.json") {
			for _, e := range s.ReportEntries {
				entries["json"] = append(entries["json"], strings.Join([]string{s.LeafNodeText, e.Name, e.StringRepresentation()}, "|"))
			}
		}
		var junit reporters.JUnitTestSuites
		decode(t, reports+"/report.xml", xml.Unmarshal, &junit)
		printed := map[string]string{}
		for _, s := range junit.TestSuites[0].TestCases {
			if s.SystemOut != "" {
				printed[s.Name] = stamp.ReplaceAllString(strings.ReplaceAll(s.SystemOut, c.dir+"/", "DIR/"), "TIME")
			}
			if s.Properties != nil {
				for _, p := range s.Properties.Properties {
					entries["junit"] = append(entries["junit"], s.Name+"|"+p.Name)
				}
			}
		}
		if c.dir == "" {
			if len(entries)+len(printed) > 0 || strings.Contains(out, "bundle") {
				t.Errorf("without bundles the reports have entries: %v %v", entries, printed)
			}
			continue
		}
		if diff := cmp.Diff(map[string]string{
			"[It] a shop fails (for sure)":  attached("TIME-a_shop_fails__for_sure_"),
			"[It] a shop passes in the end": attached("TIME-a_shop_passes_in_the_end") + attached("TIME-a_shop_passes_in_the_end-attempt-2"),
			"[It] in order fails second":    attached("TIME-in_order_fails_second"),
			"[It] in order fails third":     attached("TIME-in_order_fails_second"),
		}, printed); diff != "" {
			t.Errorf("what JUnit is told to attach (-want +got)\n%s", diff)
		}
		names, found := bundles(t, c.dir)
		if diff := cmp.Diff(c.want, names); diff != "" {
			t.Fatalf("bundles (-want +got)\n%s", diff)
		}
		path := func(name string) string { return "|nstest bundle|" + string(found[name]) }
		if diff := cmp.Diff(map[string][]string{
			"json": {
				"fails (for sure)" + path(c.want[0]), "passes in the end" + path(c.want[1]), "passes in the end" + path(c.want[2]),
				"fails second" + path(c.want[3]), "fails third" + path(c.want[3]),
			},
			"junit": {
				"[It] a shop fails (for sure)|nstest bundle", "[It] a shop passes in the end|nstest bundle", "[It] a shop passes in the end|nstest bundle",
				"[It] in order fails second|nstest bundle", "[It] in order fails third|nstest bundle",
			},
		}, entries); diff != "" {
			t.Errorf("reports (-want +got)\n%s", diff)
		}
		checkBundles(t, found)
	}
}

// checkBundles looks at what the bundles have.
func checkBundles(t *testing.T, found map[string]bundle) {
	b := found["a_shop_fails__for_sure_"]
	m := b.manifest(t)
	if m.Test != "a shop fails (for sure)" || m.State != "failed" || m.Attempt != 1 || m.Began.IsZero() || m.Ended.Before(m.Began) {
		t.Errorf("%+v", m)
	}
	if len(m.Failures) != 1 || !strings.HasPrefix(m.Failures[0].Message, "hunter2\nExpected") || m.Failures[0].Node != "It" ||
		!strings.Contains(m.Failures[0].Location, "kept_test.go:") {
		t.Errorf("failures: %+v", m.Failures)
	}
	// What is taken at the failure has the host that the clean-up removes.
	if !slices.Contains(m.Hosts, "web") || !strings.Contains(b.text(t, "topology.json"), `"web"`) || !strings.Contains(b.text(t, "state.json"), `"web"`) {
		t.Errorf("the state is that of after the clean-up: %v, %s", m.Hosts, b.text(t, "state.json"))
	}
	if !strings.Contains(b.text(t, "goroutines.txt"), "(*Suite).runNode") {
		t.Error("the goroutines are not those of the spec's process")
	}
	if b.text(t, "files/tmp/evidence") != "left" {
		t.Error("the spec's files are not there")
	}
	if got := b.text(t, "logs/web/002-sh.log"); got != "ready\npassword hunter2\n" {
		t.Errorf("log: %q", got)
	}
	if len(m.Omitted) > 0 {
		t.Errorf("omitted: %q", m.Omitted)
	}
	checkEvents(t, b)
	if m := found["a_shop_passes_in_the_end-attempt-2"].manifest(t); m.Attempt != 2 || len(m.Failures) != 1 {
		t.Errorf("the second attempt: %+v", m)
	}
	if m := found["in_order_fails_second"].manifest(t); m.Test != "in order fails second" || len(m.Failures) != 2 || m.Failures[1].Message != "third" {
		t.Errorf("the Ordered container: %+v", m)
	}
}

func checkEvents(t *testing.T, b bundle) {
	t.Helper()
	var told []string
	for _, e := range b.events(t) {
		if (e.Kind == "node" || e.Kind == "step" || e.Kind == "failure") && !strings.Contains(e.Location, "kept_test.go:") {
			t.Errorf("%+v is nowhere", e)
		}
		switch {
		case e.Kind == "node" || e.Kind == "step" || e.Kind == "failure" || e.Kind == "host":
			text, _, _ := strings.Cut(e.Text, "\n")
			told = append(told, strings.Join([]string{e.Kind, e.Host + text, e.State}, "|"))
		case e.Kind == "start" && e.Host == "web":
			told = append(told, "start|"+e.Args[0])
		case e.Kind == "log":
			told = append(told, "log|"+e.Host+"|"+e.Text)
		}
	}
	if diff := cmp.Diff([]string{
		"host|self|", "node|BeforeEach|", "node|BeforeEach|passed", "node|It fails (for sure)|", "step|starting a server|",
		"host|web|", "start|sh", "log|web|ready", "log|web|password hunter2", "step|buying|", "failure|hunter2|failed", "node|It fails (for sure)|failed", "node|DeferCleanup (Each)|",
		"host|web|gone", "node|DeferCleanup (Each)|passed",
	}, told); diff != "" {
		t.Errorf("events (-want +got)\n%s", diff)
	}
}

// The command in the manifest runs the spec and no other.
func TestRepeat(t *testing.T) {
	dir := t.TempDir()
	kept.Run(t, []string{"NSTEST_KEEP=" + dir}, "-test.run=TestKept|TestPlain", "-ginkgo.no-color", "-ginkgo.seed=1")
	_, found := bundles(t, dir)
	for name, want := range map[string]string{
		"a_shop_fails__for_sure_": "Ran 1 of 7 Specs", "in_order_fails_second": "Ran 3 of 7 Specs", "TestPlain": "--- FAIL: TestPlain ",
	} {
		cmd := exec.Command("sh", "-c", found[name].manifest(t).Repeat)
		out, _ := cmd.CombinedOutput()
		if !strings.Contains(string(out), want) || strings.Count(string(out), "\n--- FAIL") > 1 {
			t.Errorf("%s\n%s, want %s", cmd, out, want)
		}
	}
}

// Of what passes nothing is left.
func TestNothingIsKeptOfWhatPasses(t *testing.T) {
	dir := t.TempDir()
	out, status := kept.Run(t, []string{"NSTEST_KEEP=" + dir, "PASS=1"}, "-test.run=TestKept|TestPasses|TestBeside", "-ginkgo.focus=passes$|passes first")
	if names, _ := bundles(t, dir); status != 0 || len(names) > 0 || strings.Contains(out, "bundle") {
		t.Errorf("exit status %d, bundles %q\n%s", status, names, out)
	}
}

// Plain tests have bundles too, also those whose process dies, and environments beside a test and in one.
func TestPlainTestsAreKept(t *testing.T) {
	for _, artifacts := range []bool{false, true} {
		dir, out := t.TempDir(), t.TempDir()
		args := []string{"-test.v=test2json", "-test.run=TestPlain|TestPasses|TestDies|TestBeside|TestWithin"}
		place := regexp.MustCompile(regexp.QuoteMeta(dir) + `/\S+`)
		if artifacts {
			args = append(args, "-test.artifacts", "-test.outputdir="+out)
			place = regexp.MustCompile(regexp.QuoteMeta(out) + `/_artifacts/\S+`)
		}
		text, status := kept.Run(t, []string{"NSTEST_KEEP=" + dir}, args...)
		if status != 1 {
			t.Errorf("exit status %d\n%s", status, text)
		}
		got, within, announced := map[string]string{}, "", map[string]string{}
		for _, e := range testprogram.Convert(t, text) {
			switch {
			case e.Action == "artifacts":
				announced[e.Test] = e.Path
			case strings.Contains(e.Output, "nstest bundle: ") && strings.HasSuffix(e.Output, "-sibling\n"):
				within = place.FindString(e.Output)
			case strings.Contains(e.Output, "nstest bundle: ") && place.MatchString(e.Output):
				got[e.Test] = place.FindString(e.Output)
			}
		}
		for test, want := range map[string]manifest{
			"TestPlain":  {State: "failed", Hosts: []string{"self", "web"}},
			"TestDies":   {State: "died", Hosts: []string{"self"}},
			"TestBeside": {State: "failed", Hosts: []string{"self", "web"}},
			"TestWithin": {State: "failed", Hosts: []string{"self"}},
		} {
			if artifacts && filepath.Dir(got[test]) != announced[test] {
				t.Errorf("%s: the artifacts are in %s", got[test], announced[test])
			}
			m := bundle(got[test]).manifest(t)
			if m.Test != test || m.State != want.State || !slices.Equal(m.Hosts, want.Hosts) || m.Ended.IsZero() {
				t.Errorf("%s: %+v", test, m)
			}
		}
		if len(got) != 4 {
			t.Errorf("%d tests are kept, want 4\n%s", len(got), text)
		}
		m := bundle(got["TestPlain"]).manifest(t)
		var messages []string
		for _, f := range m.Failures {
			messages = append(messages, regexp.MustCompile(`:\d+`).ReplaceAllString(f.Message, ""))
		}
		if want := []string{"TestPlain/sub: kept_test.go: no such goods", "kept_test.go: sold nothing"}; !slices.Equal(messages, want) {
			t.Errorf("failures %q, want %q", messages, want)
		}
		// That of an environment in a hermetic test is where it is said to be, and among the files of the test's own.
		inner, outer := bundle(within).manifest(t), bundle(got["TestWithin"]).manifest(t)
		further := []string{"files/run/nstest-keep/" + filepath.Base(within)}
		if artifacts {
			further = nil
			if filepath.Dir(within) != announced["TestWithin"] || inner.Of != "" {
				t.Errorf("%s: the artifacts are in %s, %+v", within, announced["TestWithin"], inner)
			}
		} else if filepath.Join(within, inner.Of) != got["TestWithin"] {
			t.Errorf("%s is one of %s, want %s", within, inner.Of, got["TestWithin"])
		}
		if inner.Test != "sibling" || !slices.Equal(outer.Further, further) {
			t.Errorf("an environment in a hermetic test: %+v, and %q; want %q", inner, outer.Further, further)
		}
	}
}

// A bundle can be read when everything was killed.
func TestKilledProgramLeavesABundle(t *testing.T) {
	dir := t.TempDir()
	cmd := kept.Command(t, []string{"NSTEST_KEEP=" + dir, "HANG=1"}, "-test.run=TestKept", "-ginkgo.focus=hangs")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Signal(syscall.SIGKILL) }()
	var b bundle
	sees := func(kind, what string) bool {
		return slices.ContainsFunc(b.events(t), func(e event) bool { return e.Kind == kind && (e.Text == what || slices.Contains(e.Args, what)) })
	}
	deadline := time.NewTimer(time.Minute)
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("the spec does not come to where it hangs")
		}
		if paths, err := filepath.Glob(dir + "/*-a_shop_hangs"); err == nil && len(paths) == 1 {
			b = bundle(paths[0])
			if _, err := os.Stat(paths[0] + "/events.jsonl"); err == nil && sees("step", "hanging") && sees("start", "sh") {
				break
			}
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if m := b.manifest(t); m.Test != "a shop hangs" || m.State != "running" || m.Repeat == "" {
		t.Errorf("%+v", m)
	}
	if !sees("node", "It hangs") || !sees("host", "") {
		t.Errorf("events: %s", b.text(t, "events.jsonl"))
	}
}

// Where there can be no bundles, each test says so and none passes.
func TestUnusableDirectory(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for env, want := range map[string]string{
		"NSTEST_KEEP=" + file:                  "nstest: NSTEST_KEEP=" + file + ": mkdir " + file + ": not a directory\n",
		"NSTEST_KEEP=" + file + "/x":           "nstest: NSTEST_KEEP=" + file + "/x: mkdir " + file + ": not a directory\n",
		"NSTEST_KEEP=/tmp/;NSTEST_KEEP_LIMIT=": "",
	} {
		if want == "" {
			env, want = "NSTEST_KEEP_LIMIT=1k", "nstest: NSTEST_KEEP_LIMIT=1k: it is a number of bytes, at least 1048576\n"
		}
		vars := []string{env}
		if strings.Contains(env, "LIMIT") {
			vars = append(vars, "NSTEST_KEEP="+t.TempDir())
		}
		for _, args := range [][]string{
			{"-test.run=TestKept", "-ginkgo.no-color", "-ginkgo.focus=passes$|passes first"}, {"-test.run=TestPasses", "-test.count=2"}, {"-test.run=TestBeside", "-test.count=2"},
		} {
			out, status := kept.Run(t, append(vars, "PASS=1"), args...)
			if status != 1 || !strings.Contains(out, want) {
				t.Errorf("%s %q: exit status %d\n%s", env, args, status, out)
			}
			if args[0] == "-test.run=TestKept" && !strings.Contains(out, "0 Passed | 2 Failed") || args[0] != "-test.run=TestKept" && strings.Count(out, "--- FAIL") != 2 {
				t.Errorf("%s %q: not both have failed\n%s", env, args, out)
			}
		}
	}
}

// Where core dumps are files they are kept with their programs; and what is too large is named.
func TestCoreDumps(t *testing.T) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out, _ := kept.Run(t, []string{"NSTEST_KEEP=" + dir, "NSTEST_KEEP_LIMIT=4000000"}, "-test.run=TestDumps")
	_, found := bundles(t, dir)
	b := found["TestDumps"]
	omitted := b.manifest(t).Omitted
	if !slices.Contains(omitted, "/tmp/large, which is too large.") {
		t.Errorf("omitted: %q", omitted)
	}
	cores, err := filepath.Glob(string(b) + "/cores/*")
	switch p := strings.TrimSpace(string(pattern)); {
	case err != nil:
		t.Error(err)
	case !strings.Contains(out, "core dumped"): // the limit of the machine's, which an ordinary user cannot raise, may be none
		if len(cores) > 0 {
			t.Errorf("cores without a dump: %q", cores)
		}
	case p == "core":
		if len(cores) != 2 || filepath.Base(cores[1]) != "sh" {
			t.Errorf("cores: %q, omitted %q", cores, omitted)
		}
	case !slices.ContainsFunc(omitted, func(s string) bool { return strings.HasPrefix(s, "cores") }) && len(cores) == 0:
		t.Errorf("there is nothing about cores in %q", omitted)
	}
}

// A secret is in no file of a bundle; without redaction it is in several.
func TestRedactedBundles(t *testing.T) {
	for _, redact := range []string{"", "1"} {
		dir := t.TempDir()
		out, _ := kept.Run(t, []string{"NSTEST_KEEP=" + dir, "REDACT=" + redact}, "-test.run=TestKept", "-ginkgo.focus=for sure")
		if strings.Contains(out, "password hunter2") != (redact == "") {
			t.Errorf("REDACT=%s: the console says\n%s", redact, out)
		}
		_, found := bundles(t, dir)
		b := found["a_shop_fails__for_sure_"]
		with := map[string]bool{}
		for _, f := range append(b.manifest(t).Files, struct{ Path, What string }{Path: "manifest.json"}) {
			if strings.Contains(b.text(t, f.Path), "hunter2") {
				with[f.Path] = true
			}
		}
		if redact == "" && (!with["manifest.json"] || !with["events.jsonl"] || !with["logs/web/002-sh.log"]) || redact != "" && len(with) > 0 {
			t.Errorf("REDACT=%s: the secret is in %v", redact, with)
		}
		_, err := os.Stat(string(b) + "/files")
		if _, perr := os.Stat(string(b) + "/capture.pcapng"); (err == nil) != (redact == "") || perr == nil && redact != "" {
			t.Errorf("REDACT=%s: files: %v, packets: %v", redact, err, perr)
		}
	}
}

// The bundle of an environment that a spec has made is where it is said to be, also where the spec's own was named anew.
func TestBundleInABundle(t *testing.T) {
	dir := t.TempDir()
	out, status := held.Run(t, []string{"NSTEST_KEEP=" + dir, "FAIL=within"}, "-test.run=TestHeld", "-ginkgo.no-color")
	said := regexp.MustCompile(`nstest bundle: (\S+-sibling)\n`).FindStringSubmatch(out)
	if status != 1 || said == nil {
		t.Fatalf("exit status %d\n%s", status, out)
	}
	_, found := bundles(t, dir)
	inner, outer := bundle(said[1]), found["in_order_runs_second"]
	if m := inner.manifest(t); m.Test != "sibling" || filepath.Join(said[1], m.Of) != string(outer) {
		t.Errorf("%s has %+v, want one of %s", inner, m, outer)
	}
	if m := outer.manifest(t); !slices.Equal(m.Further, []string{"files/run/nstest-keep/" + filepath.Base(said[1])}) {
		t.Errorf("%s has %q, want %s", outer, m.Further, inner)
	}
}
