package gotest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A recorder writes down what it is told. It knows no test whose name begins with Other.
type recorder []string

func (r *recorder) frame(f frame) bool {
	if strings.HasPrefix(f.test, "Other") {
		return false
	}
	*r = append(*r, fmt.Sprintf("%s %s %s", f.verb, f.test, f.rest))
	return true
}

func (r *recorder) log(line string) { *r = append(*r, fmt.Sprintf("log %q", line)) }

func (r *recorder) print(text []byte) { *r = append(*r, fmt.Sprintf("print %q", text)) }

// parse returns what comes of writing the chunks one after the other.
func parse(reports bool, chunks ...string) []string {
	var r recorder
	p := &parser{listener: &r, reports: reports}
	for _, c := range chunks {
		p.Write([]byte(c))
	}
	p.flush()
	return r
}

func TestParser(t *testing.T) {
	for _, c := range []struct {
		what    string
		reports bool
		chunks  []string
		want    []string
	}{
		{"lines of package testing", false, []string{"\x16=== RUN   TestA/x\n\x16=== NAME  TestA\n\x16=== NAME  \n\x16--- PASS: TestA/x (0.01s)\n\x16=== ATTR  TestA key a value\n"},
			[]string{"RUN TestA/x ", "NAME TestA ", "NAME  ", "PASS TestA/x (0.01s)", "ATTR TestA key a value"}},
		{"logs and prints", false, []string{"    a_test.go:1: one\n        two\nprinted\n\n"},
			[]string{`log "a_test.go:1: one\n"`, `log "    two\n"`, `print "printed\n"`, `print "\n"`}},
		{"prints in a pipe of their own are none here", true, []string{"    a_test.go:1: one\nodd\n"},
			[]string{`log "a_test.go:1: one\n"`, `log "odd\n"`}},
		{"what is printed has no end", false, []string{"dots..\x16=== RUN   TestA\n", "prompt> ", "    answer\n", "    log\n", "end"},
			[]string{`print "dots.."`, "RUN TestA ", `print "prompt> "`, `print "    answer\n"`, `log "log\n"`, `print "end"`}},
		{"lines in pieces", false, []string{"  ", "  a_test.go", ":1: x\n\x16", "=== RU", "N   TestA\n"},
			[]string{`log "a_test.go:1: x\n"`, "RUN TestA "}},
		{"it ends within a line", false, []string{"    a_test.go:1: x"}, []string{`log "a_test.go:1: x\n"`}},
		{"tests of somebody else", false, []string{"\x16=== RUN   OtherTest\n\x16odd\n"},
			[]string{`print "\x16=== RUN   OtherTest\n"`, `print "\x16odd\n"`}},
	} {
		if got := parse(c.reports, c.chunks...); !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.what, got, c.want)
		}
	}
}

// However the text is cut into pieces, nothing is lost, and what package testing says is the same.
func FuzzParser(f *testing.F) {
	f.Add("\x16=== RUN   TestA\n    log\nprint\x16--- PASS: TestA (0s)\n", 7)
	f.Fuzz(func(t *testing.T, text string, at int) {
		at = max(0, min(at, len(text)))
		said := func(events []string) (frames []string, printed string) {
			for _, e := range events {
				var s string
				switch {
				case strings.HasPrefix(e, "print "):
					fmt.Sscanf(e, "print %q", &s)
				case strings.HasPrefix(e, "log "):
					fmt.Sscanf(e, "log %q", &s)
				default:
					frames = append(frames, e)
				}
				printed += s
			}
			return frames, printed
		}
		frames, printed := said(parse(false, text))
		frames2, printed2 := said(parse(false, text[:at], text[at:]))
		if !slices.Equal(frames, frames2) || printed != printed2 {
			t.Errorf("%q cut at %d: %q %q, whole %q %q", text, at, frames2, printed2, frames, printed)
		}
	})
}
