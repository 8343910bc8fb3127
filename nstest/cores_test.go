package nstest

import "testing"

func TestCorePattern(t *testing.T) {
	for _, c := range []struct {
		text, dir  string
		yes, no    string
		impossible bool
	}{
		{text: "core\n", yes: "core", no: "score"},
		{text: "core\n", yes: "core.123", no: "core.x"},
		{text: "/var/cores/%e-%p%%.core", dir: "/var/cores/", yes: "redis-12%.core", no: "redis-12.core"},
		{text: "|/usr/lib/systemd/systemd-coredump %P", impossible: true},
		{text: "@/run/socket", impossible: true},
		{text: "/cores/%u/core", impossible: true},
		{text: "", impossible: true},
	} {
		p, ok := newCorePattern(c.text)
		if ok == c.impossible {
			t.Errorf("%q: %v", c.text, ok)
			continue
		}
		if ok && (p.dir != c.dir || !p.name.MatchString(c.yes) || p.name.MatchString(c.no)) {
			t.Errorf("%q: %q, %s", c.text, p.dir, p.name)
		}
	}
}
