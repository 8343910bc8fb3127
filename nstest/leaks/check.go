package leaks

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/twin"
)

// TB is what Check needs of a test: *testing.T and ginkgo.GinkgoTB() have it.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
}

// Check fails the test for everything that it leaves behind, after all clean-ups that are registered later. In a
// BeforeSuite, with GinkgoTB(), it is for the whole suite.
func Check(t TB) {
	t.Helper()
	if twin.This() != nil {
		return
	}
	before := Take()
	t.Cleanup(func() {
		t.Helper()
		if list := before.Leaks(); len(list) > 0 {
			t.Errorf("%s", Report(list))
		}
	})
}

// Main runs the tests of a package, and is the exit status of the program: that of the tests, or 1 if they passed and
// left something behind, which is then on standard error. It is what a suite under nstest.RunSpecs uses, whose nodes all
// run while environments are open; in the processes of hermetic specs and tests it looks for nothing, and nor does Check.
func Main(m interface{ Run() int }) int { return run(m, os.Stderr) }

func run(m interface{ Run() int }, stderr io.Writer) int {
	if twin.This() != nil { // what it leaves ends with it
		return m.Run()
	}
	before := Take()
	code := m.Run()
	list := before.Leaks()
	if len(list) == 0 {
		return code
	}
	fmt.Fprintln(stderr, "FAIL: the tests of this package left behind:\n"+Report(list))
	return max(code, 1)
}

// limit is how many leaks a report has.
const limit = 20

// Report is one text for all leaks.
func Report(list []Leak) string {
	var b strings.Builder
	for i, l := range list {
		if i == limit {
			fmt.Fprintf(&b, "and %d more\n", len(list)-limit)
			break
		}
		fmt.Fprintln(&b, l)
	}
	return strings.TrimSpace(b.String())
}
