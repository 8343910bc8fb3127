package gotest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// Only ordinary files and directories are copied, and nothing that is not there.
func TestCopyArtifacts(t *testing.T) {
	root, secret := t.TempDir(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(path, text string, mode fs.FileMode) {
		t.Helper()
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		must(os.WriteFile(path, []byte(text), mode))
		must(os.Chmod(path, mode))
	}
	write(secret+"/secret", "secret", 0o644)
	from := root + "/tmp/_artifacts/x/1"
	write(from+"/plain", "text", 0o640)
	write(from+"/deep/er/file", "deep", 0o600)
	write(from+"/setuid", "", 0o755|fs.ModeSetuid)
	must(os.Mkdir(from+"/empty", 0o755))
	must(os.Symlink(secret+"/secret", from+"/link"))
	must(os.Symlink(secret, from+"/dirlink"))
	must(os.Symlink("plain", from+"/harmless"))
	must(unix.Mkfifo(from+"/fifo", 0o644))
	must(os.Symlink(secret, root+"/tmp/_artifacts/y"))

	dir, err := os.Open(root)
	must(err)
	defer dir.Close()
	to := t.TempDir()
	if err := copyArtifacts(dir, artifact{inside: "/tmp/_artifacts/x/1", outside: to}); err != nil {
		t.Error(err)
	}
	var got []string
	must(filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(to, path)
		must(relErr)
		info, infoErr := d.Info()
		must(infoErr)
		if !d.IsDir() || rel == "empty" {
			got = append(got, rel+" "+info.Mode().String())
		}
		return err
	}))
	want := []string{"deep/er/file -rw-------", "empty drwxr-xr-x", "plain -rw-r-----", "setuid -rwxr-xr-x"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if text, err := os.ReadFile(to + "/deep/er/file"); string(text) != "deep" {
		t.Errorf("%q, %v", text, err)
	}

	for _, inside := range []string{"/tmp/_artifacts/y", "/tmp/../" + secret, secret, "/tmp/_artifacts/none", "/tmp/_artifacts/x/1/plain"} {
		out := t.TempDir()
		if err := copyArtifacts(dir, artifact{inside: inside, outside: out}); err == nil {
			t.Errorf("%s: no error", inside)
		}
		if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
			t.Errorf("%s: copied %v, %v", inside, left, err)
		}
	}
}
