// Package hygiene shows what a process in an environment begins with, and what it leaves: nothing.
package hygiene

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("Hygiene", func() {})
}
