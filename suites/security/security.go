// Package security shows what an environment refuses, and what that costs: seccomp, setuid programs, capabilities.
package security

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("Security", func() {})
}
