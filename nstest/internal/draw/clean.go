package draw

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

func decimal(n int) string { return strconv.Itoa(n) }

// clean is s on one line, without what a terminal, XML 1.0 or Graphviz would not show as it is.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// short is s, cut to n characters.
func short(s string, n int) string {
	s = clean(s)
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
