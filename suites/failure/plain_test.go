package failure

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/suites/internal/testprogram"
)

// mode is the variable that tells the plain tests what else is to go wrong.
const mode = "BROKEN="

// The plain tests, and the same with the race detector.
var (
	plain = testprogram.New("testdata/broken")
	raced = testprogram.New("testdata/broken", "-race")
)

func TestMain(m *testing.M) { os.Exit(testprogram.Main(m, plain, raced, specs, kept, held, planted)) }

// What is said of each, without stacks, where the last line is the program's.
func TestPlainText(t *testing.T) {
	for _, c := range []struct {
		run  string // -test.run
		mode string
		want string
	}{
		{"TestExit|TestGood", "", `
=== RUN   TestGood
    broken_test.go good
--- PASS: TestGood
=== RUN   TestExit
about to exit
    broken_test.go nstest: the process of this test ended: exit status 7
--- FAIL: TestExit
FAIL`},
		{"TestExitInSubtest", "", `
=== RUN   TestExitInSubtest
=== RUN   TestExitInSubtest/first
=== RUN   TestExitInSubtest/waits
=== PAUSE TestExitInSubtest/waits
=== RUN   TestExitInSubtest/exits
=== RUN   TestExitInSubtest/exits/deep
    broken_test.go logged
    nstest: the process of this test ended before it did
=== NAME  TestExitInSubtest/exits
    nstest: the process of this test ended before it did
=== NAME  TestExitInSubtest
    broken_test.go nstest: the process of this test ended: exit status 0
=== CONT  TestExitInSubtest/waits
    nstest: the process of this test ended before it did
--- FAIL: TestExitInSubtest
    --- PASS: TestExitInSubtest/first
    --- FAIL: TestExitInSubtest/exits
        --- FAIL: TestExitInSubtest/exits/deep
    --- FAIL: TestExitInSubtest/waits
FAIL`},
		{"TestExitInCleanup", "", `
=== RUN   TestExitInCleanup
    broken_test.go nstest: the process of this test ended: exit status 5
--- FAIL: TestExitInCleanup
FAIL`},
		{"TestPanic|TestPanicInSubtest", "", `
=== RUN   TestPanic
panic: boom [recovered, repanicked]
    broken_test.go nstest: the process of this test ended: exit status 2
--- FAIL: TestPanic
=== RUN   TestPanicInSubtest
=== RUN   TestPanicInSubtest/sub
=== NAME  TestPanicInSubtest
    broken_test.go cleaned up
panic: deep boom [recovered, repanicked]
    broken_test.go nstest: the process of this test ended: exit status 2
--- FAIL: TestPanicInSubtest
    --- FAIL: TestPanicInSubtest/sub
FAIL`},
		{"TestGoroutinePanics", "", `
=== RUN   TestGoroutinePanics
panic: elsewhere
    broken_test.go nstest: the process of this test ended: exit status 2
--- FAIL: TestGoroutinePanics
FAIL`},
		{"TestKilled", "", `
=== RUN   TestKilled
    broken_test.go last words
    broken_test.go nstest: the process of this test ended: signal: killed
--- FAIL: TestKilled
FAIL`},
		{"TestFatalError", "", `
=== RUN   TestFatalError
fatal error: sync: unlock of unlocked mutex
    broken_test.go nstest: the process of this test ended: exit status 2
--- FAIL: TestFatalError
FAIL`},
		{"TestFailsParent", "", `
=== RUN   TestFailsParent
=== RUN   TestFailsParent/sub
    testing.go test executed panic(nil) or runtime.Goexit: subtest may have called FailNow on a parent test
--- FAIL: TestFailsParent
    --- FAIL: TestFailsParent/sub
FAIL`},
		{"TestOtherName", "", `
=== RUN   TestOtherName
=== RUN   TestOtherName/
    broken_test.go nstest: the process for this test did not come to Run: the test has to have the same name, and to call Run, in every process
        testing: warning: no tests to run
--- FAIL: TestOtherName
    --- FAIL: TestOtherName/
FAIL`},
		{"TestFollowing", "", `
=== RUN   TestFollowing
    broken_test.go inside
    broken_test.go following
--- FAIL: TestFollowing
FAIL`},
		{"TestGood", "exit in TestMain", `
=== RUN   TestGood
    broken_test.go nstest: the process for this test ended before Run, in TestMain or in what precedes Run: exit status 3
        TestMain gives up
--- FAIL: TestGood
FAIL`},
		{"TestGood", "exit after the tests", `
=== RUN   TestGood
    broken_test.go good
    broken_test.go nstest: the process of this test ended badly after it: exit status 4
        PASS
        TestMain is not content
--- FAIL: TestGood
FAIL`},
		{"TestLeavesADaemon", "", `
=== RUN   TestLeavesADaemon
--- PASS: TestLeavesADaemon
PASS`},
	} {
		t.Run(c.run+" "+c.mode, func(t *testing.T) {
			out, code := plain.Run(t, []string{mode + c.mode}, "-test.v", "-test.run=^("+c.run+")$", "-test.timeout=1m")
			if got, want := said(out), strings.TrimPrefix(c.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if passes := strings.HasSuffix(c.want, "\nPASS"); code != 1 && !passes || code != 0 && passes {
				t.Errorf("exit status %d", code)
			}
		})
	}
}

var (
	// A stack begins with an empty line and its goroutine, and goes on as long as lines are of functions and places.
	stack   = regexp.MustCompile(`\n(\[recovered\]\n)?\n?goroutine \d+ .*\n((created by )?[\w./*()]+.*\(.*\).*\n\t.*\n|created by .*\n\t.*\n|\n)+`)
	unequal = regexp.MustCompile(` \(TIME\)|:\d+:|pid\d+`)
)

// said is output without stacks, line numbers and times.
func said(output string) string {
	output = stack.ReplaceAllString(testprogram.Normal(output), "\n")
	return strings.TrimSpace(unequal.ReplaceAllString(output, ""))
}

// The events say so too: each test that ran has one end, and the message belongs to the test.
func TestPlainJSON(t *testing.T) {
	out, _ := plain.Run(t, nil, "-test.v=test2json", "-test.run=TestGood|TestExitInSubtest|TestFollowing", "-test.timeout=1m")
	var ends, messages []string
	for _, e := range testprogram.Convert(t, out) {
		switch e.Action {
		case "pass", "fail", "skip":
			ends = append(ends, e.Action+" "+e.Test)
		case "output":
			if strings.Contains(e.Output, "nstest:") {
				messages = append(messages, e.Test+": "+said(e.Output))
			}
		}
	}
	if want := []string{
		"pass TestGood", "pass TestExitInSubtest/first", "fail TestExitInSubtest/exits/deep", "fail TestExitInSubtest/exits",
		"fail TestExitInSubtest/waits", "fail TestExitInSubtest", "fail TestFollowing", "fail ",
	}; !slices.Equal(ends, want) {
		t.Errorf("got  %q\nwant %q", ends, want)
	}
	const before = ": nstest: the process of this test ended before it did"
	if want := []string{
		"TestExitInSubtest/exits/deep" + before, "TestExitInSubtest/exits" + before,
		"TestExitInSubtest: broken_test.go nstest: the process of this test ended: exit status 0", "TestExitInSubtest/waits" + before,
	}; !slices.Equal(messages, want) {
		t.Errorf("got  %q\nwant %q", messages, want)
	}
}

// A segmentation fault is one of the test's process; its registers are shown, and other tests go on.
func TestPlainSegmentationFault(t *testing.T) {
	out, code := plain.Run(t, nil, "-test.run=TestSegmentationFault|TestFollowing", "-test.timeout=1m")
	inOrder(t, out, "SIGSEGV: segmentation violation", "broken.TestSegmentationFault", "ended: exit status 2", "--- FAIL: TestFollowing")
	if code != 1 {
		t.Errorf("exit status %d", code)
	}
}

// When the time is up, the goroutines inside are shown, and the program ends as always.
func TestPlainTimeout(t *testing.T) {
	for _, flag := range []string{"-test.v=false", "-test.v=test2json"} {
		out, code := plain.Run(t, []string{mode + "hang"}, "-test.run=TestGood|TestHang|TestFollowing", "-test.timeout=2s", flag)
		inOrder(t, out, "broken.hang(", "panic: test timed out after 2s", "running tests:", "TestHang (", "TestHang/sub (", "goroutine ", "gotest.runOriginal")
		if code != 2 || strings.Contains(out, "TestFollowing") {
			t.Errorf("%s: exit status %d:\n%s", flag, code, out)
		}
	}
}

// A data race inside fails the test that has it, and no other.
func TestPlainRace(t *testing.T) {
	if out := testprogram.Go(t, ".", nil, "env", "CGO_ENABLED"); strings.TrimSpace(out) != "1" {
		t.Skip("the race detector needs cgo\nWhat to do: install a C compiler")
	}
	out, code := raced.Run(t, nil, "-test.v", "-test.run=TestRace|TestLeavesADaemon", "-test.timeout=1m")
	inOrder(t, out, "=== RUN   TestRace", "WARNING: DATA RACE", "race detected during execution of test", "--- FAIL: TestRace", "--- PASS: TestLeavesADaemon")
	if code != 1 || strings.Contains(out, "nstest:") {
		t.Errorf("exit status %d:\n%s", code, out)
	}
}

func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, p := range parts {
		at := strings.Index(rest, p)
		if at < 0 {
			t.Errorf("%q is not there, or not in its place:\n%s", p, text)
			return
		}
		rest = rest[at+len(p):]
	}
}
