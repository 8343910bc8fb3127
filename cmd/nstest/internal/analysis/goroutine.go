package analysis

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
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

// waiting is how the runtime calls the wait for a lock that another goroutine has to give up.
var waiting = regexp.MustCompile(`^goroutine \d+ [^\[]*\[(sync\.(?:RW)?Mutex\.R?Lock|semacquire)[,\]]`)

// locks finds goroutines of the test's process that wait for locks. One may be about to get it; two may wait for each other.
func (f *finder) locks() {
	var where []string
	count := 0
	for _, g := range f.a.Goroutines {
		if !waiting.MatchString(g.Title) {
			continue
		}
		count += g.Count
		if at := caller(g.Stack); at != "" && !slices.Contains(where, at) && len(where) < maxErrors {
			where = append(where, at)
		}
	}
	switch {
	case count == 1:
		f.add(Finding{Level: Odd, Title: "A goroutine waits for a lock", Detail: strings.Join(where, ", "), Count: 1, Item: -1})
	case count > 1:
		f.add(Finding{Level: Bad, Title: fmt.Sprintf("%d goroutines wait for locks, perhaps for each other", count), Detail: strings.Join(where, ", "), Count: 1, Item: -1})
	}
}

// caller is the place in a stack, as file:line, from which a lock was asked for: the first that is not of package sync or the
// runtime.
func caller(stack string) string {
	lines := strings.Split(stack, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		name := lines[i]
		if slices.ContainsFunc([]string{"sync.", "internal/sync.", "runtime."}, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		at, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " +0x")
		return at
	}
	return ""
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
