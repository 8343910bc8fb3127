package public

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// A module is somebody's, at a version.
type module struct {
	path, version string
	programs      string // package pattern of programs that its specs expect in PATH
	suites        []suite
}

// name is the last part of the path that is no version.
func (m module) name() string { return path.Base(strings.TrimSuffix(m.path, "/v2")) }

// raised are the versions that nstest needs. A module that has lower ones is built with these, in both runs.
var raised = []string{"github.com/onsi/ginkgo/v2@v2.34.0", "github.com/onsi/gomega@v1.44.0"}

const nstestModule = "github.com/hermetic-go/nstest"

// checkOut makes a copy of the module that may be written to and built with nstest.
func (m module) checkOut(t *testing.T) (dir string) {
	t.Helper()
	download := exec.Command("go", "mod", "download", "-json", m.path+"@"+m.version)
	download.Dir = t.TempDir() // in no module
	out, err := download.Output()
	var found struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &found); jsonErr != nil || err != nil {
		unavailable(t, "cannot download "+m.path+"@"+m.version+": "+found.Error, "let the go command reach the module proxy (go help goproxy)")
	}
	dir = filepath.Join(t.TempDir(), m.name())
	if err := os.CopyFS(dir, os.DirFS(found.Dir)); err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	edit := []string{"mod", "edit", "-replace", nstestModule + "=" + here, "-require", nstestModule + "@v0.0.0"}
	for _, r := range raised {
		if name, _, _ := strings.Cut(r, "@"); name != m.path {
			edit = append(edit, "-require", r)
		}
	}
	command(t, dir, "go", edit...)
	keep(t, dir)
	command(t, dir, "go", "mod", "tidy")
	if m.programs != "" {
		command(t, dir, "go", "build", "-o", "bin"+string(filepath.Separator), m.programs)
	}
	return dir
}

// keep adds a file that imports nstest, so that the module's requirement of it is not tidied away.
func keep(t *testing.T, dir string) {
	t.Helper()
	folder := filepath.Join(dir, "nstest_required")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	text := "package required\n\nimport _ \"" + nstestModule + "/nstest\"\n"
	if err := os.WriteFile(filepath.Join(folder, "required.go"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// command runs a program that has to succeed.
func command(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// unavailable skips the test, in the open.
func unavailable(t *testing.T, reason, remedy string) {
	t.Helper()
	text := reason + "\nWhat to do: " + remedy
	if os.Getenv("NSTEST_MUST_RUN") == "1" {
		t.Fatal(text + "\n(NSTEST_MUST_RUN=1 makes this a failure)")
	}
	t.Skip(text)
}
