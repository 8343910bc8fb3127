// Package cgroup shows what a cgroup namespace isolates, cgroup_namespaces(7): names, and nothing else; and what cgroups
// themselves bound, cgroups(7), of which the rest is a question of who owns their files.
//
// Nobody in an environment may make cgroups. The specs that need one are in the suite's process, make one of their own
// below that of this program, and remove it.
package cgroup

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("Cgroup namespaces", func() {
		registerViews()
		registerLegacy()
	})
	Describe("Cgroups", func() {
		registerBirth()
		registerDelegation()
		registerKill()
		registerLimits()
	})
}
