// Package mapped lets an ordinary user run tests that need rights over namespaces.
package mapped

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/hermetic-go/nstest/nstest/internal/idmap"
)

// Main is for TestMain. Where this program has the rights, it runs the tests. An ordinary user's run in a user namespace
// of their own, whose root is that user: the test binary is executed again. Where even that is impossible they run as
// they are, and say what they miss.
func Main(m interface{ Run() int }) int {
	if ok, err := idmap.Privileged(); ok || err != nil {
		return m.Run()
	}
	again := exec.Command("/proc/self/exe", os.Args[1:]...)
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if err := again.Start(); err != nil {
		return m.Run()
	}
	err := again.Wait()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ended):
		return max(ended.ExitCode(), 1)
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}
