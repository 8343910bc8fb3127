package leaks

import (
	"regexp"
	"runtime"
	"strings"
)

// residents are goroutines that live as long as the program once they were started: those of the testing package, which
// are other tests, of os/signal, and the threads that nstest keeps for Do and for starting keepers. What a context's timer has
// started ends at once.
var residents = regexp.MustCompile(`^(testing\.\(\*[TFM]\)\.|testing\.runTests|testing\.tRunner|os/signal\.|context\.WithDeadlineCause|` +
	`github\.com/onsi/ginkgo/v2/internal/interrupt_handler\.|` +
	`github\.com/hermetic-go/nstest/nstest/internal/ns\.(Visit|visitor|init))`)

// ended is where a goroutine is whose function has returned. It stays in the list until a processor has a moment for it.
const ended = "runtime.goexit"

func goroutines() []entry {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	var list []entry
	for i, stack := range strings.Split(strings.TrimSpace(string(buf)), "\n\n") {
		if i == 0 {
			continue // ourselves
		}
		if e, ok := goroutine(stack); ok {
			list = append(list, e)
		}
	}
	return list
}

// goroutine reads one stack as runtime.Stack writes it. Its class is where it was made and what it was made to do.
func goroutine(stack string) (entry, bool) {
	lines := strings.Split(stack, "\n")
	head, ok := strings.CutPrefix(lines[0], "goroutine ")
	id, state, _ := strings.Cut(head, " ")
	if !ok {
		return entry{}, false
	}
	creator, place, entryPoint := "", "", ""
	for i := 1; i < len(lines); i++ {
		if by, ok := strings.CutPrefix(lines[i], "created by "); ok {
			creator, _, _ = strings.Cut(by, " in goroutine ")
			if i+1 < len(lines) {
				place, _, _ = strings.Cut(strings.TrimSpace(lines[i+1]), " +0x")
			}
			break
		}
		if !strings.HasPrefix(lines[i], "\t") {
			entryPoint = lines[i]
		}
	}
	if at := strings.LastIndex(entryPoint, "("); at > 0 {
		entryPoint = entryPoint[:at]
	}
	if residents.MatchString(creator) || residents.MatchString(entryPoint) || entryPoint == ended {
		return entry{}, false
	}
	return entry{
		class: creator + " " + place + " " + entryPoint, id: id,
		what: id + " " + strings.TrimSuffix(state, ":") + " in " + entryPoint, origin: strings.Join(lines[1:], "\n"),
	}, true
}
