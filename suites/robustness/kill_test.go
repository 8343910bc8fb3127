package robustness

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/leaks"
	"golang.org/x/sys/unix"
)

// limit is how long something may be left after a kill. On a quiet machine that is some tens of milliseconds, for the most part
// the kernel's; much more than slow is what is said of it where all processors have other things to do.
const (
	limit = time.Minute
	slow  = 500 * time.Millisecond
)

// A scene is what the machine is like before a victim is there.
type scene struct {
	before  leaks.Snapshot
	known   map[int]bool // our own children
	named   map[string]bool
	cgroups map[string]bool
}

func look() scene {
	s := scene{before: leaks.Take(), known: map[int]bool{}, named: named(), cgroups: cgroups()}
	for _, t := range below(os.Getpid()) {
		s.known[t.pid] = true
	}
	return s
}

// left is what there is and was not. live are the sockets that were seen while the victim lived.
func (s scene) left(v *victim, live map[string]string) []string {
	reapAdopted(s.known)
	var list []string
	for _, l := range s.before.Diff(leaks.Take()) {
		list = append(list, l.String())
	}
	now := abstract()
	for inode, name := range live {
		if now[inode] == name {
			list = append(list, "abstract socket "+name)
		}
	}
	for path := range named() {
		if !s.named[path] {
			list = append(list, path)
		}
	}
	for path := range cgroups() {
		if !s.cgroups[path] {
			list = append(list, path)
		}
	}
	if entries, err := os.ReadDir(v.tmp); err != nil || len(entries) > 0 {
		list = append(list, fmt.Sprintf("in TMPDIR: %v %v", entries, err))
	}
	slices.Sort(list)
	return list
}

// gone waits until nothing of the victim is left, and fails the test if that takes longer than limit.
func (s scene) gone(t *testing.T, v *victim, live map[string]string, since time.Time) time.Duration {
	t.Helper()
	for {
		list := s.left(v, live)
		took := time.Since(since)
		if len(list) == 0 {
			return took
		}
		if took > limit {
			t.Fatalf("%v after the kill there are still:\n%v", took.Round(time.Millisecond), list)
		}
		pause()
	}
}

// pause gives others the time to get on.
func pause() { <-time.After(2 * time.Millisecond) }

// alive waits until every process of held environments runs, and returns what is to be seen of them: the control that
// shows that a snapshot sees what it is to miss later.
func (s scene) alive(t *testing.T, v *victim) map[string]string {
	t.Helper()
	want := map[string]int{"sleep 1111": 2 * held, "sleep 2222": 2 * held, "sleep 3333": 2 * held, "sleep 4444": 2 * held, "sleep 5555": 1, keeperArgs: 1}
	deadline := time.Now().Add(time.Minute)
	for {
		got := map[string]int{}
		for _, p := range below(v.cmd.Process.Pid) {
			if want[p.args] > 0 {
				got[p.args]++
			}
		}
		if maps.Equal(got, want) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("of the victim's processes are alive %v, want %v", got, want)
		}
		pause()
	}
	now := leaks.Take()
	seen := map[leaks.Kind]int{}
	for _, l := range s.before.Diff(now) {
		seen[l.Kind]++
	}
	// An environment and its host have 11 namespaces of their own, and two times 3 within.
	if seen[leaks.Namespace] < 17*held || seen[leaks.Process] < 10*held || isRoot() && seen[leaks.Socket] < held {
		t.Fatalf("the snapshot does not see what is alive: %v", seen)
	}
	t.Logf("alive: %v", seen)
	return abstractOf(v.cmd.Process.Pid)
}

// kill sends SIGKILL to processes and returns when.
func kill(t *testing.T, pids ...int) time.Time {
	t.Helper()
	for i, pid := range pids {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && (i == 0 || !errors.Is(err, unix.ESRCH)) { // the first may take the others along
			t.Fatalf("kill %d: %v", pid, err)
		}
	}
	return time.Now()
}

// killable is a victim that holds environments, its keeper, and the scene before.
func killable(t *testing.T) (s scene, v *victim, keeper int, live map[string]string) {
	t.Helper()
	s = look()
	v = start(t, "hold")
	v.expect(t, "ready")
	if keeper = keeperOf(v.cmd.Process.Pid); keeper == 0 {
		t.Fatal("the victim has no keeper")
	}
	live = s.alive(t, v)
	return s, v, keeper, live
}

func TestNothingIsLeftWhenTheProgramIsKilled(t *testing.T) {
	s, v, _, live := killable(t)
	at := kill(t, v.cmd.Process.Pid)
	_ = v.cmd.Wait()
	t.Logf("nothing is left after %v", s.gone(t, v, live, at).Round(time.Millisecond))
}

func TestNothingIsLeftWhenProgramAndKeeperAreKilled(t *testing.T) {
	s, v, keeper, live := killable(t)
	at := kill(t, keeper, v.cmd.Process.Pid)
	_ = v.cmd.Wait()
	t.Logf("nothing is left after %v", s.gone(t, v, live, at).Round(time.Millisecond))
}

// When the keeper alone is killed, the program learns it at once, and its next Open makes everything anew.
func TestAProgramOutlivesItsKeeper(t *testing.T) {
	s, v, keeper, live := killable(t)
	at := kill(t, keeper)
	v.expect(t, "closed")
	t.Logf("the program knows after %v", time.Since(at).Round(time.Millisecond))
	for {
		// The program itself has not ended: its descendants have, but for the keeper that nobody has waited for yet.
		rest := below(v.cmd.Process.Pid)
		if len(rest) == 0 {
			break
		}
		if time.Since(at) > limit {
			t.Fatalf("%v after the kill there are still %v", limit, rest)
		}
		pause()
	}
	now := abstract()
	for inode, name := range live {
		if now[inode] == name {
			t.Errorf("socket %s is left", name)
		}
	}
	t.Logf("nothing is left after %v", time.Since(at).Round(time.Millisecond))
	if _, err := v.in.Write([]byte("go on\n")); err != nil {
		t.Fatal(err)
	}
	v.expect(t, "reopened")
	if err := v.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	s.gone(t, v, live, time.Now())
}

// dice are thrown for who is killed and when. NSTEST_SEED has them fall as in the run that logged it.
func dice(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if v, err := strconv.ParseUint(os.Getenv("NSTEST_SEED"), 10, 64); err == nil {
		seed = v
	}
	t.Logf("NSTEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// Whenever somebody is killed, also in the middle of opening and closing, nothing is left.
func TestNothingIsLeftAtAnyMoment(t *testing.T) {
	nothingIsLeft(t, "churn", times(6, 20, 200))
}

// Also while networks are made and changed.
func TestNothingIsLeftOfNetworksAtAnyMoment(t *testing.T) {
	nothingIsLeft(t, "entangle", times(3, 10, 40))
}

func nothingIsLeft(t *testing.T, role string, rounds int) {
	t.Helper()
	random := dice(t)
	var slowest time.Duration
	for i := range rounds {
		who, early, delay := random.IntN(3), random.IntN(4) == 0, time.Duration(random.IntN(200_000))*time.Microsecond
		s := look()
		v := start(t, role)
		if early { // while the victim and its keeper are still starting
			delay /= 4
		} else {
			v.expect(t, "churning")
		}
		<-time.After(delay)
		keeper := keeperOf(v.cmd.Process.Pid)
		var pids []int
		if who != 1 || keeper == 0 {
			pids = append(pids, v.cmd.Process.Pid)
		}
		if who != 0 && keeper != 0 {
			pids = append(pids, keeper)
		}
		at := kill(t, pids...)
		if pids[0] == keeper {
			if early {
				v.expect(t, "churning")
			}
			v.expect(t, "recovered")
			at = kill(t, v.cmd.Process.Pid)
		}
		_ = v.cmd.Wait()
		took := s.gone(t, v, nil, at)
		if took > slow {
			t.Logf("round %d: nothing is left only after %v; killed %v (program %d, keeper %d) after %v", i, took, pids, v.cmd.Process.Pid, keeper, delay)
		}
		slowest = max(slowest, took)
		if t.Failed() {
			t.Fatalf("round %d: killed %v (program %d, keeper %d) after %v", i, pids, v.cmd.Process.Pid, keeper, delay)
		}
	}
	t.Logf("slowest: nothing is left after %v", slowest.Round(time.Millisecond))
}
