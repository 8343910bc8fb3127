package nstest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
)

func stateOf(t *testing.T, env *nstest.Env) *nstest.State {
	t.Helper()
	s, err := env.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func hostNames(s *nstest.State) string {
	var names []string
	for _, h := range s.Hosts {
		names = append(names, h.Name)
	}
	return strings.Join(names, " ")
}

func TestStateListsHostsWithTheEnvironmentsOwnFirst(t *testing.T) {
	env := nstest.New(t, nstest.Config{})
	env.Host("b")
	env.Host("a")
	if got := hostNames(stateOf(t, env)); got != "self a b" {
		t.Errorf("got %s", got)
	}
	if err := env.RemoveHost("a"); err != nil {
		t.Fatal(err)
	}
	if got := hostNames(stateOf(t, env)); got != "self b" {
		t.Errorf("after the removal of a: got %s", got)
	}
}

// Environments of one program do not see each other, nor themselves where they have no namespaces for that.
func TestStateIsThatOfTheEnvironment(t *testing.T) {
	for _, share := range []nstest.Namespaces{{}, {PID: true}, {Net: true}, {Mount: true, UTS: true}} {
		t.Run(fmt.Sprintf("%+v", share), func(t *testing.T) {
			other := nstest.New(t, nstest.Config{Share: share})
			env := nstest.New(t, nstest.Config{Share: share})
			for e, seconds := range map[*nstest.Env]string{other: "1001", env: "1002"} {
				if err := e.Self().Command("sleep", seconds).Start(); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			seen := ""
			for !strings.Contains(seen, "1002") { // it has yet to be executed
				b, err := json.Marshal(stateOf(t, env))
				if err != nil {
					t.Fatal(err)
				}
				if seen = string(b); strings.Contains(seen, "1001") {
					t.Fatalf("the other's process is there: %s", seen)
				}
				if ctx.Err() != nil {
					t.Fatal("its own process is not there")
				}
			}
			if s := stateOf(t, env); share.Net != (len(s.Hosts[0].Interfaces) == 0) {
				t.Errorf("interfaces: %+v", s.Hosts[0].Interfaces)
			}
		})
	}
}

func TestStateWhileHostsComeAndGo(t *testing.T) {
	env := nstest.New(t, nstest.Config{})
	var work sync.WaitGroup
	for i := range 3 {
		work.Go(func() {
			for n := range 5 {
				h, err := env.AddHost(nstest.HostConfig{Name: fmt.Sprintf("h%d-%d", i, n)})
				if err == nil {
					err = h.Command("sleep", "1000").Start()
				}
				if err == nil {
					err = env.RemoveHost(h.Name())
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { defer close(done); work.Wait() }()
	for looks, left := 0, false; ; looks++ {
		select {
		case <-done:
			left = true
		default:
		}
		s := stateOf(t, env)
		errs := slices.Concat(s.Errors, s.Hosts[0].Errors)
		late := slices.ContainsFunc(errs, isLate)
		if errs = slices.DeleteFunc(errs, isLate); len(errs) > 0 || !strings.HasPrefix(hostNames(s), "self") {
			t.Errorf("hosts %s, errors %q", hostNames(s), errs)
		}
		if left && !late {
			t.Log(looks, "looks")
			return
		}
	}
}

// isLate reports whether a note of a state says that the kernel has taken too long to tell more, as it does while others change networks.
func isLate(note string) bool { return strings.Contains(note, " within ") }

func TestStateOfAClosedEnvironment(t *testing.T) {
	env, err := nstest.Open(t.Context(), nstest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := env.State(t.Context()); !errors.Is(err, nstest.ErrClosed) {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestStateEndsWithItsContext(t *testing.T) {
	env := nstest.New(t, nstest.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := env.State(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", s, err)
	}
	stateOf(t, env) // the control
}

func BenchmarkState(b *testing.B) {
	for _, size := range []struct{ hosts, processes int }{{3, 10}, {50, 50}} {
		b.Run(fmt.Sprintf("%d hosts %d processes", size.hosts, size.processes), func(b *testing.B) {
			env := nstest.New(b, nstest.Config{})
			for i := range size.hosts {
				h := env.Host(fmt.Sprintf("h%d", i))
				for p := i; p < size.processes; p += size.hosts {
					if err := h.Command("sleep", "1000").Start(); err != nil {
						b.Fatal(err)
					}
				}
			}
			for b.Loop() {
				if _, err := env.State(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Where a file system may be behind the memory of processes that is served from inside, their arguments are not read.
func TestStateIsCautious(t *testing.T) {
	env, err := nstest.Open(t.Context(), nstest.Config{Privileged: true})
	if errors.Is(err, syscall.EPERM) {
		t.Skip("only the machine's root gets a privileged environment: run this as root as well")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	if err := env.Self().Command("sleep", "1000").Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		self := stateOf(t, env).Hosts[0]
		if !slices.ContainsFunc(self.Errors, func(s string) bool { return strings.Contains(s, "arguments were not read") }) {
			t.Fatalf("errors %q", self.Errors)
		}
		for _, p := range self.Processes {
			switch {
			case !strings.HasPrefix(p.Args[0], "[") || p.UID != 0:
				t.Fatalf("%+v", p)
			case p.Args[0] == "[sleep]": // by now
				return
			}
		}
		if ctx.Err() != nil {
			t.Fatal("there is no sleep")
		}
	}
}
