package nstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// asks are what a test does in a host again and again.
var asks = map[string]func(h *Host) error{
	"listen": func(h *Host) error {
		l, err := h.Listen("tcp", ":0")
		if err != nil {
			return err
		}
		return l.Close()
	},
	"listen for packets": func(h *Host) error {
		c, err := h.ListenPacket("udp", ":0")
		if err != nil {
			return err
		}
		return c.Close()
	},
	"dial": func(h *Host) error {
		c, err := h.DialContext(context.Background(), "udp", "127.0.0.1:9")
		if err != nil {
			return err
		}
		return c.Close()
	},
	"run": func(h *Host) error { return h.Command("true").Run() },
	"do": func(h *Host) error {
		if ok, err := privileged(); !ok {
			return errors.Join(err, h.Command("true").Run())
		}
		return h.Do(func() error { return nil })
	},
}

// Whatever is under way when the environment is closed says that.
func TestClosedMeanwhile(t *testing.T) {
	for _, cfg := range []HostConfig{{Name: "own"}, {Name: "shared", PID: FromSelf}, {Name: "netonly", NetOnly: true}} {
		env := New(t, Config{})
		host, err := env.AddHost(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var work sync.WaitGroup
		begun := make(chan struct{})
		for what, ask := range asks {
			for _, h := range []*Host{host, env.Self()} {
				work.Go(func() {
					err := ask(h)
					begun <- struct{}{}
					for err == nil {
						err = ask(h)
					}
					if !errors.Is(err, ErrClosed) {
						t.Errorf("%s in %s: %v", what, h.Name(), err)
					}
				})
			}
		}
		for range 2 * len(asks) {
			<-begun
		}
		if err := env.Close(); err != nil {
			t.Error(err)
		}
		work.Wait()
	}
}

// A host whose init was killed says that, and not that the environment is closed.
func TestInitThatWasKilled(t *testing.T) {
	env := New(t, Config{})
	web := env.Host("web")
	cat := web.Command("cat")
	if _, err := cat.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(parentOf(t, cat.Process.HostPid()), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := cat.Wait(); err == nil {
		t.Error("a process outlives its init")
	}
	check := func(what string, err error) {
		t.Helper()
		if errors.Is(err, ErrClosed) || !errors.Is(err, syscall.ESRCH) || !strings.Contains(err.Error(), "the host's init has ended: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, ask := range asks {
		check(what, ask(web))
		if err := ask(env.Self()); err != nil { // the control
			t.Errorf("%s elsewhere: %v", what, err)
		}
	}
}

func parentOf(t *testing.T, pid int) (parent int) {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	if _, err := fmt.Sscanf(rest, "%1s %d", new(string), &parent); err != nil {
		t.Fatal(err)
	}
	return parent
}
