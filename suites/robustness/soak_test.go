package robustness

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
)

// A size is how much a process holds.
type size struct{ files, threads, mounts, rss int }

func (s size) String() string {
	return fmt.Sprintf("%d files, %d threads, %d mounts, %d KiB", s.files, s.threads, s.mounts, s.rss)
}

func sizeOf(t *testing.T, pid int) size {
	t.Helper()
	dir := "/proc/" + strconv.Itoa(pid)
	count := func(name string) int {
		entries, err := os.ReadDir(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	read := func(name string) string {
		b, err := os.ReadFile(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	s := size{files: count("fd"), threads: count("task"), mounts: strings.Count(read("mountinfo"), "\n")}
	for line := range strings.Lines(read("status")) {
		if f := strings.Fields(line); f[0] == "VmRSS:" {
			s.rss, _ = strconv.Atoi(f[1])
		}
	}
	return s
}

func once(tb testing.TB, name string) {
	env, err := nstest.Open(context.Background(), nstest.Config{Name: name})
	if err != nil {
		tb.Error(err)
		return
	}
	for _, h := range []string{"web", "db"} {
		if _, err := env.AddHost(nstest.HostConfig{Name: h}); err != nil {
			tb.Error(err)
		}
	}
	if err := env.Host("web").Command("true").Run(); err != nil {
		tb.Error(err)
	}
	if err := env.Close(); err != nil {
		tb.Error(err)
	}
}

// Opening and closing again and again makes neither the program nor the keeper grow.
func TestNothingGrows(t *testing.T) {
	nothingGrows(t, 50, times(50, 200, 1000), func() { once(t, "cycle") })
}

// nothingGrows repeats something that opens and closes an environment. warm times before are until the pools are full and the
// Go runtimes have the threads that they need.
func nothingGrows(t *testing.T, warm, rounds int, cycle func()) {
	t.Helper()
	for range warm {
		cycle()
	}
	us, keeper := os.Getpid(), keeperOf(os.Getpid())
	if keeper == 0 {
		t.Fatal("this program has no keeper")
	}
	before, ourSize, keeperSize := leaks.Take(), sizeOf(t, us), sizeOf(t, keeper)
	// The control: an open environment is to be seen in both processes and in the snapshot.
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if u, k := sizeOf(t, us), sizeOf(t, keeper); u.files <= ourSize.files || k.files <= keeperSize.files || len(before.Diff(leaks.Take())) < 8 {
		t.Errorf("an open environment is not to be seen: program %v, keeper %v", u, k)
	}
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}

	began := time.Now()
	for range rounds {
		cycle()
		if t.Failed() {
			t.FailNow()
		}
	}
	took := time.Since(began)
	// What the kernel takes apart on its own, such as the ports of a switch, holds descriptors until it is done.
	deadline := time.Now().Add(30 * time.Second)
	var u, k size
	for {
		leaks.Take() // which has the keeper give up what it has made ahead, as before
		u, k = sizeOf(t, us), sizeOf(t, keeper)
		if u.files <= ourSize.files && k.files <= keeperSize.files+switchFiles || time.Now().After(deadline) {
			break
		}
		pause()
	}
	t.Logf("%d cycles of an environment in %v, %v each", rounds, took.Round(time.Millisecond), (took / time.Duration(rounds)).Round(10*time.Microsecond))
	t.Logf("program before: %v\nprogram after:  %v\nkeeper before:  %v\nkeeper after:   %v", ourSize, u, keeperSize, k)
	const threads, rss = 8, 16 << 10
	for _, p := range []struct {
		who           string
		before, after size
		files         int
	}{{"program", ourSize, u, 0}, {"keeper", keeperSize, k, switchFiles}} {
		if p.after.files > p.before.files+p.files || p.after.threads > p.before.threads+threads || p.after.mounts != p.before.mounts || p.after.rss > p.before.rss+rss*raceFactor {
			t.Errorf("the %s has grown from %v to %v", p.who, p.before, p.after)
		}
	}
	if left := before.Leaks(); len(left) > 0 {
		t.Errorf("left behind:\n%s", leaks.Report(left))
	}
	if again := keeperOf(us); again != keeper {
		t.Errorf("the keeper was %d and is %d", keeper, again)
	}
}

// switchFiles is what the keeper has open for idle switches, of which it keeps up to four, or a few more for a while.
const switchFiles = 4 * 5

// Several goroutines may open at the same time.
func TestParallelOpen(t *testing.T) {
	for range times(1, 3, 20) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				env, err := nstest.Open(context.Background(), nstest.Config{Name: fmt.Sprint("parallel", i)})
				if err != nil {
					t.Error(err)
					return
				}
				defer func() {
					if err := env.Close(); err != nil {
						t.Error(err)
					}
				}()
				var hosts sync.WaitGroup
				for _, name := range []string{"a", "b", "c"} {
					hosts.Go(func() {
						if _, err := env.AddHost(nstest.HostConfig{Name: name}); err != nil {
							t.Error(err)
						}
					})
				}
				hosts.Wait()
				if n := len(env.Network("").Hosts()); n != 4 {
					t.Errorf("%d hosts on the network, want 4", n)
				}
			})
		}
		wg.Wait()
	}
}
