package nstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/leaks"
	"golang.org/x/sys/unix"
)

// mountsOf are the mounts that the keeper has: layers are among them on kernels that overlayfs takes none by descriptor from.
func mountsOf(t *testing.T, pid int) []string {
	t.Helper()
	content, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(content)), "\n")
}

// A host with a root of its own takes no more of the keeper than any other, and leaves nothing, also where its root could not
// be built or taken on.
func TestAHostsOwnRootIsReleased(t *testing.T) {
	l := keep(t)
	env, err := Open(context.Background(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	dir := func(name string) string {
		path := filepath.Join(base, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link, file := dir("link"), dir("file")
	if err := errors.Join(os.Symlink("/usr", link+"/proc"), os.WriteFile(file+"/sys", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	layers := []string{dir("0"), dir("1"), dir("2")}
	good := HostConfig{Layers: func(context.Context) ([]string, error) { return layers, nil }}
	add := func(cfg HostConfig, n int) (last error) {
		for i := range n {
			cfg.Name = fmt.Sprintf("h%d", i)
			if _, err := env.AddHost(cfg); err != nil {
				last = err
			}
		}
		return last
	}
	remove := func(n int) {
		t.Helper()
		for i := range n {
			if err := env.RemoveHost(fmt.Sprintf("h%d", i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	total := func() (n int) {
		t.Helper()
		files, err := filesOf(l.pid)
		if err != nil {
			t.Fatal(err)
		}
		for sort, k := range files {
			if sort != "net" { // of switches
				n += k
			}
		}
		return n
	}
	const n = 20 // more than idle switches could account for
	for range 2 {
		if err := add(HostConfig{}, 5); err != nil { // network namespaces are made ahead from now on
			t.Fatal(err)
		}
		remove(5)
	}
	files, err := filesOf(l.pid)
	if err != nil {
		t.Fatal(err)
	}
	before := ledger{pid: l.pid, program: leaks.Take(), files: files}
	mounts := len(mountsOf(t, l.pid))

	empty := total()
	if err := add(HostConfig{}, n); err != nil {
		t.Fatal(err)
	}
	plain := total() - empty
	remove(n)
	before.balance(t)
	empty = total()
	if err := add(good, n); err != nil {
		t.Fatal(err)
	}
	rooted := total() - empty
	if got := len(mountsOf(t, l.pid)); got != mounts {
		t.Errorf("with %d hosts the keeper has %d mounts, want %d:\n%s", n, got, mounts, strings.Join(mountsOf(t, l.pid), "\n"))
	}
	if plain < n || rooted > plain+n/2 {
		t.Errorf("%d hosts with roots of their own take %d descriptors, others %d", n, rooted, plain)
	}
	remove(n)
	before.balance(t)

	for _, c := range []struct {
		root, step string
		errno      unix.Errno
	}{{link, "build root", unix.ELOOP}, {file, "enter root", unix.ENOTDIR}, {base + "/none", "build root", unix.ENOENT}} {
		if err := add(HostConfig{Root: c.root}, n); !errors.Is(err, c.errno) || !strings.Contains(err.Error(), c.step) {
			t.Errorf("a host on %s: %v, want %v that names the step %q", c.root, err, c.errno, c.step)
		}
		before.balance(t)
	}
	if got := len(mountsOf(t, l.pid)); got != mounts {
		t.Errorf("in the end the keeper has %d mounts, want %d", got, mounts)
	}
	if err := add(good, 1); err != nil {
		t.Errorf("after all that: %v", err)
	}
	if err := env.Close(); err != nil {
		t.Error(err)
	}
	l.balance(t)
}
