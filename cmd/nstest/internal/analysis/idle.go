package analysis

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// How the runtime calls the wait for a lock that another goroutine has to give up, and for what another goroutine has to do.
var (
	waitsForLock  = regexp.MustCompile(`^goroutine \d+ [^\[]*\[(sync\.(?:RW)?Mutex\.R?Lock|semacquire)[,\]]`)
	waitsForOther = regexp.MustCompile(`^goroutine \d+ [^\[]*\[(chan receive|chan send|select|select \(no cases\)|sync\.WaitGroup\.Wait|sync\.Cond\.Wait)(?: \(nil chan\))?[,\]]`)
)

// goroutines finds those of the test's process that wait for each other, perhaps: for a lock in any case, for others where the
// test has waited too.
func (f *finder) goroutines() {
	var where, others []string
	locks, count := 0, 0
	waits := map[string]bool{}
	for _, g := range f.a.Goroutines {
		switch {
		case waitsForLock.MatchString(g.Title):
			locks += g.Count
			where = place(where, caller(g.Stack))
		case g.Own():
			if m := waitsForOther.FindStringSubmatch(g.Title); m != nil {
				count += g.Count
				waits[m[1]] = true
				others = place(others, caller(g.Stack))
			}
		}
	}
	switch {
	case locks == 1:
		f.add(Finding{Level: Odd, Title: "A goroutine waits for a lock", Detail: strings.Join(where, ", "), Count: 1, Item: -1})
	case locks > 1:
		f.add(Finding{Level: Bad, Title: fmt.Sprintf("%d goroutines wait for locks, perhaps for each other", locks), Detail: strings.Join(where, ", "), Count: 1, Item: -1})
	}
	if count == 0 || !f.timedOut() {
		return
	}
	title := "A goroutine of the test waits"
	if count > 1 {
		title = fmt.Sprintf("%d goroutines of the test wait", count)
	}
	if len(waits) == 1 {
		for how := range waits {
			title += " in " + how
		}
	}
	f.add(Finding{Level: Odd, Title: title, Detail: strings.Join(others, ", "), Count: 1, Item: -1})
}

func place(list []string, at string) []string {
	if at == "" || slices.Contains(list, at) || len(list) >= maxErrors {
		return list
	}
	return append(list, at)
}

// timedOut reports whether the test has failed because it has waited for too long.
func (f *finder) timedOut() bool {
	return slices.ContainsFunc(f.a.Items, func(i Item) bool {
		text := strings.ToLower(i.Text)
		return i.Kind == Failure && (slices.ContainsFunc(i.Facts, func(n Fact) bool { return n == Fact{"state", "timedout"} }) ||
			strings.Contains(text, "timed out") || strings.Contains(text, "deadline exceeded") || strings.Contains(text, "timeout"))
	})
}

// machinery is what runs tests, and no test's own.
var machinery = []string{
	"runtime.", "runtime/", "testing.", "os/signal.", "github.com/onsi/", "github.com/hermetic-go/nstest/nstest.", "github.com/hermetic-go/nstest/nstest/", "github.com/hermetic-go/nstest/fixtures/", "main.main",
}

// library is what a goroutine waits in on somebody's behalf, without being that one's place.
var library = []string{"sync.", "internal/", "runtime.", "time."}

// Own reports whether it is the test's own code that waits or runs: the innermost function of the stack is the test's, apart
// from how package sync and the runtime wait.
func (g Goroutine) Own() bool {
	for name := range functions(g.Stack) {
		if hasPrefix(name, library) {
			continue
		}
		return !hasPrefix(name, machinery) && !standard(name)
	}
	return false
}

func hasPrefix(name string, list []string) bool {
	return slices.ContainsFunc(list, func(p string) bool { return strings.HasPrefix(name, p) })
}

// standard reports whether a function is of the standard library: the first element of its import path has no dot, and is none
// that a module of a test is likely to begin with.
func standard(name string) bool {
	first, rest, several := strings.Cut(name, "/")
	if !several {
		first, _, _ = strings.Cut(first, ".")
	}
	if several && rest == "" {
		return false
	}
	return slices.Contains([]string{"bufio", "bytes", "compress", "context", "crypto", "database", "encoding", "errors", "fmt", "io", "log", "mime", "net", "os", "reflect", "strings", "syscall", "vendor", "iter"}, first)
}

// functions are those of a stack, the innermost first, without their arguments, and the places where they are.
func functions(stack string) func(yield func(name, at string) bool) {
	return func(yield func(name, at string) bool) {
		lines := strings.Split(stack, "\n")
		for i := 0; i+1 < len(lines); i += 2 {
			name := lines[i]
			if strings.HasPrefix(name, "created by ") {
				return
			}
			if open := strings.LastIndexByte(name, '('); open > 0 {
				name = name[:open]
			}
			at, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " +0x")
			if !yield(name, at) {
				return
			}
		}
	}
}

// caller is the place in a stack, as file:line, that waits: the first that is not of package sync or the runtime.
func caller(stack string) string {
	for name, at := range functions(stack) {
		if !hasPrefix(name, library) {
			return at
		}
	}
	return ""
}
