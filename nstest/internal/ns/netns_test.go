package ns

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func requireNet(tb testing.TB) {
	tb.Helper()
	f, err := InNewNet(func() error { return nil })
	if err == nil {
		_ = f.Close()
		return
	}
	if os.Getenv("NSTEST_MUST_RUN") == "1" {
		tb.Fatalf("NSTEST_MUST_RUN=1, and network namespaces cannot be made here: %v", err)
	}
	tb.Skipf("network namespaces cannot be made here: %v; run as root or under unshare --user --map-root-user", err)
}

func threadNet(tb testing.TB) uint64 {
	tb.Helper()
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		tb.Fatal(err)
	}
	return st.Ino
}

func statInode(tb testing.TB, f *os.File) uint64 {
	tb.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		tb.Fatal(err)
	}
	return st.Ino
}

func TestInNewNetRunsInsideTheNamespaceOfTheFile(t *testing.T) {
	requireNet(t)
	var inside uint64
	var main bool
	f, err := InNewNet(func() error {
		inside = threadNet(t)
		main = unix.Gettid() == unix.Getpid()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if main {
		t.Error("ran on the main thread")
	}
	if inside == threadNet(t) {
		t.Error("the namespace is the process's own")
	}
	if got := statInode(t, f); got != inside {
		t.Errorf("the file is of namespace %d, the function ran in %d", got, inside)
	}
	var again uint64
	if err := InNet(f, func() error { again = threadNet(t); return nil }); err != nil {
		t.Fatal(err)
	}
	if again != inside {
		t.Errorf("InNet ran in namespace %d, want %d", again, inside)
	}
}

func TestInNetLeavesNoThreadBehind(t *testing.T) {
	requireNet(t)
	home := threadNet(t)
	f, err := InNewNet(func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 50 {
		if err := InNet(f, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	// Every thread that the runtime kept must be at home; as an ordinary user one that cannot go home is about to end.
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		astray := threadsOutside(t, home)
		if len(astray) == 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("threads %v are still in other namespaces", astray)
		case <-tick.C:
		}
	}
}

func threadsOutside(tb testing.TB, home uint64) []string {
	tb.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		tb.Fatal(err)
	}
	var astray []string
	for _, task := range tasks {
		var st unix.Stat_t
		if unix.Stat("/proc/self/task/"+task.Name()+"/ns/net", &st) == nil && st.Ino != home { // else it ended meanwhile
			astray = append(astray, task.Name())
		}
	}
	return astray
}

func TestInNewNetHandsOnErrorPanicAndGoexit(t *testing.T) {
	requireNet(t)
	want := errors.New("refused")
	if f, err := InNewNet(func() error { return want }); !errors.Is(err, want) || f != nil {
		t.Errorf("got %v, %v; want nil and the function's error", f, err)
	}
	func() {
		defer func() {
			if got := recover(); got != "inside" {
				t.Errorf("recovered %v, want the function's panic", got)
			}
		}()
		_, _ = InNewNet(func() error { panic("inside") })
	}()
	after := false
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = InNewNet(func() error { runtime.Goexit(); return nil })
		after = true
	}()
	<-done
	if after {
		t.Error("the caller went on after runtime.Goexit in the function")
	}
}

func TestInNetRefusesAFileThatIsNoNamespace(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := InNet(f, func() error { t.Error("the function ran"); return nil }); !errors.Is(err, unix.EINVAL) {
		t.Errorf("got %v, want EINVAL", err)
	}
}

func BenchmarkInNewNet(b *testing.B) {
	requireNet(b)
	for b.Loop() {
		f, err := InNewNet(func() error { return nil })
		if err != nil {
			b.Fatal(err)
		}
		_ = f.Close()
	}
}

func BenchmarkInNet(b *testing.B) {
	requireNet(b)
	f, err := InNewNet(func() error { return nil })
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for b.Loop() {
		if err := InNet(f, func() error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
