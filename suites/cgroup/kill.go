package cgroup

import (
	"os/exec"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// brood starts processes that are hard to catch one by one: a shell that ignores signals, with one child in its session and
// one in another, and a process in a PID namespace of its own.
var brood = nsx.Register("cgroup/brood", func(parent *nsx.Parent, _ any) (any, error) {
	const script = `trap "" HUP INT TERM; sleep infinity & setsid sleep infinity & wait`
	nested := exec.Command("sleep", "infinity")
	nested.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	for _, cmd := range []*exec.Cmd{exec.Command("sh", "-c", script), nested} {
		if err := cmd.Start(); err != nil {
			return nil, err
		}
	}
	return nil, parent.Report(nil, nil)
})

func registerKill() {
	property.It("C5", func(ctx SpecContext, c *property.Check) {
		const family = 5 // with the probe
		g := newGroup(c, unified(""))
		p, err := nsx.Spawn(ctx, nsx.Spec{How: nsx.Clone3, Kinds: nsx.PID, Cgroup: g.open()}.AsRoot(), brood, nil)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(p.Close)
		Expect(p.Await(nil)).To(Succeed())

		c.Positive("they are in the cgroup, and live", func() {
			Eventually(g.processes).WithContext(ctx).Should(HaveLen(family))
			c.Saw("processes", g.processes())
			c.Saw("populated", g.count("cgroup.events", "populated"))
			Expect(g.count("cgroup.events", "populated")).To(Equal(1))
			Expect(p.Ended()).NotTo(BeClosed())
		})
		c.Negative("one write to cgroup.kill ends all", func() {
			Expect(g.write("cgroup.kill", "1")).To(Succeed())
			status, err := p.Wait()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("the first has ended by", status.Signal())
			Expect(status.Signal()).To(Equal(unix.SIGKILL))
			Eventually(g.count).WithArguments("cgroup.events", "populated").WithContext(ctx).Should(BeZero())
			c.Saw("processes", g.processes())
			Expect(g.processes()).To(BeEmpty())
		})
	}, nstest.InProcess)
}
