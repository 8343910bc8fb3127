// Package kept_test has specs and tests of which some fail, for what is kept of them.
package kept_test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) {
	if os.Getenv("REDACT") != "" {
		nstest.Redact(nstest.Redaction{Text: func(s string) string { return strings.ReplaceAll(s, "hunter2", "(secret)") }})
	}
	os.Exit(m.Run())
}

func TestKept(t *testing.T) {
	RegisterFailHandler(Fail)
	nstest.RunSpecs(t, "Kept")
}

// attempt counts from 1 on.
func attempt() int { return CurrentSpecReport().NumAttempts }

var _ = Describe("a shop", func() {
	BeforeEach(func() {})

	It("fails (for sure)", func() {
		By("starting a server")
		env := nstest.Current()
		env.Host("web")
		DeferCleanup(func() { Expect(env.RemoveHost("web")).To(Succeed()) }) // what is known of it is known before
		out, err := env.Host("web").Command("sh", "-c", "echo ready; echo password hunter2 >&2").CombinedOutput()
		Expect(string(out), err).To(ContainSubstring("ready"))
		Expect(os.WriteFile("/tmp/evidence", []byte("left"), 0o600)).To(Succeed())
		By("buying")
		Expect(1).To(Equal(2), "hunter2")
	})
	It("passes", func() { nstest.Current().Host("web") })
	It("passes in the end", FlakeAttempts(3), func() { Expect(attempt()).To(Equal(3)) })
	It("hangs", func() {
		if os.Getenv("HANG") == "" {
			Skip("it would")
		}
		By("hanging")
		Expect(nstest.Current().Host("web").Command("sh", "-c", "echo it hangs > /dev/stderr; sleep 1000").Run()).To(Succeed())
	})
})

var _ = Describe("in order", Ordered, ContinueOnFailure, func() {
	It("passes first", func() {})
	It("fails second", func() { Fail("second") })
	It("fails third", func() { Fail("third") })
})

func TestPlain(t *testing.T) {
	nstest.Run(t, func(t *testing.T, env *nstest.Env) {
		t.Cleanup(func() { t.Log("cleaned up") })
		if out, err := env.Host("web").Command("echo", "ready").Output(); err != nil {
			t.Errorf("%s, %v", out, err)
		}
		t.Run("sub", func(t *testing.T) { t.Error("no such goods") })
		t.Error("sold nothing")
	})
}

func TestPasses(t *testing.T) {
	nstest.Run(t, func(t *testing.T, env *nstest.Env) { env.Host("web") })
}

func TestDies(t *testing.T) {
	nstest.Run(t, func(*testing.T, *nstest.Env) { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })
}

func TestBeside(t *testing.T) {
	env := nstest.New(t, nstest.Config{})
	env.Host("web")
	if os.Getenv("PASS") == "" {
		t.Error("not as it should be")
	}
}

func TestDumps(t *testing.T) {
	nstest.Run(t, func(t *testing.T, env *nstest.Env) {
		if out, err := env.Self().Command("/bin/sh", "-c", "ulimit -c unlimited && cd /tmp && kill -SEGV $$").CombinedOutput(); err != nil {
			t.Errorf("%s, %v", out, err)
		}
		if err := os.WriteFile("/tmp/large", make([]byte, 3<<20), 0o600); err != nil {
			t.Error(err)
		}
	})
}

func TestWithin(t *testing.T) {
	nstest.Run(t, func(t *testing.T, env *nstest.Env) {
		nstest.New(t, nstest.Config{Name: "sibling"}).Host("web")
		t.Error("not as it should be")
	})
}
