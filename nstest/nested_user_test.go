package nstest

import (
	"os"
	"strings"
	"testing"
)

// openAgain makes this test binary open an environment of its own and run a command in it.
const openAgain = "NSTEST_TEST_OPEN_AGAIN"

// A user of an environment, like one of a container, finds files mounted over those in /etc. The program is executed
// again as that user.
func TestOrdinaryUserInsideOpensAnEnvironment(t *testing.T) {
	if os.Getenv(openAgain) != "" {
		env := New(t, Config{})
		out, err := env.Host("deep").Command("sh", "-c", "hostname; cat /etc/hostname; test -e /etc/passwd && echo etc").CombinedOutput()
		if err != nil || string(out) != "deep\ndeep\netc\n" {
			t.Errorf("%q, %v", out, err)
		}
		return
	}
	env := New(t, Config{})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := env.Host("web").Command(exe, "-test.run", "^TestOrdinaryUserInsideOpensAnEnvironment$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), openAgain+"=1")
	cmd.Dir = "/"
	cmd.User = &User{UID: 1000, GID: 1000}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestOrdinaryUserInsideOpensAnEnvironment") {
		t.Errorf("%v:\n%s", err, out)
	}
}
