// Package all has the specs of all properties, for programs that are no test of one suite.
package all

import (
	"github.com/onsi/ginkgo/v2"

	"github.com/hermetic-go/nstest/suites/cgroup"
	"github.com/hermetic-go/nstest/suites/devices"
	"github.com/hermetic-go/nstest/suites/hygiene"
	"github.com/hermetic-go/nstest/suites/ipc"
	"github.com/hermetic-go/nstest/suites/mount"
	"github.com/hermetic-go/nstest/suites/network"
	"github.com/hermetic-go/nstest/suites/pid"
	"github.com/hermetic-go/nstest/suites/proc"
	"github.com/hermetic-go/nstest/suites/security"
	"github.com/hermetic-go/nstest/suites/time"
	"github.com/hermetic-go/nstest/suites/user"
	"github.com/hermetic-go/nstest/suites/uts"
)

// suites are all of them, by the names of their folders.
var suites = []struct {
	name     string
	register func()
}{
	{"uts", uts.Register},
	{"ipc", ipc.Register},
	{"pid", pid.Register},
	{"mount", mount.Register},
	{"network", network.Register},
	{"user", user.Register},
	{"cgroup", cgroup.Register},
	{"time", time.Register},
	{"proc", proc.Register},
	{"hygiene", hygiene.Register},
	{"devices", devices.Register},
	{"security", security.Register},
}

// Register adds them to the program's suite. The name of a suite is a label of its specs.
func Register() {
	for _, s := range suites {
		ginkgo.Describe(s.name, ginkgo.Label(s.name), s.register)
	}
}
