package nstest

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestCandidates(t *testing.T) {
	for _, c := range []struct {
		path string
		env  []string
		want []string
	}{
		{"/bin/x", []string{"PATH=/a"}, []string{"/bin/x"}},
		{"./x", []string{"PATH=/a"}, []string{"./x"}},
		{"x", []string{"PATH=/a:/b/"}, []string{"/a/x", "/b/x"}},
		{"x", []string{"PATH=:.:bin:/b"}, []string{"/b/x"}},
		{"x", nil, []string{"/usr/local/sbin/x", "/usr/local/bin/x", "/usr/sbin/x", "/usr/bin/x", "/sbin/x", "/bin/x"}},
		{"x", []string{"PATH="}, nil},
		{"..", []string{"PATH=/a"}, nil},
	} {
		got, err := candidates(c.path, c.env)
		if !slices.Equal(got, c.want) || (c.want == nil) != errors.Is(err, exec.ErrNotFound) {
			t.Errorf("candidates(%q, %q) = %q, %v; want %q", c.path, c.env, got, err, c.want)
		}
	}
}

func TestEnvironKeepsTheLastOfEachKey(t *testing.T) {
	c := (&Host{}).Command("x")
	c.Env = []string{"A=1", "B=1", "odd", "", "A=2", "C=\x00", "=x=1", "B="}
	want := []string{"odd", "A=2", "=x=1", "B="}
	if got := c.Environ(); !slices.Equal(got, want) {
		t.Errorf("Environ() = %q, want %q", got, want)
	}
	if _, err := c.environ(); err == nil || !strings.Contains(err.Error(), "NUL") {
		t.Errorf("a NUL was taken: %v", err)
	}
	t.Setenv("PWD", "/elsewhere")
	c.Env, c.Dir = nil, "/somewhere"
	if got := c.Environ(); !slices.Contains(got, "PWD=/somewhere") || slices.Contains(got, "PWD=/elsewhere") {
		t.Errorf("PWD is not /somewhere in %q", got)
	}
}
