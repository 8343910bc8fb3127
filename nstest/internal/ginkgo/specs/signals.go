package specs

import (
	"runtime"
	"strings"
	"time"
)

// leaveSignals gives SIGINT and SIGTERM back to the program: interrupts are the original's, and a spec that signals itself
// means itself. Ginkgo's goroutine lets go of them some time after it was told to. Until then a signal would be lost. others
// is how many such goroutines there were before: a suite that was previewed leaves one behind.
func (in *insides) leaveSignals(others int) {
	await(func() bool { return awaitingSignals() > others }) // one that has not begun to run cannot be told from any other
	in.signals.Stop()
	runtime.Gosched() // which is what it takes, most of the time
	await(func() bool { return awaitingSignals() <= others })
}

// await lets other goroutines run until something is so, but not for ever: what Ginkgo calls its functions may change.
func await(so func() bool) {
	for end := time.Now().Add(100 * time.Millisecond); !so() && time.Now().Before(end); {
		runtime.Gosched()
	}
}

// awaitingSignals is how many goroutines of Ginkgo's wait for signals.
func awaitingSignals() int {
	var records []runtime.StackRecord
	for n, ok := runtime.GoroutineProfile(nil); !ok; n, ok = runtime.GoroutineProfile(records) {
		records = make([]runtime.StackRecord, n+10)
	}
	count := 0
	for _, r := range records {
		if isAwaitingSignals(r.Stack()) {
			count++
		}
	}
	return count
}

// isAwaitingSignals looks at the outermost functions alone, of which one is what the goroutine was started with, and at their
// names alone: file names and lines of all functions of all goroutines would take longer than everything else that a process
// does before its first node.
func isAwaitingSignals(stack []uintptr) bool {
	for _, pc := range stack[max(0, len(stack)-2):] { // the very outermost is runtime.goexit
		if f := runtime.FuncForPC(pc - 1); f != nil && strings.Contains(f.Name(), "(*InterruptHandler).registerForInterrupts") {
			return true
		}
	}
	return false
}
