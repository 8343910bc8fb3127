package nstest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// failing is a test that fails: Run's, in which cleaning up says so.
func TestHeld(t *testing.T) {
	switch os.Getenv("NSTEST_TEST_HELD") {
	case "run":
		Run(t, func(t *testing.T, env *Env) {
			env.Host("web")
			t.Cleanup(func() { fmt.Println("cleaned up") })
			t.Error("out of order")
		})
	case "new":
		env := New(t, Config{})
		env.Host("web")
		t.Error("out of order")
	case "order":
		Run(t, func(t *testing.T, _ *Env) {
			t.Run("first", func(t *testing.T) { t.Run("below", func(*testing.T) {}) })
			t.Run("second", func(t *testing.T) {
				t.Run("below", func(*testing.T) {})
				select {}
			})
		})
	case "turns":
		Run(t, func(t *testing.T, _ *Env) {
			turn := make(chan bool)
			t.Run("first", func(t *testing.T) {
				t.Parallel()
				<-turn
				select {}
			})
			t.Run("second", func(t *testing.T) {
				t.Parallel()
				turn <- true
			})
		})
	case "die":
		Run(t, func(*testing.T, *Env) { os.Exit(3) })
	case "several":
		for _, name := range []string{"first", "second"} {
			t.Run(name, func(t *testing.T) {
				for _, name := range []string{"one", "other"} {
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						Run(t, func(t *testing.T, env *Env) {
							t.Cleanup(func() { fmt.Println("cleaned up") })
							t.Error("out of order")
						})
					})
				}
			})
		}
	case "pass":
		Run(t, func(*testing.T, *Env) {})
	}
}

// A suite is a program whose test waits.
type heldSuite struct {
	t    *testing.T
	cmd  *exec.Cmd
	keys *os.File // of its terminal; nil without one
	out  *bufio.Reader
	seen strings.Builder
}

// runHeld runs a test that fails, on a terminal of its own or without one.
func runHeld(t *testing.T, what string, terminal bool) *heldSuite {
	t.Helper()
	s := &heldSuite{t: t, cmd: exec.Command("/proc/self/exe", "-test.run=^TestHeld$", "-test.v", "-test.parallel=4")}
	s.cmd.Env = append(os.Environ(), "NSTEST_HOLD=1", "NSTEST_TEST_HELD="+what)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if terminal {
		keys, tty := openPTY(t)
		s.keys, s.out = keys, bufio.NewReader(keys)
		s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, tty, tty
		s.cmd.SysProcAttr.Setctty = true
	} else {
		pr, pw, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pr.Close() })
		defer pw.Close()
		s.out = bufio.NewReader(pr)
		s.cmd.Stdout, s.cmd.Stderr = pw, pw
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	return s
}

func openPTY(t *testing.T) (keys, tty *os.File) {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	raw, err := keys.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n uint32
	if cerr := raw.Control(func(fd uintptr) {
		if n, err = unix.IoctlGetUint32(int(fd), unix.TIOCGPTN); err == nil {
			err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		}
	}); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	if tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return keys, tty
}

// see reads until a line matches, and returns what it matches.
func (s *heldSuite) see(pattern string) []string {
	s.t.Helper()
	re := regexp.MustCompile(pattern)
	for {
		line, err := s.out.ReadString('\n')
		s.seen.WriteString(line)
		if m := re.FindStringSubmatch(strings.TrimRight(line, "\r\n")); m != nil {
			return m
		}
		if err != nil {
			s.t.Fatalf("%q does not come (%v):\n%s", pattern, err, &s.seen)
		}
	}
}

// leave waits for the end, which has to be that of a failure.
func (s *heldSuite) leave() string {
	s.t.Helper()
	if s.keys == nil {
		_, _ = io.Copy(&s.seen, s.out)
	}
	if err := s.cmd.Wait(); s.cmd.ProcessState.ExitCode() != 1 {
		s.t.Errorf("the suite ends with %v:\n%s", err, &s.seen)
	}
	return s.seen.String()
}

// invited is the ID of the environment that waits.
func (s *heldSuite) invited() string {
	s.t.Helper()
	id := s.see(` enter ([0-9]+\.[0-9]+) +# a shell where the test is`)[1]
	s.see(" enter " + regexp.QuoteMeta(id) + "/web +# on host web")
	s.see(" release " + regexp.QuoteMeta(id))
	for {
		if l := listed(s.t, id); l != nil && !l.Held.IsZero() {
			return id
		}
	}
}

func TestHoldIsReleased(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"run", "new"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := runHeld(t, what, false)
			id := s.invited()
			if !strings.Contains(s.seen.String(), `"TestHeld" has failed`) || strings.Contains(s.seen.String(), "cleaned up") {
				t.Errorf("before the release the suite says\n%s", &s.seen)
			}
			env := attachTo(t, id)
			if out, err := env.Host("web").Command("hostname").Output(); string(out) != "web\n" || err != nil {
				t.Errorf("hostname of web is %q, %v", out, err)
			}
			if err := env.Release(); err != nil {
				t.Fatal(err)
			}
			if out := s.leave(); what == "run" && !strings.Contains(out, "cleaned up") || strings.Count(out, "# a shell where") != 1 {
				t.Errorf("the suite says\n%s", out)
			}
			if err := env.Release(); err == nil {
				t.Error("an environment that has ended was released")
			}
		})
	}
}

func TestHoldEndsByHand(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *heldSuite){
		"Enter":  func(s *heldSuite) { _, _ = s.keys.WriteString("\n") },
		"Ctrl-C": func(s *heldSuite) { _, _ = s.keys.WriteString("\x03") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := runHeld(t, "run", true)
			s.invited()
			end(s)
			s.see("cleaned up")
			s.leave()
		})
	}
}

// Who has seen enough need not say so for each test.
func TestInterruptEndsAllHolds(t *testing.T) {
	t.Parallel()
	s := runHeld(t, "several", false)
	for range 2 {
		id := s.see(` enter ([0-9]+\.[0-9]+) +# a shell where the test is`)[1]
		for l := listed(t, id); l == nil || l.Held.IsZero(); l = listed(t, id) {
		}
	}
	if err := s.cmd.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	if out := s.leave(); strings.Count(out, "# a shell where") != 2 || strings.Count(out, "cleaned up") != 4 {
		t.Errorf("the suite says\n%s", out)
	}
}

// On a terminal the way in is shown once, although "go test" shows there what the tests print to their pipes, too.
func TestInvitationIsShownOnce(t *testing.T) {
	t.Parallel()
	keys, tty := openPTY(t)
	s := &heldSuite{t: t, keys: keys, out: bufio.NewReader(keys)}
	s.cmd = exec.Command("/proc/self/exe", "-test.run=^TestHeld$", "-test.v")
	s.cmd.Env = append(os.Environ(), "NSTEST_HOLD=1", "NSTEST_TEST_HELD=run")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	var printed strings.Builder
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, &printed, &printed
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	s.invited()
	if _, err := keys.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	s.see("is released")
	s.leave()
	if out := printed.String(); !strings.Contains(out, "cleaned up") || strings.Contains(out, "enter") || strings.Contains(out, "released") {
		t.Errorf("beside the terminal the suite says\n%s", out)
	}
}

func TestHoldOfOneThatDies(t *testing.T) {
	t.Parallel()
	s := runHeld(t, "die", false)
	id := s.see(` enter ([0-9]+\.[0-9]+) +# a shell where the test is`)[1]
	for l := listed(t, id); l == nil || l.Held.IsZero(); l = listed(t, id) {
	}
	if err := attachTo(t, id).Release(); err != nil {
		t.Error(err)
	}
	s.leave()
}

// Whoever waits learns that the environment has gone.
func TestHoldEndsWithKeeper(t *testing.T) {
	t.Parallel()
	s := runHeld(t, "run", false)
	id := s.invited()
	keeper := 0
	for deadline := time.Now().Add(30 * time.Second); keeper == 0 && time.Now().Before(deadline); {
		keeper = keeperOf(t, listed(t, id).PID)
	}
	if err := unix.Kill(keeper, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.leave()
}

// keeperOf is the keeper of a program.
func keeperOf(t *testing.T, program int) int {
	t.Helper()
	out, err := exec.Command("pgrep", "-P", fmt.Sprint(program), "-f", "nstest-keeper").Output()
	if err != nil {
		t.Fatalf("find keeper of %d: %v", program, err)
	}
	pid := 0
	_, err = fmt.Sscan(string(out), &pid)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestNothingIsHeldThatPasses(t *testing.T) {
	t.Parallel()
	s := runHeld(t, "pass", false)
	_, _ = io.Copy(&s.seen, s.out)
	if err := s.cmd.Wait(); err != nil || strings.Contains(s.seen.String(), "enter") {
		t.Errorf("%v:\n%s", err, &s.seen)
	}
}
