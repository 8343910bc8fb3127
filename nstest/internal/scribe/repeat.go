package scribe

import (
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
)

// Package is the directory of the program's package, where "go test" starts it; "" if nobody knows. It is asked for before
// anything has gone to another directory.
var Package = sync.OnceValue(func() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	return dir
})

// Repeat is a command for a shell that runs in the package in this directory what run selects, a value of -run, with
// these flags.
func Repeat(dir, run string, flags ...string) string {
	words := []string{"cd", dir, "&&", "go", "test", "-count=1"}
	words = append(append(append(words, built()...), "-run="+run, "."), flags...)
	for i, w := range words {
		words[i] = Quote(w)
	}
	return strings.Join(words, " ")
}

// built are the flags of go test with which this program was built, as far as they decide what is in it.
var built = sync.OnceValue(func() (flags []string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "-race" && s.Value == "true":
			flags = append(flags, s.Key)
		case s.Key == "-tags" && s.Value != "":
			flags = append(flags, s.Key+"="+s.Value)
		}
	}
	return flags
})

var plain = regexp.MustCompile(`^([\w@%+=:,./-]+|&&)$`)

// Quote is a word for a shell.
func Quote(word string) string {
	if plain.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
