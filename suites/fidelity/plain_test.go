// Package fidelity compares tests in environments with tests in the program itself: what they say has to be the same.
package fidelity

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hermetic-go/nstest/suites/internal/testprogram"
	"golang.org/x/sys/unix"
)

const plain = "testdata/plain"

// native makes the tests of testdata run in the program itself.
var native = []string{"PLAIN_NATIVE=1"}

var program = testprogram.New(plain)

func TestMain(m *testing.M) { os.Exit(testprogram.Main(m, program)) }

// serial leaves out those tests that have several parallel ones, in whatever order.
const serial = "-test.skip=^TestParallel(Subtests|Before)$"

// The text is the same line for line.
func TestPlainText(t *testing.T) {
	for _, flags := range []string{
		"",
		"-test.v",
		"-test.v -test.fullpath -test.run=TestF",
		"-test.v -test.short -test.run=TestVerbose",
		"-test.v -test.run=Subtests/a$/inner|ParallelSubtests/p1|TestSub.*/(s|f) -test.skip=^$",
		"-test.v -test.run=Subtests -test.skip=/a|/p0|/p1/inner|/p2",
		"-test.v -test.run=SubtestsEnd|Pass -test.failfast",
		"-test.run=SubtestsEnd|Pass -test.shuffle=7 -test.v",
		"-test.v -test.run=TestP|Surroundings -test.count=2",
		"-test.v -test.run=TestPrint -test.cpu=1,2",
		"-test.v -test.run=FuzzSeeds/seed#1",
		"-test.v -test.run=^$ -test.bench=. -test.benchtime=1x",
	} {
		t.Run(flags, func(t *testing.T) {
			args := append([]string{serial, "-test.timeout=1m"}, strings.Fields(flags)...)
			want, wantCode := program.Run(t, native, args...)
			got, code := program.Run(t, nil, args...)
			if got, want := testprogram.Normal(got), testprogram.Normal(want); got != want || code != wantCode {
				t.Errorf("exit status %d, want %d:\n%s", code, wantCode, difference(strings.SplitAfter(got, "\n"), strings.SplitAfter(want, "\n")))
			}
		})
	}
}

// Event for event go test -json says the same.
func TestPlainJSON(t *testing.T) {
	args := []string{"test", "-json", "-count=1", "-timeout=1m", ".", "-args", serial}
	want, wantCode := testprogram.TryGo(t, plain, native, args...)
	got, code := testprogram.TryGo(t, plain, nil, args...)
	compare(t, testprogram.Events(t, got), testprogram.Events(t, want))
	if code != wantCode {
		t.Errorf("exit status %d, want %d", code, wantCode)
	}
}

// Where tests are parallel, each says the same.
func TestPlainParallel(t *testing.T) {
	args := []string{"-test.v=test2json", "-test.parallel=4", "-test.timeout=1m"}
	want, _ := program.Run(t, native, args...)
	got, _ := program.Run(t, nil, args...)
	wantOf, gotOf := byTest(testprogram.Convert(t, want)), byTest(testprogram.Convert(t, got))
	for test, events := range wantOf {
		compare(t, gotOf[test], events)
	}
	if len(gotOf) != len(wantOf) || len(wantOf) < 40 {
		t.Errorf("%d tests, want %d", len(gotOf), len(wantOf))
	}
}

// byTest sorts events by their tests. Whose turn it is may be said more than once.
func byTest(events []testprogram.Event) map[string][]testprogram.Event {
	list := map[string][]testprogram.Event{}
	for _, e := range events {
		if !strings.HasPrefix(e.Output, "=== NAME") {
			list[e.Test] = append(list[e.Test], e)
		}
	}
	return list
}

func compare(t *testing.T, got, want []testprogram.Event) {
	t.Helper()
	lines := func(events []testprogram.Event) (list []string) {
		for _, e := range testprogram.NormalEvents(events) {
			list = append(list, fmt.Sprintf("%+v\n", e))
		}
		return list
	}
	if g, w := lines(got), lines(want); !slices.Equal(g, w) {
		t.Error(difference(g, w))
	}
}

// difference shows where two lists begin to differ.
func difference(got, want []string) string {
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	from := max(0, at-5)
	show := func(list []string) string { return strings.Join(list[min(from, len(list)):min(at+8, len(list))], "") }
	return fmt.Sprintf("they differ from line %d on; got\n%s\nwant\n%s", at+1, show(got), show(want))
}

// What a test prints is seen when it is printed, not when the test has ended.
func TestPlainStreams(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"-test.v", "-test.v=false"} {
		cmd := program.Command(t, []string{"PLAIN_SHARED=" + dir}, flag, "-test.run=TestWaits", "-test.timeout=1m")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		answered := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Text() == "waiting" {
				answered = true
				if err := os.WriteFile(fifo, []byte("go on"), 0); err != nil {
					t.Error(err)
				}
			}
		}
		if err := cmd.Wait(); err != nil || !answered {
			t.Errorf("%s: %v, seen waiting: %v", flag, err, answered)
		}
	}
}

// Artifacts arrive where they belong, and belong to whom they should.
func TestPlainArtifacts(t *testing.T) {
	dir := t.TempDir()
	out, code := program.Run(t, nil, "-test.v", "-test.run=Artifacts", "-test.artifacts", "-test.outputdir="+dir, "-test.timeout=1m")
	var got []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; int(uid) != os.Getuid() {
			t.Errorf("%s belongs to %d, not to %d", path, uid, os.Getuid())
		}
		reported := fmt.Sprintf("=== ARTIFACTS %s %s\n", "TestArtifacts", filepath.Dir(filepath.Dir(path)))
		if d.Name() == "own" {
			reported = fmt.Sprintf("=== ARTIFACTS %s %s\n", "TestArtifacts/sub", filepath.Dir(path))
		}
		if !strings.Contains(out, reported) {
			t.Errorf("%s was not reported by %q", path, reported)
		}
		text, err := os.ReadFile(path)
		got = append(got, d.Name()+": "+string(text))
		return err
	})
	slices.Sort(got)
	if want := []string{"file: text\n", "own: "}; !slices.Equal(got, want) || err != nil || code != 0 {
		t.Errorf("got %q, %v, want %q; exit status %d:\n%s", got, err, want, code, out)
	}
}

// What runs inside counts.
func TestPlainCoverage(t *testing.T) {
	profile := filepath.Join(t.TempDir(), "cover.out")
	testprogram.Go(t, plain, nil, "test", "-count=1", "-run=TestCovered", "-coverprofile="+profile, "-timeout=1m", ".")
	text, err := os.ReadFile(profile)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(plain, "covered.go"))
	if err != nil {
		t.Fatal(err)
	}
	for name, count := range map[string]string{"inside": "1", "outside": "1", "nowhere": "0"} {
		before, _, _ := strings.Cut(string(source), "func "+name+"(")
		block := fmt.Sprintf("covered.go:%d.", 1+strings.Count(before, "\n"))
		found := slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool {
			return strings.Contains(line, block) && strings.HasSuffix(line, " "+count)
		})
		if !found {
			t.Errorf("%s is not counted %s times:\n%s", name, count, text)
		}
	}
}

// Under -fuzz tests in environments are skipped, and the fuzzing goes on.
func TestPlainFuzzing(t *testing.T) {
	out, code := program.Run(t, nil, "-test.run=^$", "-test.fuzz=FuzzSeeds", "-test.fuzztime=20x", "-test.fuzzcachedir="+t.TempDir(), "-test.timeout=1m")
	if code != 0 || !strings.Contains(out, "PASS") {
		t.Errorf("exit status %d:\n%s", code, out)
	}
}
