// Package user shows what a user namespace isolates, user_namespaces(7): ids, capabilities and limits.
package user

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("User namespaces", func() {})
}
