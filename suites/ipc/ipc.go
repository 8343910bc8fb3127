// Package ipc shows what an IPC namespace isolates, ipc_namespaces(7): System V objects, POSIX message queues, and the
// sysctls that limit them. Nothing else by which processes talk belongs to it.
//
// The specs run inside environments, so that "outside" is an environment's IPC namespace, which has nothing else in it.
package ipc

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("IPC namespaces", func() {
		registerObjects()
		registerListings()
		registerQueues()
		registerNotification()
		registerLifetime()
		registerSysctls()
		registerFiles()
	})
}
