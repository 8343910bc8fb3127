// Package pid shows what a PID namespace isolates, pid_namespaces(7): process ids, what they reach, and how all end.
package pid

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("PID namespaces", func() {})
}
