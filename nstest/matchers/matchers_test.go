package matchers_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
	. "github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/nstest/nsx"
)

func TestMain(m *testing.M) { os.Exit(leaks.Main(m)) }

func TestMatchers(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	nstest.RunSpecs(t, "Matchers")
}

// hold reports once, and ends when it may go on.
var hold = nsx.Register("hold", func(parent *nsx.Parent, _ any) (any, error) { return nil, parent.Report(nil, nil) })

func holder(ctx SpecContext, s nsx.Spec) *nsx.Process[any] {
	GinkgoHelper()
	p, err := nsx.Spawn(ctx, s, hold, nil)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	Expect(p.Await(nil)).To(Succeed())
	return p
}

// complaint is what a failed assertion would say.
func complaint(assert func(Gomega)) (text string) {
	g := NewGomega(func(message string, _ ...int) { text += message })
	assert(g)
	return text
}

var _ = Describe("ShareNamespace", func() {
	It("compares processes, machines and open namespaces", func(ctx SpecContext) {
		p := holder(ctx, nsx.Spec{Kinds: nsx.UTS})
		Expect(p).NotTo(ShareNamespace(nsx.UTS, os.Getpid()))
		Expect(p).To(ShareNamespace(nsx.IPC, os.Getpid()))
		Expect(p).To(ShareNamespace(nsx.UTS, p.PID()))
		Expect(nstest.Current()).To(ShareNamespace(nsx.UTS, os.Getpid()))
		Expect(nstest.Current().Host("web")).NotTo(ShareNamespace(nsx.UTS, os.Getpid()))
		f, err := p.Open(nsx.UTS)
		Expect(err).NotTo(HaveOccurred())
		defer f.Close()
		Expect(f).To(ShareNamespace(nsx.UTS, p))
		inode, err := p.Inode(nsx.UTS)
		Expect(err).NotTo(HaveOccurred())
		Expect(p).To(BeInNamespace(nsx.UTS, inode))
		Expect(os.Getpid()).NotTo(BeInNamespace(nsx.UTS, inode))
	})
	It("shows both sides when it fails", func(ctx SpecContext) {
		p := holder(ctx, nsx.Spec{Kinds: nsx.UTS})
		text := complaint(func(g Gomega) { g.Expect(p).To(ShareNamespace(nsx.UTS, os.Getpid())) })
		Expect(strings.Count(text, "uts:[")).To(Equal(2), text)
	})
	It("is not polled for when a process has ended", func() {
		cmd := exec.Command("true")
		Expect(cmd.Run()).To(Succeed())
		m := ShareNamespace(nsx.UTS, cmd.Process)
		Expect(m.(interface{ MatchMayChangeInTheFuture(any) bool }).MatchMayChangeInTheFuture(os.Getpid())).To(BeFalse())
		Expect(ShareNamespace(nsx.UTS, 1).(interface{ MatchMayChangeInTheFuture(any) bool }).MatchMayChangeInTheFuture(os.Getpid())).To(BeTrue())
	})
	It("says what it cannot look at", func() {
		_, err := ShareNamespace(nsx.UTS, 1).Match("a string")
		Expect(err).To(MatchError(ContainSubstring("a string is neither a process")))
	})
})

var _ = Describe("HaveMount", func() {
	It("knows propagation", func(ctx SpecContext) {
		dir := GinkgoTB().TempDir()
		Expect(os.Getpid()).NotTo(HaveMount(dir))
		Expect(unix.Mount("tmpfs", dir, "tmpfs", 0, "")).To(Succeed())
		DeferCleanup(unix.Unmount, dir, 0)
		Expect(unix.Mount("", dir, "", unix.MS_PRIVATE, "")).To(Succeed())
		Expect(os.Getpid()).To(And(HaveMount(dir), HaveMount(dir, Private), Not(HaveMount(dir, Shared))))
		Expect(unix.Mount("", dir, "", unix.MS_SHARED, "")).To(Succeed())
		Expect(nstest.Current()).To(HaveMount(dir, Shared))

		p := holder(ctx, nsx.Spec{Kinds: nsx.Mount})
		Expect(p).To(HaveMount(dir, Shared))
		Expect(unix.Mount("", dir, "", unix.MS_SLAVE, "")).To(Succeed())
		Expect(unix.Mount("", dir, "", unix.MS_SHARED, "")).To(Succeed())
		Expect(os.Getpid()).To(And(HaveMount(dir, Shared, Slave), Not(HaveMount(dir, Slave))))
		text := complaint(func(g Gomega) { g.Expect(os.Getpid()).To(HaveMount(dir, Private)) })
		Expect(text).To(And(ContainSubstring("mount "+dir+" private"), ContainSubstring("mount "+dir+" shared+slave")))
	})
})

var _ = Describe("HaveInterface, HaveIDMap and HaveSysctl", func() {
	It("look at processes", func(ctx SpecContext) {
		p := holder(ctx, nsx.Spec{Kinds: nsx.Net}.AsRoot())
		Expect(p).To(And(HaveInterface("lo"), Not(HaveInterface("eth0"))))
		Expect(os.Getpid()).To(HaveInterface("eth0"))
		Expect(p).To(And(HaveIDMap("uid_map", 0, 0, 1), Not(HaveIDMap("uid_map", 0, 0, 2))))
	})
	It("look at machines", func() {
		env := nstest.Current()
		Expect(env.Host("web")).To(HaveInterface("eth0"))
		Expect(env).To(HaveSysctl("net.ipv4.ip_forward", 0))
		Expect(env.Host("web")).To(HaveSysctl("kernel.hostname", HavePrefix("we")))
		_, err := HaveSysctl("kernel.no_such_thing", 0).Match(env)
		Expect(err).To(MatchError(os.ErrNotExist))
		text := complaint(func(g Gomega) { g.Expect(env).To(HaveSysctl("kernel.hostname", "other")) })
		Expect(text).To(And(ContainSubstring("other"), ContainSubstring("spec"), ContainSubstring("kernel.hostname")))
	})
})

var _ = Describe("HaveProcess, HaveMessageQueue, HaveRoute and Reach", func() {
	It("look at machines", func() {
		web, client := nstest.Current().Host("web"), nstest.Current().Host("client")
		sleep := web.Command("sleep", "1234")
		Expect(sleep.Start()).To(Succeed())
		Expect(web).To(HaveProcess("sleep 1234"))
		Expect(client).NotTo(HaveProcess("sleep 1234"))

		Expect(client).NotTo(Reach("web:80"))
		l, err := web.Listen("tcp", ":80")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(l.Close)
		Expect(client).To(Reach("web:80"))

		lan := nstest.Current().Network("").Prefixes()[0].String()
		Expect(client).To(And(HaveRoute(lan), Not(HaveRoute("default")), Not(HaveRoute(lan[:len(lan)-1]))))
		Expect(os.Getpid()).To(HaveRoute(lan))

		const key = 0x4e53
		id, _, errno := unix.Syscall(unix.SYS_MSGGET, key, unix.IPC_CREAT|0o600, 0)
		Expect(errno).To(BeZero())
		Expect(nstest.Current()).To(HaveMessageQueue(key))
		Expect(web).NotTo(HaveMessageQueue(key))
		_, _, errno = unix.Syscall(unix.SYS_MSGCTL, id, unix.IPC_RMID, 0)
		Expect(errno).To(BeZero())
		Expect(nstest.Current()).NotTo(HaveMessageQueue(key))
	})
})
