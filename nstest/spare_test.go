package nstest

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// spares are the inits below the keeper that nothing confines yet: those of no environment.
func spares(t *testing.T) []int {
	t.Helper()
	lists, err := filepath.Glob("/proc/" + strconv.Itoa(keepers.current.PID()) + "/task/*/children")
	if err != nil || len(lists) == 0 {
		t.Skipf("the keeper's children are not to be seen: %v (/proc/PID/task/TID/children needs CONFIG_PROC_CHILDREN)", err)
	}
	var list []int
	for _, file := range lists {
		children, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has ended
		}
		for _, child := range strings.Fields(string(children)) {
			status, err := os.ReadFile("/proc/" + child + "/status")
			if err != nil || !strings.Contains(string(status), "\nSeccomp:\t0\n") || strings.Contains(string(status), "\nState:\tZ") {
				continue
			}
			pid, err := strconv.Atoi(child)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, pid)
		}
	}
	return list
}

// awaitSpare is the spare that is made after an Open.
func awaitSpare(t *testing.T) int {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if list := spares(t); len(list) == 1 {
			return list[0]
		} else if time.Now().After(deadline) {
			t.Fatalf("spare inits: %v, want one", list)
		}
		<-time.After(time.Millisecond)
	}
}

func TestASpareIsUsedByTheNextEnvironment(t *testing.T) {
	l := keep(t)
	var envs []*Env
	for range 3 {
		env, err := Open(context.Background(), Config{})
		if err != nil {
			t.Fatal(err)
		}
		envs = append(envs, env)
		spare := awaitSpare(t)
		next, err := Open(context.Background(), Config{})
		if err != nil {
			t.Fatal(err)
		}
		envs = append(envs, next)
		if again := awaitSpare(t); again == spare {
			t.Errorf("init %d is of no environment yet", spare)
		}
		if err := unix.Kill(spare, 0); err != nil {
			t.Errorf("init %d: %v", spare, err)
		}
	}
	for _, env := range envs {
		if err := env.Close(); err != nil {
			t.Error(err)
		}
	}
	l.balance(t)
	if list := spares(t); len(list) != 0 {
		t.Errorf("a ledger was made with spare inits %v", list)
	}
}

func TestASpareThatWasEndedIsNotUsed(t *testing.T) {
	l := keep(t)
	first, err := Open(context.Background(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.balance(t)
	defer first.Close()
	if err := unix.Kill(awaitSpare(t), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); len(spares(t)) > 0; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("spare inits: %v, want none", spares(t))
		}
	}
	second, err := Open(context.Background(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if out, err := second.Self().Command("echo", "works").Output(); err != nil || string(out) != "works\n" {
		t.Errorf("printed %q, %v", out, err)
	}
}
