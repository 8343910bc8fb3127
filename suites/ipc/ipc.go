// Package ipc shows what an IPC namespace isolates, ipc_namespaces(7): System V objects and POSIX message queues.
package ipc

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("IPC", func() {})
}
