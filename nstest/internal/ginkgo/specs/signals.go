package specs

import (
	"runtime"
	"strings"
)

// leaveSignals gives SIGINT and SIGTERM back to the program: interrupts are the original's, and a spec that signals itself
// means itself. Ginkgo's goroutine lets go of them some time after it was told to. Until then a signal would be lost.
func (in *insides) leaveSignals() {
	before := awaitingSignals() // a suite that was previewed has left one behind
	in.signals.Stop()
	for before > 0 && awaitingSignals() >= before {
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
