package nstest

import (
	"errors"
	"os"
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
