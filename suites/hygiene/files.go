package hygiene

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/property"
)

const leakedFile plant = "a file that is not closed on exec"

// leakedFD is the number of that file.
const leakedFD = 77

// leakFile opens the root directory, through which the whole tree around an environment could be read.
func leakFile() error {
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Dup3(fd, leakedFD, 0); err != nil {
		return err
	}
	return unix.Close(fd)
}

func registerFiles() {
	property.It("H1", func(ctx SpecContext, c *property.Check) {
		s := run(ctx, leakedFile)
		c.Positive("a child inherits file 77, which is the root directory", func() {
			c.Saw("files", s.Child.Files)
			Expect(s.Child.Files).To(HaveKeyWithValue(leakedFD, "/"))
		})
		c.Negative("a command in an environment has the standard files", func() {
			c.Saw("files", s.Inside.Files)
			Expect(slices.Sorted(maps.Keys(s.Inside.Files))).To(Equal([]int{0, 1, 2}))
		})
		c.Negative("and the init does not hold that file", func() {
			c.Saw("numbers", s.Inside.InitFiles)
			Expect(s.Inside.InitFiles).NotTo(BeEmpty())
			Expect(s.Inside.InitFiles).NotTo(ContainElement(strconv.Itoa(leakedFD)))
		})
		c.Negative("further files of a command are those that it is given", func() {
			given, err := os.Open("/etc/hostname")
			Expect(err).NotTo(HaveOccurred())
			defer given.Close()
			files := start(nstest.New(GinkgoTB(), nstest.Config{}), func(cmd *nstest.Cmd) { cmd.ExtraFiles = []*os.File{given} }).Files
			c.Saw("files", files)
			Expect(slices.Sorted(maps.Keys(files))).To(Equal([]int{0, 1, 2, 3}))
		})
	})

	property.It("H2", func(_ SpecContext, c *property.Check) {
		list := func(paths string) (held []string) {
			for line := range strings.Lines(paths) {
				if strings.Contains(line, "/cpu.") {
					held = append(held, strings.TrimSpace(line))
				}
			}
			return held
		}
		var ours strings.Builder
		entries, err := os.ReadDir("/proc/self/fd")
		Expect(err).NotTo(HaveOccurred())
		for _, e := range entries {
			if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
				ours.WriteString(target + "\n")
			}
		}
		held := list(ours.String())
		if len(held) == 0 {
			c.Skip("Go's runtime holds no file of a cgroup", "run it where /sys/fs/cgroup is mounted and has a cpu controller, with Go 1.25 or later")
		}
		c.Positive("Go's runtime holds the files of the CPU limit", func() {
			c.Saw("files", held)
			Expect(held).To(ContainElement(HavePrefix("/sys/fs/cgroup/")))
		})
		const script = `readlink /proc/$$/fd/*; true` // the shell has closed one of them: the directory that it read
		c.Negative("a child has none of them", func() {
			out, err := exec.Command("sh", "-c", script).Output()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("files", strings.Fields(string(out)))
			Expect(list(string(out))).To(BeEmpty())
		})
		c.Negative("nor has a command in an environment", func() {
			out, err := nstest.New(GinkgoTB(), nstest.Config{}).Self().Command("sh", "-c", script).Output()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("files", strings.Fields(string(out)))
			Expect(list(string(out))).To(BeEmpty())
		})
	}, nstest.InProcess)
}
