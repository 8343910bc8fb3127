package time

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// A waiter waits until a clock says a time.
type waiter struct {
	name  string
	clock int32
	until func(clock int32, deadline time.Duration) error
}

var waiters = []waiter{
	{"clock_nanosleep, CLOCK_MONOTONIC", unix.CLOCK_MONOTONIC, sleepUntil},
	{"clock_nanosleep, CLOCK_BOOTTIME", unix.CLOCK_BOOTTIME, sleepUntil},
	{"timerfd, CLOCK_MONOTONIC", unix.CLOCK_MONOTONIC, timerUntil},
	{"timerfd, CLOCK_BOOTTIME", unix.CLOCK_BOOTTIME, timerUntil},
	{"futex, CLOCK_MONOTONIC", unix.CLOCK_MONOTONIC, futexUntil},
}

func timespec(d time.Duration) unix.Timespec { return unix.NsecToTimespec(int64(d)) }

// uninterrupted makes a system call again that a signal has interrupted; the runtime sends itself some.
func uninterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func sleepUntil(clock int32, deadline time.Duration) error {
	at := timespec(deadline)
	return uninterrupted(func() error { return unix.ClockNanosleep(clock, unix.TIMER_ABSTIME, &at, nil) })
}

// startTimer makes a timer that runs out when the clock says deadline. The caller closes it.
func startTimer(clock int32, deadline time.Duration) (int, error) {
	fd, err := unix.TimerfdCreate(int(clock), unix.TFD_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("timerfd_create", err)
	}
	if err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, &unix.ItimerSpec{Value: timespec(deadline)}, nil); err != nil {
		return -1, errors.Join(os.NewSyscallError("timerfd_settime", err), unix.Close(fd))
	}
	return fd, nil
}

func timerUntil(clock int32, deadline time.Duration) error {
	fd, err := startTimer(clock, deadline)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return uninterrupted(func() error { _, err := unix.Read(fd, make([]byte, 8)); return err })
}

// futexUntil waits at a futex that nobody wakes. Its clock is the monotonic one.
func futexUntil(_ int32, deadline time.Duration) error {
	const waitBitset, private, anyBit = 9, 128, 0xffffffff // linux/futex.h
	var word uint32
	at := timespec(deadline)
	err := uninterrupted(func() error {
		_, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&word)), waitBitset|private, 0, uintptr(unsafe.Pointer(&at)), 0, anyBit)
		return errno
	})
	if errors.Is(err, unix.ETIMEDOUT) {
		return nil
	}
	return fmt.Errorf("futex: %w", err)
}

// A wait is what the clock said before and after, and what it was to be waited for.
type wait struct{ Began, Deadline, Ended time.Duration }

// waitAll waits in all ways, for a moment.
var waitAll = nsx.Register("time/wait", func(*nsx.Parent, any) (map[string]wait, error) {
	waits := map[string]wait{}
	for _, w := range waiters {
		began, err := now(w.clock)
		if err != nil {
			return nil, err
		}
		deadline := began + 20*time.Millisecond
		if err := w.until(w.clock, deadline); err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		ended, err := now(w.clock)
		if err != nil {
			return nil, err
		}
		waits[w.name] = wait{began, deadline, ended}
	}
	return waits, nil
})

// hasRunOut reports whether a timer for a time of the monotonic clock has run out as soon as it is started.
var hasRunOut = nsx.Register("time/run-out", func(_ *nsx.Parent, deadline time.Duration) (bool, error) {
	fd, err := startTimer(unix.CLOCK_MONOTONIC, deadline)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	var left unix.ItimerSpec
	err = unix.TimerfdGettime(fd, &left)
	return left.Value == unix.Timespec{}, err
})

func registerTimers() {
	property.It("T6", func(ctx SpecContext, c *property.Check) {
		up, err := now(unix.CLOCK_MONOTONIC)
		Expect(err).NotTo(HaveOccurred())
		behind := -(up / 2).Truncate(time.Second)
		inAnHour := up + time.Hour

		// A wait that took the time for one of the machine's clock would end too early in a namespace that is behind, and
		// never in one that is ahead.
		expectWaits := func(s nsx.Spec) {
			waits, err := nsx.Run(ctx, s, waitAll, nil)
			Expect(err).NotTo(HaveOccurred())
			for _, w := range waiters {
				got := waits[w.name]
				c.Saw(w.name, fmt.Sprintf("at %v until %v: it was %v then", got.Began, got.Deadline, got.Ended))
				Expect(got.Ended).To(BeNumerically(">=", got.Deadline), w.name)
			}
		}
		shifted := func(by time.Duration) nsx.Spec {
			return nsx.Spec{How: nsx.Unshare, Kinds: nsx.Time, TimeOffsets: &nsx.TimeOffsets{Monotonic: by, Boottime: by}}
		}
		ranOut := func(s nsx.Spec) bool {
			out, err := nsx.Run(ctx, s, hasRunOut, inAnHour)
			Expect(err).NotTo(HaveOccurred())
			c.Saw(fmt.Sprintf("a timer for %v by CLOCK_MONOTONIC has run out", inAnHour), out)
			return out
		}
		c.Positive("in our namespace waits last until our clock says the time", func() {
			expectWaits(nsx.Spec{})
			Expect(ranOut(nsx.Spec{})).To(BeFalse(), "in an hour is in the future")
		})
		c.Negative("in one that is ahead, until its own does, and what is our future is past", func() {
			expectWaits(shifted(day))
			Eventually(ranOut).WithArguments(shifted(day)).WithTimeout(30*time.Second).Should(BeTrue(), "an hour from our now was 23 hours ago")
		})
		c.Negative("in one that is behind, until its own does, and our future is its own", func() {
			expectWaits(shifted(behind))
			Expect(ranOut(shifted(behind))).To(BeFalse())
		})
	})
}
