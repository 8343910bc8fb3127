package gotest

import (
	"flag"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/hermetic-go/nstest/nstest/internal/twin"
)

// selection is the value of -test.run that selects the test of this name alone, and of its subtests those that run
// selects, the value that the original has.
func selection(run, name string) string {
	elements := strings.Split(name, "/")
	test := twin.Pattern(name)
	var selected []string
	for _, pattern := range alternatives(run) {
		if !selects(pattern, elements) {
			continue
		}
		if len(pattern) <= len(elements) {
			return test // with all its subtests
		}
		selected = append(selected, test+"/"+strings.Join(pattern[len(elements):], "/"))
	}
	if selected == nil {
		return test
	}
	return strings.Join(selected, "|")
}

// selects reports whether a pattern selects a test, or may select subtests of it.
func selects(pattern, elements []string) bool {
	for i, p := range pattern[:min(len(pattern), len(elements))] {
		if re, err := regexp.Compile(rewrite(p)); err != nil || !re.MatchString(elements[i]) {
			return false
		}
	}
	return true
}

// alternatives takes a value of -test.run apart as package testing does: at bars, and each alternative at slashes, but
// within no brackets.
func alternatives(run string) [][]string {
	var list [][]string
	var pattern []string
	start, square, round := 0, 0, 0
	for i := 0; i < len(run); i++ {
		switch run[i] {
		case '[':
			square++
		case ']':
			square = max(square-1, 0)
		case '(':
			if square == 0 {
				round++
			}
		case ')':
			if square == 0 {
				round--
			}
		case '\\':
			i++
		case '/', '|':
			if square != 0 || round != 0 {
				continue
			}
			pattern = append(pattern, run[start:i])
			if run[i] == '|' {
				list, pattern = append(list, pattern), nil
			}
			start = i + 1
		}
	}
	return append(list, append(pattern, run[start:]))
}

// rewrite is what package testing does to names, and so to patterns: there is no white space in them.
func rewrite(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			b.WriteByte('_')
		case !strconv.IsPrint(r):
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// flagValue is the value of a flag, "" if there is none of that name.
func flagValue(name string) string {
	if f := flag.Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}
