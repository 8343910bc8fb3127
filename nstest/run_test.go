package nstest_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
)

// goTest runs a test of this program as the go command does, and prints what that prints.
func goTest(test string) {
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$")
	out, err := cmd.CombinedOutput()
	var lines []string
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "coverage: ") { // there with -cover alone
			lines = append(lines, line)
		}
	}
	fmt.Print(strings.Join(lines, ""))
	if err != nil {
		fmt.Println(err)
	}
}

func TestExampleRun(t *testing.T) { testShop(t) }

// The environment is the one that the test is in, and its own as it was configured.
func TestRunWith(t *testing.T) {
	nstest.RunWith(t, nstest.Config{Name: "shop", Hostname: "counter"}, func(t *testing.T, env *nstest.Env) {
		hostname, err := os.Hostname()
		if err != nil || hostname != "counter" || env.Name() != "shop" {
			t.Errorf("hostname %q, %v, environment %q", hostname, err, env.Name())
		}
		again, err := os.OpenFile("/dev/stdout", os.O_WRONLY, 0)
		if err = errors.Join(err, again.Close()); err != nil {
			t.Errorf("its output cannot be opened again: %v", err)
		}
		out, err := env.Self().Command("hostname").Output()
		if string(out) != "counter\n" || err != nil {
			t.Errorf("its own host is %q, %v", out, err)
		}
	})
}

func TestRunInRun(t *testing.T) {
	nstest.Run(t, func(t *testing.T, outer *nstest.Env) {
		t.Run("inner", func(t *testing.T) {
			nstest.RunWith(t, nstest.Config{Hostname: "inside"}, func(t *testing.T, _ *nstest.Env) {
				if hostname, err := os.Hostname(); hostname != "inside" {
					t.Errorf("hostname %q, %v", hostname, err)
				}
			})
		})
		if outer.Self().Name() != "self" {
			t.Error("the outer environment is no more")
		}
	})
}

// What surrounds the function runs in its process too, where other subtests do not: what it makes of that is nobody's
// business.
func TestRunAmongOthers(t *testing.T) {
	ran := 0
	for _, name := range []string{"one", "two"} {
		t.Run(name, func(t *testing.T) {
			ran++
			nstest.Run(t, func(*testing.T, *nstest.Env) {})
		})
	}
	if ran != 2 {
		t.Errorf("%d subtests have run", ran)
	}
}

// For a debugger everything is in one process, and the environment beside it.
func TestRunInProcess(t *testing.T) {
	t.Setenv("NSTEST_INPROCESS", "1")
	pid, ran := os.Getpid(), false
	nstest.RunWith(t, nstest.Config{Hostname: "beside"}, func(t *testing.T, env *nstest.Env) {
		ran = os.Getpid() == pid
		if out, err := env.Self().Command("hostname").Output(); string(out) != "beside\n" {
			t.Errorf("its host is %q, %v", out, err)
		}
	})
	if !ran {
		t.Error("the function did not run in this process")
	}
}

// Where no environment can be made, the test fails and says why.
func TestRunWithoutEnvironment(t *testing.T) {
	const variable = "NSTEST_TEST_UNMAKEABLE"
	if os.Getenv(variable) == "1" {
		nstest.RunWith(t, nstest.Config{Visible: []string{"/does/not/exist"}}, func(*testing.T, *nstest.Env) {})
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestRunWithoutEnvironment$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), variable+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "run_test.go:") || !strings.Contains(string(out), "/does/not/exist") {
		t.Errorf("%v:\n%s", err, out)
	}
}
