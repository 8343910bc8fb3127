package live

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// runners are the programs that run the tests of several packages.
var runners = []string{"go", "ginkgo"}

// runProcess is a pidfd of the process with which this run ends: of the one that has started the tests of all packages, or else this one.
func runProcess() (*os.File, error) {
	pid := runner()
	fd, err := unix.PidfdOpen(pid, 0)
	if err == nil && pid != os.Getpid() && runner() != pid { // it has ended, and its number may be another's
		_ = unix.Close(fd)
		err = unix.ESRCH
	}
	if err != nil {
		fd, err = unix.PidfdOpen(os.Getpid(), 0)
	}
	if err != nil {
		return nil, fmt.Errorf("open a pidfd: %w", err)
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "run"), nil
}

// runner is the nearest ancestor that is one of the runners, or this process.
func runner() int {
	pid := os.Getppid()
	for range 10 {
		name, parent, err := status(pid)
		if err != nil || pid <= 1 {
			break
		}
		if slices.Contains(runners, name) {
			return pid
		}
		pid = parent
	}
	return os.Getpid()
}

// status is what a process is called, and its parent.
func status(pid int) (name string, parent int, err error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", 0, err
	}
	begin, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')') // the name may have any byte
	if begin < 0 || end < begin {
		return "", 0, fmt.Errorf("%q is no status", data)
	}
	fields := strings.Fields(string(data[end+1:]))
	if len(fields) < 2 {
		return "", 0, fmt.Errorf("%q is no status", data)
	}
	parent, err = strconv.Atoi(fields[1])
	return string(data[begin+1 : end]), parent, err
}
