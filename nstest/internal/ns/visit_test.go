package ns

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const visited = Net | Mount | UTS | IPC | Cgroup

// target starts a process in namespaces of its own.
func target(t *testing.T) *Process {
	t.Helper()
	if !mayJoin() {
		t.Skip("an ordinary user's thread cannot join namespaces: run as root")
	}
	p, err := Start(Spec{Path: "/bin/sleep", Args: []string{"sleep", "1000"}, Kinds: visited, DieWithUs: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		if _, err := p.Wait(); err != nil {
			t.Error(err)
		}
		p.PIDFD.Close()
	})
	return p
}

// of is the namespaces of a thread or process.
func of(t *testing.T, dir string) map[string]string {
	t.Helper()
	m, err := OfProcess(dir)
	if err != nil {
		t.Error(err)
	}
	return m
}

func (p *Process) dir() string { return fmt.Sprintf("/proc/%d", p.PID) }

// here is the namespaces of the calling thread. /proc is that of the mount namespace that it is in.
func here(t *testing.T) map[string]string { return of(t, "/proc/thread-self") }

// mixed is mine with the kinds of theirs.
func mixed(mine, theirs map[string]string, kinds Kinds) map[string]string {
	out := maps.Clone(mine)
	for _, k := range kindNames {
		if kinds.Has(k.kind) {
			out[k.name] = theirs[k.name]
		}
	}
	return out
}

func TestVisitJoinsTheKindsAndNoOthers(t *testing.T) {
	p := target(t)
	mine, theirs := of(t, "/proc/self"), of(t, p.dir())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	// More often than there are threads that are kept: every visit but the first few finds one that was somewhere before.
	for range 3 {
		for _, kinds := range []Kinds{visited, Net, UTS | IPC, 0} {
			var got map[string]string
			err := Visit(p.PIDFD, kinds, func() error {
				if unix.Gettid() == unix.Getpid() {
					t.Error("on the first thread, which stands for the process")
				}
				got = here(t)
				return nil
			})
			if kinds == 0 {
				if !errors.Is(err, unix.EINVAL) {
					t.Errorf("no kinds: %v", err)
				}
				continue
			}
			if want := mixed(mine, theirs, kinds); err != nil || !maps.Equal(got, want) {
				t.Errorf("Visit %s: %v\n got %v\nwant %v", kinds, err, got, want)
			}
		}
	}
	if got := of(t, "/proc/self"); !maps.Equal(got, mine) {
		t.Errorf("this process's namespaces are %v, were %v", got, mine)
	}
	if now, err := os.Getwd(); err != nil || now != dir {
		t.Errorf("the working directory is %q, was %q (%v)", now, dir, err)
	}
}

func TestVisitReturnsWhatHappens(t *testing.T) {
	p := target(t)
	wrong := errors.New("wrong")
	if err := Visit(p.PIDFD, Net, func() error { return wrong }); err != wrong {
		t.Errorf("an error: %v", err)
	}
	func() {
		defer func() {
			if r := recover(); r != "broken" {
				t.Errorf("a panic: %v", r)
			}
		}()
		_ = Visit(p.PIDFD, Net, func() error { panic("broken") })
		t.Error("a panic: Visit returned")
	}()
	done := make(chan bool)
	go func() {
		returned := false
		defer func() { done <- returned }()
		_ = Visit(p.PIDFD, Net, func() error { runtime.Goexit(); return nil })
		returned = true
	}()
	if <-done {
		t.Error("runtime.Goexit: Visit returned")
	}
	for _, kinds := range []Kinds{User, Time, Net | User} {
		if err := Visit(p.PIDFD, kinds, func() error { t.Error("called"); return nil }); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v", kinds, err)
		}
	}
}

func TestVisitInsideAVisit(t *testing.T) {
	p, q := target(t), target(t)
	outer, inner := of(t, p.dir()), of(t, q.dir())
	err := Visit(p.PIDFD, Net, func() error {
		err := Visit(q.PIDFD, Net, func() error {
			if got := here(t)["net"]; got != inner["net"] {
				t.Errorf("the inner visit is in %s, want %s", got, inner["net"])
			}
			return nil
		})
		if got := here(t)["net"]; got != outer["net"] {
			t.Errorf("after the inner visit: in %s, want %s", got, outer["net"])
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestVisitOfTheDead(t *testing.T) {
	target(t) // skips where there are no visits
	p, err := Start(Spec{Path: "/bin/true", Args: []string{"true"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.PIDFD.Close()
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		if err := Visit(p.PIDFD, Net, func() error { t.Error("called"); return nil }); !errors.Is(err, unix.ESRCH) {
			t.Errorf("got %v", err)
		}
	}
}

// Many visits at once, of which some end badly, leave a few threads, and every one where it belongs.
func TestVisitsAtOnce(t *testing.T) {
	p, q := target(t), target(t)
	mine := of(t, "/proc/self")
	before := countThreads(t)
	for range 2 {
		var wg sync.WaitGroup
		inside := make(chan struct{}, 50)
		release := make(chan struct{})
		for i := range 50 {
			to := []*Process{p, q}[i%2]
			want := mixed(mine, of(t, to.dir()), visited)
			wg.Go(func() {
				defer func() { _ = recover() }()
				err := Visit(to.PIDFD, visited, func() error {
					inside <- struct{}{}
					<-release // all of them are inside now
					if got := here(t); !maps.Equal(got, want) {
						t.Errorf("in %v, want %v", got, want)
					}
					switch i % 5 {
					case 0:
						panic("one of them")
					case 1:
						runtime.Goexit()
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		for range 50 {
			<-inside
		}
		close(release)
		wg.Wait()
	}
	// Those that are kept, and some that the runtime may have made meanwhile. Threads end a little after their goroutines.
	const most = 4 + 8
	strays := abroad(t, mine)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); strays = abroad(t, mine) {
		if countThreads(t) <= before+most && len(strays) == 0 {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d threads before, %d after, of which these are in other namespaces: %v", before, countThreads(t), strays)
}

// abroad is the namespaces of those threads that are not in the given ones.
func abroad(t *testing.T, home map[string]string) map[string]map[string]string {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	strays := map[string]map[string]string{}
	for _, task := range tasks {
		got, err := OfProcess("/proc/self/task/" + task.Name())
		if err == nil && len(got) == len(home) && !maps.Equal(got, home) { // less: it has ended meanwhile
			strays[task.Name()] = got
		}
	}
	return strays
}
