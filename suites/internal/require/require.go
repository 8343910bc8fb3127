// Package require skips specs that need what the machine does not have, in the open: with the reason and the remedy.
// With NSTEST_MUST_RUN=1 in the environment they fail instead, so that nobody's CI passes by skipping.
package require

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/onsi/ginkgo/v2"
)

// Skip ends the running spec: what it needs, and how to get it.
func Skip(reason, remedy string) {
	ginkgo.GinkgoHelper()
	text := reason + "\nWhat to do: " + remedy
	if os.Getenv("NSTEST_MUST_RUN") == "1" {
		ginkgo.Fail(text + "\n(NSTEST_MUST_RUN=1 makes this a failure)")
	}
	ginkgo.Skip(text)
}

// Root skips the running spec unless the program is root: the machine's, or that of an environment. Who runs a suite as
// root and as an ordinary user runs every spec, so that this never fails.
func Root() {
	ginkgo.GinkgoHelper()
	if os.Geteuid() != 0 {
		ginkgo.Skip("this spec is for root\nWhat to do: run the suite as root as well")
	}
}

// MachineRoot is Root for what root of an environment cannot do either.
func MachineRoot() {
	ginkgo.GinkgoHelper()
	if !IsMachineRoot() {
		ginkgo.Skip("this spec is for the machine's root\nWhat to do: run the suite as root as well")
	}
}

// Ordinary skips the running spec if the program is root.
func Ordinary() {
	ginkgo.GinkgoHelper()
	if os.Geteuid() == 0 {
		ginkgo.Skip("this spec is not for root\nWhat to do: run the suite as an ordinary user as well")
	}
}

// IsMachineRoot reports whether the program is root of the initial user namespace.
func IsMachineRoot() bool {
	uids, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && os.Geteuid() == 0 && strings.Join(strings.Fields(string(uids)), " ") == "0 0 4294967295"
}

// Program is the path of a program of the machine. Without it the running spec is skipped.
func Program(name string) string {
	ginkgo.GinkgoHelper()
	path, err := exec.LookPath(name)
	if err != nil {
		Skip(fmt.Sprintf("%s is not on this machine", name), "install it with the machine's package manager")
	}
	return path
}

// PackageProgram is the path of a program that comes with a package of Debian. Without it the running spec is skipped. It is
// looked for where daemons are, too, although the PATH of ordinary users leaves that out.
func PackageProgram(name, pkg string) string {
	ginkgo.GinkgoHelper()
	for _, file := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(file); err == nil {
			return path
		}
	}
	Skip(fmt.Sprintf("%s is not on this machine", name), "install the package "+pkg+": apt-get install --no-install-recommends "+pkg)
	return ""
}
