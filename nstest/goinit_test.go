package nstest

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// An environment with the init in Go, which architectures without a static one have. The keeper reads the variable when
// it starts: the test is in a process of its own.
func TestInitInGo(t *testing.T) {
	if os.Getenv("NSTEST_INIT") != "go" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestInitInGo$", "-test.count=1", "-test.v")
		cmd.Env = append(os.Environ(), "NSTEST_INIT=go")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("with NSTEST_INIT=go: %v\n%s", err, out)
		}
		if !strings.Contains(string(out), "--- PASS: TestInitInGo") {
			t.Skipf("with NSTEST_INIT=go:\n%s", out)
		}
		return
	}
	env := New(t, Config{})
	other := env.Host("other")
	for _, h := range []*Host{env.Self(), other} {
		// Every thread of the init has given up the machine's ids and taken on the filter, not the first alone.
		got := output(t, h, `for f in /proc/1/task/*/status; do sed -n 's/^\(Uid\|Gid\|Seccomp\):[[:space:]]*/\1 /p' $f; done | sort -u | tr '\t\n' ' ,'; ls /proc/1/task | wc -l`)
		ids, threads, _ := strings.Cut(strings.TrimSpace(got), ",Uid 0 0 0 0,")
		if ids != "Gid 0 0 0 0,Seccomp 2" || threads == "1" {
			t.Errorf("threads of %s's init: %q", h.Name(), got)
		}
	}
	if got := output(t, other, `hostname; cat /proc/1/comm; getent hosts self | wc -l`); got != "other\nnstest-init\n1\n" {
		t.Errorf("on the second host: %q", got)
	}
	user := other.Command("sh", "-c", "id -u; id -g")
	user.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
	if out, err := user.Output(); err != nil || string(out) != "1000\n1000\n" {
		t.Errorf("as another user: %q, %v", out, err)
	}
	err := other.CommandContext(context.Background(), "sh", "-c", "kill -KILL $$").Run()
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("a process that is killed: %v", err)
	}
	if err := env.RemoveHost("other"); err != nil {
		t.Error(err)
	}
}

func output(t *testing.T, h *Host, script string) string {
	t.Helper()
	out, err := h.Command("sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}
