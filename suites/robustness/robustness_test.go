// Package robustness shows that nothing of an environment stays behind, whoever dies and whenever, and that what runs
// inside cannot reach out.
package robustness

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/leaks"
	"golang.org/x/sys/unix"
)

// This binary is also the programs that its tests run: victims to be killed, and those that try things inside. The
// variable says which.
const role = "NSTEST_ROBUSTNESS_ROLE"

var roles = map[string]func() error{
	"hold":     hold,
	"churn":    func() error { return churn(cycle) },
	"entangle": func() error { return churn(knot) },
	"inherit":  inherit,
	"writable": listWritable,
	"attack":   attack,
	"open":     openOnly,
	"suite":    runSuite,
}

func TestMain(m *testing.M) {
	if r := os.Getenv(role); r != "" {
		if err := roles[r](); err != nil {
			fmt.Println("error:", strings.ReplaceAll(err.Error(), "\n", "\t"))
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	// What outlives its parents becomes our child, and so a descendant that a snapshot shows.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	os.Exit(leaks.Main(m))
}

func isRoot() bool { return os.Geteuid() == 0 }

// needRoot skips a test of what only root's environments have.
func needRoot(t *testing.T) {
	t.Helper()
	if !isRoot() {
		t.Skip("an ordinary user has no such rights to give away; run the test as root as well")
	}
}

// need skips a test that needs a program of the machine.
func need(t *testing.T, program, remedy string) {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("PATH") + ":/usr/sbin:/sbin:/usr/bin:/bin") {
		if unix.Access(filepath.Join(dir, program), unix.X_OK) == nil {
			return
		}
	}
	if os.Getenv("NSTEST_MUST_RUN") == "1" {
		t.Fatalf("NSTEST_MUST_RUN=1, and %s is not there: %s", program, remedy)
	}
	t.Skipf("%s is not there: %s", program, remedy)
}

// times is how often something is repeated: often with NSTEST_SOAK=1, seldom with -short.
func times(short, usual, soak int) int {
	switch {
	case os.Getenv("NSTEST_SOAK") == "1":
		return soak
	case testing.Short():
		return short
	}
	return usual
}
