package look

import "testing"

func TestCapSet(t *testing.T) {
	for _, test := range []struct {
		list []string
		want string
	}{
		{nil, "none"},
		{[]string{"cap_chown", "KILL"}, "CHOWN KILL"},
		{[]string{"ALL"}, "all"},
		{capabilities[1:], "all but CHOWN"},
	} {
		if got := ParseCaps(test.list).String(); got != test.want {
			t.Errorf("capabilities %q are %q, want %q", test.list, got, test.want)
		}
	}
}
