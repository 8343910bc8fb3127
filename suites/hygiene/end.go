package hygiene

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// sleepers are processes that a runner has started, by their numbers in its PID namespace.
type sleepers struct{ Child, Command int }

// sleep starts an ordinary child and a command in an environment, which sleep, and reports them.
var sleep = nsx.Register("hygiene/sleep", func(parent *nsx.Parent, _ any) (any, error) {
	plain := exec.Command("sleep", "infinity")
	plain.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := plain.Start(); err != nil {
		return nil, err
	}
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		return nil, err
	}
	within := env.Self().Command("sleep", "infinity")
	if err := within.Start(); err != nil {
		return nil, err
	}
	return nil, parent.Report(sleepers{plain.Process.Pid, within.Process.HostPid()}, nil)
})

// closeOutput starts a child, in an environment or not, that leaves a process which sleeps. It then closes its own
// standard output and a further file that is not closed on exec, which were theirs to inherit, and reports.
var closeOutput = nsx.Register("hygiene/close-output", func(parent *nsx.Parent, ordinary bool) (any, error) {
	inherited := []int{unix.Stdout, leakedFD}
	for _, fd := range inherited {
		if err := unix.Dup2(int(parent.Files[0].Fd()), fd); err != nil {
			return nil, err
		}
	}
	script := []string{"sh", "-c", "sleep infinity & echo started"}
	if ordinary {
		plain := exec.Command(script[0], script[1:]...)
		plain.Stdout = os.Stdout
		if err := plain.Run(); err != nil {
			return nil, err
		}
	} else {
		env, err := nstest.Open(context.Background(), nstest.Config{})
		if err != nil {
			return nil, err
		}
		if err := env.Self().Command(script[0], script[1:]...).Run(); err != nil {
			return nil, err
		}
	}
	if err := parent.Files[0].Close(); err != nil {
		return nil, err
	}
	for _, fd := range inherited {
		if err := unix.Close(fd); err != nil {
			return nil, err
		}
	}
	return nil, parent.Report(nil, nil)
})

// isHeld reports whether somebody has the writing end of a pipe open.
func isHeld(r *os.File) bool {
	GinkgoHelper()
	poll := []unix.PollFd{{Fd: int32(r.Fd())}} // a hang-up is always told
	_, err := pollNow(poll)
	Expect(err).NotTo(HaveOccurred())
	return poll[0].Revents&unix.POLLHUP == 0
}

// open opens a process, which may have ended already, until the spec ends.
func open(pid int) (pidfd *os.File) {
	GinkgoHelper()
	fd, err := unix.PidfdOpen(pid, 0)
	Expect(err).NotTo(HaveOccurred())
	pidfd = os.NewFile(uintptr(fd), "process "+strconv.Itoa(pid))
	DeferCleanup(pidfd.Close)
	return pidfd
}

// isAlive reports whether a process has not ended yet.
func isAlive(pidfd *os.File) bool {
	GinkgoHelper()
	poll := []unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}
	n, err := pollNow(poll)
	Expect(err).NotTo(HaveOccurred())
	return n == 0
}

// pollNow is poll(2) without waiting, which says that it was interrupted even so if one of Go's own signals comes meanwhile.
func pollNow(poll []unix.PollFd) (n int, err error) {
	for n, err = unix.Poll(poll, 0); errors.Is(err, unix.EINTR); {
		n, err = unix.Poll(poll, 0)
	}
	return n, err
}

func kindsOf(list []leaks.Leak) (kinds []leaks.Kind) {
	for _, l := range list {
		kinds = append(kinds, l.Kind)
	}
	return kinds
}

// outlasting are the files that outlast their processes: temporary ones, and directories of cgroups.
func outlasting() (paths []string) {
	GinkgoHelper()
	for _, pattern := range []string{filepath.Join(os.TempDir(), "*"), "/tmp/*", "/var/tmp/*", "/dev/shm/*", "/run/*", "/sys/fs/cgroup/*", "/sys/fs/cgroup/*/*"} {
		found, err := filepath.Glob(pattern)
		Expect(err).NotTo(HaveOccurred())
		paths = append(paths, found...)
	}
	return paths
}

func registerEnd() {
	property.It("H13", func(ctx SpecContext, c *property.Check) {
		runner, err := nsx.Spawn(ctx, nsx.Spec{}, sleep, nil)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(runner.Close)
		var pids sleepers
		Expect(runner.Await(&pids)).To(Succeed())
		child, command := open(pids.Child), open(pids.Command)
		DeferCleanup(func() { _ = unix.PidfdSendSignal(int(child.Fd()), unix.SIGKILL, nil, 0) })
		Expect(runner.Signal(syscall.SIGKILL)).To(Succeed())
		how, err := runner.Wait()
		Expect(err).NotTo(HaveOccurred())
		Expect(how.Signal()).To(Equal(syscall.SIGKILL))

		c.Negative("a command in an environment ends with the program that was killed", func() {
			Eventually(ctx, func() bool { return isAlive(command) }).Should(BeFalse())
			c.Saw("alive", isAlive(command))
		})
		c.Positive("an ordinary child goes on", func() {
			c.Saw("alive", isAlive(child))
			Expect(isAlive(child)).To(BeTrue())
		})
	})

	property.It("H14", func(_ SpecContext, c *property.Check) {
		dir := GinkgoTB().TempDir()
		before := leaks.Take()
		c.Positive("what a program leaves is found: a process, a mount, a device, a socket, a file", func() {
			child := exec.Command("sleep", "infinity")
			Expect(child.Start()).To(Succeed())
			Expect(unix.Mount("none", dir, "tmpfs", 0, "")).To(Succeed())
			Expect(exec.Command("ip", "link", "add", "left0", "type", "veth", "peer", "name", "left1").Run()).To(Succeed())
			socket, err := net.Listen("unix", "@nstest-left")
			Expect(err).NotTo(HaveOccurred())

			file := filepath.Join(os.TempDir(), "left")
			Expect(os.WriteFile(file, nil, 0o600)).To(Succeed())

			kinds := kindsOf(before.Diff(leaks.Take()))
			c.Saw("kinds", kinds)
			Expect(outlasting()).To(ContainElement(file))
			Expect(kinds).To(ContainElements(leaks.Process, leaks.Mount, leaks.Link, leaks.Socket))

			Expect(child.Process.Kill()).To(Succeed())
			Expect(child.Wait()).NotTo(Succeed())
			Expect(unix.Unmount(dir, 0)).To(Succeed())
			Expect(exec.Command("ip", "link", "del", "left0").Run()).To(Succeed())
			Expect(socket.Close()).To(Succeed())
			Expect(os.Remove(file)).To(Succeed())
		})
		c.Negative("of an environment, with hosts and processes, nothing is left when it is closed", func() {
			files := outlasting()
			env := nstest.New(GinkgoTB(), nstest.Config{})
			for _, name := range []string{"one", "two"} {
				out, err := env.Host(name).Command("sh", "-c", "sleep infinity >/dev/null 2>&1 & echo left >/tmp/left; mkdir /dev/shm/left; ls /tmp /dev/shm").Output()
				Expect(err).NotTo(HaveOccurred())
				Expect(string(out)).To(ContainSubstring("left"))
			}
			Expect(kindsOf(before.Diff(leaks.Take()))).To(ContainElements(leaks.Environment, leaks.Process), "while it is there")
			Expect(env.Close()).To(Succeed())
			left := before.Leaks()
			c.Saw("leaks", left)
			Expect(left).To(BeEmpty())
			c.Saw("temporary files and cgroups, before and after", []int{len(files), len(outlasting())})
			Expect(outlasting()).To(Equal(files))
		})
	})

	property.It("H15", func(ctx SpecContext, c *property.Check) {
		held := func(ordinary bool) bool {
			GinkgoHelper()
			r, w, err := os.Pipe()
			Expect(err).NotTo(HaveOccurred())
			defer r.Close()
			runner, err := nsx.Spawn(ctx, nsx.Spec{Files: []*os.File{w}}, closeOutput, ordinary)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(runner.Close)
			Expect(w.Close()).To(Succeed())
			Expect(runner.Await(nil)).To(Succeed())
			return isHeld(r)
		}
		c.Positive("an orphan of a child holds the standard output of the program, and whoever reads that waits for it", func() {
			h := held(true)
			c.Saw("held", h)
			Expect(h).To(BeTrue())
		})
		c.Negative("nothing of an environment holds it", func() {
			h := held(false)
			c.Saw("held", h)
			Expect(h).To(BeFalse())
		})
	})
}
