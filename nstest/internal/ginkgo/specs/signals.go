package specs

import (
	"runtime"
	"time"
)

// leaveSignals gives SIGINT and SIGTERM back to the program: interrupts are the original's, and a spec that signals itself
// means itself. Ginkgo's goroutine lets go of them when it is told to, and ends. Until then a signal would be lost, so this
// waits until there is a goroutine less, and reports whether that was so. To look for the very one would stop the program,
// which takes longer than all else that a process does before its first node.
func (in *insides) leaveSignals() bool {
	before := runtime.NumGoroutine()
	in.signals.Stop()
	for end := time.Now().Add(10 * time.Millisecond); runtime.NumGoroutine() >= before; runtime.Gosched() {
		if time.Now().After(end) { // as many have begun meanwhile
			return false
		}
	}
	return true
}
