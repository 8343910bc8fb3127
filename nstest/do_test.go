package nstest

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What Do writes must be the environment's own: with the ids of the program, nobody inside could use it, and in a file
// system of the environment's it could not even be made.
func TestDoWritesAsRootOfTheEnvironment(t *testing.T) {
	env := New(t, Config{})
	web := env.Host("web")
	err := web.Do(func() error {
		return errors.Join(os.WriteFile("/tmp/made", nil, 0o600), os.WriteFile("/etc/made", nil, 0o600))
	})
	if ok, _ := privileged(); !ok {
		if !errors.Is(err, ErrNotPrivileged) {
			t.Errorf("got %v without the right to enter", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := web.Command("stat", "-c", "%u %g", "/tmp/made", "/etc/made").Output()
	if err != nil || strings.TrimSpace(string(out)) != "0 0\n0 0" {
		t.Errorf("owners %q, %v", out, err)
	}
}

// What is nil is told, and makes nothing.
func TestFunctionsThatAreNil(t *testing.T) {
	const nothing = "NSTEST_TEST_NOTHING"
	if os.Getenv(nothing) != "" {
		Run(t, nil)
		return
	}
	if err := New(t, Config{}).Self().Do(nil); err == nil || !strings.Contains(err.Error(), "it needs a function, and has nil") {
		t.Errorf("Do: %v", err)
	}
	run := exec.Command(os.Args[0], "-test.run=^TestFunctionsThatAreNil$")
	run.Env = append(os.Environ(), nothing+"=1")
	if out, err := run.CombinedOutput(); err == nil || !strings.Contains(string(out), "nstest: Run needs a function, and has nil") || strings.Contains(string(out), "panic") {
		t.Errorf("Run: %v\n%s", err, out)
	}
}
