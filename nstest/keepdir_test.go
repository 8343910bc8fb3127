package nstest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A foreign file is one of somebody else.
type foreign struct {
	fs.FileInfo
	uid uint32
}

func (f foreign) Sys() any { return &syscall.Stat_t{Uid: f.uid} }

// What somebody else has put into a directory of everybody's is refused, and nothing else is.
func TestOwnersOfTheDirectoryForBundles(t *testing.T) {
	const stranger = 1<<16 + 7
	shared, own := t.TempDir(), t.TempDir()
	if err := os.Chmod(shared, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(shared, "kept")
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir   string
		owner uint32
		sudo  string
		fine  bool
	}{
		{shared, stranger, "", false},
		{shared, stranger, "1", false},
		{shared, stranger, strconv.Itoa(stranger), true},
		{shared, uint32(os.Geteuid()), "", true},
		{shared, 0, "", true},
		{own, stranger, "", true},
	} {
		t.Setenv("SUDO_UID", c.sudo)
		err := checkOwner(c.dir, file, foreign{info, c.owner})
		if (err == nil) != c.fine || err != nil && !strings.Contains(err.Error(), "belongs to user 65543") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// Each part of a path is looked at, and those of symbolic links, before anything is made.
func TestDirectoryForBundlesInASharedPlace(t *testing.T) {
	t.Setenv("SUDO_UID", "")
	shared, own := t.TempDir(), t.TempDir()
	in := func(dir, name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(
		os.Chmod(shared, 0o777|os.ModeSticky),
		os.Mkdir(in(shared, "dir"), 0o700),
		os.Symlink(own, in(shared, "link")),
		os.Symlink(filepath.Base(shared)+"/link", in(filepath.Dir(shared), "relative")),
		os.Symlink("loop", in(own, "loop")),
	); err != nil {
		t.Fatal(err)
	}
	check := func(path, want string) {
		t.Helper()
		t.Setenv("NSTEST_KEEP", path)
		got, err := keepDir()
		switch {
		case want == "" && (err != nil || got != path):
			t.Errorf("%s: %q, %v", path, got, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "a directory of your own")):
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
	paths := []string{in(shared, "dir"), in(shared, "dir/inner/most"), in(shared, "link"), in(shared, "link/made"), in(filepath.Dir(shared), "relative/too")}
	for _, path := range append(paths, in(shared, "new/one"), shared) {
		check(path, "")
	}
	check(in(own, "loop/x"), "too many levels of symbolic links")
	if os.Geteuid() != 0 { // nothing here can be somebody else's
		return
	}
	for _, name := range []string{"dir", "link"} {
		if err := os.Lchown(in(shared, name), 4343, 4343); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range paths {
		check(path, "belongs to user 4343, and is in "+shared)
	}
	check(in(shared, "link/never"), "belongs to user 4343")
	if _, err := os.Stat(in(own, "never")); err == nil {
		t.Error("a directory was made where a stranger's link leads to")
	}
}
