package nstest_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
)

// What is not the environment's own is not filtered.
func TestFirewallNeedsANetworkOfItsOwn(t *testing.T) {
	harmless := nstest.Firewall{Rules: []nstest.FirewallRule{{Verdict: nstest.Allow}}}
	env := nstest.New(t, nstest.Config{Share: nstest.Namespaces{Net: true}})
	if err := env.Self().SetFirewall(harmless); !errors.Is(err, syscall.EOPNOTSUPP) {
		t.Errorf("got %v, want EOPNOTSUPP", err)
	}
	env = nstest.New(t, nstest.Config{Loopback: true})
	if err := env.Self().SetFirewall(harmless); err != nil {
		t.Error(err)
	}
	if err := env.Close(); err != nil {
		t.Error(err)
	}
	if err := env.Self().SetFirewall(harmless); !errors.Is(err, nstest.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}
