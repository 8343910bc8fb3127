// Package proc shows what /proc and /sys of an environment let through.
package proc

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("/proc and /sys", func() {})
}
