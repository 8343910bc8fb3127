package specs

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// command is Ginkgo's own, built when it is first run.
var command = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch(), "ginkgo")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "github.com/onsi/ginkgo/v2/ginkgo").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build the ginkgo command: %w\n%s", err, out)
	}
	return path, err
})

// driven is the outcome of the golden suite under the ginkgo command, which runs the program where that is.
func driven(t *testing.T, env []string, args ...string) outcome {
	t.Helper()
	ginkgo, err := command()
	if err != nil {
		t.Fatal(err)
	}
	into := t.TempDir()
	program := filepath.Join(into, "golden.test")
	if err := errors.Join(os.Chmod(into, 0o755), os.Symlink(golden.Command(t, nil).Path, program)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(ginkgo, append(append([]string{"--no-color", "--seed=7", "--json-report=report.json", "--output-dir=" + into}, args...), program)...)
	cmd.Env = slices.Concat(golden.Command(t, nil).Env, env)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	o := outcome{text: string(out), code: cmd.ProcessState.ExitCode(), report: readReport(t, filepath.Join(into, "report.json"))}
	for _, r := range o.report { // what is left of the time for all runs, and the directory
		delete(r, "SuitePath")
		delete(r["SuiteConfig"].(map[string]any), "Timeout")
	}
	return o
}

// However many processes Ginkgo has, each spec does the same.
func TestParallel(t *testing.T) {
	for _, args := range [][]string{
		{"--procs=2", "--label-filter=top || suite || attempts"},
		{"--procs=2", "--fail-fast", "--label-filter=nothing"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			compareSpecs(t, driven(t, nil, args...), driven(t, []string{native}, args...))
		})
	}
	t.Run("many", func(t *testing.T) {
		soak(t)
		args := []string{"--procs=3", "-v", "--randomize-all", "--label-filter=!timeouts && !progress && !cleanup && !tables"}
		compareSpecs(t, driven(t, nil, args...), driven(t, []string{native}, args...))
	})
	t.Run("synchronized", func(t *testing.T) {
		t.Parallel()
		args := []string{"--procs=2", "--label-filter=suite"}
		compareSpecs(t, driven(t, []string{"GOLDEN_SCENE=synchronized"}, args...), driven(t, []string{"GOLDEN_SCENE=synchronized", native}, args...))
	})
}

// Ginkgo's command runs the suite as often as it is told to.
func TestRepetition(t *testing.T) {
	for _, args := range [][]string{
		{"--repeat=2", "--label-filter=coverage"},
		{"--until-it-fails", "--label-filter=top"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			want, got := driven(t, []string{native}, args...), driven(t, nil, args...)
			compareReports(t, got.report, want.report)
			if g, w := strings.Count(got.text, "Running Suite"), strings.Count(want.text, "Running Suite"); g != w || got.code != want.code {
				t.Errorf("it ran %d times, want %d; exit status %d, want %d", g, w, got.code, want.code)
			}
		})
	}
}

// compareSpecs compares what each spec reports, in whatever order and in whichever process it ran.
func compareSpecs(t *testing.T, got, want outcome) {
	t.Helper()
	if got.code != want.code {
		t.Errorf("exit status %d, want %d:\n%s", got.code, want.code, got.text)
	}
	g, w := specs(got), specs(want)
	for _, key := range slices.Sorted(maps.Keys(w)) {
		compareText(t, key, strings.Join(g[key], "\n"), strings.Join(w[key], "\n"))
	}
	if len(g) != len(w) || len(w) < 2 {
		t.Errorf("%d specs were reported, want %d:\n%s", len(g), len(w), got.text)
	}
}

// process is which of Ginkgo's processes has run a spec that prints its configuration: whichever came first.
var process = regexp.MustCompile(`ParallelProcess:[0-9]+`)

// specs are what each spec reports, by where and what it is: lists of fields. Several may be the same.
func specs(o outcome) map[string][]string {
	all := map[string][]string{}
	for _, suite := range o.report {
		reports, _ := suite["SpecReports"].([]any)
		for _, r := range reports {
			fields := map[string]string{}
			flatten("", r, fields)
			var lines []string
			for _, path := range slices.Sorted(maps.Keys(fields)) {
				if !strings.HasSuffix(path, ".ParallelProcess") && !strings.HasSuffix(path, ".TimelineLocation.Order") {
					lines = append(lines, path+" = "+process.ReplaceAllString(fields[path], "ParallelProcess:N"))
				}
			}
			key := strings.Join([]string{fields[".LeafNodeType"], fields[".LeafNodeText"], fields[".LeafNodeLocation.FileName"], fields[".LeafNodeLocation.LineNumber"], fields[".ContainerHierarchyTexts[1]"]}, " ")
			all[key] = append(all[key], strings.Join(lines, "\n"))
		}
	}
	for _, list := range all {
		slices.Sort(list)
	}
	return all
}

var scratch = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "specs-")
	if err != nil {
		panic(err)
	}
	return dir
})
