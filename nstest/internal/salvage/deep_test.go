package salvage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// nest makes so many directories in each other, and a file in each.
func nest(t *testing.T, dir string, depth int) {
	t.Helper()
	at, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range depth {
		if err := at.Mkdir("d", 0o700); err != nil {
			t.Fatal(err)
		}
		inner, err := at.OpenRoot("d")
		if err != nil {
			t.Fatal(err)
		}
		if err := inner.WriteFile("f", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := at.Close(); err != nil {
			t.Fatal(err)
		}
		at = inner
	}
	if err := at.Close(); err != nil {
		t.Fatal(err)
	}
}

// The work for a tree grows with its size, and what is open with its depth. So it has a bound.
func TestDepthIsBounded(t *testing.T) {
	for _, depth := range []int{maxDepth, maxDepth + 1, 1000} {
		root, to := t.TempDir(), t.TempDir()
		nest(t, root, depth)
		if err := os.WriteFile(filepath.Join(root, "z"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		err := salvage(t, root, ".", ".", to)
		if want := fmt.Sprintf("more than %d deep were left out (1), the first one in d/d/", maxDepth); (err != nil) != (depth > maxDepth) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d directories: %v", depth, err)
		}
		last := filepath.Join(to, strings.Repeat("d/", maxDepth))
		for _, name := range []string{last + "/f", filepath.Join(to, "z")} {
			if _, err := os.Stat(name); err != nil {
				t.Error(err)
			}
		}
		if _, err := os.Stat(last + "/d"); err == nil {
			t.Error("a directory is deeper")
		}
	}
}

// No file remains open.
func TestDeepTreeIsClosed(t *testing.T) {
	root, to := t.TempDir(), t.TempDir()
	nest(t, root, 5)
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := open()
	if err := os.Mkdir(filepath.Join(to, "d"), 0o700); err != nil { // so that it ends early, the first time
		t.Fatal(err)
	}
	for _, early := range []bool{true, false} {
		if err := salvage(t, root, ".", ".", to); (err != nil) != early {
			t.Errorf("early: %t, %v", early, err)
		}
		if err := unix.Rmdir(filepath.Join(to, "d")); (err == nil) != early {
			t.Errorf("early: %t, %v", early, err)
		}
		if now := open(); now != before {
			t.Errorf("%d files are open, and %d were", now, before)
		}
	}
}
