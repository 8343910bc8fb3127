package salvage

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// write makes a file in dir, and the directories that it is in.
func write(t *testing.T, dir, name, text string, mode fs.FileMode) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, []byte(text), mode.Perm()), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

// list is what is in dir, each with its type and mode, and a file with its text.
func list(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, relErr := filepath.Rel(dir, path)
		info, infoErr := d.Info()
		if err := errors.Join(relErr, infoErr); err != nil {
			return err
		}
		if d.IsDir() {
			out = append(out, name+"/")
			return nil
		}
		text, err := os.ReadFile(path)
		out = append(out, name+" "+info.Mode().String()+" "+string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// salvage calls Directory with the root directory at path.
func salvage(t *testing.T, path, mount, dir, to string) error {
	t.Helper()
	root, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return Directory(root, mount, dir, to)
}

func TestOrdinaryFilesAndDirectoriesAreCopied(t *testing.T) {
	outside, root, to := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, outside, "secret", "secret", 0o600)
	from := filepath.Join(root, "tmp", "results")
	write(t, from, "plain", "text", 0o600)
	write(t, from, "deep/er/file", "deep", 0o400)
	write(t, from, "setuid", "", 0o700|fs.ModeSetuid)
	l, err := net.Listen("unix", filepath.Join(from, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := errors.Join(
		os.Mkdir(filepath.Join(from, "empty"), 0o700),
		unix.Mkfifo(filepath.Join(from, "pipe"), 0o600),
		os.Symlink(filepath.Join(outside, "secret"), filepath.Join(from, "link")),
		os.Symlink(outside, filepath.Join(from, "directory-link")),
		os.Symlink("plain", filepath.Join(from, "inner-link")),
	); err != nil {
		t.Fatal(err)
	}
	if err := salvage(t, root, "tmp", "results", to); err != nil {
		t.Error(err)
	}
	want := []string{"deep/", "deep/er/", "deep/er/file -r-------- deep", "empty/", "plain -rw------- text", "setuid -rwx------ "}
	if got := list(t, to); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestNothingIsCopiedFromElsewhere(t *testing.T) {
	outside, root := t.TempDir(), t.TempDir()
	write(t, outside, "secret", "secret", 0o600)
	write(t, root, "secret", "secret", 0o600)
	write(t, root, "tmp/results/plain", "text", 0o600)
	write(t, root, "tmp/results/deep/file", "deep", 0o600)
	if err := errors.Join(
		os.Symlink(outside, filepath.Join(root, "mount-link")),
		os.Symlink(outside, filepath.Join(root, "tmp", "link")),
		os.Symlink("tmp", filepath.Join(root, "inner-mount-link")),
		os.Symlink("results", filepath.Join(root, "tmp", "inner-link")),
	); err != nil {
		t.Fatal(err)
	}
	for _, from := range []struct{ mount, dir string }{
		{"mount-link", "."}, {"inner-mount-link/results", "."}, {"..", "."}, {outside, "."}, {"none", "."}, {"secret", "."},
		{"tmp", "link"}, {"tmp", "inner-link"}, {"tmp", "inner-link/deep"}, {"tmp", ".."}, {"tmp", "results/../.."}, {"tmp", outside},
		{"tmp", "none"}, {"tmp", "results/plain"},
	} {
		to := t.TempDir()
		if err := salvage(t, root, from.mount, from.dir, to); err == nil {
			t.Errorf("%s in %s: no error", from.dir, from.mount)
		}
		if got := list(t, to); len(got) > 0 {
			t.Errorf("%s in %s: copied %q", from.dir, from.mount, got)
		}
	}
}

func TestWhatCannotBeCopiedDoesNotStopTheRest(t *testing.T) {
	root, to := t.TempDir(), t.TempDir()
	for _, name := range []string{"a", "b", "c/d", "e"} {
		write(t, root, name, "new", 0o600)
	}
	write(t, to, "b", "old", 0o600)
	write(t, to, "c", "old", 0o600)
	if err := salvage(t, root, ".", ".", to); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got error %v, want %v", err, fs.ErrExist)
	}
	want := []string{"a -rw------- new", "b -rw------- old", "c -rw------- old", "e -rw------- new"}
	if got := list(t, to); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// mounting makes this test binary run a test in a mount namespace of its own.
const mounting = "NSTEST_TEST_MOUNTING"

// What is mounted over a directory or a file is not seen from outside, even if it is the same file system.
func TestMountsAreLeftOut(t *testing.T) {
	if os.Getenv(mounting) != "" {
		salvageMounts(t)
		return
	}
	again := exec.Command("/proc/self/exe", "-test.run=^TestMountsAreLeftOut$", "-test.v")
	again.Env = append(os.Environ(), mounting+"=1")
	again.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   unix.CLONE_NEWUSER,
		Unshareflags: unix.CLONE_NEWNS, // which has the mounts made private
		UidMappings:  []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings:  []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := again.CombinedOutput()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		t.Errorf("%v:\n%s", err, out)
	case err != nil && os.Getenv("NSTEST_MUST_RUN") == "1":
		t.Fatalf("NSTEST_MUST_RUN=1, and user namespaces cannot be made here: %v", err)
	case err != nil:
		t.Skipf("user namespaces cannot be made here: %v: allow them, or run the test on another machine", err)
	}
}

func salvageMounts(t *testing.T) {
	root, to := t.TempDir(), t.TempDir()
	write(t, root, "plain", "text", 0o600)
	write(t, root, "other/file", "other", 0o600)
	write(t, root, "covered", "", 0o600)
	for _, dir := range []string{"tmpfs", "bound"} {
		write(t, root, dir+"/hidden", "hidden", 0o600)
	}
	mount := func(source, target, kind string, flags uintptr) {
		t.Helper()
		target = filepath.Join(root, target)
		if err := unix.Mount(source, target, kind, flags, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(target, 0); err != nil {
				t.Error(err)
			}
		})
	}
	mount("tmpfs", "tmpfs", "tmpfs", 0)
	mount(filepath.Join(root, "other"), "bound", "", unix.MS_BIND)
	mount(filepath.Join(root, "other", "file"), "covered", "", unix.MS_BIND)
	write(t, root, "tmpfs/file", "mounted", 0o600)

	if err := salvage(t, root, ".", ".", to); err != nil {
		t.Error(err)
	}
	want := []string{"other/", "other/file -rw------- other", "plain -rw------- text"}
	if got := list(t, to); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if err := salvage(t, root, ".", "tmpfs", t.TempDir()); !errors.Is(err, unix.EXDEV) {
		t.Errorf("a directory in another mount: %v, want %v", err, unix.EXDEV)
	}

	inTmpfs := t.TempDir() // the control: it can be read where it is asked for
	if err := salvage(t, root, "tmpfs", ".", inTmpfs); err != nil {
		t.Error(err)
	}
	if got, want := list(t, inTmpfs), []string{"file -rw------- mounted"}; !slices.Equal(got, want) {
		t.Errorf("in the mount itself: got %q, want %q", got, want)
	}
}
