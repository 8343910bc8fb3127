package gotest

import (
	"regexp"
	"strings"
	"testing"
)

func TestSelection(t *testing.T) {
	for _, c := range []struct{ run, name, want string }{
		{"", "TestA", "^TestA$"},
		{"TestA", "TestA", "^TestA$"},
		{"Test/sub", "TestA", "^TestA$/sub"},
		{"Test/sub", "TestA/a_sub", "^TestA$/^a_sub$"},
		{"Test/sub/deep", "TestA/a_sub", "^TestA$/^a_sub$/deep"},
		{"TestB/x|TestA/y/z", "TestA", "^TestA$/y/z"},
		{"A/x|Test/y", "TestA", "^TestA$/x|^TestA$/y"},
		{"A/x|Test", "TestA", "^TestA$"},
		{"Test(A|B/C)/x", "TestA", "^TestA$/x"},
		{"Test[/|A]/(x|y)", "TestA", "^TestA$/(x|y)"},
		{`Test\/A|A/\|`, "TestA", `^TestA$/\|`},
		{"]A/]", "Test]A", "^Test\\]A$/]"},
		{"A/with space/x y", "TestA/with_space", "^TestA$/^with_space$/x y"},
		{"", "TestA/#00/a+b", `^TestA$/^#00$/^a\+b$`},
		{"TestB", "TestA", "^TestA$"}, // whoever runs it has reasons
	} {
		if got := selection(c.run, c.name); got != c.want {
			t.Errorf("-run %q for %s: %q, want %q", c.run, c.name, got, c.want)
		}
	}
}

// What is selected is the test, whatever is in its name.
func FuzzSelection(f *testing.F) {
	f.Add("Test|x", "TestA/a b/[c]")
	f.Add("", "TestX/\\Q/\x01|(")
	f.Fuzz(func(t *testing.T, run, name string) {
		name = rewrite(name)
		selected := false
		for _, pattern := range alternatives(selection(run, name)) {
			matches := true
			for i, e := range strings.Split(name, "/") {
				matches = matches && regexp.MustCompile(rewrite(pattern[i])).MatchString(e)
			}
			selected = selected || matches
		}
		if !selected {
			t.Errorf("-run %q for %q: %q does not select it", run, name, selection(run, name))
		}
	})
}
