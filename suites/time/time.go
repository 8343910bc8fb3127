// Package time shows what a time namespace isolates, time_namespaces(7), and what it does not: the wall clock.
package time

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("Time namespaces", func() {})
}
