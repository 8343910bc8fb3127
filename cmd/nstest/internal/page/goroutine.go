package page

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/hermetic-go/nstest/nstest/bundle"
)

// A goroutine is one of the test's process, or several with the same stack.
type goroutine struct {
	Title, Where, Stack string
	Count               int
}

// The bounds of the dump.
const (
	maxDump       = 8 << 20
	maxGoroutines = 1000
)

func (v *view) goroutines(b *bundle.Bundle) {
	f, err := b.File(bundle.GoroutinesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var content []byte
	if err == nil {
		content, err = io.ReadAll(io.LimitReader(f, maxDump))
		_ = f.Close()
	}
	if err != nil {
		v.a.Notes = append(v.a.Notes, fmt.Sprintf("%s is not shown: %v", bundle.GoroutinesFile, err))
		return
	}
	index := map[string]int{}
	for block := range strings.SplitSeq(strings.ToValidUTF8(string(content), "\uFFFD"), "\n\n") {
		title, stack, _ := strings.Cut(strings.TrimSpace(block), "\n")
		if title == "" {
			continue
		}
		_, key, numbered := strings.Cut(title, "[")
		key += stack
		if i, known := index[key]; known && numbered {
			v.Goroutines[i].Count++
			continue
		}
		if len(v.Goroutines) == maxGoroutines {
			v.GoroutinesMore = fmt.Sprintf("Only the first %d are shown; the rest is in %s.", maxGoroutines, bundle.GoroutinesFile)
			return
		}
		index[key] = len(v.Goroutines)
		v.Goroutines = append(v.Goroutines, goroutine{Title: clip(strings.TrimSuffix(title, ":"), 200), Where: where(stack), Stack: clip(stack, maxMessage), Count: 1})
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
			return clip(name, 200)
		}
	}
	return clip(first, 200)
}
