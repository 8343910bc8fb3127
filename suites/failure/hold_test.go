package failure

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/testprogram"
)

// A suite of which a variable says what fails.
var held = testprogram.New("testdata/held")

// A paused suite is one whose spec has failed and waits.
type paused struct {
	t    *testing.T
	out  *bufio.Reader
	seen strings.Builder
	wait func() error
	kill func(sig os.Signal) error
}

func pause(t *testing.T, program *testprogram.Program, env []string, args ...string) *paused {
	t.Helper()
	return pauseCommand(t, program.Command(t, env, append([]string{"-test.run=TestKept|TestHeld", "-ginkgo.no-color", "-ginkgo.seed=1"}, args...)...))
}

func pauseCommand(t *testing.T, cmd *exec.Cmd) *paused {
	t.Helper()
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pr.Close() })
	cmd.Stdout, cmd.Stderr = pw, pw
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // away from our terminal
	err = cmd.Start()
	pw.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return &paused{t: t, out: bufio.NewReader(pr), wait: cmd.Wait, kill: cmd.Process.Signal}
}

// entrance is the environment of which the suite says how to enter it.
func (p *paused) entrance() *nstest.Env {
	p.t.Helper()
	how := regexp.MustCompile(` enter ([0-9.]+) +# a shell where the test is`)
	for {
		line, err := p.out.ReadString('\n')
		p.seen.WriteString(line)
		if m := how.FindStringSubmatch(line); m != nil {
			env, err := nstest.Attach(p.t.Context(), m[1])
			if err != nil {
				p.t.Fatal(err)
			}
			p.t.Cleanup(func() { _ = env.Close() })
			return env
		}
		if err != nil {
			p.t.Fatalf("no spec waits (%v):\n%s", err, &p.seen)
		}
	}
}

// awaitPosition waits until the list says that the spec is there.
func (p *paused) awaitPosition(env *nstest.Env, text string) {
	p.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		list, err := nstest.List(p.t.Context())
		at := slices.IndexFunc(list, func(l nstest.Listing) bool { return l.ID == env.ID() })
		if err != nil || at < 0 {
			p.t.Fatalf("the environment has ended, or %v", err)
		}
		if l := list[at]; l.At.Text == text && strings.HasPrefix(filepath.Base(l.At.Location), "kept_test.go:") {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("listed at %+v, want %s", list[at].At, text)
		}
	}
}

// release lets the spec go on that waits in env, as soon as it does.
func (p *paused) release(env *nstest.Env) {
	p.t.Helper()
	for env.Release() != nil {
		list, err := nstest.List(p.t.Context()) // the error may be of others
		if !slices.ContainsFunc(list, func(l nstest.Listing) bool { return l.ID == env.ID() }) {
			p.t.Fatalf("the environment has ended, or %v", err)
		}
	}
}

// end is all that the suite has said.
func (p *paused) end() string {
	p.t.Helper()
	_, _ = io.Copy(&p.seen, p.out)
	if err := p.wait(); err == nil {
		p.t.Error("the suite has passed")
	}
	return p.seen.String()
}

// A spec that fails waits before anything is cleaned up, and so does each attempt at it.
func TestHold(t *testing.T) {
	t.Parallel()
	p := pause(t, kept, []string{"NSTEST_HOLD=1"}, "-ginkgo.focus=for sure|in the end")
	var names []string
	for _, step := range []string{"buying", "It", "It"} {
		env := p.entrance()
		names = append(names, env.Name())
		p.awaitPosition(env, step)
		if env.Name() == "a shop fails (for sure)" {
			if out, err := env.Host("web").Command("hostname").Output(); string(out) != "web\n" || err != nil {
				t.Errorf("hostname of web is %q, %v: it was removed by a clean-up", out, err)
			}
			if out, err := env.Self().Command("cat", "/tmp/evidence").Output(); string(out) != "left" || err != nil {
				t.Errorf("the spec's file has %q, %v", out, err)
			}
		}
		p.release(env)
	}
	if want := []string{"a shop fails (for sure)", "a shop passes in the end", "a shop passes in the end"}; !slices.Equal(names, want) {
		t.Errorf("waited for %q, want %q", names, want)
	}
	out := p.end()
	if !strings.Contains(out, "1 Failed") || strings.Count(out, "# a shell where the test is") != 3 || strings.Contains(out, "DeferOnFailure") {
		t.Errorf("the suite says\n%s", out)
	}
}

// Whatever fails in an environment waits: a suite's own nodes, what is done once for an Ordered container, and each of its specs.
func TestEverythingHolds(t *testing.T) {
	t.Parallel()
	for what, names := range map[string][]string{
		"FAIL=set-up SETUP=plain":             {"Held"},
		"FAIL=set-up SETUP=synchronized":      {"Held"},
		"FAIL=clean-up SETUP=plain":           {"Held"},
		"FAIL=tear-down":                      {"Held"},
		"FAIL=tear-down SETUP=plain":          {"Held"},
		"FAIL=set-up of the spec SETUP=plain": {"is a spec"},
		"FAIL=spec SETUP=plain":               {"is a spec"},
		"FAIL=before all":                     {"in order runs first"},
		"FAIL=before each SETUP=synchronized": {"in order runs first", "in order runs second"},
		"FAIL=order":                          {"in order runs first", "in order runs second"},
		"FAIL=after all":                      {"in order runs second"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var vars []string
			for _, name := range []string{"FAIL", "SETUP"} {
				_, rest, _ := strings.Cut(what, name+"=")
				value, _, _ := strings.Cut(rest, " SETUP=")
				vars = append(vars, name+"="+value)
			}
			focus := "" // on the first spec, whose environment is not made ahead, and has its name
			if names[0] == "is a spec" {
				focus = names[0]
			}
			p := pause(t, held, append(vars, "NSTEST_HOLD=1"), "-ginkgo.focus="+focus)
			for range names {
				env := p.entrance()
				if out, err := env.Host("here").Command("hostname").Output(); string(out) != "here\n" || err != nil {
					t.Errorf("hostname of here is %q, %v", out, err)
				}
				p.release(env)
			}
			out := p.end()
			var said []string
			for _, m := range regexp.MustCompile(`nstest: "(.*)" has failed: .*`).FindAllStringSubmatch(out, -1) {
				said = append(said, m[1])
			}
			if !slices.Equal(said, names) || !strings.Contains(out, "as told") {
				t.Errorf("waited for %q, want %q\n%s", said, names, out)
			}
		})
	}
}

// Ginkgo waits by itself where it is asked to, and nstest says how to enter.
func TestSleepOnFailure(t *testing.T) {
	t.Parallel()
	p := pause(t, kept, nil, "-ginkgo.focus=for sure", "-ginkgo.sleep-on-failure=10m")
	env := p.entrance()
	if out, err := env.Host("web").Command("hostname").Output(); string(out) != "web\n" || err != nil {
		t.Errorf("hostname of web is %q, %v", out, err)
	}
	for line := ""; !strings.Contains(line, "Paused on failure"); {
		var err error
		if line, err = p.out.ReadString('\n'); err != nil {
			t.Fatalf("Ginkgo does not pause: %v", err)
		}
	}
	if err := p.kill(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	p.end()
}

// Without either nobody waits.
func TestNobodyWaits(t *testing.T) {
	t.Parallel()
	p := pause(t, kept, nil, "-ginkgo.focus=for sure")
	if out := p.end(); strings.Contains(out, "# a shell where") {
		t.Errorf("the suite says\n%s", out)
	}
}

// plainTest is a test of somebody's module.
const plainTest = `package theirs

import (
	"testing"

	"github.com/hermetic-go/nstest/nstest"
)

func TestFails(t *testing.T) {
	nstest.Run(t, func(t *testing.T, _ *nstest.Env) { t.Error("as told") })
}
`

// The command that is said works, also where nothing is installed and go.mod replaces nstest, and from elsewhere.
func TestTheCommandWorks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mod, sum := testprogram.Module(t, "example.test/theirs", "../..")
	for name, content := range map[string]string{"go.mod": mod, "go.sum": sum, "theirs_test.go": plainTest} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	testprogram.Go(t, dir, []string{"GOFLAGS="}, "test", "-c", "-o", "theirs", ".")
	cmd := exec.Command("./theirs")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "NSTEST_HOLD=1")
	p := pauseCommand(t, cmd)
	env := p.entrance()
	line := regexp.MustCompile(`(?m)^  (.* release ` + regexp.QuoteMeta(env.ID()) + `)$`)
	for !line.MatchString(p.seen.String()) {
		text, err := p.out.ReadString('\n')
		p.seen.WriteString(text)
		if err != nil {
			t.Fatalf("nothing is said of how to release it (%v):\n%s", err, &p.seen)
		}
	}
	said := line.FindStringSubmatch(p.seen.String())[1]
	if !strings.HasPrefix(said, "go -C ") {
		t.Logf("nstest is installed: %s", said)
	}
	for { // once it waits
		cmd := exec.Command("sh", "-c", said)
		cmd.Dir, cmd.Env = "/", append(os.Environ(), "GOFLAGS=")
		out, err := cmd.CombinedOutput()
		if err == nil {
			break
		}
		if !strings.Contains(string(out), "nobody waits for that") {
			t.Fatalf("%s: %v\n%s", said, err, out)
		}
	}
	p.end()
}
