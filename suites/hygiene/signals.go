package hygiene

import (
	"os/signal"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/property"
)

const ignoredSignal plant = "SIGHUP is ignored"

// Sets of signals, as /proc/PID/status has them.
const (
	noSignal   = "0000000000000000"
	onlyHangup = "0000000000000001"
)

// ignoreHangup does what nohup(1) does.
func ignoreHangup() error {
	signal.Ignore(unix.SIGHUP)
	return nil
}

func registerSignals() {
	property.It("H6", func(ctx SpecContext, c *property.Check) {
		s := run(ctx, ignoredSignal)
		c.Positive("a child inherits that SIGHUP is ignored", func() {
			c.Saw("SigIgn", s.Child.Ignored)
			Expect(s.Child.Ignored).To(Equal(onlyHangup))
		})
		c.Negative("a command in an environment ignores no signal", func() {
			c.Saw("SigIgn", s.Inside.Ignored)
			Expect(s.Inside.Ignored).To(Equal(noSignal))
		})
		host := nstest.New(GinkgoTB(), nstest.Config{}).Self()
		blocked := func(process string) string {
			GinkgoHelper()
			out, err := host.Command("sed", "-n", "s/^SigBlk:\t//p", "/proc/"+process+"/status").Output()
			Expect(err).NotTo(HaveOccurred())
			return strings.TrimSpace(string(out))
		}
		c.Positive("the init blocks SIGCHLD, and every process descends from it", func() {
			mask := blocked("1")
			c.Saw("SigBlk", mask)
			Expect(mask).NotTo(Equal(noSignal))
		})
		c.Negative("a command blocks none", func() {
			mask := blocked("self")
			c.Saw("SigBlk", mask)
			Expect(mask).To(Equal(noSignal))
		})
	})
}
