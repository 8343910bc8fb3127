package cgroup

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// fill takes memory of a size, and uses all of it.
var fill = nsx.Register("cgroup/fill", func(_ *nsx.Parent, size int) (any, error) {
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	for i := 0; i < size; i += os.Getpagesize() {
		memory[i] = 1
	}
	return nil, nil
})

func registerLimits() {
	property.It("C6", func(ctx SpecContext, c *property.Check) {
		g := newGroup(c, unified("pids"), legacy("pids"))
		// The shell is no probe: where a Go program cannot start a thread, it ends. Its children wait for the end of a pipe
		// that is ours, so that they end with this program too.
		const script = `wait_for_end() { read -r nothing <&3; }
			read -r go; wait_for_end & wait_for_end & echo two children
			read -r go; wait_for_end & exit 0`
		end, hold, err := os.Pipe()
		Expect(err).NotTo(HaveOccurred())
		shell := exec.CommandContext(ctx, "sh", "-c", script)
		shell.ExtraFiles = []*os.File{end}
		complaint, err := os.Create(filepath.Join(GinkgoTB().TempDir(), "complaint")) // no pipe: its children have it too
		Expect(err).NotTo(HaveOccurred())
		shell.Stderr = complaint
		in, err := shell.StdinPipe()
		Expect(err).NotTo(HaveOccurred())
		out, err := shell.StdoutPipe()
		Expect(err).NotTo(HaveOccurred())
		Expect(shell.Start()).To(Succeed())
		DeferCleanup(func() { // before the cgroup is removed
			for _, f := range []*os.File{end, hold, complaint} {
				f.Close()
			}
			in.Close()
			_ = shell.Wait() // its status is nothing to rely on: shells differ in how they give up
		})
		Expect(g.add(shell.Process.Pid)).To(Succeed())
		Expect(g.write("pids.max", "3")).To(Succeed())
		answers := bufio.NewReader(out)

		c.Positive("a shell has two children: three processes, as many as there may be", func() {
			fmt.Fprintln(in)
			answer, err := answers.ReadString('\n')
			Expect(err).NotTo(HaveOccurred())
			c.Saw("the shell says", strings.TrimSpace(answer))
			c.Saw("pids.current", g.read("pids.current"))
			c.Saw("pids.events", g.read("pids.events"))
			Expect(answer).To(Equal("two children\n"))
			Expect(g.read("pids.current")).To(Equal("3"))
			Expect(g.count("pids.events", "max")).To(BeZero())
		})
		c.Negative("its third child would be the fourth: fork gives EAGAIN, and the shell gives up", func() {
			fmt.Fprintln(in)
			err := shell.Wait()
			text, unread := os.ReadFile(complaint.Name())
			Expect(unread).NotTo(HaveOccurred())
			c.Saw("the shell ends with", err)
			c.Saw("the shell complains", strings.TrimSpace(string(text)))
			c.Saw("pids.events", g.read("pids.events"))
			Expect(err).To(HaveOccurred())
			Expect(string(text)).To(ContainSubstring("fork"))
			Expect(g.count("pids.events", "max")).To(BeNumerically(">", 0))
		})
	}, nstest.InProcess)

	property.It("C7", func(ctx SpecContext, c *property.Check) {
		const MiB = 1 << 20
		g := newGroup(c, unified("memory"))
		Expect(g.write("memory.max", fmt.Sprint(64*MiB))).To(Succeed())
		if err := g.write("memory.swap.max", "0"); err != nil { // it is not there where there is no swap
			Expect(err).To(MatchError(unix.ENOENT))
		}
		filled := func(size int) *nsx.Process[any] {
			GinkgoHelper()
			p, err := nsx.Spawn(ctx, nsx.Spec{How: nsx.Clone3, Cgroup: g.open()}, fill, size)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(p.Close)
			return p
		}
		c.Positive("a process that takes less lives", func() {
			_, err := filled(16 * MiB).Result()
			c.Saw("error", err)
			c.Saw("oom_kill in memory.events", g.count("memory.events", "oom_kill"))
			Expect(err).NotTo(HaveOccurred())
			Expect(g.count("memory.events", "oom_kill")).To(BeZero())
		})
		c.Negative("one that takes more is killed, and it alone: who takes as much elsewhere lives", func() {
			status, err := filled(256 * MiB).Wait()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("it ends by", status.Signal())
			c.Saw("oom_kill in memory.events", g.count("memory.events", "oom_kill"))
			Expect(status.Signal()).To(Equal(unix.SIGKILL))
			Expect(g.count("memory.events", "oom_kill")).To(Equal(1))
			_, err = nsx.Run(ctx, nsx.Spec{}, fill, 256*MiB)
			c.Saw("error elsewhere", err)
			Expect(err).NotTo(HaveOccurred())
		})
	}, nstest.InProcess)
}
