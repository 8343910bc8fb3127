// Package pid shows what a PID namespace isolates, pid_namespaces(7): process ids, what they reach, and how all end.
//
// In the specs "outside" is the spec's environment, which is in a PID namespace of its own, and "inside" is one that the
// spec makes in it.
package pid

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
)

// patience is how long a spec may take that is no property's.
const patience = 2 * time.Minute

// Register adds the specs to the program's suite.
func Register() {
	Describe("PID namespaces", func() {
		registerWays()
		registerNumbers()
		registerProc()
		registerOrphans()
		registerEnd()
		registerSignals()
		registerSiginfo()
		registerReach()
		registerPidfds()
		registerSockets()
		registerLimits()
		registerServices()
	})
}
