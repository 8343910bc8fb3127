// Package microservices_test shows how three services that talk over a network are tested: each is a program of its
// own, runs as a process on a host of its own, listens on its usual port and finds the others by name. Every spec is
// wholly inside an environment of its own, breaks in it what it likes, and runs beside the others.
package microservices_test

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

func TestMicroservices(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	suite, reporter := GinkgoConfiguration()
	reporter.Verbose = reporter.Verbose || testing.Verbose() // `go test -v` shows every step
	nstest.RunSpecs(t, "Microservices", suite, reporter)
}

// binaries is the directory of the services' programs.
var binaries string

// The programs are built once, on the machine. They are run inside.
var _ = SynchronizedBeforeSuite(func() []byte {
	dir, err := os.MkdirTemp("", "microservices-")
	Expect(err).NotTo(HaveOccurred())
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir+string(filepath.Separator), "./cmd/...")
	output, err := build.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s\n%s", build, output)
	return []byte(dir)
}, func(dir []byte) {
	binaries = string(dir)
})

var _ = SynchronizedAfterSuite(func() {}, func() {
	Expect(os.RemoveAll(binaries)).To(Succeed())
})
