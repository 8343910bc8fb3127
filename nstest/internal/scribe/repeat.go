package scribe

import (
	"os"
	"regexp"
	"runtime/debug"
	"strings"
)

// Package is the directory of the program's package, where "go test" starts it; "" if nobody knows.
func Package() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	return dir
}

// Repeat is a command for a shell that runs in the package in this directory what run selects, a value of -run, with
// these flags.
func Repeat(dir, run string, flags ...string) string {
	words := []string{"go", "test", "-count=1"}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "-race" && s.Value == "true":
				words = append(words, s.Key)
			case s.Key == "-tags" && s.Value != "":
				words = append(words, s.Key+"="+s.Value)
			}
		}
	}
	words = append(append(words, "-run="+run, "."), flags...)
	for i, w := range words {
		words[i] = quote(w)
	}
	return "cd " + quote(dir) + " && " + strings.Join(words, " ")
}

var plain = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

// quote is a word for a shell.
func quote(word string) string {
	if plain.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
