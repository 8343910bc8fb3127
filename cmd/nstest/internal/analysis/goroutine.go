package analysis

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/hermetic-go/nstest/nstest/bundle"
)

// A Goroutine is one of the test's process, or several with the same stack.
type Goroutine struct {
	Title, Where, Stack string
	Count               int
}

// The bounds of the dump.
const (
	maxGoroutines = 1000
	maxStack      = 64 << 10 // bytes
)

// readGoroutines reads the dump.
func (a *Analysis) readGoroutines(b *bundle.Bundle) {
	dump, err := readFile(b, bundle.GoroutinesFile)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			a.note("%s is not shown: %v", bundle.GoroutinesFile, err)
		}
		return
	}
	index := map[string]int{}
	for block := range strings.SplitSeq(strings.ToValidUTF8(string(dump), "\uFFFD"), "\n\n") {
		title, stack, _ := strings.Cut(strings.TrimSpace(block), "\n")
		if title == "" {
			continue
		}
		_, key, numbered := strings.Cut(title, "[")
		key += stack
		if i, known := index[key]; known && numbered {
			a.Goroutines[i].Count++
			continue
		}
		if len(a.Goroutines) == maxGoroutines {
			a.note("Of the goroutines the first %d are shown; the rest is in %s.", maxGoroutines, bundle.GoroutinesFile)
			return
		}
		index[key] = len(a.Goroutines)
		a.Goroutines = append(a.Goroutines, Goroutine{Title: Clip(strings.TrimSuffix(title, ":"), 200), Where: where(stack), Stack: Clip(stack, maxStack), Count: 1})
	}
}

// where is the first function of a stack that is not the runtime's.
func where(stack string) string {
	first := ""
	for line := range strings.SplitSeq(stack, "\n") {
		if strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "created by") {
			continue
		}
		name := line
		if i := strings.LastIndexByte(line, '('); i > 0 {
			name = line[:i]
		}
		if first == "" {
			first = name
		}
		if !strings.HasPrefix(name, "runtime.") && !strings.HasPrefix(name, "sync.") && !strings.HasPrefix(name, "internal/") && !strings.HasPrefix(name, "syscall.") {
			return Clip(name, 200)
		}
	}
	return Clip(first, 200)
}
