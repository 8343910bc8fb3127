package idmap

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOutside(t *testing.T) {
	ranges := []Range{{0, 1000, 1}, {1, 100000, 10}, {50, 7, 2}}
	for _, c := range []struct {
		inside, want int
		ok           bool
	}{{0, 1000, true}, {1, 100000, true}, {10, 100009, true}, {11, 0, false}, {49, 0, false}, {50, 7, true}, {51, 8, true}, {52, 0, false}, {-1, 0, false}} {
		if got, ok := Outside(ranges, c.inside); got != c.want || ok != c.ok {
			t.Errorf("Outside(%d) = %d, %t, want %d, %t", c.inside, got, ok, c.want, c.ok)
		}
	}
}

func TestIdentity(t *testing.T) {
	m := Map{UIDs: []Range{{0, 1000, 1}, {1, 100000, 10}}, GIDs: []Range{{0, 1000, 1}}}
	id := m.Identity()
	if want := []Range{{0, 0, 1}, {1, 1, 10}}; !slices.Equal(id.UIDs, want) || !slices.Equal(id.GIDs, []Range{{0, 0, 1}}) {
		t.Errorf("got %v", id)
	}
	if m.UIDs[1].Outside != 100000 {
		t.Error("the map itself was changed")
	}
	if m.Count() != 11 || (Map{}).Count() != 0 {
		t.Errorf("Count is %d", m.Count())
	}
}

func TestReadAndFormat(t *testing.T) {
	file := filepath.Join(t.TempDir(), "uid_map")
	check(t, os.WriteFile(file, []byte("         0       1000          1\n         1     100000      65535\n"), 0o644))
	got, err := read(file)
	want := []Range{{0, 1000, 1}, {1, 100000, 65535}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("read: %v, %v", got, err)
	}
	if s := format(want); s != "0 1000 1\n1 100000 65535\n" {
		t.Errorf("format: %q", s)
	}
	check(t, os.WriteFile(file, []byte("0 1000\n"), 0o644))
	if _, err := read(file); err == nil {
		t.Error("a line of two numbers: no error")
	}
}

func TestCurrent(t *testing.T) {
	m, err := Current()
	check(t, err)
	b, err := os.ReadFile("/proc/self/uid_map")
	check(t, err)
	if got, want := strings.Fields(format(m.UIDs)), strings.Fields(string(b)); !slices.Equal(got, want) {
		t.Errorf("uids %q, want %q", got, want)
	}
	if whole := strings.Join(strings.Fields(string(b)), " ") == "0 0 4294967295"; m.IsInitial() != whole {
		t.Errorf("IsInitial is %t for %v", m.IsInitial(), m)
	}
}

func TestIsInitial(t *testing.T) {
	for _, c := range []struct {
		uids []Range
		want bool
	}{
		{[]Range{{0, 0, 1<<32 - 1}}, true},
		{[]Range{{0, 0, 65536}}, false},
		{[]Range{{0, 100000, 1<<32 - 1}}, false},
		{nil, false},
	} {
		if got := (Map{UIDs: c.uids}).IsInitial(); got != c.want {
			t.Errorf("%v: %t", c.uids, got)
		}
	}
}

func TestPrivileged(t *testing.T) {
	got, err := Privileged()
	check(t, err)
	data := [2]unix.CapUserData{}
	check(t, unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]))
	if want := data[0].Effective&needed == needed; got != want {
		t.Errorf("got %t with capabilities %#x", got, data[0].Effective)
	}
}
