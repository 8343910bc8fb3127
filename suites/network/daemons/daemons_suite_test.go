// Package daemons_test shows network daemons at work in environments: routers that learn their routes, tunnels, DHCP,
// addresses that move, multicast. Each daemon is the real one, and each spec asks it and the kernel what came of it.
package daemons_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) { os.Exit(leaks.Main(m)) }

// A daemon's timers are in seconds, and it may have to wait for the processor as well: only what fails takes so long.
const patience = 60 * time.Second

func TestDaemons(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	nstest.RunSpecs(t, "Network daemons", Label("daemons"))
}

// binaries is the directory of the programs of ./cmd. They are built once, on the machine, and run inside.
var binaries string

var _ = SynchronizedBeforeSuite(func() []byte {
	dir, err := os.MkdirTemp("", "daemons-")
	Expect(err).NotTo(HaveOccurred())
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir+string(filepath.Separator), "./cmd/...")
	output, err := build.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s\n%s", build, output)
	binaries = dir // for SynchronizedAfterSuite, which runs here too
	return []byte(dir)
}, func(dir []byte) {
	binaries = string(dir)
})

var _ = SynchronizedAfterSuite(func() {}, func() {
	Expect(os.RemoveAll(binaries)).To(Succeed())
})
