package mount

import (
	"os"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// filesystems are the types that the kernel knows now. More may come with modules.
func filesystems() (types []string) {
	GinkgoHelper()
	text, err := os.ReadFile("/proc/filesystems")
	Expect(err).NotTo(HaveOccurred())
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		types = append(types, fields[len(fields)-1])
	}
	return types
}

// hierarchies are the cgroup hierarchies of the first version, as options to mount them. From outside of the initial cgroup
// namespace those that exist can be mounted, and no others made.
func hierarchies() (options []string) {
	GinkgoHelper()
	text, err := os.ReadFile("/proc/self/cgroup")
	Expect(err).NotTo(HaveOccurred())
	for line := range strings.Lines(string(text)) {
		switch controllers := strings.Split(line, ":")[1]; {
		case strings.HasPrefix(controllers, "name="):
			options = append(options, "none,"+controllers)
		case controllers != "":
			options = append(options, controllers)
		}
	}
	return options
}

func registerFilesystems() {
	property.It("M24", func(ctx SpecContext, c *property.Check) {
		dir := ground(alone, "lower", "upper", "at")
		inside := enter(ctx, unprivileged(nsx.PID|nsx.Net|nsx.IPC|nsx.Cgroup))
		// admitted are the types that can be mounted, and with which options.
		admitted := map[string]string{
			"tmpfs": "", "ramfs": "", "proc": "", "sysfs": "", "devpts": "", "mqueue": "", "cgroup2": "", "binfmt_misc": "",
			"overlay": "userxattr,lowerdir=" + dir + "/lower:" + dir + "/upper",
		}
		if v1 := hierarchies(); len(v1) > 0 {
			admitted["cgroup"] = v1[0]
			if slices.Contains(v1, "cpuset") {
				admitted["cpuset"] = ""
			}
		}
		known := filesystems()
		c.Positive("root of a user namespace may mount what holds nothing of the machine's", func() {
			for _, fstype := range known {
				options, ok := admitted[fstype]
				if !ok {
					continue
				}
				err := failure(inside, mount(fstype, dir+"/at", options))
				c.Saw(fstype, err)
				Expect(err).NotTo(HaveOccurred(), fstype)
				Expect(inside).To(matchers.HaveMount(dir + "/at"))
				do(inside, umount(dir+"/at"))
			}
		})
		if slices.Contains(known, "fuse") {
			c.Positive("and FUSE, which asks for an open /dev/fuse", func() {
				err := failure(inside, mount("fuse", dir+"/at", ""))
				c.Saw("without one", err)
				Expect(err).To(MatchError(unix.EINVAL))
			})
		}
		c.Negative("every other type that the kernel knows is refused", func() {
			for _, fstype := range known {
				if _, ok := admitted[fstype]; ok || fstype == "fuse" {
					continue
				}
				err := failure(inside, mount(fstype, dir+"/at", ""))
				c.Saw(fstype, err)
				Expect(err).To(MatchError(unix.EPERM), fstype)
			}
		})
	})
}
