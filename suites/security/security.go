// Package security shows what an environment refuses beyond what its namespaces do: seccomp, programs with the rights of
// others in shared directories, capabilities, file systems that are the machine's.
//
// Where the control is the machine itself the specs are nstest.InProcess, and make environments beside them.
package security

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("Environments", func() {
		registerSeccomp()
		registerCapabilities()
		registerShared()
		registerDevtmpfs()
	})
}
