// Package inprocess is a suite whose BeforeSuite stays in the suite's process, and builds a program there for all specs.
package inprocess

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

func TestInProcess(t *testing.T) {
	RegisterFailHandler(Fail)
	nstest.RunSpecs(t, "Set-up in the suite's process")
}

// variable tells the specs' processes, which inherit it, where the program is.
const variable = "NSTEST_SUITE_PROGRAM"

var _ = BeforeSuite(nstest.InProcess, func() {
	dir, err := os.MkdirTemp("", "built-")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	program := filepath.Join(dir, "program")
	Expect(os.WriteFile(program, []byte("#!/bin/sh\necho built once\n"), 0o755)).To(Succeed())
	Expect(os.Setenv(variable, program)).To(Succeed())
})

var _ = It("is there for a spec", func() {
	out, err := exec.Command(os.Getenv(variable)).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
	Expect(string(out)).To(Equal("built once\n"))
})
