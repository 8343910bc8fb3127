package nsx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/ns/mapped"
	"github.com/hermetic-go/nstest/nstest/leaks"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(mapped.Main(checked{m})) }

type checked struct{ m *testing.M }

func (c checked) Run() int { return leaks.Main(c.m) }

// A place is where a probe finds itself.
type place struct {
	Inodes   map[string]uint64
	PID, UID int
	FirstOn  bool // on the process's first thread
}

var kinds = []nsx.Kinds{nsx.User, nsx.PID, nsx.Net, nsx.Mount, nsx.IPC, nsx.UTS, nsx.Cgroup, nsx.Time}

// where reports its place, so that somebody can look at it from outside.
var where = nsx.Register("where", func(parent *nsx.Parent, _ struct{}) (place, error) {
	p := place{PID: os.Getpid(), UID: os.Getuid(), FirstOn: unix.Gettid() == unix.Getpid()}
	return p, parent.Report(p, nil)
})

var fail = nsx.Register("fail", func(_ *nsx.Parent, errno unix.Errno) (any, error) {
	if errno == 0 {
		return nil, errors.New("for no reason")
	}
	return nil, fmt.Errorf("fail: %w", errno)
})

var die = nsx.Register("die", func(*nsx.Parent, any) (any, error) {
	fmt.Fprintln(os.Stderr, "last words")
	return nil, unix.Kill(unix.Getpid(), unix.SIGKILL)
})

// Every kind by every way is another namespace than ours, and the others are ours.
func TestEveryKindByEveryWay(t *testing.T) {
	holder := spawn(t, nsx.Spec{How: nsx.Unshare, Kinds: nsx.Net | nsx.Mount | nsx.IPC | nsx.UTS | nsx.Cgroup | nsx.PID | nsx.Time})
	for _, how := range []nsx.Way{nsx.Clone, nsx.Clone3, nsx.Unshare, nsx.Setns} {
		for _, kind := range append(slices.Clone(kinds), 0) {
			t.Run(fmt.Sprintf("%v %v", how, kind), func(t *testing.T) {
				s := nsx.Spec{How: how, Kinds: kind}
				switch {
				case how == nsx.Clone && kind == nsx.Time: // ignored: see TestCloneIgnoresTime
					return
				case how == nsx.Setns && (kind == 0 || kind == nsx.User):
					return
				case how == nsx.Setns:
					f, err := holder.Open(kind)
					if err != nil {
						t.Fatal(err)
					}
					defer f.Close()
					s.Kinds, s.Into = 0, []*os.File{f}
				case kind == nsx.User:
					s = s.AsRoot()
				}
				p := spawn(t, s)
				for _, k := range kinds {
					ours, err1 := nsx.Inode(os.Getpid(), k)
					theirs, err2 := p.Inode(k)
					if err := errors.Join(err1, err2); err != nil {
						t.Fatal(err)
					}
					if another := ours != theirs; another != (k == kind) {
						t.Errorf("another %v namespace than ours: %t", k, another)
					}
				}
			})
		}
	}
}

// spawn is a probe that has reported its place. It ends with the test.
func spawn(t *testing.T, s nsx.Spec) *nsx.Process[place] {
	t.Helper()
	p, err := nsx.Spawn(t.Context(), s, where, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	var at place
	if err := p.Await(&at); err != nil {
		t.Fatal(err)
	}
	if !at.FirstOn {
		t.Error("the probe is not on its process's first thread")
	}
	return p
}

func TestCloneIgnoresTime(t *testing.T) {
	p := spawn(t, nsx.Spec{Kinds: nsx.Time})
	ours, err1 := nsx.Inode(0, nsx.Time)
	theirs, err2 := p.Inode(nsx.Time)
	if err1 != nil || err2 != nil || ours != theirs {
		t.Errorf("ours %d, theirs %d, %v, %v", ours, theirs, err1, err2)
	}
}

func TestTheFirstInItsPIDNamespace(t *testing.T) {
	for _, how := range []nsx.Way{nsx.Clone, nsx.Clone3, nsx.Unshare} {
		p := spawn(t, nsx.Spec{How: how, Kinds: nsx.PID})
		pids, err := p.NSPids()
		if err != nil || len(pids) < 2 || pids[len(pids)-1] != 1 || pids[len(pids)-2] != p.PID() {
			t.Errorf("%v: numbers %v, %v; want %d and 1 at the end", how, pids, err, p.PID())
		}
		if err := p.Continue(nil); err != nil {
			t.Error(err)
		}
		if at, err := p.Result(); err != nil || at.PID != 1 {
			t.Errorf("%v: got %+v, %v", how, at, err)
		}
		if status, err := p.Wait(); err != nil || status != 0 {
			t.Errorf("%v: ended with %v, %v", how, status, err)
		}
	}
}

func TestUnmappedProbeIsNobody(t *testing.T) {
	p := spawn(t, nsx.Spec{Kinds: nsx.User})
	_ = p.Continue(nil)
	if at, err := p.Result(); err != nil || at.UID != 65534 {
		t.Errorf("got %+v, %v", at, err)
	}
}

// Maps may be written by the caller while the gate is closed.
func TestGateHoldsTheProbeBack(t *testing.T) {
	p, err := nsx.Spawn(t.Context(), nsx.Spec{Kinds: nsx.User, Gate: true}, where, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if exe, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID())); err != nil || strings.Contains(string(exe), "nstest-probe") {
		t.Errorf("behind the gate runs %q, %v", exe, err)
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/uid_map", p.PID()), fmt.Appendf(nil, "7 %d 1", os.Getuid()), 0); err != nil {
		t.Fatal(err)
	}
	if err := p.Await(nil); err == nil || !strings.Contains(err.Error(), "OpenGate") {
		t.Errorf("a probe behind its gate was awaited: %v", err)
	}
	if err := p.OpenGate(); err != nil {
		t.Fatal(err)
	}
	if err := p.OpenGate(); err == nil {
		t.Error("the gate was opened twice")
	}
	var at place
	if err := p.Await(&at); err != nil || at.UID != 7 {
		t.Errorf("got %+v, %v", at, err)
	}
}

func TestErrorsOfProbes(t *testing.T) {
	_, err := nsx.Run(t.Context(), nsx.Spec{}, fail, unix.ENOTTY)
	if !errors.Is(err, unix.ENOTTY) || err.Error() != "probe fail: fail: inappropriate ioctl for device" {
		t.Errorf("with an errno: %v", err)
	}
	_, err = nsx.Run(t.Context(), nsx.Spec{}, fail, 0)
	var p *nsx.ProbeError
	if !errors.As(err, &p) || p.Errno != 0 || p.Text != "for no reason" {
		t.Errorf("without: %v", err)
	}
	_, err = nsx.Run(t.Context(), nsx.Spec{}, die, nil)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "killed") || !strings.Contains(err.Error(), "last words") {
		t.Errorf("of one that died: %v", err)
	}
}

func TestErrorsOfSpecs(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, c := range []struct {
		spec nsx.Spec
		want string
	}{
		{nsx.Spec{How: nsx.Setns}, "Into"},
		{nsx.Spec{Into: []*os.File{null}}, "Setns"},
		{nsx.Spec{UIDMaps: []nsx.IDMap{{}}}, "add User"},
		{nsx.Spec{How: nsx.Clone3, Kinds: nsx.Time, TimeOffsets: &nsx.TimeOffsets{}}, "Unshare"},
		{nsx.Spec{SetTID: []int32{1}}, "Clone3"},
		{nsx.Spec{Gate: true}, "Spawn"},
		{nsx.Spec{How: nsx.Setns, Into: []*os.File{null}}, "setns"},
		{nsx.Spec{Kinds: nsx.User, UIDMaps: []nsx.IDMap{{0, 0, 0}}}, "write uid_map: invalid argument"},
		{nsx.Spec{How: nsx.Clone3, Kinds: 1}, "clone3"},
		{nsx.Spec{How: nsx.Unshare, Kinds: 1}, "unshare"},
	} {
		if _, err := nsx.Run(t.Context(), c.spec, fail, 0); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.spec, err, c.want)
		}
	}
}

func TestContextEndsTheProbe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, err := nsx.Spawn(ctx, nsx.Spec{}, where, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Await(nil); err != nil {
		t.Fatal(err)
	}
	cancel()
	if status, err := p.Wait(); err != nil || status.Signal() != unix.SIGKILL {
		t.Errorf("ended with %v, %v", status, err)
	}
}

// again is a probe that starts itself, so often.
var again = nsx.Register("again", func(_ *nsx.Parent, times int) (int, error) {
	if times == 0 {
		return 0, nil
	}
	n, err := nsx.Run(context.Background(), nsx.Spec{}, nsx.Named[int, int]("again"), times-1)
	return n + 1, err
})

func TestAProbeStartsItself(t *testing.T) {
	if n, err := nsx.Run(t.Context(), nsx.Spec{}, again, 2); err != nil || n != 2 {
		t.Errorf("got %d, %v", n, err)
	}
	for _, unknown := range []nsx.Probe[int, int]{{}, nsx.Named[int, int]("unknown")} {
		if _, err := nsx.Run(t.Context(), nsx.Spec{}, unknown, 1); err == nil || !strings.Contains(err.Error(), "none is registered") {
			t.Errorf("%q: %v", unknown.Name(), err)
		}
	}
}
