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

func isAwaitingSignals(stack []uintptr) bool {
	frames := runtime.CallersFrames(stack)
	for more := len(stack) > 0; more; {
		var f runtime.Frame
		if f, more = frames.Next(); strings.Contains(f.Function, "(*InterruptHandler).registerForInterrupts") {
			return true
		}
	}
	return false
}
