// Package network shows what a network namespace isolates, network_namespaces(7): devices, addresses, ports, tables and sysctls.
package network

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
)

// seed decorates a spec that is of no property: an experiment of the kind that people do by hand.
var seed = []any{Label("seed"), SpecTimeout(2 * time.Minute)}

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
