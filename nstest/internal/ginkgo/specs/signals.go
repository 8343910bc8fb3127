package specs

import (
	"runtime"
	"strings"
)

// leaveSignals gives SIGINT and SIGTERM back to the program: interrupts are the original's, and a spec that signals itself
// means itself. Ginkgo's goroutine lets go of them some time after it was told to. Until then a signal would be lost.
func (in *insides) leaveSignals() {
	in.signals.Stop()
	for awaitsSignals() {
		runtime.Gosched()
	}
}

// awaitsSignals reports whether Ginkgo's goroutine for signals is still there.
func awaitsSignals() bool {
	records := make([]runtime.StackRecord, runtime.NumGoroutine()+10)
	n, ok := runtime.GoroutineProfile(records)
	for _, r := range records[:min(n, len(records))] {
		frames := runtime.CallersFrames(r.Stack())
		for more := true; more; {
			var f runtime.Frame
			if f, more = frames.Next(); strings.Contains(f.Function, "(*InterruptHandler).registerForInterrupts") {
				return true
			}
		}
	}
	return !ok
}
