package time

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/suites/property"
)

func registerWallClock() {
	property.It("T9", func(ctx SpecContext, c *property.Check) {
		// Each would change nothing, or next to nothing, where it is allowed.
		settings := []struct {
			what string
			set  func() error
		}{
			{"settimeofday that sets nothing", func() error { return unix.Settimeofday(nil) }},
			{"clock_settime to what it is", func() error {
				t := unix.NsecToTimespec(time.Now().UnixNano())
				return unix.ClockSettime(unix.CLOCK_REALTIME, &t)
			}},
			{"adjtimex of the status to what it is", func() error {
				var x unix.Timex
				if _, err := unix.Adjtimex(&x); err != nil {
					return err
				}
				_, err := unix.Adjtimex(&unix.Timex{Modes: unix.ADJ_STATUS, Status: x.Status})
				return err
			}},
		}
		c.Positive("root has CAP_SYS_TIME, which writing offsets takes, and may ask what the clock does", func() {
			Expect(attempts(ctx, c.Saw, false, "monotonic 10 0")).To(HaveEach(unix.Errno(0)))
			var x unix.Timex
			state, err := unix.Adjtimex(&x)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("adjtimex", state)
		})
		c.Negative("but not set it: the clock is the machine's", func() {
			for _, s := range settings {
				err := s.set()
				c.Saw(s.what, err)
				Expect(err).To(MatchError(unix.EPERM), s.what)
			}
		})
	})
}
