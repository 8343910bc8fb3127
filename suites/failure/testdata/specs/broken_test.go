// Package broken_test is a suite whose specs go wrong in every way that a process can.
package broken_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestBroken(t *testing.T) {
	RegisterFailHandler(Fail)
	nstest.RunSpecs(t, "Broken")
}

var _ = Describe("a spec that", func() {
	AfterEach(func() { GinkgoWriter.Println("AfterEach has run") })

	It("exits", func() {
		fmt.Println("last words")
		Expect(os.WriteFile("/tmp/evidence", []byte("left by a spec that exits"), 0o600)).To(Succeed())
		os.Exit(7)
	})
	Context("exits while it is set up", func() {
		BeforeEach(func() { os.Exit(8) })
		It("never runs", func() {})
	})
	It("exits while it is cleaned up", func() {
		DeferCleanup(func() { os.Exit(9) })
	})
	It("panics on a goroutine of its own", func() {
		go func() { panic("nobody recovers this") }()
		select {}
	})
	It("writes where it must not", func() {
		var p *int
		go func() { *p = 1 }()
		select {}
	})
	It("kills itself", func() {
		Expect(syscall.Kill(os.Getpid(), syscall.SIGKILL)).To(Succeed())
		select {}
	})
	It("kills everything that it sees", func() {
		_ = syscall.Kill(-1, syscall.SIGKILL) // whoever that is: not the init, and nobody outside
		Expect(syscall.Kill(os.Getpid(), syscall.SIGTERM)).To(Succeed())
		select {}
	})
	It("breaks the runtime", func() {
		m := map[int]int{}
		for range 4 {
			go func() {
				for i := 0; ; i++ {
					m[i%10] = i
				}
			}()
		}
		select {}
	})
	It("overflows its stack", func() {
		debug.SetMaxStack(1 << 20)
		var deeper func(int) int
		deeper = func(n int) int { return deeper(n+1) + 1 }
		deeper(0)
	})
	It("closes a file that is not its own", func() {
		Expect(syscall.Close(3)).To(Succeed()) // the others may be the runtime's
	})
	It("stops for good", NodeTimeout(300*time.Millisecond), GracePeriod(100*time.Millisecond), func(SpecContext) {
		Expect(syscall.Kill(os.Getpid(), syscall.SIGSTOP)).To(Succeed())
		select {}
	})
	It("leaves daemons and goroutines", func() {
		Expect(exec.Command("setsid", "nohup", "sh", "-c", "sleep 8888 & exec sleep 8889").Start()).To(Succeed())
		for range 100 {
			go func() { select {} }()
		}
	})
	It("is all right", func() {})
})

var _ = Describe("a spec whose process", func() {
	if name, err := os.Hostname(); err != nil || name == "spec" {
		os.Exit(11)
	}
	It("ends before its first node", func() {})
})

var _ = Describe("an Ordered container", Ordered, ContinueOnFailure, func() {
	It("in which one spec exits", func() { os.Exit(10) })
	It("cannot run the next", func() {})
})

var _ = It("runs after all of them", func() {})
