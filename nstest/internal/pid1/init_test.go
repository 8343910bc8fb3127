package pid1_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/idmap"
	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

// The init in Go is this test program.
func init() {
	if pid1.IsInit() {
		pid1.Main()
	}
}

// need skips the test, or fails it where NSTEST_MUST_RUN is set.
func need(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("NSTEST_MUST_RUN") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// forEachInit runs f with an init of each kind, which nothing may be left of.
func forEachInit(t *testing.T, f func(t *testing.T, in *running)) {
	for _, kind := range []string{"static", "go"} {
		t.Run(kind, func(t *testing.T) {
			if f, err := pid1.Static(); kind == "static" && f == nil {
				t.Skipf("no static init for %s (%v): nothing to test", runtime.GOARCH, err)
			}
			f(t, startInit(t, kind))
		})
	}
}

// running is an init and the connection to it.
type running struct {
	*pid1.Agent
	proc *ns.Process
	kind string
}

func startInit(t *testing.T, kind string) *running {
	t.Helper()
	if kind == "static" {
		kind = ""
	}
	t.Setenv("NSTEST_INIT", kind)
	kinds := ns.PID
	privileged, err := idmap.Privileged()
	check(t, err)
	if !privileged {
		kinds |= ns.User
		if err := ns.Trial(unix.CLONE_NEWPID, ns.TrialIDs{}); err != nil {
			need(t, "no user namespaces: %v (run as root, or allow them: sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)", err)
		}
	}
	checkLeaks(t)
	image, err := pid1.Image()
	check(t, err)
	ours, theirs, err := pid1.Socket()
	check(t, err)
	defer theirs.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	check(t, err)
	defer null.Close()
	stray, err := unix.Dup(int(null.Fd())) // without FD_CLOEXEC: the init has to close it
	check(t, err)
	defer unix.Close(stray)
	proc, err := ns.Start(ns.Spec{
		Path: image.Path, Args: image.Args, Env: image.Env, Kinds: kinds, DieWithUs: true,
		Files: []*os.File{null, null, os.Stderr, theirs},
	})
	check(t, err)
	if !privileged {
		if _, _, err := idmap.WriteUnprivileged(proc.PID); err != nil {
			t.Errorf("write id maps: %v", err)
		}
	}
	agent := pid1.NewAgent(ours)
	t.Cleanup(func() {
		agent.Close()
		if _, err := proc.Wait(); err != nil {
			t.Errorf("wait for init: %v", err)
		}
		proc.PIDFD.Close()
		<-agent.Gone()
	})
	return &running{agent, proc, kind}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run executes p and fails the test on error.
func run(t *testing.T, a *pid1.Agent, p *pid1.Program) []*os.File {
	t.Helper()
	files, err := a.Run(p)
	check(t, err)
	return files
}

// command starts a shell command in a child of the init, with its standard output to a pipe.
func command(t *testing.T, a *pid1.Agent, script string, env ...string) (*pid1.Child, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	check(t, err)
	var p pid1.Program
	p.Dup3(p.File(w), 1)
	none := p.Bytes(make([]byte, 8))
	p.Call("unblock signals", unix.SYS_RT_SIGPROCMASK, pid1.Int(unix.SIG_SETMASK), none, pid1.Int(0), pid1.Int(8))
	p.Exec([]string{"/bin/sh"}, []string{"sh", "-c", script}, append([]string{"PATH=/usr/bin:/bin"}, env...))
	c, err := a.Start(&p)
	w.Close()
	if err != nil {
		r.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); c.PIDFD.Close() })
	return c, r
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	check(t, err)
	return string(b)
}

func wantErrno(t *testing.T, err error, want unix.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// wait waits until cond holds.
func wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("no end of waiting: %s", what)
		}
	}
}

// ended waits for the process behind pidfd to end.
func ended(t *testing.T, pidfd *os.File) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 20_000)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n != 1 {
			t.Errorf("the process lives on (%d, %v)", n, err)
		}
		return
	}
}

// files is what the init has open.
func (in *running) files(t *testing.T) []string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", in.proc.PID)
	names, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("%v: the init of an ordinary user is not to be looked into; run as root", err)
	}
	check(t, err)
	var open []string
	for _, n := range names {
		target, err := os.Readlink(filepath.Join(dir, n.Name()))
		check(t, err)
		if !strings.Contains(target, "anon_inode:[event") { // the runtime's
			open = append(open, n.Name()+"→"+target)
		}
	}
	slices.Sort(open)
	return open
}

// children is how many children the init has, zombies included.
func (in *running) children(t *testing.T) int {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", in.proc.PID))
	check(t, err)
	n := 0
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err == nil { // the thread may have ended
			n += len(strings.Fields(string(b)))
		}
	}
	return n
}

// checkLeaks fails the test if file descriptors or goroutines are left when all its later clean-ups have run.
func checkLeaks(t *testing.T) {
	t.Helper()
	_, err := pid1.Image() // stays open
	check(t, err)
	ours, theirs, err := pid1.Socket()
	check(t, err)
	a := pid1.NewAgent(ours)
	gone := a.Gone() // the runtime's own descriptors for polling come with the first socket
	check(t, theirs.Close())
	<-gone
	check(t, startAndEnd())
	before, goroutines := openFiles(t), runtime.NumGoroutine()
	t.Cleanup(func() {
		for _, f := range openFiles(t) {
			if !slices.Contains(before, f) {
				t.Errorf("left open: %s", f)
			}
		}
		for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(deadline); {
			runtime.Gosched() // one that has ended is counted until it was scheduled for the last time
		}
		if n := runtime.NumGoroutine(); n > goroutines {
			stacks := make([]byte, 64<<10)
			t.Errorf("%d goroutines before, %d after:\n%s", goroutines, n, stacks[:runtime.Stack(stacks, true)])
		}
	})
}

// startAndEnd starts a process, for the goroutine that package ns keeps for that.
func startAndEnd() error {
	p, err := ns.Start(ns.Spec{Path: "/bin/true", Args: []string{"true"}})
	if err != nil {
		return err
	}
	_, err = p.Wait()
	return errors.Join(err, p.PIDFD.Close())
}

func openFiles(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	var open []string
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil { // not the directory's own
			open = append(open, e.Name()+"→"+target)
		}
	}
	slices.Sort(open)
	return open
}
