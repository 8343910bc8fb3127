package inspect

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestStatistics(t *testing.T) {
	var got []string
	add := func(group, name, value string) { got = append(got, fmt.Sprintf("%s %s=%s", group, name, value)) }
	if err := pairs(strings.NewReader("Tcp: InErrs OutRsts\nTcp: 1 -2\nUdp: A B\nUdp: 3\nIp: X\n"), add); err != nil {
		t.Fatal(err)
	}
	if err := singles(strings.NewReader("Ip6InErrors                     \t4\nIcmp6OutType135 5\nodd 6\nIp6 7 8\n"), add); err != nil {
		t.Fatal(err)
	}
	want := []string{"Tcp InErrs=1", "Tcp OutRsts=-2", "Udp A=3", "Ip6 InErrors=4", "Icmp6 OutType135=5"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestComment(t *testing.T) {
	for data, want := range map[string]string{"": "", "\x00\x03ab\x00": "ab", "\x01\x01x\x00\x02c\x00": "c", "\x00\x09ab": "", "\x00": ""} {
		if got := comment([]byte(data)); got != want {
			t.Errorf("%q: %q, want %q", data, got, want)
		}
	}
}
