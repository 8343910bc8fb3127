package time

import (
	. "github.com/onsi/ginkgo/v2"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

func registerUptime() {
	property.It("T5", func(ctx SpecContext, c *property.Check) {
		c.Positive("a process in our namespace sees the machine's uptime", func() {
			s := look(ctx, c, nsx.Spec{})
			s.expectShift("/proc/uptime", 0)
			s.expectShift("sysinfo", 0)
			s.expectShift("/proc/stat btime", 0)
		})
		c.Negative("inside the machine is up for longer, and was booted earlier", func() {
			s := look(ctx, c, nsx.Spec{How: nsx.Unshare, Kinds: nsx.Time, TimeOffsets: &ahead})
			s.expectShift("/proc/uptime", ahead.Boottime)
			s.expectShift("sysinfo", ahead.Boottime)
			s.expectShift("/proc/stat btime", -ahead.Boottime)
		})
	})
}
