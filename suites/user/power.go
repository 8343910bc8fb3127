package user

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/inside"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// writable is the files below some directories that the process may write. It writes none.
var writable = nsx.Register("user/writable", func(_ *nsx.Parent, roots []string) (files []string, err error) {
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil && d == nil:
				return err // the root itself
			case err != nil: // a directory that is closed to us, or a file that has gone
				return nil
			case d.Type().IsRegular() && unix.Access(path, unix.W_OK) == nil:
				files = append(files, path)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
})

const corePattern = "/proc/sys/kernel/core_pattern"

// machines are those of the files below a directory that are neither sysctls of networks and limits of user namespaces, nor
// network interfaces.
func machines(files []string, dir string) (list []string) {
	for _, f := range files {
		if strings.HasPrefix(f, dir+"/") && !strings.HasPrefix(f, "/proc/sys/net/") && !strings.HasPrefix(f, "/proc/sys/user/") &&
			!strings.Contains(f, "/net/") {
			list = append(list, f)
		}
	}
	return list
}

// deeds are what root may want to do, harmless where they succeed.
var deeds = map[string]func() error{
	"rename the host": func() error { return unix.Sethostname([]byte("renamed")) },
	"mount a tmpfs":   func() error { return unix.Mount("none", os.TempDir(), "tmpfs", 0, "") },
	"make a fifo":     func() error { return unix.Mknod("/dev/shm/fifo", unix.S_IFIFO|0o600, 0) },
	"make a device":   func() error { return unix.Mknod("/dev/shm/null", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) },
	"read the clock's state": func() error {
		_, err := unix.Adjtimex(&unix.Timex{})
		return err
	},
	"shift the clock by nothing": func() error {
		_, err := unix.Adjtimex(&unix.Timex{Modes: unix.ADJ_SETOFFSET})
		return err
	},
	"lower a limit": func() error { return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) },
	"raise a limit": func() error {
		return errors.Join(unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}), unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Max: 1}))
	},
	"give a file to itself":                 func() error { return giveTo(0) },
	"give a file to an id that is nobody's": func() error { return giveTo(4_000_000_000) },
	"read a directory of its own": func() error {
		_, err := os.ReadDir(os.TempDir())
		return err
	},
	"read a directory of the machine's root": func() error {
		_, err := os.ReadDir(rootsDirectory)
		return err
	},
}

func giveTo(id int) error {
	f, err := os.CreateTemp("", "")
	if err != nil {
		return err
	}
	defer f.Close()
	return errors.Join(f.Chown(id, 0), os.Remove(f.Name()))
}

// do does one of them.
var do = nsx.Register("user/do", func(_ *nsx.Parent, deed string) (any, error) { return nil, deeds[deed]() })

func registerPower() {
	// The leak has to be made with the machine's root, who alone can map its own id.
	property.It("R18", func(ctx SpecContext, c *property.Check) {
		if os.Geteuid() == 0 && !require.IsMachineRoot() {
			c.Skip("the program is in a user namespace, from where nobody sees which id is the machine's root", "run it outside of environments and containers")
		}
		roots := []string{"/proc/sys", "/sys"}
		saw := func(files []string) {
			c.Saw("files of /proc/sys and /sys that it may write", len(files))
			c.Saw("sysctls of neither network nor user namespaces", len(machines(files, "/proc/sys")))
			c.Saw("files in /sys that are of no network interface", len(machines(files, "/sys")))
		}
		if require.IsMachineRoot() {
			c.Positive("root of a namespace that is the machine's root outside may write the machine's sysctls", func() {
				same := []nsx.IDMap{{Inside: 0, Outside: 0, Count: 1 << 16}}
				files, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.User, UIDMaps: same, GIDMaps: same}, writable, roots)
				Expect(err).NotTo(HaveOccurred())
				saw(files)
				Expect(files).To(ContainElement(corePattern))
				Expect(machines(files, "/sys")).NotTo(BeEmpty())
			})
		} else {
			c.Positive("who is not the machine's root cannot even map its id", func() {
				Expect(answers(ctx, []writing{{"uid_map", "0 0 1"}})).To(Equal([]syscall.Errno{unix.EPERM}))
				c.Saw("uid_map 0 0 1", spoken(unix.EPERM))
			})
		}
		env := nstest.New(GinkgoTB(), nstest.Config{})
		c.Negative("in an environment nobody is the machine's root", func() {
			cat := env.Self().Command("cat")
			stdin, err := cat.StdinPipe()
			Expect(err).NotTo(HaveOccurred())
			Expect(cat.Start()).To(Succeed())
			for _, file := range []string{"uid_map", "gid_map"} {
				text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", cat.Process.HostPid(), file))
				Expect(err).NotTo(HaveOccurred())
				c.Saw(file, strings.Fields(string(text)))
				for line := range strings.Lines(string(text)) {
					Expect(strings.Fields(line)[1]).NotTo(Equal("0"), file)
				}
			}
			Expect(stdin.Close()).To(Succeed())
			Expect(cat.Wait()).To(Succeed())
		})
		c.Negative("and its root may write what is its namespaces' alone", func() {
			files, err := inside.Run(env.Self(), writable, roots)
			Expect(err).NotTo(HaveOccurred())
			saw(files)
			Expect(files).To(ContainElement(limitOf(nsx.UTS)), "the walk finds what may be written")
			Expect(files).NotTo(ContainElement(corePattern))
			c.Saw("which sysctls", machines(files, "/proc/sys"))
			Expect(machines(files, "/proc/sys")).To(HaveEach(MatchRegexp(`^/proc/sys/(fs/mqueue/|kernel/(auto_msg|msg|sem|shm|ns_last_pid|pid_max))`)),
				"those of its IPC and PID namespaces")
			Expect(machines(files, "/sys")).To(BeEmpty())
		})
	}, nstest.InProcess)

	property.Seed("have a root that is an ordinary user outside, and may do what is theirs alone", func(ctx SpecContext) {
		s := nsx.Spec{}.AsRoot()
		theirs := s
		theirs.Kinds |= nsx.UTS | nsx.Mount
		answer := func(s nsx.Spec, deed string) error {
			GinkgoHelper()
			Expect(deeds).To(HaveKey(deed))
			_, err := nsx.Run(ctx, s, do, deed)
			return err
		}
		for _, deed := range []string{"rename the host", "mount a tmpfs"} {
			Expect(answer(theirs, deed)).To(Succeed(), "%s: the control, in namespaces that are its own", deed)
			Expect(answer(s, deed)).To(MatchError(unix.EPERM), deed)
		}
		for may, mayNot := range map[string]string{"make a fifo": "make a device", "read the clock's state": "shift the clock by nothing", "lower a limit": "raise a limit"} {
			Expect(answer(theirs, may)).To(Succeed(), "%s: the control", may)
			Expect(answer(theirs, mayNot)).To(MatchError(unix.EPERM), mayNot)
		}
		Expect(answer(theirs, "give a file to itself")).To(Succeed(), "the control")
		Expect(answer(theirs, "give a file to an id that is nobody's")).To(MatchError(unix.EINVAL))
		Expect(answer(theirs, "read a directory of its own")).To(Succeed(), "the control")
		Expect(answer(theirs, "read a directory of the machine's root")).To(MatchError(unix.EACCES))
	})
}
