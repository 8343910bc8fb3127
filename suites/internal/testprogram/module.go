package testprogram

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Module is what go.mod and go.sum of a module have that uses this one, as it is here. root is where this one is.
func Module(tb testing.TB, name, root string) (mod, sum string) {
	tb.Helper()
	abs, err := filepath.Abs(root)
	if err != nil {
		tb.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			tb.Fatal(err)
		}
		return string(b)
	}
	mod = regexp.MustCompile(`(?m)^module .*$`).ReplaceAllString(read("go.mod"), "module "+name)
	mod += "\nrequire github.com/hermetic-go/nstest v0.0.0\n\nreplace github.com/hermetic-go/nstest => " + abs + "\n"
	return mod, read("go.sum")
}
