package confine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

func TestDrops(t *testing.T) {
	all := make([]int, lastCap()+1)
	for i := range all {
		all[i] = i
	}
	for _, c := range []struct {
		drop, add []string
		want      []int
	}{
		{nil, nil, nil},
		{nil, []string{"NET_ADMIN"}, nil},
		{[]string{"NET_RAW", "cap_chown", "CAP_NET_ADMIN", "NET_RAW"}, nil, []int{unix.CAP_CHOWN, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}},
		{[]string{"NET_RAW", "CHOWN"}, []string{"CAP_CHOWN"}, []int{unix.CAP_NET_RAW}},
		{[]string{"ALL"}, nil, all},
		{[]string{"all"}, []string{"CHOWN", "DAC_OVERRIDE"}, all[2:]},
		{[]string{"ALL"}, []string{"ALL"}, nil},
	} {
		got, err := Drops(c.drop, c.add)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("Drops(%q, %q) = %v, %v, want %v", c.drop, c.add, got, err, c.want)
		}
	}
	for _, bad := range [][]string{{""}, {"CAP_"}, {"NET ADMIN"}, {"CHOWN", "NOTHING"}} {
		if _, err := Drops(bad, nil); !errors.Is(err, unix.EINVAL) {
			t.Errorf("drop %q: %v", bad, err)
		}
		if _, err := Drops(nil, bad); !errors.Is(err, unix.EINVAL) {
			t.Errorf("add %q: %v", bad, err)
		}
	}
}

func TestNamesAreInTheOrderOfNumbers(t *testing.T) {
	for name, number := range map[string]int{
		"CHOWN": unix.CAP_CHOWN, "SETPCAP": unix.CAP_SETPCAP, "NET_ADMIN": unix.CAP_NET_ADMIN, "SYS_ADMIN": unix.CAP_SYS_ADMIN,
		"MKNOD": unix.CAP_MKNOD, "SETFCAP": unix.CAP_SETFCAP, "AUDIT_READ": unix.CAP_AUDIT_READ, "BPF": unix.CAP_BPF,
		"CHECKPOINT_RESTORE": unix.CAP_CHECKPOINT_RESTORE,
	} {
		if got := slices.Index(names, name); got != number {
			t.Errorf("%s is %d, want %d", name, got, number)
		}
	}
	if len(names) != unix.CAP_LAST_CAP+1 {
		t.Errorf("%d names, and %d capabilities", len(names), unix.CAP_LAST_CAP+1)
	}
}

// Programs that the init starts have lost what was dropped; the init has not.
func TestCapabilities(t *testing.T) {
	a := startInit(t)
	var p pid1.Program
	Keyring(&p)
	Capabilities(&p, []int{unix.CAP_NET_RAW, unix.CAP_SYS_ADMIN})
	_, err := a.Run(&p)
	check(t, err)
	r, w, err := os.Pipe()
	check(t, err)
	defer r.Close()
	var child pid1.Program
	child.Dup3(child.File(w), 1)
	child.Exec([]string{"/bin/sed"}, []string{"sed", "-n", "s/^Cap//p", "/proc/self/status"}, nil)
	c, err := a.Start(&child)
	w.Close()
	check(t, err)
	defer c.PIDFD.Close()
	b, err := io.ReadAll(r)
	check(t, err)
	kept := (uint64(1)<<(lastCap()+1) - 1) &^ (1<<unix.CAP_NET_RAW | 1<<unix.CAP_SYS_ADMIN)
	hex := fmt.Sprintf("%016x", kept)
	want := []string{"Inh:", "0000000000000000", "Prm:", hex, "Eff:", hex, "Bnd:", hex, "Amb:", "0000000000000000"}
	if got := strings.Fields(string(b)); !slices.Equal(got, want) {
		t.Errorf("a program's capabilities are %q, want %q", got, want)
	}
	// The init still makes namespaces.
	sub, child2, err := a.Fork(unix.CLONE_NEWUTS)
	check(t, err)
	check(t, sub.Close())
	<-child2.Done()
	check(t, child2.PIDFD.Close())
}
