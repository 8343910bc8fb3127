package time

import (
	"io"
	"os/exec"
	"strings"
	"time"
	_ "unsafe" // for go:linkname

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// nanotime reads CLOCK_MONOTONIC by the vDSO: memory that the kernel shows to a process, another page in each time
// namespace. Package unix asks the kernel itself, and package time tells only differences.
//
//go:linkname nanotime runtime.nanotime
func nanotime() int64

// byVDSO is what the vDSO says, between what two system calls say.
type byVDSO struct{ First, VDSO, Last time.Duration }

func readVDSO() (byVDSO, error) {
	first, err := now(unix.CLOCK_MONOTONIC)
	if err != nil {
		return byVDSO{}, err
	}
	vdso := time.Duration(nanotime())
	last, err := now(unix.CLOCK_MONOTONIC)
	return byVDSO{first, vdso, last}, err
}

// compare reads the clock in both ways.
var compare = nsx.Register("time/vdso", func(*nsx.Parent, any) (byVDSO, error) { return readVDSO() })

// An upbringing is what a process sees that has unshared its children's time namespace and started a child with vfork(2),
// as Go does, and what the child sees.
type upbringing struct {
	VDSO           byVDSO // the parent's
	Own, Children  uint64 // time namespaces of the parent, now and for its children
	Child          uint64 // the child's
	ParentUptime   readings
	ChildUptime    time.Duration
	UptimeAfterAll readings
}

var bringUp = nsx.Register("time/bring-up", func(_ *nsx.Parent, offsets string) (u upbringing, err error) {
	if err := nsx.UnshareThread(nsx.Time); err != nil {
		return u, err
	}
	if errno, err := writeOffsets(offsetsFile, offsets); err != nil || errno != 0 {
		return u, errno
	}
	u.ParentUptime = readings{}
	if err := u.ParentUptime.addUptime(); err != nil {
		return u, err
	}
	child := exec.Command("cat", "/proc/uptime", "-")
	hold, err := child.StdinPipe()
	if err != nil {
		return u, err
	}
	out, err := child.StdoutPipe()
	if err != nil {
		return u, err
	}
	if err := child.Start(); err != nil {
		return u, err
	}
	if u.Child, err = nsx.Inode(child.Process.Pid, nsx.Time); err != nil {
		return u, err
	}
	if err := hold.Close(); err != nil {
		return u, err
	}
	text, err := io.ReadAll(out)
	if err != nil {
		return u, err
	}
	if err := child.Wait(); err != nil {
		return u, err
	}
	up, _, _ := strings.Cut(string(text), " ")
	if u.ChildUptime, err = time.ParseDuration(up + "s"); err != nil {
		return u, err
	}
	u.UptimeAfterAll = readings{}
	if err := u.UptimeAfterAll.addUptime(); err != nil {
		return u, err
	}
	if u.VDSO, err = readVDSO(); err != nil {
		return u, err
	}
	if u.Own, err = nsx.Inode(0, nsx.Time); err != nil {
		return u, err
	}
	u.Children, err = inodeForChildren()
	return u, err
})

// inodeForChildren is the time namespace in which children of the calling thread are born.
func inodeForChildren() (uint64, error) {
	var st unix.Stat_t
	err := unix.Stat("/proc/thread-self/ns/time_for_children", &st)
	return st.Ino, err
}

func registerExecution() {
	property.It("T8", func(ctx SpecContext, c *property.Check) {
		expectRight := func(v byVDSO, by time.Duration, before, after time.Duration) {
			GinkgoHelper()
			c.Saw("CLOCK_MONOTONIC by system call, vDSO, system call", v)
			expectBetween(v.VDSO, v.First, v.Last, "vDSO")
			expectBetween(v.VDSO-by, before, after, "vDSO")
		}
		monotonicNow := func() time.Duration {
			GinkgoHelper()
			t, err := now(unix.CLOCK_MONOTONIC)
			Expect(err).NotTo(HaveOccurred())
			return t
		}
		var u upbringing
		c.Positive("who only unshares stays where it is, and its vDSO as well", func() {
			before := monotonicNow()
			var err error
			u, err = nsx.Run(ctx, nsx.Spec{}, bringUp, "monotonic "+seconds(ahead.Monotonic)+" 0\nboottime "+seconds(ahead.Boottime)+" 0")
			Expect(err).NotTo(HaveOccurred())
			expectRight(u.VDSO, 0, before, monotonicNow())
			c.Saw("its namespace, and its children's", []uint64{u.Own, u.Children})
			Expect(u.Own).NotTo(Equal(u.Children))
		})
		c.Negative("a child that it starts by vfork(2) and execve(2) is in the new namespace", func() {
			c.Saw("the child's namespace", u.Child)
			c.Saw("the child's uptime", u.ChildUptime)
			Expect(u.Child).To(Equal(u.Children))
			expectBetween(u.ChildUptime-ahead.Boottime, u.ParentUptime["/proc/uptime"], u.UptimeAfterAll["/proc/uptime"], "/proc/uptime")
		})
		c.Negative("and a program that is executed in one reads that one's time, by the vDSO too", func() {
			before := monotonicNow()
			v, err := nsx.Run(ctx, nsx.Spec{How: nsx.Unshare, Kinds: nsx.Time, TimeOffsets: &ahead}, compare, nil)
			Expect(err).NotTo(HaveOccurred())
			expectRight(v, ahead.Monotonic, before, monotonicNow())
		})
	})
}
