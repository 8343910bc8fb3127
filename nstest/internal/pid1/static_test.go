package pid1_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

func TestStaticInitIsRebuiltFromSource(t *testing.T) {
	const packages = "apt install gcc-x86-64-linux-gnu gcc-aarch64-linux-gnu linux-libc-dev-arm64-cross"
	want, err := os.ReadFile("static/COMPILER")
	check(t, err)
	got, err := exec.Command("static/build.sh", "-versions").Output()
	if err != nil {
		need(t, "the compilers are missing: %v (Debian 12: %s)", err, packages)
	}
	if !bytes.Equal(got, want) {
		need(t, "the compilers are\n%sand the checked-in files are from\n%s(Debian 12: %s)", got, want, packages)
	}
	// From elsewhere: no path is part of the result.
	src, out := filepath.Join(t.TempDir(), "a-copy-of-the-source"), t.TempDir()
	check(t, os.CopyFS(src, os.DirFS("static")))
	check(t, os.Chmod(filepath.Join(src, "build.sh"), 0o755))
	cmd := exec.Command(filepath.Join(src, "build.sh"), out)
	cmd.Dir = out
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, b)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		name := "init_" + arch + ".bin"
		built, err := os.ReadFile(filepath.Join(out, name))
		check(t, err)
		have, err := os.ReadFile(filepath.Join("static", name))
		check(t, err)
		if !bytes.Equal(built, have) {
			t.Errorf("%s is not what init.c makes: run static/build.sh", name)
		}
		if i := bytes.IndexByte(have, '/'); i >= 0 && bytes.Contains(have, []byte("init.c")) {
			t.Errorf("%s contains the name of its source", name)
		}
	}
}

// The init of arm64 in an emulator: it runs calls, and ends with its connection. The emulator cannot clone with a pidfd.
func TestArm64InitUnderEmulation(t *testing.T) {
	qemu, err := exec.LookPath("qemu-aarch64")
	if err != nil {
		need(t, "%v (Debian, Ubuntu: apt install qemu-user)", err)
	}
	ours, theirs, err := pid1.Socket()
	check(t, err)
	cmd := exec.Command(qemu, "static/init_arm64.bin")
	cmd.ExtraFiles = []*os.File{theirs}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	check(t, cmd.Start())
	theirs.Close()
	a := pid1.NewAgent(ours)
	const getpid, kill, memfdCreate, write, lseek, chdir = 172, 129, 279, 64, 62, 49 // asm-generic
	var p pid1.Program
	self := p.Call("getpid", getpid)
	p.Call("kill", kill, self.Arg(), pid1.Int(0))
	f := p.Call("memfd_create", memfdCreate, p.String("test"), pid1.Int(unix.MFD_CLOEXEC))
	p.Call("write", write, f.Arg(), p.Bytes([]byte("from arm64")), pid1.Int(10))
	p.Call("lseek", lseek, f.Arg(), pid1.Int(0), pid1.Int(0))
	p.Return(f)
	files, err := a.Run(&p)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if got := readAll(t, files[0]); got != "from arm64" {
		t.Errorf("got %q", got)
	}
	files[0].Close()
	var bad pid1.Program
	bad.Call("chdir", chdir, bad.String("/nonexistent"))
	_, err = a.Run(&bad)
	wantErrno(t, err, unix.ENOENT)
	check(t, a.Close())
	if err := cmd.Wait(); err != nil {
		t.Errorf("the init's end: %v\n%s", err, stderr.String())
	}
	<-a.Gone()
}
