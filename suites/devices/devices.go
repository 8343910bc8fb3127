// Package devices shows what an environment shows of devices and files.
package devices

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("Devices and files", func() {
		registerTemporary()
		registerNodes()
		registerTerminals()
		registerIdentity()
		registerHomes()
		registerModes()
		registerSuccession()
		registerDistribution()
	})
}
