package ns

import (
	"maps"
	"os"
	"slices"
	"testing"
)

func TestKindsAreParsedAndPrinted(t *testing.T) {
	var all Kinds
	for _, k := range []struct {
		kind Kinds
		name string
	}{{User, "user"}, {PID, "pid"}, {Net, "net"}, {Mount, "mnt"}, {IPC, "ipc"}, {UTS, "uts"}, {Cgroup, "cgroup"}, {Time, "time"}} {
		got, err := ParseKind(k.name)
		if err != nil || got != k.kind {
			t.Errorf("ParseKind(%q) = %v, %v", k.name, got, err)
		}
		if k.kind.String() != k.name {
			t.Errorf("%#x is printed as %q, want %q", uintptr(k.kind), k.kind, k.name)
		}
		if all.Has(k.kind) {
			t.Errorf("%s has the bit of another kind", k.name)
		}
		all |= k.kind
	}
	if all != All|Time {
		t.Errorf("All is %s", All)
	}
	if got := (Time | User | Net).String(); got != "user,net,time" {
		t.Errorf("three kinds are printed as %q", got)
	}
	if got := Kinds(0).String(); got != "" {
		t.Errorf("no kind is printed as %q", got)
	}
	for _, bad := range []string{"", "mount", "NET", "net,pid", "pid_for_children"} {
		if k, err := ParseKind(bad); err == nil {
			t.Errorf("ParseKind(%q) = %s", bad, k)
		}
	}
}

func TestHasMeansEvery(t *testing.T) {
	if k := Net | PID; !k.Has(Net) || !k.Has(Net|PID) || k.Has(Net|User) || k.Has(User) || !k.Has(0) {
		t.Errorf("Has of %s", k)
	}
}

func TestOfProcess(t *testing.T) {
	got, err := OfProcess("/proc/self")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"user", "pid", "net", "mnt", "ipc", "uts"} {
		if link, err := os.Readlink("/proc/self/ns/" + name); err != nil || got[name] != link {
			t.Errorf("%s: %q, want %q (%v)", name, got[name], link, err)
		}
	}
	for name := range maps.Keys(got) {
		if _, err := ParseKind(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := OfProcess("/proc/self/fd"); err != nil {
		return
	}
	if none, _ := OfProcess("/proc/self/fd"); len(slices.Collect(maps.Keys(none))) != 0 {
		t.Errorf("of no process: %v", none)
	}
}
