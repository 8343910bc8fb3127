package hygiene

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
)

// A state is what a process begins with.
type state struct {
	Files     map[int]string // that it has inherited: number and target
	InitFiles []string       // the numbers of those that its init has
	Variables []string
	Directory string // as getcwd(2) tells it

	Umask, Blocked, Ignored, Groups string // as in /proc/PID/status
	Capabilities                    map[string]string
	NoNewPrivileges                 string
	HardFiles                       uint64 // RLIMIT_NOFILE; the soft limit is changed by Go's runtime
	Schedule                        schedule
	Session, Parent                 int
}

// look is the state of the process that is the probe, on its first thread.
var look = nsx.Register("hygiene/look", func(*nsx.Parent, any) (state, error) { return begin() })

func begin() (s state, err error) {
	if s.Files, err = inheritedFiles(); err != nil {
		return s, err
	}
	if s.InitFiles, err = initFiles(); err != nil {
		return s, err
	}
	s.Variables = os.Environ()
	if s.Directory, err = directory(); err != nil {
		return s, err
	}
	fields, err := status()
	if err != nil {
		return s, err
	}
	s.Umask, s.Blocked, s.Ignored, s.Groups = fields["Umask"], fields["SigBlk"], fields["SigIgn"], fields["Groups"]
	s.NoNewPrivileges = fields["NoNewPrivs"]
	s.Capabilities = map[string]string{}
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		s.Capabilities[set] = fields[set]
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return s, err
	}
	s.HardFiles = limit.Max
	if s.Schedule, err = scheduled(fields); err != nil {
		return s, err
	}
	s.Parent = os.Getppid()
	s.Session, err = unix.Getsid(0)
	return s, err
}

// inheritedFiles are the files that are not closed on exec: Go opens none like that.
func inheritedFiles() (map[int]string, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	files := map[int]string{}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			return nil, err
		}
		flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue // it is Go's, or was the directory's
		}
		if files[n], err = os.Readlink("/proc/self/fd/" + e.Name()); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// initFiles are the numbers of the files of process 1, which only root can list.
func initFiles() (numbers []string, err error) {
	entries, err := os.ReadDir("/proc/1/fd")
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	for _, e := range entries {
		numbers = append(numbers, e.Name())
	}
	return numbers, err
}

// status is /proc/thread-self/status.
func status() (map[string]string, error) {
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields, nil
}
