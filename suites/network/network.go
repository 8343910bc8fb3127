// Package network shows what a network namespace isolates, network_namespaces(7): devices, addresses, ports, tables and sysctls.
package network

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("Network namespaces", func() {
		registerInterfaces()
		registerNetlink()
		registerPing()
		registerPorts()
		registerUnixSockets()
		registerCarrier()
		registerLifetime()
		registerMoves()
		registerHotplug()
		registerBridge()
		registerNICs()
		registerInventory()
		registerNetfilter()
		registerSysctls()
		registerEcho()
		registerThreads()
		registerShaping()
		registerLoss()
		registerForwarding()
		registerResolver()
		registerSocketLists()
		registerRemains()
	})
}
