package keeper

import (
	"slices"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, is := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"a\nb\n", []string{"a", "b"}},
		{"a\r\n\n\rb", []string{"a", "", "\rb"}},
		{long + "\na", []string{long, "a"}},
		{long + "y\na", []string{long + "…", "a"}},
		{long + long + long, []string{long + "…"}},
		{long[1:] + "ä\nb\n", []string{long[1:] + "…", "b"}},
		{long[3:] + "\xff\xff\xff\xff\xff\n", []string{long[3:] + "\xff\xff\xff…"}},
	} {
		for _, size := range []int{1, 2, 3, 1000, maxLine, maxLine + 1, 1 << 20} {
			var got []string
			l := lines{emit: func(text []byte) { got = append(got, string(text)) }}
			for rest := []byte(is.text); len(rest) > 0; {
				n := min(size, len(rest))
				l.add(rest[:n])
				rest = rest[n:]
			}
			l.end()
			if !slices.Equal(got, is.want) {
				t.Errorf("%.20q of %d, in pieces of %d: got %.100q", is.text, len(is.text), size, got)
			}
		}
	}
}

func FuzzLines(f *testing.F) {
	f.Add("a\nb", 2)
	f.Add(strings.Repeat("ä", maxLine)+"\n\nx", 7)
	f.Fuzz(func(t *testing.T, text string, size int) {
		var got []string
		l := lines{emit: func(text []byte) { got = append(got, string(text)) }}
		for rest := []byte(text); len(rest) > 0; {
			n := min(max(size, 1), len(rest))
			l.add(rest[:n])
			rest = rest[n:]
		}
		l.end()
		want := strings.Split(text, "\n")
		if want[len(want)-1] == "" {
			want = want[:len(want)-1]
		}
		if len(got) != len(want) {
			t.Fatalf("%d lines, not %d", len(got), len(want))
		}
		for i, line := range want {
			if line = strings.TrimSuffix(line, "\r"); len(line) < maxLine && got[i] != line || len(got[i]) > maxLine+len("…") {
				t.Errorf("line %d is %q, not %q", i, got[i], line)
			}
		}
	})
}
