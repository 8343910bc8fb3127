package inspect

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"golang.org/x/sys/unix"
)

func TestParseMount(t *testing.T) {
	for line, want := range map[string]record.Mount{
		`36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue`: {Target: "/mnt2", Type: "ext3", Source: "/dev/root", Options: "rw,noatime"},
		`36 35 0:5 / /a\040b\012c ro - tmpfs none rw`:                                             {Target: "/a b\nc", Type: "tmpfs", Source: "none", Options: "ro"},
		`36 35 0:5 / / ro - tmpfs`:                                                                {},
		`36 - tmpfs none rw`:                                                                      {},
		``:                                                                                        {},
		`36 35 0:5 / / ro - proc - -`:                                                             {Target: "/", Type: "proc", Source: "-", Options: "ro"},
	} {
		got, id, ok := parseMount(line)
		if got != want || ok != (want.Target != "") || ok && id != 36 {
			t.Errorf("%q: %+v, %d, %v", line, got, id, ok)
		}
	}
}

// No path leads through a file system that may not answer.
func TestBehindSlow(t *testing.T) {
	list := []record.Mount{{Target: "/", Type: "overlay"}, {Target: "/net", Type: "nfs4"}, {Target: "/net/x/tmp", Type: "tmpfs"}, {Target: "/f", Type: "fuse.sshfs"}, {Target: "/fs", Type: "tmpfs"}}
	for target, want := range map[string]bool{"/": false, "/net": true, "/net/x/tmp": true, "/f": true, "/f/a": true, "/fs": false, "/network": false} {
		if behindSlow(list, target) != want {
			t.Errorf("%s: %v", target, !want)
		}
	}
	if !behindSlow([]record.Mount{{Target: "/", Type: "9p"}}, "/tmp") {
		t.Error("/tmp on a root that may not answer")
	}
}

// A symbolic link that somebody has put in the way leads nowhere.
func TestOpenMountFollowsNoLinks(t *testing.T) {
	dir := t.TempDir()
	for _, err := range []error{os.MkdirAll(filepath.Join(dir, "real/sub"), 0o700), os.Symlink("/", filepath.Join(dir, "link")), os.Symlink("real", filepath.Join(dir, "inner"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(root)
	for target, want := range map[string]error{"/real/sub": nil, "/../../real": nil, "/link/etc": unix.ELOOP, "/inner/sub": unix.ELOOP, "/none": unix.ENOENT} {
		fd, err := openMount(root, target)
		if err == nil {
			err = unix.Close(fd)
		}
		if err != want {
			t.Errorf("%s: %v, want %v", target, err, want)
		}
	}
}

func TestMountsOfThisProcess(t *testing.T) {
	list, notes := Mounts(os.Getpid())
	if len(notes) > 0 {
		t.Error(notes)
	}
	for _, m := range list {
		if m.Target == "/proc" && m.Type == "proc" && m.Size == 0 {
			return
		}
	}
	t.Errorf("/proc is not there: %+v", list)
}
