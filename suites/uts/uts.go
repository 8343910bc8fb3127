// Package uts shows what a UTS namespace isolates, uts_namespaces(7): the names of the machine, and nothing else.
//
// The specs run inside environments, so that a name can be changed where nothing protects it: it is the environment's.
package uts

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("UTS namespaces", func() {
		registerNames()
		registerRights()
		registerLifetime()
	})
}
