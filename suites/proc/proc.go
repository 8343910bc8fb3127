// Package proc shows what /proc and /sys of an environment let through.
//
// What the machine's root may do to them is seen on the machine alone. So some of the specs are there, nstest.InProcess:
// they open no more than they read, change nothing, and have the same probe look inside an environment.
package proc

import . "github.com/onsi/ginkgo/v2"

// Register adds the specs to the program's suite.
func Register() {
	Describe("/proc and /sys", func() {
		registerWritable()
		registerReadable()
		registerOOM()
		registerInit()
	})
}
