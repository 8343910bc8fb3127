package nsx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"golang.org/x/sys/unix"
)

// parent is a probe that has one of its own, and reports its number.
var parent = nsx.Register("parent", func(parent *nsx.Parent, s nsx.Spec) (any, error) {
	p, err := nsx.Spawn(context.Background(), s, where, struct{}{})
	if err != nil {
		return nil, err
	}
	if !s.Gate {
		if err := p.Await(nil); err != nil {
			return nil, err
		}
	}
	return nil, parent.Report(p.PID(), nil)
})

// Nothing is left of a program that is killed, whichever way a probe of it was started, and however far that has come.
func TestProbesEndWithTheProgram(t *testing.T) {
	for _, s := range []nsx.Spec{
		{}, {How: nsx.Clone3}, {How: nsx.Unshare}, {How: nsx.Unshare, Kinds: nsx.PID}, {Kinds: nsx.PID}, {Kinds: nsx.UTS, Gate: true},
		{How: nsx.Unshare, Kinds: nsx.PID, Gate: true}, nsx.Spec{Kinds: nsx.PID}.AsRoot(), nsx.Spec{How: nsx.Unshare, Kinds: nsx.PID}.AsRoot(),
		nsx.Spec{How: nsx.Clone3, Kinds: nsx.PID | nsx.Time}.AsRoot(),
	} {
		t.Run(fmt.Sprintf("%v %v gate %t", s.How, s.Kinds, s.Gate), func(t *testing.T) {
			p, err := nsx.Spawn(t.Context(), nsx.Spec{}, parent, s)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			var pid int
			if err := p.Await(&pid); err != nil {
				t.Fatal(err)
			}
			child, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(child)
			poll := []unix.PollFd{{Fd: int32(child), Events: unix.POLLIN}}
			if n, err := retry(func() (int, error) { return unix.Poll(poll, 0) }); n != 0 || err != nil {
				t.Fatalf("the child has ended before its parent: %d, %v", n, err)
			}
			if err := p.Signal(unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if n, err := retry(func() (int, error) { return unix.Poll(poll, 20_000) }); n != 1 || err != nil {
				t.Errorf("the child is alive: %d, %v", n, err)
			}
		})
	}
}

func retry(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// read returns what is in its first file, and how many it has.
var read = nsx.Register("read", func(parent *nsx.Parent, _ any) ([]string, error) {
	text, err := io.ReadAll(parent.Files[0])
	return []string{string(text), fmt.Sprint(len(parent.Files))}, err
})

func TestProbesAreGivenFiles(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("passed"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	got, err := nsx.Run(t.Context(), nsx.Spec{Files: []*os.File{r, os.Stdin}}, read, nil)
	if err != nil || got[0] != "passed" || got[1] != "2" {
		t.Errorf("got %q, %v", got, err)
	}
}

// capabilities of a probe: "CapEff" and its user id.
var capabilities = nsx.Register("capabilities", func(*nsx.Parent, any) (string, error) {
	var sets [2]unix.CapUserData
	err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &sets[0])
	return fmt.Sprintf("%d %t %t", os.Getuid(), sets[0].Effective&1 != 0, sets[0].Inheritable&1 != 0), err
})

// By the kernel's own rule for execve(2), unless the Spec says otherwise.
func TestCapabilities(t *testing.T) {
	seven := 7
	as := func(s nsx.Spec, inside int) nsx.Spec {
		s = s.AsRoot()
		s.UIDMaps[0].Inside = inside
		return s
	}
	for _, c := range []struct {
		name string
		spec nsx.Spec
		want string
	}{
		{"root", as(nsx.Spec{}, 0), "0 true false"},
		{"another id", as(nsx.Spec{}, 7), "7 false false"},
		{"another id that keeps them", as(nsx.Spec{KeepCapabilities: true}, 7), "7 true true"},
		{"no id", nsx.Spec{Kinds: nsx.User}, "65534 false false"},
		{"clone3, no id, kept", nsx.Spec{How: nsx.Clone3, Kinds: nsx.User, KeepCapabilities: true}, "65534 true true"},
		{"unshare, no id, kept", nsx.Spec{How: nsx.Unshare, Kinds: nsx.User, KeepCapabilities: true}, "65534 true true"},
		{"unshare, root", as(nsx.Spec{How: nsx.Unshare}, 0), "0 true false"},
		{"the id that it has, said", as(nsx.Spec{UID: &seven, GID: new(int)}, 7), "7 false false"},
	} {
		if got, err := nsx.Run(t.Context(), c.spec, capabilities, nil); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

// uptime is the clock since boot, in seconds.
var uptime = nsx.Register("uptime", func(*nsx.Parent, any) (int64, error) {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)
	return now.Sec, err
})

func TestTimeOffsets(t *testing.T) {
	before, err := nsx.Run(t.Context(), nsx.Spec{}, uptime, nil)
	if err != nil {
		t.Fatal(err)
	}
	after, err := nsx.Run(t.Context(), nsx.Spec{How: nsx.Unshare, Kinds: nsx.Time, TimeOffsets: &nsx.TimeOffsets{Boottime: 1e6 * 3600e9}}, uptime, nil)
	if err != nil || after-before < 3600e6 || after-before > 2*3600e6 {
		t.Errorf("%d before, %d shifted by a million hours, %v", before, after, err)
	}
}

func TestSetTID(t *testing.T) {
	_, err := nsx.Run(t.Context(), nsx.Spec{How: nsx.Clone3, Kinds: nsx.PID, SetTID: []int32{2}}, uptime, nil)
	if !errors.Is(err, unix.EINVAL) { // the first has to be 1
		t.Errorf("2 for the first process: %v", err)
	}
	if _, err := nsx.Run(t.Context(), nsx.Spec{How: nsx.Clone3, Kinds: nsx.PID, SetTID: []int32{1}}, uptime, nil); err != nil {
		t.Errorf("1 for the first process: %v", err)
	}
}

func TestWithoutCapability(t *testing.T) {
	for _, how := range []nsx.Way{nsx.Clone, nsx.Clone3, nsx.Unshare} {
		// In a user namespace without a mapped id, a program that is executed has no capabilities.
		_, err := nsx.Run(t.Context(), nsx.Spec{Kinds: nsx.User}, nested, nsx.Spec{How: how, Kinds: nsx.UTS})
		want := how.String() + " uts namespace: operation not permitted (it needs CAP_SYS_ADMIN"
		if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// nested runs a probe of its own.
var nested = nsx.Register("nested", func(_ *nsx.Parent, s nsx.Spec) (int64, error) {
	return nsx.Run(context.Background(), s, uptime, nil)
})
