package pid

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// list returns the processes that /proc shows when the probe begins, and with a /proc of its own.
var list = nsx.Register("pid/list", func(*nsx.Parent, any) (l struct{ Before, After []int }, err error) {
	if l.Before, err = numbers("/proc"); err != nil {
		return l, err
	}
	if err := mountProc(); err != nil {
		return l, err
	}
	l.After, err = numbers("/proc")
	return l, err
})

// listIn returns the processes that each of some mounts of proc shows.
var listIn = nsx.Register("pid/listIn", func(_ *nsx.Parent, mounts []string) (lists [][]int, err error) {
	for _, m := range mounts {
		pids, err := numbers(m)
		if err != nil {
			return nil, err
		}
		lists = append(lists, pids)
	}
	return lists, nil
})

// ps returns the processes that ps(1) shows when the probe begins, and with a /proc of its own.
var ps = nsx.Register("pid/ps", func(*nsx.Parent, any) (l struct{ Before, After []int }, err error) {
	if l.Before, err = runPS(); err != nil {
		return l, err
	}
	if err := mountProc(); err != nil {
		return l, err
	}
	l.After, err = runPS()
	return l, err
})

func runPS() (pids []int, err error) {
	out, err := exec.Command("ps", "-e", "-o", "pid=").Output()
	if err != nil {
		return nil, fmt.Errorf("run ps: %w", err)
	}
	for _, field := range strings.Fields(string(out)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// witness is a process with a mount namespace of its own, which another process inherits in a PID namespace and then
// mounts /proc. It returns what /proc says of the witness before, and after.
var witness = nsx.Register("pid/witness", func(_ *nsx.Parent, i inheritance) (s sight, err error) {
	for _, propagation := range []uintptr{unix.MS_PRIVATE, i.Propagation} { // nothing gets out of here
		if err := unix.Mount("", "/", "", unix.MS_REC|propagation, ""); err != nil {
			return s, err
		}
	}
	if s.Before, err = os.Readlink("/proc/self"); err != nil {
		return s, err
	}
	p, err := nsx.Spawn(context.Background(), nsx.Spec{Kinds: nsx.PID | i.Kinds}, remount, nil)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := p.Await(nil); err != nil {
		return s, err
	}
	var gone error
	s.After, gone = os.Readlink("/proc/self")
	s.Gone = errors.Is(gone, fs.ErrNotExist)
	s.Shown, err = numbers("/proc")
	return s, err
})

// An inheritance is how a mount namespace is inherited.
type inheritance struct {
	Propagation uintptr   // of its mounts
	Kinds       nsx.Kinds // Mount for a copy
}

// A sight is what a process reads at /proc/self, and which processes it sees afterwards.
type sight struct {
	Before, After string
	Gone          bool
	Shown         []int
}

// remount mounts /proc where everybody in its mount namespace has it, and stays.
var remount = nsx.Register("pid/remount", func(parent *nsx.Parent, _ any) (any, error) {
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return nil, err
	}
	return nil, parent.Report(nil, nil)
})

// mountedProc is a mount of proc with options, until the spec ends.
func mountedProc(options string) (dir string, err error) {
	GinkgoHelper()
	dir = GinkgoTB().TempDir()
	if err := unix.Mount("proc", dir, "proc", 0, options); err != nil {
		return dir, fmt.Errorf("mount proc with %q: %w", options, err)
	}
	DeferCleanup(unix.Unmount, dir, 0)
	return dir, nil
}

func registerProc() {
	property.It("P2", func(ctx SpecContext, c *property.Check) {
		ours, err := numbers("/proc")
		Expect(err).NotTo(HaveOccurred())
		got, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.PID | nsx.Mount}, list, nil)
		Expect(err).NotTo(HaveOccurred())
		c.Positive("until /proc is mounted anew, it lists who is outside", func() {
			c.Saw("outside", ours)
			c.Saw("as seen inside", got.Before)
			Expect(got.Before).To(ContainElements(unix.Getpid(), unix.Getppid()))
		})
		c.Negative("then only who is inside", func() {
			c.Saw("as seen inside", got.After)
			Expect(got.After).To(Equal([]int{1}))
		})
		c.Negative("an environment's lists those who are in its PID namespace, and nobody else", func() {
			other := nstest.New(GinkgoTB(), nstest.Config{})
			wait := other.Self().Command("sleep", "infinity")
			Expect(wait.Start()).To(Succeed())
			out, err := other.Self().Command("sh", "-c", "echo /proc/[0-9]*").Output()
			Expect(err).NotTo(HaveOccurred())
			var there []int
			for _, dir := range strings.Fields(string(out)) {
				pid, err := strconv.Atoi(filepath.Base(dir))
				Expect(err).NotTo(HaveOccurred())
				there = append(there, pid)
			}
			all, err := processes()
			Expect(err).NotTo(HaveOccurred())
			var known []int // those in the namespace of the one that we have started, by their numbers there
			for _, p := range all {
				same, err := matchers.ShareNamespace(nsx.PID, wait.Process.HostPid()).Match(p.number())
				if err == nil && same {
					known = append(known, p.NSpid[len(p.NSpid)-1])
				}
			}
			c.Saw("as seen there", there)
			c.Saw("who is there", known)
			Expect(known).To(ContainElements(1, wait.Process.Pid))
			Expect(there).To(ContainElements(known))
			Expect(there).To(HaveLen(len(known)+1), "and the shell")
		})
	})

	property.It("P22", func(ctx SpecContext, c *property.Check) {
		plain, err := mountedProc("")
		Expect(err).NotTo(HaveOccurred())
		self := strconv.Itoa(unix.Getpid())
		c.Positive("without options there are all processes, and what is not about processes", func() {
			pids, err := numbers(plain)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("processes", pids)
			Expect(pids).To(ContainElements(1, unix.Getpid()))
			Expect(filepath.Join(plain, "meminfo")).To(BeARegularFile())
			Expect(filepath.Join(plain, "sys")).To(BeADirectory())
		})
		c.Negative("with subset=pid there are processes alone", func() {
			dir, err := mountedProc("subset=pid")
			Expect(err).NotTo(HaveOccurred())
			entries, err := os.ReadDir(dir)
			Expect(err).NotTo(HaveOccurred())
			var others []string
			for _, e := range entries {
				if _, err := strconv.Atoi(e.Name()); err != nil {
					others = append(others, e.Name())
				}
			}
			c.Saw("what is no process", others)
			Expect(others).To(ConsistOf("self", "thread-self"))
			Expect(filepath.Join(dir, self)).To(BeADirectory())
			Expect(filepath.Join(dir, "meminfo")).NotTo(BeAnExistingFile())
		})
		for _, hidepid := range []string{"invisible", "ptraceable"} {
			dir, err := mountedProc("hidepid=" + hidepid)
			Expect(err).NotTo(HaveOccurred())
			// In another user namespace nobody may trace those of ours.
			got, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.User}, listIn, []string{plain, dir})
			Expect(err).NotTo(HaveOccurred())
			c.Positive("who may trace nobody sees all without hidepid", func() {
				c.Saw("processes", got[0])
				Expect(got[0]).To(ContainElements(1, unix.Getpid()))
			})
			c.Negative("and with hidepid="+hidepid+" itself alone", func() {
				c.Saw("processes", got[1])
				Expect(got[1]).To(HaveLen(1))
				Expect(got[0]).To(ContainElement(got[1][0]))
				Expect(got[1]).NotTo(ContainElement(unix.Getpid()))
			})
		}
		first := staying(ctx, nsx.Spec{Kinds: nsx.PID})
		dir, err := mountedProc(fmt.Sprintf("pidns=/proc/%d/ns/pid", first.PID()))
		c.Negative("with pidns= those of another PID namespace", func() {
			c.Saw("error of mount(2): EINVAL before Linux 6.18", err)
			if err != nil {
				Expect(err).To(MatchError(unix.EINVAL))
				return
			}
			pids, err := numbers(dir)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("processes", pids)
			Expect(pids).To(Equal([]int{1}))
		})
	})

	property.Seed("ps shows who is outside until /proc is mounted anew", func(ctx SpecContext) {
		if _, err := exec.LookPath("ps"); err != nil {
			require.Skip("there is no ps", "apt-get install procps")
		}
		bystander := staying(ctx, nsx.Spec{})
		got, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.PID | nsx.Mount}, ps, nil)
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("before", got.Before)
		AddReportEntry("after", got.After)
		Expect(got.Before).To(ContainElements(unix.Getpid(), bystander.PID()))
		Expect(got.After).To(HaveLen(2), "the first process, and ps")
		Expect(got.After).To(ContainElement(1))
	}, SpecTimeout(patience))

	DescribeTable("who mounts /proc for a PID namespace", func(ctx SpecContext, i inheritance, taken bool) {
		property.NeedEnvironment()
		p := spawn(ctx, nsx.Spec{Kinds: nsx.Mount}, witness, i)
		s, err := p.Result()
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("the others see", s)
		Expect(s.Before).To(Equal(strconv.Itoa(p.PID())))
		Expect(s.Gone).To(Equal(taken))
		if taken {
			Expect(s.Shown).To(Equal([]int{1}), "who is inside")
		} else {
			Expect(s.After).To(Equal(s.Before))
			Expect(s.Shown).To(ContainElements(p.PID(), unix.Getpid()))
		}
	},
		Entry("in a private copy of the mounts changes nothing for the others", Label("seed"), SpecTimeout(patience),
			inheritance{unix.MS_PRIVATE, nsx.Mount}, false),
		Entry("in a shared copy takes the others' /proc away", Label("seed"), SpecTimeout(patience),
			inheritance{unix.MS_SHARED, nsx.Mount}, true),
		Entry("without a mount namespace of its own takes the others' /proc away", Label("seed"), SpecTimeout(patience),
			inheritance{unix.MS_PRIVATE, 0}, true),
	)
}
