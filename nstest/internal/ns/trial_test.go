package ns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ownIDs map the caller to 0, which every user may do.
func ownIDs() TrialIDs {
	return TrialIDs{
		UIDs: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		GIDs: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
	}
}

func TestTrial(t *testing.T) {
	if err := Trial(0, TrialIDs{}); err != nil {
		t.Skipf("no user namespaces here: %v", err)
	}
	before := children(t)
	const kinds = unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
	if err := Trial(kinds, ownIDs()); err != nil {
		t.Errorf("Trial: %v", err)
	}
	if after := children(t); !slices.Equal(before, after) {
		t.Errorf("children: %v before, %v after", before, after)
	}
}

func TestTrialNamesTheStep(t *testing.T) {
	if err := Trial(0, TrialIDs{}); err != nil {
		t.Skipf("no user namespaces here: %v", err)
	}
	err := Trial(0, TrialIDs{UIDs: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 0}}})
	if !errors.Is(err, syscall.EINVAL) || err.Error() != "write uid_map: invalid argument" {
		t.Errorf("with an empty map: %v", err)
	}
	// 1 is no flag of unshare(2).
	err = Trial(1, ownIDs())
	if !errors.Is(err, syscall.EINVAL) || err.Error() != "unshare namespaces: invalid argument" {
		t.Errorf("with an unknown kind: %v", err)
	}
}

func TestTrialUserNS(t *testing.T) {
	if err := Trial(0, TrialIDs{}); err != nil {
		t.Skipf("no user namespaces here: %v", err)
	}
	before := children(t)
	file, err := TrialUserNS(ownIDs())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var made, own unix.Stat_t
	if err := errors.Join(unix.Fstat(int(file.Fd()), &made), unix.Stat("/proc/self/ns/user", &own)); err != nil {
		t.Fatal(err)
	}
	if made.Ino == own.Ino {
		t.Error("the namespace is the caller's own")
	}
	if after := children(t); !slices.Equal(before, after) {
		t.Errorf("children: %v before, %v after", before, after)
	}
}

func TestTrialThread(t *testing.T) {
	var before, inside, after unix.Stat_t
	const self = "/proc/thread-self/ns/uts"
	if err := unix.Stat(self, &before); err != nil {
		t.Fatal(err)
	}
	err := TrialThread(unix.CLONE_NEWUTS, func() error {
		if unix.Gettid() == unix.Getpid() {
			return errors.New("on the main thread")
		}
		return unix.Stat(self, &inside)
	})
	if errors.Is(err, unix.EPERM) && os.Geteuid() != 0 {
		t.Skip("needs CAP_SYS_ADMIN: run as root")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Stat(self, &after); err != nil {
		t.Fatal(err)
	}
	if inside.Ino == before.Ino || after.Ino != before.Ino {
		t.Errorf("namespaces before %d, inside %d, after %d", before.Ino, inside.Ino, after.Ino)
	}
}

func TestTrialThreadRefusesUserNamespace(t *testing.T) {
	called := false
	err := TrialThread(unix.CLONE_NEWUSER, func() error { called = true; return nil })
	if err == nil || called {
		t.Errorf("TrialThread = %v, called = %t", err, called)
	}
}

func TestTrialThreadSurvivesGoexit(t *testing.T) {
	if err := TrialThread(0, func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("no error from a function that left by Goexit")
	}
}

func TestTrialThreadsEnd(t *testing.T) {
	const rounds = 50
	before := countThreads(t)
	for range rounds {
		if err := TrialThread(0, nil); err != nil {
			t.Fatal(err)
		}
	}
	// The runtime may keep a few threads of its own; a leak would be one a round.
	deadline := time.Now().Add(30 * time.Second)
	for countThreads(t) > before+rounds/5 {
		if time.Now().After(deadline) {
			t.Fatalf("threads: %d before, %d after %d trials", before, countThreads(t), rounds)
		}
		runtime.Gosched()
	}
}

// children are the process's children, zombies included.
func children(t *testing.T) []string {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, list := range lists {
		data, err := os.ReadFile(list)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ESRCH) {
			t.Fatal(err)
		}
		pids = append(pids, strings.Fields(string(data))...)
	}
	slices.Sort(pids)
	return pids
}

func countThreads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}

func TestTrialClone3(t *testing.T) {
	if err := TrialClone3(); err != nil && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		t.Errorf("TrialClone3: %v", err)
	}
}
