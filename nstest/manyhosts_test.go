package nstest_test

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

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
