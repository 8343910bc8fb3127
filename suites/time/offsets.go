package time

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// offsetsFile has the offsets of the time namespace that the process's children will be in.
const offsetsFile = "/proc/self/timens_offsets"

// writeOffsets writes lines like "monotonic 86400 0" to a file like offsetsFile, and is the errno, 0 for none.
func writeOffsets(path, text string) (unix.Errno, error) {
	var errno unix.Errno
	err := os.WriteFile(path, []byte(text), 0)
	if errors.As(err, &errno) {
		return errno, nil
	}
	return 0, err
}

// An attempt is offsets that are written, and how that ended.
type attempt struct {
	Offsets string
	Errno   unix.Errno
}

func (a attempt) String() string {
	if a.Errno == 0 {
		return a.Offsets + ": accepted"
	}
	return fmt.Sprintf("%s: %v", a.Offsets, a.Errno)
}

// tryOffsets writes offsets to a new namespace, one after the other. If children are asked for, one enters the namespace
// before each but the first.
var tryOffsets = nsx.Register("time/try", func(_ *nsx.Parent, in struct {
	Offsets []string
	Enter   bool
}) ([]attempt, error) {
	if err := nsx.UnshareThread(nsx.Time); err != nil {
		return nil, err
	}
	var list []attempt
	for i, text := range in.Offsets {
		if in.Enter && i > 0 {
			if err := exec.Command("true").Run(); err != nil {
				return nil, err
			}
		}
		errno, err := writeOffsets(offsetsFile, text)
		if err != nil {
			return nil, err
		}
		list = append(list, attempt{text, errno})
	}
	return list, nil
})

// attempts are those of tryOffsets.
func attempts(ctx SpecContext, saw func(what string, value any), enter bool, offsets ...string) []unix.Errno {
	GinkgoHelper()
	list, err := nsx.Run(ctx, nsx.Spec{}, tryOffsets, struct {
		Offsets []string
		Enter   bool
	}{offsets, enter})
	Expect(err).NotTo(HaveOccurred())
	var errnos []unix.Errno
	for _, a := range list {
		saw("written", a)
		errnos = append(errnos, a.Errno)
	}
	return errnos
}

// started is when a process was started, as the reader's clock counts: what ps(1) shows as STARTED is derived from it.
func started(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	const starttime, first = 22, 3 // of proc_pid_stat(5), and of what follows the name
	ticks, err := strconv.ParseInt(strings.Fields(rest)[starttime-first], 10, 64)
	return time.Duration(ticks) * time.Second / 100, err // USER_HZ is 100 everywhere
}

// A trace is what a process sees of itself that has to do with time.
type trace struct {
	Started time.Duration // by its own /proc
	File    time.Duration // when a file was modified that it has made, by the wall clock
	CPU     time.Duration // what it has used
}

var leaveTrace = nsx.Register("time/trace", func(parent *nsx.Parent, dir string) (any, error) {
	var t trace
	path := filepath.Join(dir, strconv.Itoa(os.Getpid()))
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	t.File = time.Duration(info.ModTime().UnixNano())
	if t.Started, err = started(os.Getpid()); err != nil {
		return nil, err
	}
	if t.CPU, err = now(unix.CLOCK_PROCESS_CPUTIME_ID); err != nil {
		return nil, err
	}
	return nil, parent.Report(t, nil)
})

func registerOffsets() {
	property.It("T3", func(ctx SpecContext, c *property.Check) {
		c.Positive("before anybody is in the namespace, they can be written again and again", func() {
			Expect(attempts(ctx, c.Saw, false, "monotonic 10 0", "monotonic 20 0", "boottime 30 0")).To(HaveEach(unix.Errno(0)))
		})
		c.Negative("they cannot once a child has been there, although it has ended", func() {
			Expect(attempts(ctx, c.Saw, true, "monotonic 10 0", "monotonic 20 0")).To(Equal([]unix.Errno{0, unix.EACCES}))
		})
		c.Negative("nor in a namespace that clone3(2) has made, whose first process is in it from the start", func() {
			p := staying(ctx, nsx.Spec{How: nsx.Clone3, Kinds: nsx.Time})
			const text = "monotonic 10 0"
			errno, err := writeOffsets(fmt.Sprintf("/proc/%d/timens_offsets", p.PID()), text)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("written", attempt{text, errno})
			Expect(errno).To(Equal(unix.EACCES))
		})
	})

	property.Seed("Offsets shift when a process was started, and neither its files' times nor its CPU time", func(ctx SpecContext) {
		dir := GinkgoTB().TempDir()
		for _, in := range []struct {
			spec nsx.Spec
			by   time.Duration
		}{
			{nsx.Spec{}, 0}, // the control
			{nsx.Spec{How: nsx.Unshare, Kinds: nsx.Time, TimeOffsets: &ahead}, ahead.Boottime},
		} {
			before, err := readAll()
			Expect(err).NotTo(HaveOccurred())
			p, err := nsx.Spawn(ctx, in.spec, leaveTrace, dir)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(p.Close)
			var t trace
			Expect(p.Await(&t)).To(Succeed())
			after, err := readAll()
			Expect(err).NotTo(HaveOccurred())
			outside, err := started(p.PID())
			Expect(err).NotTo(HaveOccurred())
			Expect(t.Started-outside).To(Equal(in.by), "the process was started at %v by its own clock, and at %v by ours", t.Started, outside)
			expectBetween(t.File, before["CLOCK_REALTIME_COARSE"], after["CLOCK_REALTIME"], "modification time")
			Expect(t.CPU).To(BeNumerically("<", day), "CPU time")
		}
	})

	property.Seed("Offsets cannot shift the wall clock, nor make a clock negative, nor be out of the clock's range", func(ctx SpecContext) {
		saw := func(what string, value any) {
			AddReportEntry(what, fmt.Sprint(value), ReportEntryVisibilityFailureOrVerbose)
		}
		Expect(attempts(ctx, saw, false, "monotonic 10 0", "boottime 10 0", "monotonic -1 0\nboottime -1 0")).To(HaveEach(unix.Errno(0)), "the control: what is possible")
		Expect(attempts(ctx, saw, false, "realtime 10 0", "tai 10 0", fmt.Sprint(unix.CLOCK_REALTIME)+" 10 0")).To(HaveEach(unix.EINVAL), "clocks that no namespace has")
		longer := seconds(-36500 * day) // than any machine is up
		Expect(attempts(ctx, saw, false, "monotonic "+longer+" 0", "boottime "+longer+" 0", "monotonic 9223372036854775807 0")).To(HaveEach(unix.ERANGE))
		Expect(attempts(ctx, saw, false, "monotonic 10 1000000000", "monotonic")).To(HaveEach(unix.EINVAL), "what is no time")
	})
}
