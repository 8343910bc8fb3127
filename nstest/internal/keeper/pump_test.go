package keeper

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What is sent for a process's output may be anything. Only pipes and /dev/null are ever written to by the keeper.
func TestPumpsLeadToPipesAlone(t *testing.T) {
	open := func(path string, flags int) *os.File {
		f, err := os.OpenFile(path, flags|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	socket := os.NewFile(uintptr(fds[0]), "")
	defer socket.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for name, f := range map[string]*os.File{
		"a file": open(filepath.Join(t.TempDir(), "file"), os.O_WRONLY), "a named pipe": open(fifo, os.O_RDWR), "a device": open("/dev/zero", os.O_RDWR),
		"a socket": socket, "a path": open("/", unix.O_PATH&^os.O_CREATE), "a file of the kernel's": open("/proc/self/comm", os.O_WRONLY),
	} {
		if u, err := newPump(f); err == nil {
			t.Errorf("%s: got %v", name, u)
		}
	}
	for name, f := range map[string]*os.File{"a pipe": w, "/dev/null": open(os.DevNull, os.O_WRONLY)} {
		u, err := newPump(f)
		if err != nil || u == nil || (u.destination == nil) != (name == "/dev/null") {
			t.Fatalf("%s: %v, %v", name, u, err)
		}
		if err := u.close(); err != nil {
			t.Error(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if u, err := newPump(w); u != nil || err != nil {
		t.Errorf("a pipe that nobody reads: %v, %v", u, err)
	}
}
