// Package broken is tests that go wrong, each in a way of its own, with one that does not.
package broken

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
)

// mode says what TestMain is to do in a process that runs a test, and what the tests are that depend on the process.
var mode = os.Getenv("BROKEN")

// started is what TestMain of the first process sets.
const started = "BROKEN_STARTED"

func TestMain(m *testing.M) {
	again := os.Getenv(started) != ""
	os.Setenv(started, "1")
	if again && mode == "exit in TestMain" {
		fmt.Println("TestMain gives up")
		os.Exit(3)
	}
	code := m.Run()
	if again && mode == "exit after the tests" {
		fmt.Println("TestMain is not content")
		os.Exit(4)
	}
	os.Exit(code)
}

func hermetic(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	nstest.Run(t, func(t *testing.T, _ *nstest.Env) { f(t) })
}

func TestGood(t *testing.T) { hermetic(t, func(t *testing.T) { t.Log("good") }) }

func TestExit(t *testing.T) {
	hermetic(t, func(t *testing.T) {
		fmt.Println("about to exit")
		os.Exit(7)
	})
	t.Log("never")
}

func TestExitInSubtest(t *testing.T) {
	hermetic(t, func(t *testing.T) {
		t.Run("first", func(t *testing.T) {})
		t.Run("waits", func(t *testing.T) { t.Parallel() })
		t.Run("exits", func(t *testing.T) {
			t.Run("deep", func(t *testing.T) {
				t.Log("logged")
				os.Exit(0)
			})
		})
	})
}

func TestPanic(t *testing.T) { hermetic(t, func(*testing.T) { panic("boom") }) }

func TestPanicInSubtest(t *testing.T) {
	hermetic(t, func(t *testing.T) {
		t.Cleanup(func() { t.Log("cleaned up") })
		t.Run("sub", func(*testing.T) { panic("deep boom") })
	})
}

func TestGoroutinePanics(t *testing.T) {
	hermetic(t, func(*testing.T) {
		go panic("elsewhere")
		select {}
	})
}

func TestKilled(t *testing.T) {
	hermetic(t, func(t *testing.T) {
		t.Log("last words")
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		select {}
	})
}

func TestSegmentationFault(t *testing.T) {
	hermetic(t, func(t *testing.T) {
		if err := syscall.Kill(os.Getpid(), syscall.SIGSEGV); err != nil {
			t.Error(err)
		}
		select {}
	})
}

func TestFatalError(t *testing.T) {
	hermetic(t, func(*testing.T) {
		var m sync.Mutex
		m.Unlock() // nothing can recover from that
	})
}

func TestFailsParent(t *testing.T) {
	hermetic(t, func(t *testing.T) {
		t.Run("sub", func(*testing.T) { t.FailNow() })
	})
}

func TestExitInCleanup(t *testing.T) {
	hermetic(t, func(t *testing.T) { t.Cleanup(func() { os.Exit(5) }) })
}

func TestRace(t *testing.T) {
	hermetic(t, func(t *testing.T) {
		x, done := 0, make(chan struct{})
		go func() { x++; close(done) }()
		x++
		<-done
		t.Log(x)
	})
}

func TestHang(t *testing.T) {
	if mode != "hang" {
		t.Skip("hangs")
	}
	hermetic(t, func(t *testing.T) { t.Run("sub", hang) })
}

func hang(*testing.T) { select {} }

// The daemon ends with the test, and does not keep it from ending.
func TestLeavesADaemon(t *testing.T) {
	hermetic(t, func(t *testing.T) {
		daemon := exec.Command("sleep", "1000")
		daemon.Stdout = os.Stdout
		daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := daemon.Start(); err != nil {
			t.Fatal(err)
		}
		go func() { select {} }()
	})
}

// A name that differs from process to process finds nobody.
func TestOtherName(t *testing.T) {
	t.Run(fmt.Sprint("pid", os.Getpid()), func(t *testing.T) {
		hermetic(t, func(*testing.T) {})
	})
}

func TestFollowing(t *testing.T) {
	hermetic(t, func(t *testing.T) { t.Error("inside") })
	if !t.Failed() {
		t.Error("what happened inside is not known")
	}
	t.Log("following")
}
