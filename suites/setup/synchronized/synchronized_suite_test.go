// Package synchronized is a suite whose SynchronizedBeforeSuite builds a program for all specs, in the temporary
// directory, as gexec.Build does.
package synchronized

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

// scratch is the temporary directory while the suite is set up; known in the process that does it.
var scratch string

func TestSynchronized(t *testing.T) {
	before, set := os.LookupEnv("TMPDIR")
	RegisterFailHandler(Fail)
	nstest.RunSpecs(t, "Synchronized set-up")
	if after, still := os.LookupEnv("TMPDIR"); after != before || still != set {
		t.Errorf("TMPDIR was %q and is %q", before, after)
	}
	if _, err := os.Lstat(scratch); scratch != "" && !os.IsNotExist(err) {
		t.Errorf("%s is empty and still there: %v", scratch, err)
	}
}

var program string

var _ = SynchronizedBeforeSuite(func() []byte {
	scratch = os.TempDir()
	dir, err := os.MkdirTemp("", "built-")
	Expect(err).NotTo(HaveOccurred())
	program := filepath.Join(dir, "program")
	Expect(os.WriteFile(program, []byte("#!/bin/sh\necho built once\n"), 0o755)).To(Succeed())
	DeferCleanup(os.RemoveAll, dir)
	return []byte(program)
}, func(path []byte) {
	program = string(path)
})

var _ = Describe("a program that the suite has built", func() {
	for range 2 {
		It("is there for each spec, as it was built", func() {
			out, err := exec.Command(program).CombinedOutput()
			Expect(err).NotTo(HaveOccurred(), "%s", out)
			Expect(string(out)).To(Equal("built once\n"))
			Expect(os.Remove(program)).To(Succeed(), "for this spec alone")
		})
	}

	It("is not where specs have their own temporary files", func() {
		Expect(strings.HasPrefix(program, os.TempDir()+"/built-")).To(BeFalse())
		Expect(os.Getenv("TMPDIR")).NotTo(ContainSubstring("nstest-suite-"))
	})
})
