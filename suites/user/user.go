// Package user shows what a user namespace isolates, user_namespaces(7): ids, capabilities and limits.
//
// "Outside" is the spec's environment, whose root has all capabilities there. It has 65536 ids if the program was
// started by root, and may have a single one otherwise: what that cannot show, specs say.
package user

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("User namespaces", func() {
		registerIDs()
		registerMaps()
		registerGroups()
		registerCapabilities()
		registerFiles()
		registerEntry()
		registerLimits()
		registerPower()
	})
}
