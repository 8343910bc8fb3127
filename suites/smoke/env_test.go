package smoke_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("An environment", func() {
	It("is opened and closed, more than once if need be", func() {
		env, err := nstest.Open(context.Background(), nstest.Config{Name: "mine"})
		Expect(err).NotTo(HaveOccurred())
		Expect(env.Name()).To(Equal("mine"))
		Expect(env.Self().Env()).To(BeIdenticalTo(env))
		Expect(env.Close()).To(Succeed())
		Expect(env.Close()).To(Succeed())
	})

	It("that was never opened can be closed", func() {
		var env *nstest.Env
		Expect(env.Close()).To(Succeed())
	})

	It("says whether it was made without root", func() {
		Expect(fresh().Rootless()).To(Equal(!require.IsMachineRoot()))
	})

	It("does not care for the end of others", func() {
		first, second := open(nstest.Config{}), open(nstest.Config{})
		Expect(first.Close()).To(Succeed())
		third := open(nstest.Config{})
		for _, env := range []*nstest.Env{second, third} {
			Expect(ask[identity](env.Self(), "identity")).To(HaveField("Hostname", "self"))
		}
	})

	It("cannot be used once it is closed", func() {
		env := open(nstest.Config{})
		web, err := env.AddHost(nstest.HostConfig{Name: "web"})
		Expect(err).NotTo(HaveOccurred())
		fault, err := env.AddPartition([]*nstest.Host{web}, []*nstest.Host{env.Self()})
		Expect(err).NotTo(HaveOccurred())
		Expect(env.Close()).To(Succeed())

		Expect(onlyError(env.AddHost(nstest.HostConfig{Name: "db"}))).To(MatchError(nstest.ErrClosed))
		Expect(onlyError(env.AddNetwork(nstest.NetworkConfig{Name: "back"}))).To(MatchError(nstest.ErrClosed))
		Expect(onlyError(env.AddPartition([]*nstest.Host{web}, []*nstest.Host{env.Self()}))).To(MatchError(nstest.ErrClosed))
		Expect(env.RemoveHost("web")).To(MatchError(nstest.ErrClosed))
		Expect(onlyError(web.Listen("tcp", ":80"))).To(MatchError(nstest.ErrClosed))
		Expect(onlyError(web.ListenPacket("udp", ":80"))).To(MatchError(nstest.ErrClosed))
		Expect(onlyError(web.DialContext(context.Background(), "tcp", "127.0.0.1:80"))).To(MatchError(nstest.ErrClosed))
		Expect(onlyError(web.LookupNetIP(context.Background(), "web"))).To(MatchError(nstest.ErrClosed))
		Expect(web.Command("true").Start()).To(MatchError(nstest.ErrClosed))
		Expect(web.Link("").Down()).To(MatchError(nstest.ErrClosed))
		if isRoot() {
			Expect(web.Do(func() error { return nil })).To(MatchError(nstest.ErrClosed))
		}
		Expect(fault.Close()).To(Succeed(), "there is nothing to heal any more")
	})

	It("is not opened when the context is done already", func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		Expect(onlyError(nstest.Open(ctx, nstest.Config{}))).To(MatchError(context.Canceled))
	})

	It("takes its processes along, an orphan with a session of its own too", func() {
		env := open(nstest.Config{})
		parent := hold(env.Self(), "hold orphan")
		pids := append(childrenOf(parent.HostPid()), parent.HostPid())
		Expect(pids).To(HaveLen(2))
		for _, pid := range pids {
			Expect(processDirectory(pid)).To(BeADirectory(), "the control: it is seen while it runs")
		}
		Expect(env.Close()).To(Succeed())
		for _, pid := range pids {
			Expect(processDirectory(pid)).NotTo(BeAnExistingFile())
		}
	})

	It("has the hostname that was asked for, and two names for its own host", func() {
		env := open(nstest.Config{Hostname: "ci-runner"})
		Expect(ask[identity](env.Self(), "identity")).To(HaveField("Hostname", "ci-runner"))
		for _, name := range []string{"self", "ci-runner"} {
			Expect(env.Self().LookupNetIP(context.Background(), name)).To(ContainElement(env.Self().Addr()), name)
		}
	})
})

var _ = Describe("An environment of a test", func() {
	It("has the test's name and ends with the test", func() {
		t := &test{}
		env := nstest.New(t, nstest.Config{})
		Expect(env.Name()).To(Equal("TestOfMine"))
		web := env.Host("web")
		t.end()
		Expect(t.failures).To(BeEmpty())
		Expect(onlyError(web.Listen("tcp", ":80"))).To(MatchError(nstest.ErrClosed))
	})

	It("makes hosts and networks on first use", func() {
		env := fresh()
		Expect(env.Host("web")).To(BeIdenticalTo(env.Host("WEB")))
		Expect(env.Network("back")).To(BeIdenticalTo(env.Network("back")))
		Expect(env.Network("").Name()).To(Equal("lan"))
		Expect(env.Host("self")).To(BeIdenticalTo(env.Self()))
	})

	It("fails the test for what cannot be", func() {
		t := &test{}
		DeferCleanup(t.end)
		env := nstest.New(t, nstest.Config{})
		for what, try := range map[string]func(){
			"add host":    func() { env.Host("not a name") },
			"add network": func() { env.Network("not a name") },
			"partition":   func() { env.Partition([]*nstest.Host{env.Self()}) },
			"open":        func() { nstest.New(t, nstest.Config{IDs: -1}) },
		} {
			t.failures = nil
			Expect(try).To(PanicWith(failed{}), what)
			Expect(t.failures).To(ConsistOf(ContainSubstring(what)), what)
		}
	})
})

var _ = Describe("An environment from Open", func() {
	It("has the hosts and networks that were added, and panics for others", func() {
		env := open(nstest.Config{})
		web, err := env.AddHost(nstest.HostConfig{Name: "web"})
		Expect(err).NotTo(HaveOccurred())
		Expect(env.Host("web")).To(BeIdenticalTo(web))
		Expect(func() { env.Host("db") }).To(PanicWith(ContainSubstring("AddHost")))
		Expect(func() { env.Network("back") }).To(PanicWith(ContainSubstring("AddNetwork")))
		Expect(func() { web.Link("back") }).To(PanicWith(ContainSubstring("lan")))
		Expect(func() { env.Partition([]*nstest.Host{web}) }).To(Panic())
	})
})

var _ = Describe("An error", func() {
	It("says what failed, where, and what the kernel said", func() {
		env := open(nstest.Config{Name: "mine"})
		_, err := env.AddHost(nstest.HostConfig{Name: "self"})
		var e *nstest.Error
		Expect(errors.As(err, &e)).To(BeTrue())
		Expect(*e).To(And(HaveField("Op", "add host"), HaveField("Env", "mine"), HaveField("Host", "self")))
		Expect(err).To(MatchError(syscall.EEXIST))
		Expect(err.Error()).To(And(ContainSubstring("add host self"), ContainSubstring("mine"), ContainSubstring("reserved")))
	})
})

// onlyError is the error of a call that returns a value too.
func onlyError[T any](_ T, err error) error { return err }

// A test is a testing.TB that does not fail when its test does, so that the failure can be looked at.
type test struct {
	failures []string
	cleanups []func()
}

// failed is what Fatalf panics with.
type failed struct{}

func (t *test) Helper()             {}
func (t *test) Name() string        { return "TestOfMine" }
func (t *test) Cleanup(f func())    { t.cleanups = append(t.cleanups, f) }
func (t *test) Logf(string, ...any) {}
func (t *test) Errorf(format string, args ...any) {
	t.failures = append(t.failures, fmt.Sprintf(format, args...))
}
func (t *test) Fatalf(format string, args ...any) { t.Errorf(format, args...); panic(failed{}) }

func (t *test) end() {
	for len(t.cleanups) > 0 {
		last := len(t.cleanups) - 1
		f := t.cleanups[last]
		t.cleanups = t.cleanups[:last]
		f()
	}
}

func processDirectory(pid int) string { return filepath.Join("/proc", strconv.Itoa(pid)) }

// childrenOf are the processes that pid has started, as the machine numbers them.
func childrenOf(pid int) []int {
	var children []int
	for _, path := range existing("/proc/[0-9]*/status") {
		status, err := os.ReadFile(path)
		if err != nil || statusField(string(status), "PPid") != strconv.Itoa(pid) {
			continue
		}
		if child, err := strconv.Atoi(statusField(string(status), "Pid")); err == nil {
			children = append(children, child)
		}
	}
	return children
}
