// Package mount shows what a mount namespace isolates, mount_namespaces(7): mounts and how they propagate, not files.
package mount

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("Mount namespaces", func() {})
}
