package ns

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/idmap"
	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

// startInit starts an init in namespaces of the given kinds, its ids mapped.
func startInit(t *testing.T, kinds Kinds) *pid1.Agent {
	t.Helper()
	if f, err := pid1.Static(); f == nil {
		t.Skipf("there is no static init (%v), and this test program is none", err)
	}
	image, err := pid1.Image()
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs, err := pid1.Socket()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	proc, err := Start(Spec{Path: image.Path, Args: image.Args, Env: image.Env, Kinds: kinds, DieWithUs: true,
		Files: []*os.File{null, null, null, theirs}})
	if err != nil {
		t.Fatal(err)
	}
	a := pid1.NewAgent(ours)
	t.Cleanup(func() { a.Close(); proc.Wait(); proc.PIDFD.Close() })
	if kinds.Has(User) {
		if _, _, err := idmap.WriteUnprivileged(proc.PID); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// shifted is an init whose later children have shifted clocks, and what the kernel says the offsets are.
func shifted(t *testing.T, monotonic, boottime time.Duration) (*pid1.Agent, []string) {
	t.Helper()
	if _, err := os.Stat("/proc/self/ns/time"); err != nil {
		need(t, "%v: time namespaces need Linux 5.6 with CONFIG_TIME_NS", err)
	}
	t.Setenv("NSTEST_INIT", "")
	a := startInit(t, makeable(t, PID|Mount))
	var p pid1.Program
	p.Propagate("/", unix.MS_REC|unix.MS_PRIVATE)
	p.Mount("proc", "/proc", "proc", 0, "")
	ShiftClocks(&p, monotonic, boottime)
	p.Return(p.Open("/proc/self/timens_offsets", unix.O_RDONLY, 0))
	files, err := a.Run(&p)
	if err != nil {
		t.Fatal(err)
	}
	defer files[0].Close()
	b, err := io.ReadAll(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return a, strings.Fields(string(b))
}

func TestShiftClocks(t *testing.T) {
	_, got := shifted(t, -1500*time.Millisecond, -time.Nanosecond)
	if want := []string{"monotonic", "-2", "500000000", "boottime", "-1", "999999999"}; !slices.Equal(got, want) {
		t.Errorf("offsets %q, want %q", got, want)
	}
	a, got := shifted(t, 100*time.Hour+1500*time.Millisecond, 1000*time.Hour)
	if want := []string{"monotonic", "360001", "500000000", "boottime", "3600000", "0"}; !slices.Equal(got, want) {
		t.Errorf("offsets %q, want %q", got, want)
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var child pid1.Program
	child.Dup3(child.File(w), 1)
	child.Exec([]string{"/bin/cat"}, []string{"cat", "/proc/uptime"}, nil)
	c, err := a.Start(&child)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer c.PIDFD.Close()
	var uptime float64
	if _, err := fmt.Fscan(r, &uptime); err != nil {
		t.Fatal(err)
	}
	if shift := uptime - float64(now.Sec); shift < 3600000-1 || shift > 3600000+600 {
		t.Errorf("a process sees the boot clock shifted by %f s", shift)
	}
}
