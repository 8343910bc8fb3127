package fidelity

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/suites/internal/testprogram"
)

// cached is a test that looks at a file of its package and at a variable.
const cached = `package cached

import (
	"os"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
)

func TestLooks(t *testing.T) {
	nstest.Run(t, func(t *testing.T, _ *nstest.Env) {
		text, err := os.ReadFile("input")
		t.Logf("file %s, %v, variable %s", text, err, os.Getenv("CACHED_INPUT"))
	})
}
`

// The go command uses the result of a test again until something changes that the test has looked at inside.
func TestCache(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	mod, sum := testprogram.Module(t, "example.test/cached", "../..")
	// The go command does not trust a file that was written a moment ago.
	write := func(name, content string, age time.Duration) {
		t.Helper()
		path, when := filepath.Join(dir, name), time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, []byte(content), 0o644), os.Chtimes(path, when, when)); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{"go.mod": mod, "go.sum": sum, "cached_test.go": cached, "input": "one"} {
		write(name, content, 2*time.Hour)
	}
	test := func(variable, want string, fromCache bool) {
		t.Helper()
		out := testprogram.Go(t, dir, []string{"CACHED_INPUT=" + variable, "GOFLAGS="}, "test", "-v", ".")
		if !strings.Contains(out, want) || strings.Contains(out, "(cached)") != fromCache {
			t.Errorf("want %q, from the cache: %v; got\n%s", want, fromCache, out)
		}
	}
	test("a", "file one, <nil>, variable a", false)
	test("a", "file one, <nil>, variable a", true)
	test("b", "file one, <nil>, variable b", false)
	write("input", "number two", time.Hour)
	test("b", "file number two, <nil>, variable b", false)
	test("b", "file number two, <nil>, variable b", true)
}
