package specs

import (
	"runtime"
	"sync"
	"time"
)

// leaveSignals gives SIGINT and SIGTERM back to the program: interrupts are the original's, and a spec that signals itself
// means itself. Ginkgo's goroutine lets go of them when it is told to, which takes a millisecond, and ends. Until then a signal
// would be lost: before anything of the user's runs, left is called, which waits until there is a goroutine less, and reports
// whether that was so. To look for the very one would stop the program, which takes longer still; one of the user's that ends
// in that moment is mistaken for it.
func (in *insides) leaveSignals() (left func() bool) {
	before := runtime.NumGoroutine()
	in.signals.Stop()
	return sync.OnceValue(func() bool {
		for end := time.Now().Add(100 * time.Millisecond); runtime.NumGoroutine() >= before; runtime.Gosched() {
			if time.Now().After(end) { // as many have begun meanwhile
				return false
			}
		}
		return true
	})
}
