// Package all has the specs of all properties, for programs that are no test of one suite.
package all

import (
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

// Register adds them to the program's suite.
func Register() {
	uts.Register()
	ipc.Register()
	pid.Register()
	mount.Register()
	network.Register()
	user.Register()
	cgroup.Register()
	time.Register()
	proc.Register()
	hygiene.Register()
	devices.Register()
	security.Register()
}
