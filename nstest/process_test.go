package nstest_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
)

func TestProcessAttributes(t *testing.T) {
	h := commandHost(t)
	// Those of the shell: ls itself has opened the directory that it reads.
	if got := output(t, h, "ls /proc/$$/fd; true"); got != "0\n1\n2" {
		t.Errorf("open files: %q", got)
	}
	c := h.Command("sh", "-c", `read -r pid comm state ppid pgrp session tty rest < /proc/$$/stat; echo $pid $pgrp $session $tty`)
	if got := outputOf(t, c); got != fmt.Sprintf("%d %[1]d %[1]d 0", c.Process.Pid) {
		t.Errorf("pid, process group, session and terminal of process %d: %q", c.Process.Pid, got)
	}
	if got := output(t, h, "grep -E 'Sig(Blk|Ign)' /proc/self/status"); got != "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000" {
		t.Errorf("blocked and ignored signals: %q", got)
	}
	umask := func(want string, mask *int) {
		t.Helper()
		c := h.Command("sh", "-c", "umask")
		c.Umask = mask
		if got := outputOf(t, c); got != want {
			t.Errorf("umask %s, want %s", got, want)
		}
	}
	umask("0022", nil)
	umask("0000", new(0))
	umask("0077", new(0o077))
}

func TestProcessUser(t *testing.T) {
	env := nstest.New(t, nstest.Config{})
	h := env.Host("db")
	if got := output(t, h, "id -u; id -g"); got != "0\n0" {
		t.Errorf("default user: %q", got)
	}
	c := h.Command("sh", "-c", "id -u; id -g; grep CapEff /proc/self/status")
	c.User = &nstest.User{UID: 70, GID: 70}
	if got := outputOf(t, c); got != "70\n70\nCapEff:\t0000000000000000" {
		t.Errorf("user 70: %q", got)
	}
	c = h.Command("id", "-u")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 70, Gid: 70}}
	if got := outputOf(t, c); got != "70" {
		t.Errorf("credential 70: %q", got)
	}
	if env.Rootless() {
		return // supplementary groups need further ids
	}
	c = h.Command("sh", "-c", "id -G; touch /tmp/mine; stat -c %u:%g /tmp/mine; touch /etc/mine 2>/dev/null || echo refused")
	c.User = &nstest.User{UID: 70, GID: 71, Groups: []int{5, 6}}
	if got := outputOf(t, c); got != "71 5 6\n70:71\nrefused" {
		t.Errorf("user 70 with groups: %q", got)
	}
}

func TestProcessSignal(t *testing.T) {
	h := commandHost(t)
	c := h.Command("sh", "-c", "trap 'echo got; exit 5' USR1; echo ready; while :; do sleep 0.01; done")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(out); err != nil || string(rest) != "got\n" {
		t.Errorf("output %q, %v", rest, err)
	}
	if err := c.Wait(); c.ProcessState.ExitCode() != 5 {
		t.Errorf("ended with %v", err)
	}
	for what, err := range map[string]error{"Signal": c.Process.Signal(syscall.SIGTERM), "Kill": c.Process.Kill(), "SignalGroup": c.Process.SignalGroup(syscall.SIGTERM)} {
		if !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%s after the end: %v", what, err)
		}
	}
	if state, err := c.Process.Wait(); state != c.ProcessState || err != nil {
		t.Errorf("Process.Wait after Cmd.Wait: %v, %v", state, err)
	}
	if pid := c.Process.HostPid(); pid != -1 {
		t.Errorf("an ended process has pid %d", pid)
	}

	// The group is the whole session, until somebody leaves it: only then does the output end.
	c = h.Command("sh", "-c", "sleep 1000 & sleep 1000 & echo ready; wait")
	if out, err = c.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.SignalGroup(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(out); err != nil || len(rest) != 0 {
		t.Errorf("output %q, %v", rest, err)
	}
	var ee *nstest.ExitError
	if err := c.Wait(); !errors.As(err, &ee) || ee.Signal() != syscall.SIGKILL {
		t.Errorf("ended with %v", err)
	}
}

func TestProcessHostPid(t *testing.T) {
	h := commandHost(t)
	c := h.Command("sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	pid := c.Process.HostPid()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if want := fmt.Sprintf(`(?m)^NSpid:.*\t%d$`, c.Process.Pid); err != nil || !regexp.MustCompile(want).Match(status) {
		t.Errorf("process %d is not process %d of a namespace inside: %v\n%s", pid, c.Process.Pid, err, status)
	}
	if inside := c.Process.Pid; inside == pid || inside < 2 {
		t.Errorf("process %d is %d inside", pid, inside)
	}
	if err := c.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := c.Wait(); err == nil {
		t.Error("a killed command has succeeded")
	}
}

// processes lists the processes that /proc of a host shows, without the shell that looks.
const processes = `for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || tr '\0' ' ' < $p/cmdline; done`

func TestProcessesOfHosts(t *testing.T) {
	env := nstest.New(t, nstest.Config{})
	a, b := env.Host("a"), env.Host("b")
	c := a.Command("sleep", "1234")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if got := output(t, a, processes); !strings.Contains(got, "sleep 1234") {
		t.Errorf("host a sees %q", got)
	}
	if got := output(t, b, processes); strings.TrimSpace(got) != "nstest-init" {
		t.Errorf("host b sees %q", got)
	}
	if got := output(t, b, fmt.Sprintf("kill -9 %d 2>&1 || true", c.Process.Pid+1000)); got == "" {
		t.Error("host b has a process that nobody started")
	}
	if err := c.Process.Kill(); err != nil {
		t.Errorf("the process of host a is gone: %v", err)
	}
	if err := c.Wait(); err == nil {
		t.Error("a killed command has succeeded")
	}
}

func TestProcessesEndWithTheEnvironment(t *testing.T) {
	env := nstest.New(t, nstest.Config{})
	h := env.Host("web")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	orphan := h.Command("sh", "-c", "setsid nohup sleep 1000 >&1 2>&1 & sleep 0; echo left")
	orphan.Stdout = w
	if err := orphan.Run(); err != nil {
		t.Fatal(err)
	}
	waiting, late := h.Command("sleep", "1000"), h.Command("sleep", "1000")
	var stdout strings.Builder
	waiting.Stdout = &stdout
	for _, c := range []*nstest.Cmd{waiting, late} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	result := make(chan error)
	go func() { result <- waiting.Wait() }()
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}
	// The pipe ends when the last process that holds it has ended.
	if left, err := io.ReadAll(r); err != nil || !strings.HasSuffix(string(left), "left\n") {
		t.Errorf("output %q, %v", left, err)
	}
	for _, err := range []error{<-result, late.Wait()} {
		var ee *nstest.ExitError
		if !errors.As(err, &ee) || !errors.Is(err, nstest.ErrClosed) || ee.Signal() != syscall.SIGKILL {
			t.Errorf("a command in a closed environment: %v", err)
		}
	}
	if err := late.Process.Kill(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Kill in a closed environment: %v", err)
	}
	if err := h.Command("true").Run(); !errors.Is(err, nstest.ErrClosed) {
		t.Errorf("Run in a closed environment: %v", err)
	}
}

func TestProcessesEndWithTheirHost(t *testing.T) {
	for name, cfg := range map[string]nstest.HostConfig{
		"own PID namespace": {Name: "web"},
		"shared":            {Name: "web", PID: nstest.FromSelf},
		"network only":      {Name: "web", NetOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			env := nstest.New(t, nstest.Config{})
			h, err := env.AddHost(cfg)
			if err != nil {
				t.Fatal(err)
			}
			c := h.Command("sh", "-c", "setsid sleep 1000 & for i in $(seq 80); do sleep 1000 & done; echo ready; exec sleep 1000")
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
				t.Fatal(err)
			}
			if err := env.RemoveHost("web"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(out); err != nil { // ends with the last that holds it
				t.Error(err)
			}
			var ee *nstest.ExitError
			if err := c.Wait(); !errors.As(err, &ee) || ee.Signal() != syscall.SIGKILL || errors.Is(err, nstest.ErrClosed) {
				t.Errorf("a command on a removed host: %v", err)
			}
		})
	}
}

// TestManyProcessesAreWaitedFor has more of them than the keeper answers calls at a time.
func TestManyProcessesAreWaitedFor(t *testing.T) {
	h := commandHost(t)
	commands := make([]*nstest.Cmd, 300)
	var wg sync.WaitGroup
	for i := range commands {
		c := h.Command("sleep", "1000")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		commands[i] = c
		wg.Go(func() {
			if err := c.Wait(); c.ProcessState.Signal() != syscall.SIGKILL {
				t.Errorf("ended with %v", err)
			}
		})
	}
	for _, c := range commands {
		if err := c.Process.Kill(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}
