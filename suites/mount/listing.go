package mount

import (
	"fmt"
	"os"
	"strings"

	"github.com/moby/sys/mountinfo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/property"
)

// given are the mounts of an environment with a root of its own, with their types; a node is one of the machine's, in
// whatever it has at /dev. There is one more mount, the program.
var given = []string{
	"/ overlay", "/proc proc",
	"/sys sysfs", "/sys sysfs", // so that one is seen when ip-netns(8) takes the upper one away, and a fresh one is allowed
	"/tmp tmpfs", "/run tmpfs", "/etc/hostname tmpfs", "/etc/hosts tmpfs",
	"/dev tmpfs", "/dev/pts devpts", "/dev/shm tmpfs", "/dev/mqueue mqueue",
	"/dev/null node", "/dev/zero node", "/dev/full node", "/dev/random node", "/dev/urandom node", "/dev/tty node",
}

// mountsIn are the mounts of an environment, as given has them, and without the program.
func mountsIn(env *nstest.Env) (list []string) {
	GinkgoHelper()
	program, err := os.Executable()
	Expect(err).NotTo(HaveOccurred())
	// In the environment's /proc our thread has no number. Ours knows it.
	threads, err := os.Open("/proc/self/task")
	Expect(err).NotTo(HaveOccurred())
	defer threads.Close()
	var infos []*mountinfo.Info
	Expect(env.Self().Do(func() error {
		fd, err := unix.Openat(int(threads.Fd()), fmt.Sprintf("%d/mountinfo", unix.Gettid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("openat", err)
		}
		f := os.NewFile(uintptr(fd), "mountinfo")
		defer f.Close()
		infos, err = mountinfo.GetMountsFromReader(f, func(i *mountinfo.Info) (skip, stop bool) { return i.Mountpoint == program, false })
		return err
	})).To(Succeed())
	for _, i := range infos {
		kind := i.FSType
		if i.Root != "/" && strings.HasPrefix(i.Mountpoint, "/dev/") {
			kind = "node"
		}
		list = append(list, i.Mountpoint+" "+kind)
	}
	return list
}

// mountIn mounts a ramfs in an environment, at a directory that it makes.
func mountIn(env *nstest.Env, path string) {
	GinkgoHelper()
	Expect(env.Self().Do(func() error {
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		return unix.Mount("none", path, "ramfs", 0, "")
	})).To(Succeed())
}

func registerListings() {
	property.It("M15", func(_ SpecContext, c *property.Check) {
		// Else it would see Go's directories and our module at their place.
		for name, value := range map[string]string{"GOCACHE": "/nowhere", "GOMODCACHE": "/nowhere", "GOROOT": "/nowhere", "TMPDIR": "/tmp"} {
			GinkgoTB().Setenv(name, value)
		}
		root := ground(alone, "root") + "/root"
		GinkgoTB().Chdir("/")
		env := nstest.New(GinkgoTB(), nstest.Config{Root: root})
		c.Negative("an environment has these mounts and no others", func() {
			found := mountsIn(env)
			c.Saw("mounts", strings.Join(found, ", "))
			Expect(found).To(ConsistOf(given))
		})
		c.Positive("if there is one more, it is noticed", func() {
			const more = "/mnt"
			mountIn(env, more)
			found := mountsIn(env)
			c.Saw("mounts", strings.Join(found, ", "))
			Expect(found).NotTo(ConsistOf(given))
			Expect(found).To(ContainElement(more + " ramfs"))
		})
	})
}
