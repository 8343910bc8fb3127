package pid

import (
	"os"
	"strconv"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// attack tries what takes a process's number: a question, a tracer, and the end.
var attack = nsx.Register("pid/attack", func(_ *nsx.Parent, pid int) (reach, error) {
	_, err := unix.Getpgid(pid)
	return reach{
		Getpgid: on(err),
		Ptrace:  on(unix.PtraceSeize(pid)), // until the probe ends
		Kill:    on(unix.Kill(pid, unix.SIGKILL)),
	}, nil
})

// A reach is what the calls say that an attack makes.
type reach struct{ Getpgid, Ptrace, Kill verdict }

// far is a helpless process outside, by a number that no process inside has: an attack from there does not miss it because
// it hits another one.
func far(ctx SpecContext) *nsx.Process[any] {
	GinkgoHelper()
	const from = 20_000
	Expect(setLastPID(from)).To(Succeed())
	p := standing(ctx, nsx.Spec{})
	Expect(p.PID()).To(BeNumerically(">", from))
	return p
}

// setLastPID has the calling process's PID namespace go on from a number.
func setLastPID(pid int) error {
	return os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid)), 0)
}

func registerReach() {
	property.It("P9", func(ctx SpecContext, c *property.Check) {
		c.Positive("without CLONE_NEWPID a process can be asked for, traced and killed by its number", func() {
			victim := staying(ctx, nsx.Spec{})
			got, err := nsx.Run(ctx, nsx.Spec{}, attack, victim.PID())
			Expect(err).NotTo(HaveOccurred())
			c.Saw("the calls", got)
			Expect(got).To(Equal(reach{works, works, works}))
			status, err := victim.Wait()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("it ended by", status.Signal())
			Expect(status.Signal()).To(Equal(unix.SIGKILL))
		})

		bystander := far(ctx)
		c.Negative("from inside there is no such process", func() {
			got, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.PID}, attack, bystander.PID())
			Expect(err).NotTo(HaveOccurred())
			c.Saw("the calls", got)
			const none = verdict(unix.ESRCH)
			Expect(got).To(Equal(reach{none, none, none}))
			Expect(alive(bystander)).To(Succeed())
		})

		init := standing(ctx, nsx.Spec{Kinds: nsx.PID})
		c.Positive("kill(-1) reaches the others inside", func() {
			neighbour := standing(ctx, joining(init))
			_, err := nsx.Run(ctx, joining(init), send, sending{-1, []syscall.Signal{unix.SIGKILL}})
			Expect(err).NotTo(HaveOccurred())
			status, err := neighbour.Wait()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("another process inside ended by", status.Signal())
			Expect(status.Signal()).To(Equal(unix.SIGKILL))
		})
		c.Negative("and nobody outside", func() {
			err := alive(bystander)
			c.Saw("error of a conversation with a process outside", err)
			Expect(err).NotTo(HaveOccurred())
		})
	})
}
