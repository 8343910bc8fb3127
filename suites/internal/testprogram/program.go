// Package testprogram builds and runs test programs, for suites about what they say.
//
// What such a program is built from decides about the suite's outcome as much as the suite's own code. So the sources
// are read, and package nstest is imported: otherwise the go command would take an old outcome for a current one.
package testprogram

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	_ "github.com/hermetic-go/nstest/nstest" // see above
)

// A Program is the tests of a package. It is built when it is first run.
type Program struct {
	dir   string   // the package's
	flags []string // of go test

	once sync.Once
	into string // "" if it was not built
}

// New is the program of the package in a directory, built with these flags of go test.
func New(dir string, flags ...string) *Program { return &Program{dir: dir, flags: flags} }

// Main runs the tests of a suite that has these programs, and removes what was built.
func Main(m *testing.M, programs ...*Program) (code int) {
	code = m.Run()
	for _, p := range programs {
		if err := os.RemoveAll(p.into); p.into != "" && err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	return code
}

// build builds it, and returns its path.
func (p *Program) build(tb testing.TB) string {
	tb.Helper()
	p.once.Do(func() {
		into, err := os.MkdirTemp("", "testprogram-")
		if err != nil {
			tb.Fatal(err)
		}
		p.into = into
		sources, err := filepath.Glob(filepath.Join(p.dir, "*.go"))
		for _, path := range sources {
			_, readErr := os.ReadFile(path)
			err = errors.Join(err, readErr)
		}
		if err != nil {
			tb.Fatal(err)
		}
		Go(tb, p.dir, nil, append([]string{"test", "-c", "-o", filepath.Join(into, "program")}, append(p.flags, ".")...)...)
	})
	return filepath.Join(p.into, "program")
}

// Go runs the go command, which has to succeed, and returns what it printed.
func Go(tb testing.TB, dir string, env []string, args ...string) string {
	tb.Helper()
	out, code := TryGo(tb, dir, env, args...)
	if code != 0 {
		tb.Fatalf("go %s: exit status %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// TryGo is Go for what may fail.
func TryGo(tb testing.TB, dir string, env []string, args ...string) (output string, code int) {
	tb.Helper()
	return run(tb, dir, env, "go", args...)
}

// Run runs the program with further variables and returns what it printed, and its exit status.
func (p *Program) Run(tb testing.TB, env []string, args ...string) (output string, code int) {
	tb.Helper()
	return run(tb, p.dir, env, p.build(tb), args...)
}

// Command is Run's command.
func (p *Program) Command(tb testing.TB, env []string, args ...string) *exec.Cmd {
	tb.Helper()
	return command(p.dir, env, p.build(tb), args...)
}

// command has what changes the output of tests from env alone, whatever the tests of this module are run with.
func command(dir string, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, slices.Concat(os.Environ(), []string{"NSTEST_KEEP=", "NSTEST_UI=", "NSTEST_HOLD="}, env)
	return cmd
}

func run(tb testing.TB, dir string, env []string, name string, args ...string) (output string, code int) {
	tb.Helper()
	cmd := command(dir, env, name, args...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		tb.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// An Event is one of go test -json, without its times.
type Event struct {
	Action, Test, Output string `json:",omitempty"`
	Key, Value, Path     string `json:",omitempty"`
}

// Events reads what go test -json has printed.
func Events(tb testing.TB, output string) []Event {
	tb.Helper()
	var list []Event
	for dec := json.NewDecoder(strings.NewReader(output)); dec.More(); {
		var e Event
		if err := dec.Decode(&e); err != nil {
			tb.Fatalf("%v in\n%s", err, output)
		}
		list = append(list, e)
	}
	return list
}

// Convert makes events of what a program has printed under -test.v=test2json, as go test -json does.
func Convert(tb testing.TB, output string) []Event {
	tb.Helper()
	cmd := exec.Command("go", "tool", "test2json")
	cmd.Stdin = strings.NewReader(output)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("go tool test2json: %v: %s", err, stderr.String())
	}
	return Events(tb, string(out))
}
