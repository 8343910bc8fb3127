package mutation

import (
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
	"github.com/hermetic-go/nstest/suites/all"
	"github.com/hermetic-go/nstest/suites/internal/require"
)

func TestMain(m *testing.M) { os.Exit(leaks.Main(m)) }

// subject, in the environment of this program, makes it run the specs.
const subject = "NSTEST_MUTATION_SUBJECT"

// TestSpecs has the specs of all suites.
func TestSpecs(t *testing.T) {
	if os.Getenv(subject) == "" {
		t.Skip("this is for TestASpecNotices")
	}
	RegisterFailHandler(Fail)
	all.Register()
	nstest.RunSpecs(t, "specs")
}

func TestASpecNotices(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.guard, func(t *testing.T) {
			if m.outside && !require.IsMachineRoot() {
				t.Skip("the machine's root alone does without this guard\nWhat to do: run the suite as root as well")
			}
			t.Parallel()
			if out, passed := run(t, m, ""); !passed {
				t.Fatalf("%s fails without a mutation:\n%s", m.spec, out)
			}
			out, passed := run(t, m, strings.Trim(m.guard+";"+m.also, ";"))
			if passed {
				t.Fatalf("%s passes without %q:\n%s", m.spec, m.guard, out)
			}
			if !m.vital && strings.Contains(out, "open environment") {
				t.Errorf("an environment could not be made without %q, which says nothing of %s: leave out what needs it too\n%s", m.guard, m.spec, out)
			}
			t.Logf("%s: %s", m.spec, strings.TrimSpace(reason.FindString(out)))
		})
	}
}

// What is said to be unseen is left out here, all of it together: a spec that notices is one to name in the table.
func TestNoSpecMissesWhatAnotherGuardDoes(t *testing.T) {
	guards := slices.Sorted(maps.Keys(unseen))
	for _, spec := range []string{"H1", "H9", "H10"} {
		if out, passed := run(t, mutation{spec: spec}, strings.Join(guards, ";")); !passed {
			t.Errorf("%s misses one of %q:\n%s", spec, guards, out)
		}
	}
}

// reason is why Ginkgo says that a spec has failed.
var reason = regexp.MustCompile(`(?m)^\s+\[FAILED\](.*\n)+?.*In \[It\]`)

// run runs the spec of a mutation where environments lack guards, and reports whether it has passed.
func run(t *testing.T, m mutation, leaveOut string) (output string, passed bool) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-test.run=^TestSpecs$", "-ginkgo.no-color"}
	if strings.Contains(m.spec, " ") {
		args = append(args, "-ginkgo.focus="+regexp.QuoteMeta(m.spec))
	} else {
		args = append(args, "-ginkgo.label-filter="+m.spec)
	}
	env := append(os.Environ(), subject+"=1", "NSTEST_LEAVE_OUT="+leaveOut)
	var out []byte
	if m.outside {
		cmd := exec.Command(exe, args...)
		cmd.Env = env
		out, err = cmd.CombinedOutput()
	} else {
		cmd := nstest.New(t, nstest.Config{}).Self().Command(exe, args...)
		cmd.Env = env
		out, err = cmd.CombinedOutput()
	}
	if !strings.Contains(string(out), "Ran 1 of ") {
		t.Fatalf("%s was not run: %v\n%s", m.spec, err, out)
	}
	return string(out), err == nil
}
