package mount

import (
	"fmt"
	"os"

	"github.com/hermetic-go/nstest/suites/property"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// table is a file of /proc/PID that lists the mounts of a process.
func table(p process, name string) string {
	GinkgoHelper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.PID(), name))
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}

func registerTables() {
	property.Seed("/proc/PID/mounts, mountinfo and mountstats are those of the process's namespace", func(ctx SpecContext) {
		dir := ground(alone, "at")
		inside := enter(ctx, private)
		do(inside, deed{Call: "mount", Source: "nstest-disc", Path: dir + "/at", Type: "ramfs"})
		for name, line := range map[string]string{
			"mounts":     `(?m)^nstest-disc ` + dir + `/at ramfs rw,relatime 0 0$`,
			"mountinfo":  `(?m)^\d+ \d+ \d+:\d+ / ` + dir + `/at rw,relatime - ramfs nstest-disc rw$`,
			"mountstats": `(?m)^device nstest-disc mounted on ` + dir + `/at with fstype ramfs$`,
		} {
			Expect(table(inside, name)).To(MatchRegexp(line), "inside, as seen from outside")
			Expect(do(inside, read("/proc/self/"+name))).To(MatchRegexp(line), "inside, as seen from there")
			Expect(table(outside, name)).NotTo(ContainSubstring("nstest-disc"))
			Expect(do(inside, read(fmt.Sprintf("/proc/%d/%s", outside.PID(), name)))).NotTo(ContainSubstring("nstest-disc"))
		}
		Expect(os.Readlink("/proc/mounts")).To(Equal("self/mounts"))
	})

	property.Seed("they tell a process in a chroot of what is below its root alone", func(ctx SpecContext) {
		dir := ground(alone, "root")
		do(outside, tmpfs(dir+"/root"), mkdir(dir+"/root/at"))
		inside := enter(ctx, private)
		do(inside, deed{Call: "mount", Source: "nstest-disc", Path: dir + "/root/at", Type: "ramfs"})
		Expect(table(inside, "mounts")).To(ContainSubstring("\nproc /proc proc "))
		do(inside, chroot(dir+"/root"))
		Expect(table(inside, "mounts")).To(MatchRegexp(`^none / tmpfs .*\nnstest-disc /at ramfs rw,relatime 0 0\n$`))
	})
}
