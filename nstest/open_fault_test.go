package nstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/keeper"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"github.com/hermetic-go/nstest/nstest/leaks"
	"golang.org/x/sys/unix"
)

// A ledger is what a keeper without environments holds, and the program that started it.
type ledger struct {
	pid     int
	program leaks.Snapshot
	files   map[string]int // by what they are
}

// switches is how many descriptors of one sort idle switches account for: a pool keeps up to four, and a burst makes more
// for a while.
const switches = 8

func keep(t *testing.T) ledger {
	t.Helper()
	for range 3 {
		env, err := Open(context.Background(), Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := env.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l := ledger{pid: keepers.current.PID(), program: leaks.Take()}
	var err error
	for deadline := time.Now().Add(time.Minute); ; { // trees are made ahead
		if l.files, err = filesOf(l.pid); err != nil {
			t.Fatal(err)
		}
		<-time.After(20 * time.Millisecond)
		again, err := filesOf(l.pid)
		if err != nil {
			t.Fatal(err)
		}
		if maps.Equal(l.files, again) {
			return l
		}
		if time.Now().After(deadline) {
			t.Fatalf("the keeper does not come to rest: %v, then %v", l.files, again)
		}
	}
}

func filesOf(pid int) (map[string]int, error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, e := range entries {
		if target, err := os.Readlink(dir + "/" + e.Name()); err == nil {
			sort, _, _ := strings.Cut(target, ":[")
			count[strings.TrimRight(sort, "0123456789")]++ // layers are numbered where overlayfs needs names for them
		}
	}
	return count, nil
}

// balance fails the test unless everything that was made since keep is gone.
func (l ledger) balance(t *testing.T) {
	t.Helper()
	if left := l.program.Leaks(); len(left) > 0 {
		t.Errorf("left behind:\n%s", leaks.Report(left))
	}
	if now := keepers.current.PID(); now != l.pid {
		t.Errorf("keeper %d is another one now: %d", l.pid, now)
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		now, err := filesOf(l.pid)
		if err != nil {
			t.Fatal(err)
		}
		var grown []string
		for sort, n := range now {
			allowed := 0
			if sort == "socket" {
				allowed = 2 * switches // each has two connections to the kernel
			} else if sort == "net" {
				allowed = switches
			}
			if n > l.files[sort]+allowed {
				grown = append(grown, fmt.Sprintf("%s from %d to %d", sort, l.files[sort], n))
			}
		}
		if len(grown) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("the keeper's descriptors have grown: %v", grown)
			return
		}
		<-time.After(5 * time.Millisecond)
	}
}

// faulty makes every Open do what set asks for, until the returned function is called.
func faulty(set func(*wire.OpenParams)) (stop func()) {
	openHook.Store(&set)
	return func() { openHook.Store(nil) }
}

func TestAFailingStepUndoesAllEarlierOnes(t *testing.T) {
	l := keep(t)
	for _, step := range keeper.Steps() {
		t.Run(step, func(t *testing.T) {
			stop := faulty(func(p *wire.OpenParams) { p.FailAt = step })
			defer stop()
			for range 20 { // more often than idle switches could account for
				env, err := Open(context.Background(), Config{})
				var e *Error
				if err == nil || !errors.As(err, &e) || !errors.Is(err, unix.EIO) || !strings.Contains(err.Error(), step) {
					t.Fatalf("got %v and error %v, want one with EIO that names the step %q", env, err, step)
				}
			}
			stop()
			l.balance(t)
			env, err := Open(context.Background(), Config{})
			if err != nil {
				t.Fatalf("the next Open: %v", err)
			}
			if err := env.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestACancelledStepUndoesAllEarlierOnes(t *testing.T) {
	l := keep(t)
	for _, step := range keeper.Steps() {
		t.Run(step, func(t *testing.T) {
			stop := faulty(func(p *wire.OpenParams) { p.CancelAt = step })
			defer stop()
			for range 3 {
				ctx, cancel := context.WithCancel(context.Background())
				time.AfterFunc(20*time.Millisecond, cancel) // the step waits for it
				_, err := Open(ctx, Config{})
				cancel()
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("got error %v, want context.Canceled", err)
				}
			}
			stop()
			l.balance(t)
		})
	}
	env, err := Open(context.Background(), Config{})
	if err != nil {
		t.Fatalf("the next Open: %v", err)
	}
	if err := env.Close(); err != nil {
		t.Error(err)
	}
}

// The program may change its mind at any time, also while its keeper starts.
func TestOpenCancelledAtAnyMoment(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	opened, refused := 0, 0
	attempt := func(within time.Duration) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		env, err := Open(ctx, Config{})
		if err == nil {
			opened++
			err = env.Close()
		} else if refused++; errors.Is(err, context.DeadlineExceeded) {
			err = nil
		}
		if err != nil {
			t.Fatalf("after %v: %v", within, err)
		}
	}
	before := leaks.Take()
	for range 10 {
		if err := (keeping{}).StopIdle(); err != nil {
			t.Fatal(err)
		}
		attempt(time.Duration(random.IntN(30_000)) * time.Microsecond)
	}
	if left := before.Leaks(); len(left) > 0 {
		t.Errorf("left behind:\n%s", leaks.Report(left))
	}
	l := keep(t)
	for range 150 {
		attempt(time.Duration(random.IntN(10_000)) * time.Microsecond)
	}
	l.balance(t)
	t.Logf("%d were opened, %d cancelled", opened, refused)
}

// The control: what an open environment holds is to be seen in the ledger.
func TestALedgerSeesAnOpenEnvironment(t *testing.T) {
	l := keep(t)
	env, err := Open(context.Background(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	now, err := filesOf(l.pid)
	if err != nil {
		t.Fatal(err)
	}
	if now["socket"] <= l.files["socket"] || now["user"] <= l.files["user"] {
		t.Errorf("the keeper's descriptors are %v with an environment and %v without", now, l.files)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if left := l.program.Wait(ctx); len(left) < 8 {
		t.Errorf("the snapshot sees %v of an open environment", left)
	}
}
