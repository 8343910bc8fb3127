package nstest_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
)

// While many hosts are added the network namespace of the next one is made ahead. Where the kernel refuses it, the host
// that needs it says so, and the environment is as good as before.
func TestManyHostsUntilTheKernelRefuses(t *testing.T) {
	env := nstest.New(t, nstest.Config{})
	number := 0
	add := func() error {
		number++
		_, err := env.AddHost(nstest.HostConfig{Name: fmt.Sprintf("h%d", number), NetOnly: true})
		return err
	}
	limit := func(n string) {
		t.Helper()
		if out, err := env.Self().Command("sh", "-c", "echo "+n+" >/proc/sys/user/max_net_namespaces").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for range 6 {
		if err := add(); err != nil {
			t.Fatal(err)
		}
	}
	limit("1")
	var err error
	for range 3 { // one or two may have been made ahead
		if err = add(); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("with no network namespace left: %v, want ENOSPC", err)
	}
	limit("1000")
	for range 3 {
		if err := add(); err != nil {
			t.Fatal(err)
		}
	}
	last := env.Host(fmt.Sprintf("h%d", number))
	l, err := last.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, h := range []*nstest.Host{env.Self(), env.Host("h1"), last} {
		c, err := h.DialContext(t.Context(), "tcp", net.JoinHostPort(last.Name(), "80"))
		if err != nil {
			t.Fatalf("from %s: %v", h.Name(), err)
		}
		_ = c.Close()
	}
}

// A NetOnly host beyond the first ones has no process of its own before it runs one. It can be answered for, asked, removed
// and made again before and after that, also by several at once.
func TestAHostWithoutAProcess(t *testing.T) {
	env := nstest.New(t, nstest.Config{})
	inits := func() int {
		t.Helper()
		out, err := env.Self().Command("sh", "-c", "set -- /proc/[1-9]*; echo $#").Output()
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if _, err := fmt.Sscan(string(out), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	add := func(i int) *nstest.Host {
		t.Helper()
		h, err := env.AddHost(nstest.HostConfig{Name: fmt.Sprintf("h%d", i), NetOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for i := range 5 {
		add(i)
	}
	before := inits()
	asleep, removed, contested := add(5), add(6), add(7)
	if now := inits(); now != before {
		t.Fatalf("three further hosts brought %d processes", now-before)
	}
	if err := env.RemoveHost(removed.Name()); err != nil {
		t.Fatal(err)
	}
	if err := removed.Command("true").Run(); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("a command on a host that was removed: %v, want ENOENT", err)
	}
	if err := add(6).Command("true").Run(); err != nil {
		t.Error(err)
	}

	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			out, err := asleep.Command("sh", "-c", "cat /proc/net/fib_trie; readlink /proc/self/ns/net").Output()
			if err != nil || !strings.Contains(string(out), asleep.Addr().String()) {
				t.Errorf("%v: the address %v is not in\n%s", err, asleep.Addr(), out)
			}
		})
	}
	work.Wait()
	if now := inits(); now != before+2 { // its own, and that of the one that was made again
		t.Errorf("two hosts have run commands, which brought %d processes", now-before)
	}

	started := make(chan error)
	go func() { started <- contested.Command("sleep", "9999").Start() }()
	if err := env.RemoveHost(contested.Name()); err != nil {
		t.Error(err)
	}
	if err := <-started; err != nil && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, nstest.ErrClosed) {
		t.Errorf("a command on a host that is being removed: %v", err)
	}
	now := inits()
	for deadline := time.Now().Add(30 * time.Second); now != before+2 && time.Now().Before(deadline); {
		now = inits() // the environment's init has yet to reap what has ended
	}
	if now != before+2 {
		t.Errorf("a host that was removed has left %d processes", now-before-2)
	}
	add(7)
}
