package nstest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
)

// commandHost is a host of a new environment.
func commandHost(t *testing.T) *nstest.Host {
	t.Helper()
	return nstest.New(t, nstest.Config{}).Host("web")
}

// output is what a shell script prints on the host.
func output(t *testing.T, h *nstest.Host, script string) string {
	t.Helper()
	return outputOf(t, h.Command("sh", "-c", script))
}

func outputOf(t *testing.T, c *nstest.Cmd) string {
	t.Helper()
	out, err := c.Output()
	var ee *nstest.ExitError
	if errors.As(err, &ee) {
		t.Fatalf("%v: %s", err, ee.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestCommandExit(t *testing.T) {
	h := commandHost(t)
	for _, c := range []struct {
		script string
		code   int
		signal syscall.Signal
		text   string
	}{
		{"exit 3", 3, -1, "exit status 3 (host web: sh -c exit 3)"},
		{`sh -c 'kill -TERM $$'; exit $?`, 128 + 15, -1, `exit status 143 (host web: sh -c sh -c 'kill -TERM $$'; exit $?)`},
		{"kill -TERM $$", -1, syscall.SIGTERM, "signal: terminated (host web: sh -c kill -TERM $$)"},
		{"kill -KILL $$", -1, syscall.SIGKILL, "signal: killed (host web: sh -c kill -KILL $$)"},
	} {
		cmd := h.Command("sh", "-c", c.script)
		err := cmd.Run()
		ee, ok := err.(*nstest.ExitError)
		if !ok {
			t.Errorf("%s: error %v is no *ExitError", c.script, err)
			continue
		}
		if ee.ExitCode() != c.code || ee.Signal() != c.signal || ee.Exited() != (c.code >= 0) || ee.Success() || ee.Error() != c.text {
			t.Errorf("%s: code %d, signal %d, exited %t, %q", c.script, ee.ExitCode(), ee.Signal(), ee.Exited(), ee)
		}
		if errors.Is(err, nstest.ErrClosed) {
			t.Errorf("%s: the environment is blamed", c.script)
		}
	}
	cmd := h.Command("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	s := cmd.ProcessState
	usage := s.SysUsage().(*syscall.Rusage)
	if !s.Success() || s.ExitCode() != 0 || s.Sys() != 0 || s.Pid() != cmd.Process.Pid || s.String() != "exit status 0" ||
		s.UserTime()+s.SystemTime() == 0 || s.MaxRSS() < 64<<10 || usage.Maxrss<<10 != s.MaxRSS() {
		t.Errorf("state of a success: %v, %+v, %v user, %v system, %d bytes", s, usage, s.UserTime(), s.SystemTime(), s.MaxRSS())
	}
}

func TestCommandOutput(t *testing.T) {
	h := commandHost(t)
	if got := output(t, h, "echo out; echo err >&2"); got != "out" {
		t.Errorf("output %q", got)
	}
	_, err := h.Command("sh", "-c", "echo out; echo why >&2; exit 1").Output()
	if ee, ok := err.(*nstest.ExitError); !ok || string(ee.Stderr) != "why\n" {
		t.Errorf("error %#v", err)
	}
	both, err := h.Command("sh", "-c", "echo out; echo err >&2; echo more").CombinedOutput()
	if err != nil || string(both) != "out\nerr\nmore\n" {
		t.Errorf("combined output %q, %v", both, err)
	}
	const size = 10 << 20
	out, err := h.Command("head", "-c", fmt.Sprint(size), "/dev/zero").Output()
	if err != nil || len(out) != size {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	// The process can open its standard output and error again, as servers that log to /dev/stdout do.
	c := h.Command("sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr")
	c.User = &nstest.User{UID: 70, GID: 70}
	if both, err := c.CombinedOutput(); err != nil || string(both) != "out\nerr\n" {
		t.Errorf("/dev/stdout: %q, %v", both, err)
	}
	if got := outputOf(t, h.Command("printf", "%s", "\xff\xfe")); got != "\xff\xfe" {
		t.Errorf("an argument that is not UTF-8 became %q", got)
	}
}

func TestCommandStdin(t *testing.T) {
	h := commandHost(t)
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	c := h.Command("cat")
	c.Stdin = bytes.NewReader(want)
	if got, err := c.Output(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("cat: %d bytes, %v", len(got), err)
	}
	c = h.Command("true")
	c.Stdin = bytes.NewReader(want)
	if err := c.Run(); err != nil {
		t.Errorf("a command that does not read its input: %v", err)
	}
	if got := output(t, h, "cat; readlink /proc/self/fd/0"); got != "/dev/null" {
		t.Errorf("no standard input is %q", got)
	}
	broken := errors.New("broken")
	c = h.Command("cat")
	c.Stdin = io.MultiReader(strings.NewReader("x"), readerFunc(func([]byte) (int, error) { return 0, broken }))
	if err := c.Run(); !errors.Is(err, broken) {
		t.Errorf("a reader's error became %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestCommandFiles(t *testing.T) {
	h := commandHost(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := h.Command("sh", "-c", "echo out; echo err >&2")
	c.Stdout, c.Stderr = f, f
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(f.Name()); err != nil || string(got) != "out\nerr\n" {
		t.Errorf("file has %q, %v", got, err)
	}

	// A pipe of the os package is nonblocking, which no command expects.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c = h.Command("head", "-c", "1000000", "/dev/zero")
	c.Stdout = w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	n, err := io.Copy(io.Discard, r)
	if err := errors.Join(err, c.Wait()); n != 1000000 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestCommandPipes(t *testing.T) {
	h := commandHost(t)
	c := h.Command("sh", "-c", "cat; echo done >&2")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "hello"); err != nil {
		t.Error(err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	for _, p := range []struct {
		r    io.Reader
		want string
	}{{out, "hello"}, {errs, "done\n"}} {
		if got, err := io.ReadAll(p.r); err != nil || string(got) != p.want {
			t.Errorf("read %q, %v", got, err)
		}
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := out.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read after Wait: %v", err)
	}
}

func TestCommandMisuse(t *testing.T) {
	h := commandHost(t)
	refused := func(what string, err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", what, err, want)
		}
	}
	c := h.Command("true")
	refused("Wait before Start", c.Wait(), "not started")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	refused("second Start", c.Start(), "already started")
	refused("second Wait", c.Wait(), "already called")
	_, err := c.StdoutPipe()
	refused("late StdoutPipe", err, "after the command was started")
	c = h.Command("true")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, io.Discard, io.Discard
	_, err = c.Output()
	refused("Output", err, "already set")
	_, err = c.CombinedOutput()
	refused("CombinedOutput", err, "already set")
	_, err = c.StdinPipe()
	refused("StdinPipe", err, "already set")
	_, err = c.StdoutPipe()
	refused("StdoutPipe", err, "already set")
	_, err = c.StderrPipe()
	refused("StderrPipe", err, "already set")
	refused("no host", new(nstest.Cmd).Start(), "not made by Host.Command")
	refused("no command", h.Command("").Start(), "no command")
	c = h.Command("true")
	c.Cancel = func() error { return nil }
	refused("Cancel", c.Start(), "not made by CommandContext")
	c = h.Command("true")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	refused("SysProcAttr", c.Start(), "SysProcAttr.Setpgid")
	c = h.Command("true")
	c.User, c.SysProcAttr = &nstest.User{}, &syscall.SysProcAttr{Credential: &syscall.Credential{}}
	refused("two users", c.Start(), "both")
	c = h.Command("true")
	c.User = &nstest.User{UID: -1}
	refused("negative id", c.Start(), "-1 is not")
	c = h.Command("true")
	c.Umask = new(0o1000)
	refused("umask", c.Start(), "umask 01000")
	refused("NUL", h.Command("echo", "a\x00b").Start(), "NUL")
	c = h.Command("true")
	c.Stdout = (*os.File)(nil)
	refused("nil file", c.Start(), "invalid")
	c = h.Command("true")
	c.Err = errors.New("set by the user")
	refused("Err", c.Start(), "set by the user")
	defer func() {
		if recover() == nil {
			t.Error("a nil context was taken")
		}
	}()
	h.CommandContext(nil, "true") //nolint:staticcheck // what is tested
}

func TestCommandContext(t *testing.T) {
	h := commandHost(t)
	ctx, cancel := context.WithCancel(context.Background())
	c := h.CommandContext(ctx, "sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	cancel()
	err := c.Wait()
	if ee, ok := err.(*nstest.ExitError); !ok || ee.Signal() != syscall.SIGKILL {
		t.Errorf("cancelled command: %v", err)
	}
	if err := h.CommandContext(ctx, "true").Start(); !errors.Is(err, context.Canceled) {
		t.Errorf("start with a cancelled context: %v", err)
	}

	// A command that succeeds although it is cancelled gets the context's error.
	ctx, cancel = context.WithCancel(context.Background())
	c = h.CommandContext(ctx, "sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done")
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := c.Wait(); err != context.Canceled {
		t.Errorf("command that ended well when cancelled: %v", err)
	}

	// The error of Cancel is told, unless the process was done.
	for _, cancelErr := range []error{errors.New("cannot"), os.ErrProcessDone} {
		ctx, cancel = context.WithCancel(context.Background())
		c = h.CommandContext(ctx, "cat")
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		c.Cancel = func() error { in.Close(); return cancelErr }
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := c.Wait(); errors.Is(err, cancelErr) != (cancelErr != os.ErrProcessDone) {
			t.Errorf("Cancel's error %v became %v", cancelErr, err)
		}
	}
}

func TestCommandWaitDelay(t *testing.T) {
	h := commandHost(t)
	const delay = 20 * time.Millisecond
	c := h.Command("sh", "-c", "sleep 1000 & echo left")
	c.WaitDelay = delay
	out, err := c.Output()
	if string(out) != "left\n" || !errors.Is(err, exec.ErrWaitDelay) {
		t.Errorf("a grandchild holds the output: %q, %v", out, err)
	}

	// Without a Cancel that would end it, the process is killed.
	ctx, cancel := context.WithCancel(context.Background())
	c = h.CommandContext(ctx, "sh", "-c", "sleep 1000 & sleep 1000")
	c.Cancel, c.WaitDelay, c.Stdout = nil, delay, &bytes.Buffer{}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	cancel()
	err = c.Wait()
	if ee, ok := err.(*nstest.ExitError); !ok || ee.Signal() != syscall.SIGKILL {
		t.Errorf("a command that is not cancelled: %v", err)
	}

	c = h.Command("sh", "-c", "echo quick")
	c.WaitDelay = time.Hour
	if out, err := c.Output(); string(out) != "quick\n" || err != nil {
		t.Errorf("a delay that is not needed: %q, %v", out, err)
	}
}

func TestCommandsConcurrently(t *testing.T) {
	env := nstest.New(t, nstest.Config{})
	hosts := []*nstest.Host{env.Host("a"), env.Host("b"), env.Self()}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			h := hosts[i%len(hosts)]
			c := h.Command("sh", "-c", "cat; hostname")
			c.Stdin = strings.NewReader(fmt.Sprintln(i))
			got, err := c.CombinedOutput()
			if want := fmt.Sprintf("%d\n%s\n", i, h.Name()); err != nil || string(got) != want {
				t.Errorf("command %d: %q, %v; want %q", i, got, err, want)
			}
		})
	}
	wg.Wait()
}

// TestCommandLeaksNothing starts commands that fail at every point, and then counts.
func TestCommandLeaksNothing(t *testing.T) {
	h := commandHost(t)
	fail := func() {
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		with := func(change func(*nstest.Cmd)) func() *nstest.Cmd {
			return func() *nstest.Cmd { c := h.Command("true"); change(c); return c }
		}
		for _, command := range []func() *nstest.Cmd{
			with(func(c *nstest.Cmd) {}),
			with(func(c *nstest.Cmd) { c.Path = "/no/such" }),
			with(func(c *nstest.Cmd) { c.Dir = "/no/such" }),
			with(func(c *nstest.Cmd) { c.Env = []string{"A=\x00"} }),
			with(func(c *nstest.Cmd) { c.User = &nstest.User{UID: 1 << 31, GID: 1 << 31} }),
			with(func(c *nstest.Cmd) { c.Stderr = (*os.File)(nil) }),
			func() *nstest.Cmd { return h.CommandContext(gone, "true") },
		} {
			for _, pipes := range []bool{false, true} {
				c := command()
				if pipes {
					if _, err := c.StdinPipe(); err != nil {
						t.Fatal(err)
					}
					if _, err := c.StdoutPipe(); err != nil {
						t.Fatal(err)
					}
				} else {
					c.Stdin, c.Stdout = strings.NewReader("x"), &bytes.Buffer{}
				}
				_ = c.Run()
			}
		}
		c := h.Command("/no/such")
		if _, err := c.StartTerminal(0, 0); err == nil {
			t.Fatal("/no/such was started")
		}
	}
	fail()
	before := openFiles(t)
	fail()
	if after := openFiles(t); !slices.Equal(before, after) {
		t.Errorf("open files before: %q\nafter: %q", before, after)
	}
}

// openFiles are the descriptors of this process, by number and kind.
func openFiles(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil { // not the directory's own
			list = append(list, e.Name()+" "+to)
		}
	}
	return list
}

func TestCommandInheritsExtraFiles(t *testing.T) {
	env := nstest.New(t, nstest.Config{Loopback: true})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := env.Self().Command("sh", "-c", "ls /proc/self/fd; echo hello >&4")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	cmd.ExtraFiles = []*os.File{null, w}
	out, err := cmd.Output()
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(string(out)); len(got) != 6 { // ls has opened one more
		t.Errorf("open files %v, want 0 to 4 and the directory itself", got)
	}
	if line, err := io.ReadAll(r); string(line) != "hello\n" || err != nil {
		t.Errorf("read %q, %v from the passed file", line, err)
	}
	cmd = env.Self().Command("true")
	cmd.ExtraFiles = []*os.File{nil}
	if err := cmd.Start(); err == nil {
		t.Error("a nil extra file was taken")
	}
}
