package public

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A suite is one of a module's.
type suite struct {
	pkg     string            // its folder in the module
	root    bool              // natively it needs root
	with    string            // an argument for nstest.RunSpecs
	differs map[string]string // specs that end differently, by their full text, with the reason

	// unsteady are specs that pass at one time and fail at another, natively too.
	unsteady map[string]string
}

// build builds the suite's test binary, with other files in place of some.
func (s suite) build(t *testing.T, module, name string, overlay map[string]string) (program string) {
	t.Helper()
	dir := t.TempDir()
	data, err := json.Marshal(map[string]any{"Replace": overlay})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "overlay.json"), data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, name+".test")
	command(t, module, "go", "test", "-c", "-vet=off", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "./"+s.pkg)
	return program
}

// hermetic are the suite's files that call RunSpecs, with ones that call nstest's.
func (s suite) hermetic(t *testing.T, module string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(module, s.pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	overlay := map[string]string{}
	for _, path := range files {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed, err := s.delegate(source)
		if err != nil {
			t.Fatal(err)
		}
		if changed == nil {
			continue
		}
		overlay[path] = filepath.Join(t.TempDir(), filepath.Base(path))
		if err := os.WriteFile(overlay[path], changed, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(overlay) == 0 {
		t.Fatalf("%s does not call RunSpecs", s.pkg)
	}
	return overlay
}

// delegate makes nstest's of calls of RunSpecs, on the same lines. It returns nil if there is none.
func (s suite) delegate(source []byte) ([]byte, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	offset := func(p token.Pos) int { return set.Position(p).Offset }
	var calls []*ast.CallExpr
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			name := string(source[offset(call.Fun.Pos()):offset(call.Fun.End())])
			if name == "RunSpecs" || name == "ginkgo.RunSpecs" {
				calls = append(calls, call)
			}
		}
		return true
	})
	if len(calls) == 0 {
		return nil, nil
	}
	var out bytes.Buffer
	end := offset(file.Name.End())
	out.Write(source[:end])
	out.WriteString(`; import "` + nstestModule + `/nstest"`)
	var ginkgos string
	for _, call := range calls {
		out.Write(source[end:offset(call.Fun.Pos())])
		out.WriteString("nstest.RunSpecs")
		end = offset(call.Rparen)
		out.Write(source[offset(call.Fun.End()):end])
		if s.with != "" {
			out.WriteString(", " + s.with)
		}
		ginkgos = string(source[offset(call.Fun.Pos()):offset(call.Fun.End())])
	}
	out.Write(source[end:])
	out.WriteString("\nvar _ = " + ginkgos + " // keeps Ginkgo's import in use\n")
	return out.Bytes(), nil
}

// patience is how long a suite may run.
const patience = 10 * time.Minute

// run runs a test binary where `go test` would, and returns how its specs ended. As root what is not hermetic by itself
// gets a network, mounts and /run of its own, so that it leaves the machine alone.
func (s suite) run(t *testing.T, module, program string, alone bool) outcome {
	t.Helper()
	report := program + ".json"
	args := []string{program, "-test.timeout=" + patience.String(), "-ginkgo.json-report=" + report, "-ginkgo.seed=1", "-ginkgo.no-color", "-ginkgo.vv"}
	if alone && os.Geteuid() == 0 {
		script := `ip link set lo up && mount -t tmpfs none /run && exec "$@"`
		args = append([]string{"unshare", "--mount", "--net", "--propagation", "private", "sh", "-ec", script, "sh"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = filepath.Join(module, s.pkg)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(module, "bin")+":"+os.Getenv("PATH"))
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(begin)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	o, err := readOutcome(report)
	if err != nil {
		t.Fatalf("%s ended without a report: %v\n%s", filepath.Base(program), err, lastLines(out, 60))
	}
	o.status, o.took, o.output = cmd.ProcessState.ExitCode(), took, out
	return o
}

func lastLines(out []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
