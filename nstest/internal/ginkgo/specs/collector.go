package specs

import (
	"runtime"
	"runtime/debug"
)

// deferredPercent is the garbage collector's target in a twin until it has run once: Go's usual one has it start at 4 MB, which
// a tree with many specs fills, and this one at 16 MB.
const deferredPercent = 400

// deferCollection has the garbage collector of a twin wait longer before it runs for the first time, which would be while the tree
// is being constructed. From then on all is as the user has set it; before, debug.SetGCPercent returns deferredPercent, and a user
// who sets that very one has the usual one again.
func deferCollection() {
	usual := debug.SetGCPercent(deferredPercent)
	if usual < 0 || usual >= deferredPercent {
		debug.SetGCPercent(usual)
		return
	}
	runtime.AddCleanup(new([4]uint64), func(usual int) {
		if now := debug.SetGCPercent(usual); now != deferredPercent { // the user has set another one meanwhile
			debug.SetGCPercent(now)
		}
	}, usual)
}
