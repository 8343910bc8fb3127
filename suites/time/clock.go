package time

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// day makes offsets that no delay can be taken for. They are whole seconds, so that what counts in seconds has them exactly.
const day = 24 * time.Hour

// ahead are the offsets of most specs: different ones, so that a clock that has the other's is seen.
var ahead = nsx.TimeOffsets{Monotonic: 100 * day, Boottime: 200 * day}

// readings are what clocks say, by name: that of clock_gettime(2), or the file or call that is derived from one.
type readings map[string]time.Duration

// A clock is one of clock_gettime(2).
type clock struct {
	name string
	id   int32
}

// The clocks, by what offsets do to them.
var (
	monotonic = []clock{
		{"CLOCK_MONOTONIC", unix.CLOCK_MONOTONIC}, {"CLOCK_MONOTONIC_RAW", unix.CLOCK_MONOTONIC_RAW}, {"CLOCK_MONOTONIC_COARSE", unix.CLOCK_MONOTONIC_COARSE},
	}
	boottime = []clock{{"CLOCK_BOOTTIME", unix.CLOCK_BOOTTIME}}
	wall     = []clock{
		{"CLOCK_REALTIME", unix.CLOCK_REALTIME}, {"CLOCK_REALTIME_COARSE", unix.CLOCK_REALTIME_COARSE}, {"CLOCK_TAI", unix.CLOCK_TAI},
	}
)

// now is what a clock says to the calling process, by the system call.
func now(id int32) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(t.Nano()), nil
}

// readAll is what all clocks say to the calling process.
func readAll() (readings, error) {
	r := readings{}
	for _, c := range slices.Concat(monotonic, boottime, wall) {
		var err error
		if r[c.name], err = now(c.id); err != nil {
			return nil, err
		}
	}
	return r, errors.Join(r.addUptime(), r.addSysinfo(), r.addBtime())
}

// addUptime adds what uptime(1) reads.
func (r readings) addUptime() error {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return err
	}
	up, _, _ := strings.Cut(string(text), " ")
	r["/proc/uptime"], err = time.ParseDuration(up + "s")
	return err
}

func (r readings) addSysinfo() error {
	var info unix.Sysinfo_t
	err := unix.Sysinfo(&info)
	r["sysinfo"] = time.Duration(info.Uptime) * time.Second
	return os.NewSyscallError("sysinfo", err)
}

// addBtime adds when the machine was booted, by the wall clock.
func (r readings) addBtime() error {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if seconds, ok := strings.CutPrefix(line, "btime "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(seconds), 10, 64)
			r["/proc/stat btime"] = time.Duration(n) * time.Second
			return err
		}
	}
	return fmt.Errorf("there is no btime in /proc/stat: %w", errors.ErrUnsupported)
}

// readClocks is readAll in a process.
var readClocks = nsx.Register("time/read", func(*nsx.Parent, any) (readings, error) { return readAll() })

// A sighting is what clocks said in a process, and outside before and after that.
type sighting struct {
	check                 *property.Check
	before, inside, after readings
}

// look reads the clocks in a process of the given spec.
func look(ctx SpecContext, c *property.Check, s nsx.Spec) sighting {
	GinkgoHelper()
	before, err := readAll()
	Expect(err).NotTo(HaveOccurred())
	inside, err := nsx.Run(ctx, s, readClocks, nil)
	Expect(err).NotTo(HaveOccurred())
	after, err := readAll()
	Expect(err).NotTo(HaveOccurred())
	return sighting{c, before, inside, after}
}

// expectShift asserts that a clock is shifted by exactly so much.
func (s sighting) expectShift(clock string, by time.Duration) {
	GinkgoHelper()
	s.check.Saw(clock, fmt.Sprintf("inside %v; outside %v before that and %v after", s.inside[clock], s.before[clock], s.after[clock]))
	expectBetween(s.inside[clock]-by, s.before[clock], s.after[clock], clock)
}

// expectBetween asserts that a clock was read after one reading and before another.
func expectBetween(reading, first, last time.Duration, clock string) {
	GinkgoHelper()
	Expect(reading).To(And(BeNumerically(">=", first), BeNumerically("<=", last)), clock)
}

func registerClocks() {
	property.It("T1", func(ctx SpecContext, c *property.Check) {
		c.Positive("with offsets of 0 the clocks are ours, so that the probe would see any other", func() {
			s := look(ctx, c, nsx.Spec{How: nsx.Unshare, Kinds: nsx.Time, TimeOffsets: &nsx.TimeOffsets{}})
			for _, clock := range slices.Concat(monotonic, boottime) {
				s.expectShift(clock.name, 0)
			}
		})
		c.Negative("with offsets each clock is ahead by its own", func() {
			s := look(ctx, c, nsx.Spec{How: nsx.Unshare, Kinds: nsx.Time, TimeOffsets: &ahead})
			for _, clock := range monotonic {
				s.expectShift(clock.name, ahead.Monotonic)
			}
			for _, clock := range boottime {
				s.expectShift(clock.name, ahead.Boottime)
			}
		})
		c.Negative("an environment has what its Config says", func() {
			env := nstest.New(GinkgoTB(), nstest.Config{Time: &nstest.TimeOffsets{Monotonic: ahead.Monotonic, Boottime: ahead.Boottime}})
			before, err := readAll()
			Expect(err).NotTo(HaveOccurred())
			out, err := env.Self().Command("cat", "/proc/uptime", "/proc/self/timens_offsets").Output()
			Expect(err).NotTo(HaveOccurred())
			after, err := readAll()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("its uptime and offsets", string(out))
			fields := strings.Fields(string(out))
			Expect(fields[2:]).To(Equal([]string{"monotonic", seconds(ahead.Monotonic), "0", "boottime", seconds(ahead.Boottime), "0"}))
			uptime, err := time.ParseDuration(fields[0] + "s")
			Expect(err).NotTo(HaveOccurred())
			expectBetween(uptime-ahead.Boottime, before["/proc/uptime"], after["/proc/uptime"], "/proc/uptime")
		})
	})

	property.It("T2", func(ctx SpecContext, c *property.Check) {
		s := look(ctx, c, nsx.Spec{How: nsx.Unshare, Kinds: nsx.Time, TimeOffsets: &ahead})
		c.Positive("the namespace shifts the clocks that it can", func() {
			s.expectShift("CLOCK_MONOTONIC", ahead.Monotonic)
			s.expectShift("CLOCK_BOOTTIME", ahead.Boottime)
		})
		c.Negative("and the wall clock is everybody's", func() {
			for _, clock := range wall {
				s.expectShift(clock.name, 0)
			}
		})
	})
}

// seconds is a duration as timens_offsets has it.
func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
