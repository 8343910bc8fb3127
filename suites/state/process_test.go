package state_test

import (
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("The processes of a state", func() {
	var web *nstest.Host
	BeforeEach(func() { web = nstest.Current().Host("web") })

	withPID := func(pid int) func(g Gomega) any {
		return func(g Gomega) any {
			for _, p := range on(g, "web").Processes {
				if p.PID == pid {
					return p
				}
			}
			return nil
		}
	}

	It("have what ps shows", func() {
		c := start(web, "sleep", "1000")
		Eventually(withPID(c.Process.Pid)).Should(And(
			HaveField("Args", Equal([]string{"sleep", "1000"})), HaveField("Parent", Equal(1)), HaveField("State", Equal("S")), HaveField("UID", Equal(0)),
			HaveField("Threads", Equal(1)), HaveField("RSS", BeNumerically(">", 0)), HaveField("Waits", Equal("nanosleep")), HaveField("Number", BeNumerically(">", 0)),
		))
		Expect(on(Default, "web").Processes[0]).To(And(HaveField("PID", Equal(1)), HaveField("Number", BeZero())), "the host's init, which nobody has started by Command")
		Expect(on(Default, "self").Processes).NotTo(ContainElement(HaveField("Args", ContainElement("1000"))), "those of other hosts are not there")
		Expect(on(Default, "self").Processes).To(ContainElement(HaveField("Args", ContainElement(ContainSubstring("state.test")))), "and the spec is")
	})
	It("say in what they wait, and what they have open", func() {
		c := web.Command("cat")
		in, err := c.StdinPipe()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(in.Close)
		c.Stdout = io.Discard
		Expect(c.Start()).To(Succeed())
		Eventually(withPID(c.Process.Pid)).Should(And(HaveField("Waits", Equal("read(0)")), HaveField("Files", ContainElement(And(HaveField("FD", Equal(0)), HaveField("Target", Or(HavePrefix("pipe:["), HavePrefix("socket:["))))))))
	})
	It("have the user of the inside", func() {
		c := web.Command("sleep", "1000")
		c.User = &nstest.User{UID: 70, GID: 70}
		Expect(c.Start()).To(Succeed())
		Eventually(withPID(c.Process.Pid)).Should(And(HaveField("Args", ContainElement("sleep")), HaveField("UID", Equal(70))))
	})
	It("tell zombies, stopped ones and those that have ended badly from others", func() {
		zombie := start(web, "sh", "-c", "sleep 0 & exec sleep 1000")
		stopped := start(web, "sleep", "1001")
		Expect(stopped.Process.Signal(syscall.SIGSTOP)).To(Succeed())
		Expect(web.Command("sh", "-c", "exit 7").Run()).NotTo(Succeed())
		crash := start(web, "sh", "-c", "kill -SEGV $$") // for which nobody waits
		killed := start(web, "sleep", "1002")
		Expect(killed.Process.Kill()).To(Succeed())
		Expect(killed.Wait()).NotTo(Succeed())
		Expect(web.Command("true").Run()).To(Succeed())
		Eventually(func(g Gomega) {
			s := on(g, "web")
			g.Expect(s.Processes).To(ContainElement(And(HaveField("State", "Z"), HaveField("Parent", zombie.Process.Pid), HaveField("Args", []string{"[sleep]"}))))
			g.Expect(s.Processes).To(ContainElement(And(HaveField("PID", zombie.Process.Pid), HaveField("Args", []string{"sleep", "1000"}))))
			g.Expect(s.Processes).To(ContainElement(And(HaveField("State", "T"), HaveField("Args", []string{"sleep", "1001"}), HaveField("PID", stopped.Process.Pid))))
			g.Expect(s.Ended).To(ConsistOf(
				And(HaveField("Args", []string{"sh", "-c", "exit 7"}), HaveField("State", "exit status 7")),
				And(HaveField("PID", crash.Process.Pid), HaveField("State", HavePrefix("signal: segmentation fault"))),
			))
		}).Should(Succeed())
		Expect(summary(Default)).To(And(
			ContainSubstring("is a zombie: process %d (sleep 1000) has not waited for it", zombie.Process.Pid),
			ContainSubstring("process %d (sleep 1001) is stopped", stopped.Process.Pid),
			ContainSubstring(`(sh -c "exit 7") has ended: exit status 7`),
			Not(ContainSubstring("sleep 1002")),
		))
	})
	It("are called what they call themselves, and cannot write to a terminal by that", func() {
		c := web.Command("sleep", "1000")
		c.Args = []string{"evil\x1b[31m\nname\xff", strings.Repeat("x", 100000)}
		err := c.Start() // which ends at once, since its argument is no number
		Expect(err).NotTo(HaveOccurred())
		_ = c.Wait()
		c = web.Command("sleep", "1000")
		c.Args[0] = "evil\x1b[31m\nname\xff"
		Expect(c.Start()).To(Succeed())
		Expect(c.Process.Signal(syscall.SIGSTOP)).To(Succeed())
		Eventually(withPID(c.Process.Pid)).Should(And(HaveField("State", "T"), HaveField("Args", Equal([]string{"evil\x1b[31m\nname\ufffd", "1000"}))))
		text := summary(Default)
		Expect(text).To(ContainSubstring(`(evil\x1b[31m\nname� 1000) is stopped`))
		Expect(text).NotTo(ContainSubstring("\x1b"))
		Expect(on(Default, "web").Ended).To(ConsistOf(HaveField("Args", ContainElement(HaveLen(200+len("…"))))))
	})
	It("know their parents however deep", func() {
		const depth = 40
		start(web, "sh", "-c", fmt.Sprintf(`f() { if [ $1 -gt 0 ]; then ( f $(($1 - 1)); : ); else exec sleep 1000; fi; }; f %d; :`, depth))
		Eventually(func(g Gomega) int {
			parents, at := map[int]int{}, 0
			for _, p := range on(g, "web").Processes {
				if parents[p.PID] = p.Parent; p.Args[0] == "sleep" {
					at = p.PID
				}
			}
			n := 0
			for ; at > 1; at = parents[at] {
				n++
			}
			return n
		}).Should(BeNumerically(">", depth))
	})
	It("are there where they have namespaces of their own", func() {
		needs("unshare", "util-linux")
		start(web, "unshare", "--pid", "--fork", "--net", "sleep", "1000")
		Eventually(func(g Gomega) any { return on(g, "web").Processes }).Should(ContainElement(HaveField("Args", []string{"sleep", "1000"})))
		Expect(on(Default, "self").Processes).NotTo(ContainElement(HaveField("Args", ContainElement("sleep"))))
	})
	It("are those of the host, also where it has no PID namespace", func() {
		env := nstest.Current()
		thin, err := env.AddHost(nstest.HostConfig{Name: "thin", NetOnly: true})
		Expect(err).NotTo(HaveOccurred())
		c := start(thin, "sleep", "1003")
		Eventually(func(g Gomega) any { return on(g, "thin").Processes }).Should(ContainElement(And(HaveField("Args", []string{"sleep", "1003"}), HaveField("PID", c.Process.Pid))))
		Expect(on(Default, "self").Processes).NotTo(ContainElement(HaveField("Args", ContainElement("1003"))))
	})
	It("are looked at up to a limit, which is said", func() {
		start(web, "sh", "-c", "i=0; while [ $i -lt 1100 ]; do sleep 1000 & i=$((i+1)); done; wait")
		Eventually(func(g Gomega) {
			s := on(g, "web")
			g.Expect(s.Processes).To(HaveLen(1000))
			g.Expect(s.Errors).To(ConsistOf(MatchRegexp(`^there are 1\d\d\d processes: 1000 were looked at$`)))
		}).Should(Succeed())
	})
	It("tell some of very many open files", func() {
		start(web, "bash", "-c", "ulimit -n 1024; for i in $(seq 300); do exec {fd}</dev/null; done; sleep 1000; :")
		Eventually(func(g Gomega) any { return on(g, "web").Errors }).Should(ContainElement(MatchRegexp(`^process \d+: it has more than 256 files open$`)))
	})
})
