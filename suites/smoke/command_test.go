package smoke_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A command", func() {
	var host *nstest.Host

	BeforeEach(func() { host = fresh().Host("web") })

	It("ends with a status and has written to two streams", func() {
		cmd := probing(host, "exit", "3")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		var exit *nstest.ExitError
		Expect(errors.As(err, &exit)).To(BeTrue(), "%v", err)
		Expect(exit.ExitCode()).To(Equal(3))
		Expect(exit.Exited()).To(BeTrue())
		Expect(err).To(MatchError(HavePrefix("exit status 3 (host web: ")))
		Expect(stdout.String()).To(Equal("out"))
		Expect(stderr.String()).To(Equal("err"))
		Expect(cmd.ProcessState.Success()).To(BeFalse())
		Expect(cmd.ProcessState.Pid()).To(Equal(cmd.Process.Pid))
		Expect(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).To(BeNumerically(">", 0))
		Expect(cmd.ProcessState.MaxRSS()).To(BeNumerically(">", 1<<20))
	})

	It("has its output collected", func() {
		Expect(probing(host, "exit", "0").Output()).To(BeEquivalentTo("out"))
		Expect(probing(host, "exit", "0").CombinedOutput()).To(BeEquivalentTo("outerr"))
		_, err := probing(host, "exit", "1").Output()
		var exit *nstest.ExitError
		Expect(errors.As(err, &exit)).To(BeTrue())
		Expect(exit.Stderr).To(BeEquivalentTo("err"))
	})

	It("reads its standard input", func() {
		cmd := probing(host, "echo")
		cmd.Stdin = bytes.NewBufferString("hello")
		Expect(answer[string](cmd)).To(Equal("HELLO"))
	})

	DescribeTable("has named network namespaces, with their own /sys", func(host func(*nstest.Env) *nstest.Host) {
		require.Program("ip")
		script := "ip netns add blue && ls /sys/class/net && echo -- && ip netns exec blue ls /sys/class/net"
		out, err := host(fresh()).Command("sh", "-ec", script).CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		Expect(string(out)).To(Equal("eth0\nlo\n--\nlo\n"))
	},
		Entry("in the environment's own host", (*nstest.Env).Self),
		Entry("in a further host", func(env *nstest.Env) *nstest.Host { return env.Host("web") }),
	)

	It("has pipes", func() {
		cmd := probing(host, "echo")
		stdin, err := cmd.StdinPipe()
		Expect(err).NotTo(HaveOccurred())
		stdout, err := cmd.StdoutPipe()
		Expect(err).NotTo(HaveOccurred())
		stderr, err := cmd.StderrPipe()
		Expect(err).NotTo(HaveOccurred())
		Expect(cmd.Start()).To(Succeed())
		Expect(io.WriteString(stdin, "hello")).To(Equal(5))
		Expect(stdin.Close()).To(Succeed())
		var r reply
		Expect(json.NewDecoder(stdout).Decode(&r)).To(Succeed())
		Expect(string(r.Value)).To(Equal(`"HELLO"`))
		Expect(io.ReadAll(stderr)).To(BeEmpty())
		Expect(cmd.Wait()).To(Succeed())
	})

	It("has the directory, environment and umask that it was given", func() {
		cmd := probing(host, "identity")
		umask := 0o077
		cmd.Dir, cmd.Umask = "/dev", &umask
		Expect(answer[identity](cmd)).To(And(HaveField("Directory", "/dev"), HaveField("Umask", umask)))

		cmd = probing(host, "environment", "SMOKE_COLOUR")
		cmd.Env = append(cmd.Env, "SMOKE_COLOUR=green")
		Expect(answer[string](cmd)).To(Equal("green"))

		cmd = host.Command("true")
		cmd.Dir = "/dev"
		Expect(cmd.Environ()).To(ContainElement("PWD=/dev"))
	})

	It("starts in the program's own directory, where that is visible", func() {
		directory, err := os.Getwd()
		Expect(err).NotTo(HaveOccurred())
		Expect(ask[identity](host, "identity")).To(HaveField("Directory", directory))
	})

	It("can be another user", func() {
		cmd := probing(host, "identity")
		cmd.User = &nstest.User{UID: 26, GID: 26}
		Expect(answer[identity](cmd)).To(And(HaveField("UID", 26), HaveField("GID", 26)))
		cmd = probing(host, "identity")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 27, Gid: 27}}
		Expect(answer[identity](cmd)).To(And(HaveField("UID", 27), HaveField("GID", 27)))
	})

	It("gets signals", func() {
		cmd := probing(host, "hold")
		stdin, err := cmd.StdinPipe()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _ = stdin.Close() })
		Expect(cmd.Start()).To(Succeed())
		Expect(cmd.Process.Pid).NotTo(Equal(cmd.Process.HostPid()))
		Expect(cmd.Process.Signal(syscall.SIGKILL)).To(Succeed())
		err = cmd.Wait()
		Expect(err).To(MatchError(HavePrefix("signal: killed")))
		Expect(cmd.ProcessState.Signal()).To(Equal(syscall.SIGKILL))
		Expect(cmd.Process.Kill()).To(MatchError(os.ErrProcessDone))
	})

	It("gets signals together with what it has started", func() {
		holder := hold(host, "hold orphan")
		orphans := childrenOf(holder.HostPid())
		Expect(orphans).To(HaveLen(1))
		Expect(holder.SignalGroup(syscall.SIGKILL)).To(Succeed())
		Eventually(processDirectory(holder.HostPid())).ShouldNot(BeADirectory())
		Expect(processDirectory(orphans[0])).To(BeADirectory(), "it is in a session of its own")
	})

	It("ends with its context", func() {
		ctx, cancel := context.WithCancel(context.Background())
		self, err := os.Executable()
		Expect(err).NotTo(HaveOccurred())
		cmd := host.CommandContext(ctx, self)
		cmd.Env = append(os.Environ(), probeVariable+"=hold")
		stdin, err := cmd.StdinPipe()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _ = stdin.Close() })
		Expect(cmd.Start()).To(Succeed())
		cancel()
		Expect(cmd.Wait()).To(MatchError(HavePrefix("signal: killed")))
	})

	It("has a terminal if it wants one", func() {
		terminal, err := probing(host, "terminal").StartTerminal(30, 90)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(terminal.Close)
		Expect(io.ReadAll(terminal)).To(ContainSubstring("30 rows, 90 columns"))
		Expect(terminal.Resize(10, 10)).To(Succeed())
	})

	It("is found in the PATH of the host", func() {
		cmd := host.Command("true")
		Expect(cmd.String()).To(Equal("true"))
		Expect(cmd.Run()).To(Succeed())
	})

	DescribeTable("that cannot be started says why",
		func(change func(*nstest.Cmd), want error) {
			cmd := probing(host, "identity")
			change(cmd)
			err := cmd.Start()
			Expect(err).To(MatchError(want))
			var e *nstest.Error
			Expect(errors.As(err, &e)).To(BeTrue())
			Expect(e).To(HaveField("Host", "web"))
			Expect(cmd.Process).To(BeNil())
		},
		Entry("no such command", func(c *nstest.Cmd) { c.Path = "no-such-command" }, exec.ErrNotFound),
		Entry("no such file", func(c *nstest.Cmd) { c.Path = "/no/such/command" }, fs.ErrNotExist),
		Entry("no program", func(c *nstest.Cmd) { c.Path = "/etc/hosts" }, fs.ErrPermission),
		Entry("a directory", func(c *nstest.Cmd) { c.Path = "/etc" }, fs.ErrPermission),
		Entry("no such working directory", func(c *nstest.Cmd) { c.Dir = "/no/such/directory" }, fs.ErrNotExist),
	)

	It("is not the machine's: it runs in the host's namespaces", func() {
		inside, err := ask[identity](host, "identity")
		Expect(err).NotTo(HaveOccurred())
		outside, err := here[identity]("identity")
		Expect(err).NotTo(HaveOccurred())
		Expect(inside.UserNamespace).NotTo(Equal(outside.UserNamespace))
		Expect(inside.NetworkNamespace).NotTo(Equal(outside.NetworkNamespace))
		holder := hold(host, "hold")
		for _, kind := range []string{"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"} {
			ours, err := os.Readlink("/proc/self/ns/" + kind)
			Expect(err).NotTo(HaveOccurred())
			theirs, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(holder.HostPid()), "ns", kind))
			if err == nil { // else the kernel hides them from us, who have no rights over the process
				Expect(theirs).NotTo(Equal(ours), kind)
			}
		}
	})
})
