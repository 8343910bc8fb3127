// Package time shows what a time namespace isolates, time_namespaces(7), and what it does not: the wall clock.
//
// No spec says how long anything takes. A clock is read inside between two readings outside, and has to be between the two,
// shifted by the offset exactly.
package time

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("Time namespaces", func() {
		registerClocks()
		registerUptime()
		registerEntry()
		registerOffsets()
		registerTimers()
		registerExecution()
		registerWallClock()
	})
}
