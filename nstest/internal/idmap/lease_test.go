package idmap

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLeasesAreDisjoint(t *testing.T) {
	var leases []*Lease
	for i := range 100 {
		count := Size
		switch i % 10 {
		case 3:
			count = 1
		case 7:
			count = 200_000
		}
		l, err := Take(count)
		check(t, err)
		t.Cleanup(l.Release)
		if want := (count + Size - 1) / Size * Size; l.Count != want || l.Base < firstID || l.Base+l.Count-1 > lastID {
			t.Errorf("Take(%d) = %d to %d", count, l.Base, l.Base+l.Count-1)
		}
		for _, r := range reserved() {
			if l.Base < r.Outside+r.Count && r.Outside < l.Base+l.Count {
				t.Errorf("lease %d to %d is reserved: %v", l.Base, l.Base+l.Count-1, r)
			}
		}
		leases = append(leases, l)
	}
	slices.SortFunc(leases, func(a, b *Lease) int { return a.Base - b.Base })
	for i, l := range leases[1:] {
		if before := leases[i]; before.Base+before.Count > l.Base {
			t.Errorf("%d to %d overlaps %d to %d", before.Base, before.Base+before.Count-1, l.Base, l.Base+l.Count-1)
		}
	}
	m := leases[0].Map()
	want := []Range{{0, leases[0].Base, leases[0].Count}}
	if !slices.Equal(m.UIDs, want) || !slices.Equal(m.GIDs, want) {
		t.Errorf("Map: %v, want %v", m, want)
	}
}

func TestTakeRefuses(t *testing.T) {
	for _, count := range []int{0, -1, -1 << 40, lastID, 1 << 40} {
		if l, err := Take(count); err == nil {
			l.Release()
			t.Errorf("Take(%d) = %v", count, l)
		}
	}
}

func TestReleaseGivesBack(t *testing.T) {
	l, err := Take(3 * Size)
	check(t, err)
	slot := (l.Base - firstID) / Size
	for i := range 3 {
		if _, err := lock(slot+i, 1); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("lock %d of a lease: %v", i, err)
		}
	}
	l.Release()
	l.Release()
	again, err := lock(slot, 3)
	check(t, err)
	(&Lease{locks: again}).Release()
}

// A lock keeps other processes out and ends with its process, however that ends.
func TestLocksBetweenProcesses(t *testing.T) {
	const variable = "NSTEST_LOCK_SLOT"
	if s := os.Getenv(variable); s != "" {
		var slot int
		if _, err := fmt.Sscan(s, &slot); err != nil {
			t.Fatal(err)
		}
		for in := bufio.NewScanner(os.Stdin); in.Scan(); { // once for each line
			_, err := lock(slot, 1)
			fmt.Printf("lock: %v\n", err)
		}
		os.Exit(0)
	}
	l, err := Take(1)
	check(t, err)
	defer l.Release()
	slot := (l.Base - firstID) / Size
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestLocksBetweenProcesses$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", variable, slot))
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	defer in.Close()
	answers := bufio.NewReader(out)
	ask := func(want string) {
		t.Helper()
		_, err := fmt.Fprintln(in, "try")
		check(t, err)
		if got, err := answers.ReadString('\n'); err != nil || got != "lock: "+want+"\n" {
			t.Errorf("the other process: %q, %v, want %q", got, err, want)
		}
	}
	ask(unix.EADDRINUSE.Error())
	l.Release()
	ask("<nil>")
	if _, err := lock(slot, 1); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("what the other process holds: %v", err)
	}
	check(t, cmd.Process.Kill())
	_ = cmd.Wait()
	fds, err := lock(slot, 1)
	check(t, err)
	(&Lease{locks: fds}).Release()
}

func TestReservedRangesAreNotTaken(t *testing.T) {
	const free, slots = firstID + 1000*Size, 3
	file := filepath.Join(t.TempDir(), "subuid")
	// The last id of the third slot is somebody's: two whole slots are left.
	content := fmt.Sprintf("alice:%d:%d\n1001:%d:%d\n", firstID, free-firstID, free+slots*Size-1, lastID)
	check(t, os.WriteFile(file, []byte(content), 0o644))
	before := reserved
	reserved = func() []Range { return granted(file, "/nonexistent") }
	defer func() { reserved = before }()
	var got []int
	for range slots - 1 {
		l, err := Take(Size)
		if err != nil {
			t.Skipf("%v: another process may have it", err)
		}
		defer l.Release()
		got = append(got, l.Base)
	}
	slices.Sort(got)
	if want := []int{free, free + Size}; !slices.Equal(got, want) {
		t.Errorf("leases at %v, want %v", got, want)
	}
	for _, count := range []int{1, 3 * Size} {
		if l, err := Take(count); err == nil {
			l.Release()
			t.Errorf("Take(%d) = %d to %d, although nothing is left", count, l.Base, l.Base+l.Count-1)
		}
	}
}

func TestGrants(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subuid")
	check(t, os.WriteFile(file, []byte("# a comment\n\nalice:100000:65536\n bob:165536:10 \nno:numbers:here\ntoo:many:1:2\ncarol:5:0\ndave:5:-1\nalice:300000:5"), 0o644))
	got, err := grants(file, func(name string) bool { return name != "bob" })
	if want := []Range{{0, 100000, 65536}, {0, 300000, 5}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := grants(filepath.Join(file, "none"), nil); err == nil || !strings.Contains(err.Error(), "read subordinate ids") {
		t.Errorf("without a file: %v", err)
	}
}

func TestInvoker(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SUDO_UID", "1234")
	t.Setenv("SUDO_GID", "5678")
	if uid, gid := Invoker(dir); uid != 1234 || gid != 5678 {
		t.Errorf("by sudo: %d %d", uid, gid)
	}
	for _, uid := range []string{"", "0", "x"} {
		t.Setenv("SUDO_UID", uid)
		if uid, gid := Invoker(dir); uid != os.Getuid() || gid != os.Getgid() {
			t.Errorf("by the directory: %d %d", uid, gid)
		}
	}
	if uid, gid := Invoker("/nonexistent"); uid != 0 || gid != 0 {
		t.Errorf("nobody: %d %d", uid, gid)
	}
}
