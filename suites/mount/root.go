package mount

import (
	"errors"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// pivotInto are the deeds that make a mount the root of the namespace, and let go of the old one.
func pivotInto(root string) []deed {
	return []deed{chdir(root), pivot(".", "."), detach("."), chdir("/")}
}

// breakOut are the deeds by which root leaves a chroot: with the root further down than the working directory, nothing
// stops ".." on its way up. The root has a directory /way for them.
var breakOut = []deed{chroot("/way"), chdir("../../../../../../../../../.."), chroot(".")}

func registerRoots() {
	property.It("M13", func(ctx SpecContext, c *property.Check) {
		dir := ground(alone, "root")
		do(outside, write(dir+"/outside", "found"), tmpfs(dir+"/root"), mkdir(dir+"/root/way"), write(dir+"/root/inside", ""))
		c.Positive("who is in a chroot only finds the file outside by chrooting twice", func() {
			inside := enter(ctx, private)
			do(inside, chroot(dir+"/root"), chdir("/"))
			names := do(inside, list("/"))
			c.Saw("in the root", names)
			Expect(names).To(Equal("inside way"))
			Expect(failure(inside, read(dir+"/outside"))).To(MatchError(unix.ENOENT))
			do(inside, breakOut...)
			text := do(inside, read(dir+"/outside"))
			c.Saw("the file outside, after the second chroot", text)
			Expect(text).To(Equal("found"))
		})
		for _, who := range []struct {
			name string
			spec nsx.Spec
		}{{"who", private}, {"who has a user namespace of its own and", unprivileged(0)}} {
			c.Negative(who.name+" has changed the root by pivot_root does not", func() {
				inside := enter(ctx, who.spec)
				do(inside, bind(dir+"/root", dir+"/root", 0)) // one that was given is locked in its place
				do(inside, pivotInto(dir+"/root")...)
				do(inside, breakOut...)
				names := do(inside, list("/"))
				err := failure(inside, read(dir+"/outside"))
				c.Saw("in the root", names)
				c.Saw("the file outside, after the second chroot", err)
				Expect(names).To(Equal("inside way"))
				Expect(err).To(MatchError(unix.ENOENT))
			})
		}
	})
}

// busyboxRoot is a directory that has all that a machine needs, which is a busybox.
func busyboxRoot() (root string) {
	GinkgoHelper()
	program, err := os.ReadFile(require.Program("busybox"))
	Expect(err).NotTo(HaveOccurred())
	root = ground(alone, "root") + "/root"
	do(outside, tmpfs(root), mkdir(root+"/bin"), mkdir(root+"/proc"), mkdir(root+"/way"))
	Expect(os.WriteFile(root+"/bin/busybox", program, 0o755)).To(Succeed())
	return root
}

// install gives the commands of the busybox in a process's root their names.
func install(p process) {
	GinkgoHelper()
	_, err := p.try(execute("/bin/busybox", "--install", "-s", "/bin"))
	if errors.Is(err, unix.ENOENT) {
		require.Skip("busybox needs libraries, which its root does not have", "install busybox-static")
	}
	Expect(err).NotTo(HaveOccurred())
}

func registerBusybox() {
	look := execute("/bin/sh", "-c", "ls /; echo $PPID; cut -d' ' -f5 /proc/self/mountinfo")

	property.Seed("a busybox is a whole machine, once pivot_root has made its directory the root", func(ctx SpecContext) {
		root := busyboxRoot()
		inside := enter(ctx, unprivileged(nsx.PID))
		Expect(do(inside, look)).To(ContainSubstring("usr\n"), "before, it sees our root")
		Expect(inside).To(matchers.HaveMount(root))

		// The kernel allows a fresh /proc only as long as there is one to be seen, so it is mounted first.
		do(inside, bind(root, root, 0), mount("proc", root+"/proc", ""))
		do(inside, pivotInto(root)...)
		install(inside)
		Expect(do(inside, look)).To(Equal("bin\nproc\nway\n1\n/\n/proc\n"))
		Expect(do(inside, execute("/bin/ps", "-o", "pid,comm"))).To(MatchRegexp(`^PID +COMMAND\n +1 \S+\n +\d+ ps\n$`))
		Expect(failure(inside, list(root))).To(MatchError(unix.ENOENT))
		do(inside, breakOut...)
		Expect(do(inside, list("/"))).To(Equal("bin proc way"), "there is no way out")
	})

	property.Seed("a chroot into it looks the same, but root chroots again and is out", func(ctx SpecContext) {
		root := busyboxRoot()
		inside := enter(ctx, private)
		do(inside, mount("proc", root+"/proc", ""), chroot(root), chdir("/"))
		install(inside)
		Expect(do(inside, execute("/bin/ls", "/"))).To(Equal("bin\nproc\nway\n"))
		do(inside, breakOut...)
		Expect(do(inside, list("/"))).To(Equal(do(outside, list("/"))))
		Expect(do(inside, list(root))).To(Equal("bin proc way"))
	})
}
