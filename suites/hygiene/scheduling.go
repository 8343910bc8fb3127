package hygiene

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/suites/property"
)

const pinnedThread plant = "a thread that is pinned to a processor, nice, and in other classes"

// lowest is what every user may make of every nice value, such as that with which these tests are run.
const lowest = 19

// A schedule is how the kernel gives a thread its time.
type schedule struct {
	CPUs             string
	Nice, Policy, IO int
}

// pinThread changes the calling thread alone, as everything of scheduling is a thread's.
func pinThread() error {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return err
	}
	first := 0
	for !set.IsSet(first) {
		first++
	}
	set.Zero()
	set.Set(first)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_BATCH, Nice: lowest}, 0); err != nil {
		return fmt.Errorf("change policy: %w", err)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioLowest); errno != 0 {
		return fmt.Errorf("change priority of input and output: %w", errno)
	}
	return nil
}

// scheduled is the schedule of the calling thread, of which status is the rest.
func scheduled(status map[string]string) (schedule, error) {
	s := schedule{CPUs: status["Cpus_allowed_list"]}
	nice, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return s, err
	}
	s.Nice = 20 - nice // the kernel's answer is never negative
	policy, _, errno := unix.RawSyscall(unix.SYS_SCHED_GETSCHEDULER, 0, 0, 0)
	if errno != 0 {
		return s, errno
	}
	io, _, errno := unix.RawSyscall(unix.SYS_IOPRIO_GET, ioprioWhoProcess, 0, 0)
	if errno != 0 {
		return s, errno
	}
	s.Policy, s.IO = int(policy), int(io)
	return s, nil
}

const (
	ioprioWhoProcess = 1         // IOPRIO_WHO_PROCESS (ioprio_set(2))
	ioprioLowest     = 2<<13 | 7 // the best-effort class's last level
)

func registerScheduling() {
	property.It("H11", func(ctx SpecContext, c *property.Check) {
		fields, err := status()
		Expect(err).NotTo(HaveOccurred())
		ours, err := scheduled(fields)
		Expect(err).NotTo(HaveOccurred())
		s := run(ctx, pinnedThread)
		c.Positive("a child inherits all of it from the thread that has started it", func() {
			c.Saw("child", fmt.Sprintf("%+v", s.Child.Schedule))
			Expect(s.Child.Schedule).To(And(HaveField("Nice", lowest), HaveField("Policy", unix.SCHED_BATCH), HaveField("IO", ioprioLowest)))
			Expect(s.Child.Schedule.CPUs).To(MatchRegexp(`^\d+$`))
		})
		c.Negative("a command in an environment has what the program has, whichever thread has opened it", func() {
			c.Saw("command", fmt.Sprintf("%+v", s.Inside.Schedule))
			Expect(s.Inside.Schedule).To(Equal(ours))
		})
	})
}
