package analysis_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
	"github.com/hermetic-go/nstest/nstest"
)

// failOnPurpose in the environment makes TestFailsOnPurpose do what its name says.
const failOnPurpose = "ANALYSIS_FAIL_ON_PURPOSE"

// TestFailsOnPurpose is run by TestKept, and does nothing otherwise.
func TestFailsOnPurpose(t *testing.T) {
	if os.Getenv(failOnPurpose) == "" {
		return
	}
	nstest.Run(t, func(t *testing.T, env *nstest.Env) {
		web, db := env.Host("web"), env.Host("db")
		dial := func(address string, within time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			if c, err := web.DialContext(ctx, "tcp4", address); err == nil {
				c.Close()
				t.Errorf("connected to %s", address)
			}
		}
		dial("db:81", 10*time.Second)
		dial("nobody:81", 10*time.Second)
		if err := web.Command("sh", "-c", "echo the last words; exit 3").Run(); err == nil {
			t.Error("exit status 0")
		}
		env.Partition([]*nstest.Host{web}, []*nstest.Host{db})
		dial("db:82", 50*time.Millisecond)
		t.Error("on purpose")
	})
}

// What is kept of a real test tells what it has done.
func TestKept(t *testing.T) {
	keep := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFailsOnPurpose$")
	cmd.Env = append(os.Environ(), "NSTEST_KEEP="+keep, failOnPurpose+"=1")
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != 1 || !strings.Contains(string(out), "on purpose") {
		t.Fatalf("the test that is to fail: %v\n%s", err, out)
	}
	kept, err := filepath.Glob(filepath.Join(keep, "*TestFailsOnPurpose"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept is %v, %v\n%s", kept, err, out)
	}
	a := analyse(t, kept[0])
	if len(a.Manifest.Failures) != 1 || !strings.Contains(a.Manifest.Failures[0].Message, "on purpose") || a.State == nil || a.Topology == nil || a.Capture == nil {
		t.Fatalf("manifest %+v, state %v, topology %v, capture %v", a.Manifest, a.State != nil, a.Topology != nil, a.Capture != nil)
	}
	if a.Capture.Err != nil {
		t.Error(a.Capture.Err)
	}
	got := findings(a)
	for _, want := range []string{
		"odd In force: partition of ",
		"bad Refused: web → db:81 ",
		"bad Black-holed: web → db:82 ",
		"bad DNS: web asked for nobody.: NXDOMAIN ",
		"odd web: ended: exit status 3 — sh -c ",
	} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("nothing begins with %q in\n%s", want, strings.Join(got, "\n"))
		}
	}
	for _, host := range []string{"self", "web", "db"} {
		if !slices.Contains(a.Hosts, host) {
			t.Errorf("host %s is not in %q", host, a.Hosts)
		}
	}
	if n := len(texts(a, analysis.Failure)); n != 1 {
		t.Errorf("%d failures are on the timeline", n)
	}
}
