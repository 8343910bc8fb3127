// Package cgroup shows what a cgroup namespace isolates, cgroup_namespaces(7), and what cgroups bound.
package cgroup

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("Cgroup namespaces", func() {})
}
