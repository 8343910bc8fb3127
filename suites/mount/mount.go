// Package mount shows what a mount namespace isolates, mount_namespaces(7): mounts and how they propagate, not files.
//
// The specs run inside environments. "Outside" is such an environment, and "inside" a namespace that a spec makes of it.
package mount

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("Mount namespaces", func() {
		registerPropagation()
		registerTypes()
		registerLocked()
		registerDirectories()
		registerTmpfs()
		registerOverlays()
		registerRoots()
		registerDevices()
		registerVisible()
		registerAttributes()
		registerScope()
		registerPins()
		registerFilesystems()
		registerInterpreters()
		registerSuperblocks()
		registerListings()
		Context("as people meet them", func() {
			registerTransitions()
			registerDiscs()
			registerTables()
			registerFiles()
			registerKeepers()
			registerKinds()
			registerBusybox()
			registerHosts()
		})
	})
}
