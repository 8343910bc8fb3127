package nstest_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
)

func TestCommandLookup(t *testing.T) {
	env := nstest.New(t, nstest.Config{})
	h := env.Host("web")
	err := h.Command("no-such-command").Run()
	if !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), `on web`) ||
		!strings.HasSuffix(err.Error(), `exec: "no-such-command": executable file not found in $PATH`) {
		t.Errorf("not found: %v", err)
	}
	if err := h.Command("/no/such").Run(); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		t.Errorf("a path that does not exist: %v", err)
	}
	for _, path := range []string{"/etc/passwd", "/etc"} {
		if err := h.Command(path).Run(); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", path, err)
		}
	}
	c := h.Command("true")
	c.Dir = "/no/such"
	if err := c.Run(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "chdir /no/such") {
		t.Errorf("directory that does not exist: %v", err)
	}

	// The program is looked for inside, in the PATH that the command will have, relative paths in its directory.
	output(t, h, `mkdir /tmp/bin && printf '#!/bin/sh\necho inside $0\n' > /tmp/bin/only-inside && chmod +x /tmp/bin/only-inside && touch /tmp/bin/not-executable`)
	c = h.Command("only-inside")
	c.Env = []string{"PATH=/nowhere:/tmp/bin"}
	if got := outputOf(t, c); got != "inside /tmp/bin/only-inside" {
		t.Errorf("by PATH: %q", got)
	}
	c = h.Command("not-executable")
	c.Env = []string{"PATH=/tmp/bin:/nowhere"}
	if err := c.Run(); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("not executable: %v", err)
	}
	c = h.Command("./only-inside")
	c.Dir = "/tmp/bin"
	if got := outputOf(t, c); got != "inside ./only-inside" {
		t.Errorf("by relative path: %q", got)
	}
	c = h.Command("env")
	c.Env = []string{"A=1", "A=2"}
	if got := outputOf(t, c); got != "A=2" {
		t.Errorf("without PATH, environment %q", got)
	}

	// What the machine has and the host does not see comes with advice.
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "only-outside"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	err = h.Command("only-outside").Run()
	var e *nstest.Error
	if !errors.As(err, &e) || !errors.Is(err, exec.ErrNotFound) || !strings.Contains(e.Remedy, dir) {
		t.Errorf("covered command: %v", err)
	}
}

func TestCommandDirectory(t *testing.T) {
	h := commandHost(t)
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	// Where Dir is empty, a directory that is not visible inside is no error.
	if got := output(t, h, "pwd -P"); got != wd && got != "/" {
		t.Errorf("working directory %q, want %q", got, wd)
	}
	c := h.Command("sh", "-c", "pwd -P; echo $PWD")
	c.Dir = "/tmp"
	if got := outputOf(t, c); got != "/tmp\n/tmp" {
		t.Errorf("with Dir: %q", got)
	}
	t.Chdir("/etc")
	if got := output(t, h, "pwd -P"); got != "/etc" {
		t.Errorf("after chdir: %q", got)
	}
	c = h.Command("pwd", "-P")
	c.Dir = "../tmp"
	if got := outputOf(t, c); got != "/tmp" {
		t.Errorf("relative Dir: %q", got)
	}
}
