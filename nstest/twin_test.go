package nstest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/twin"
	"github.com/hermetic-go/nstest/nstest/leaks"
)

// TestTwin is both: the original starts the test binary again for this test alone, and that makes a host.
func TestTwin(t *testing.T) {
	if twin.This() != nil {
		env, err := inherited()
		if err != nil {
			t.Fatal(err)
		}
		h, err := env.AddHost(HostConfig{Name: "web"})
		if err != nil {
			t.Fatal(err)
		}
		hostname, err := os.Hostname()
		if err != nil {
			t.Fatal(err)
		}
		var order struct{ Text string }
		if err := twin.This().Link.Receive(&order); err != nil {
			t.Fatal(err)
		}
		if err := twin.This().Link.Send([]string{h.Name(), hostname, order.Text, os.Getenv("NSTEST_TWIN")}); err != nil {
			t.Fatal(err)
		}
		err = h.Do(func() error { hostname, err = os.Hostname(); return err })
		if err != nil || hostname != "web" {
			t.Errorf("hostname %s, %v; want web", hostname, err)
		}
		t.Log("pid", os.Getpid())
		return
	}
	var out bytes.Buffer
	tw, err := startTwin(context.Background(), "test", false, Config{Name: t.Name()}, func(*Env, *recording) twin.Plan {
		return twin.Plan{Args: []string{"-test.run=^TestTwin$", "-test.v"}, Stdout: &out, Stderr: &out}
	})
	if err != nil {
		t.Fatal(err)
	}
	tw.Output.Show()
	if err := tw.Link.Send(map[string]string{"Text": "hello"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := tw.Link.Receive(&got); err != nil {
		t.Error(err)
	}
	if want := "web spec hello "; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	state, err := tw.Wait()
	if state != "exit status 0" || err != nil || !strings.Contains(out.String(), "--- PASS: TestTwin") {
		t.Errorf("%s, %v, output:\n%s", state, err, out.String())
	}
	if err := tw.Stop(); err != nil {
		t.Error(err)
	}
}

// A twin whose environment ends before it can be started is none, and nothing of it is left.
func TestATwinWithoutEnvironment(t *testing.T) {
	leaks.Check(t)
	tw, err := startTwin(context.Background(), "test", false, Config{Name: "gone"}, func(env *Env, _ *recording) twin.Plan {
		if err := env.Close(); err != nil {
			t.Error(err)
		}
		return twin.Plan{Args: []string{"-test.run=^$"}, Stdout: io.Discard, Stderr: io.Discard}
	})
	var e *Error
	if tw != nil || !errors.As(err, &e) || !errors.Is(err, ErrClosed) || !strings.Contains(err.Error(), "start hermetic process") {
		t.Errorf("got %v and error %v, want one that says that the environment is closed", tw, err)
	}
}
