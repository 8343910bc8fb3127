package pid

import (
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// openPIDFD opens a pidfd for the process with a number, 0 for a child that ends with its init, and tries what it is good
// for. Then it does so with the pidfd that is its file.
var openPIDFD = nsx.Register("pid/openPIDFD", func(parent *nsx.Parent, pid int) (out pidfds, err error) {
	if pid == 0 {
		if pid, err = start("sleep", "infinity"); err != nil {
			return out, err
		}
	}
	fd, err := unix.PidfdOpen(pid, 0)
	out.Open = on(err)
	if err == nil {
		defer unix.Close(fd)
		out.Opened = worthOf(fd)
	}
	out.Given = worthOf(int(parent.Files[0].Fd()))
	return out, nil
})

type pidfds struct {
	Open   verdict // pidfd_open(2)
	Opened worth   // of what that opened, if it did
	Given  worth   // of the one that the probe was given
}

// A worth is what a pidfd is good for.
type worth struct {
	Signal, Info verdict // pidfd_send_signal(2) and PIDFD_GET_INFO
	PID          int     // that the latter tells
}

func worthOf(pidfd int) worth {
	var info unix.PidfdInfo
	return worth{
		Signal: on(unix.PidfdSendSignal(pidfd, 0, nil, 0)),
		Info:   on(unix.IoctlPidfdInfo(pidfd, &info)),
		PID:    int(info.Pid),
	}
}

func registerPidfds() {
	property.It("P18", func(ctx SpecContext, c *property.Check) {
		bystander := far(ctx)
		given := []*os.File{bystander.PIDFD()}

		outside, err := nsx.Run(ctx, nsx.Spec{Files: given}, openPIDFD, bystander.PID())
		Expect(err).NotTo(HaveOccurred())
		hasInfo := outside.Given.Info == works // since Linux 6.13
		c.Positive("outside a pidfd can be had by the number", func() {
			c.Saw("pidfd_open", outside.Open)
			c.Saw("what was opened", outside.Opened)
			c.Saw("what was given", outside.Given)
			Expect(outside.Open).To(Equal(works))
			Expect(outside.Opened.Signal).To(Equal(works))
			Expect(outside.Given).To(Equal(outside.Opened))
			if hasInfo {
				Expect(outside.Given.PID).To(Equal(bystander.PID()))
			} else {
				Expect(outside.Given.Info).To(BeElementOf(verdict(unix.ENOTTY), verdict(unix.EINVAL)), "there is no PIDFD_GET_INFO")
			}
		})
		c.Positive("inside for an own child", func() {
			got, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.PID, Files: given}, openPIDFD, 0)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("pidfd_open", got.Open)
			c.Saw("what was opened", got.Opened)
			Expect(got.Open).To(Equal(works))
			Expect(got.Opened.Signal).To(Equal(works))
			if hasInfo {
				Expect(got.Opened.PID).To(And(BeNumerically(">", 1), BeNumerically("<", 1000)))
			}
		})

		inside, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.PID, Files: given}, openPIDFD, bystander.PID())
		Expect(err).NotTo(HaveOccurred())
		c.Negative("not for a number outside", func() {
			c.Saw("pidfd_open", inside.Open)
			Expect(inside.Open).To(Equal(verdict(unix.ESRCH)))
		})
		c.Negative("and one that was given does not signal and tells no number", func() {
			c.Saw("what was given", inside.Given)
			Expect(inside.Given.Signal).To(Equal(verdict(unix.EINVAL)))
			Expect(inside.Given.PID).To(BeZero())
			if hasInfo { // it was ESRCH at first
				Expect(inside.Given.Info).To(BeElementOf(verdict(unix.ESRCH), verdict(unix.EREMOTE)))
			}
		})
	})

	property.It("P19", func(ctx SpecContext, c *property.Check) {
		const number = 4001
		same := nsx.Spec{How: nsx.Clone3, SetTID: []int32{number}}
		first := standing(ctx, same)
		fd, err := unix.Dup(int(first.PIDFD().Fd()))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(unix.Close, fd)
		c.Positive("the process that the pidfd was opened for gets the signal", func() {
			Expect(first.PID()).To(Equal(number))
			Expect(unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0)).To(Succeed())
			status, err := first.Wait()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("process 4001 ended by", status.Signal())
			Expect(status.Signal()).To(Equal(unix.SIGTERM))
		})
		second := standing(ctx, same)
		c.Positive("the next one with its number can be sent signals by that", func() {
			Expect(second.PID()).To(Equal(number))
			err := unix.Kill(number, 0)
			c.Saw("error of kill(4001, 0)", err)
			Expect(err).NotTo(HaveOccurred())
		})
		c.Negative("and by the pidfd it cannot", func() {
			err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
			c.Saw("error of pidfd_send_signal", err)
			Expect(err).To(MatchError(unix.ESRCH))
			Expect(alive(second)).To(Succeed())
		})
	})
}
