package matchers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
)

// A subject is what a matcher looks at: a process, a host or an open namespace.
type subject struct {
	name string
	pid  int
	host *nstest.Host
	file *os.File
}

func subjectOf(actual any) (subject, error) {
	process := func(pid int) subject { return subject{name: fmt.Sprintf("process %d", pid), pid: pid} }
	switch v := actual.(type) {
	case int:
		return process(v), nil
	case *os.Process:
		return process(v.Pid), nil
	case interface{ PID() int }:
		return process(v.PID()), nil
	case *nstest.Host:
		return subject{name: "host " + v.Name(), host: v}, nil
	case *nstest.Env:
		return subject{name: "the environment", host: v.Self()}, nil
	case *os.File:
		return subject{name: v.Name(), file: v}, nil
	}
	return subject{}, fmt.Errorf("a %T is neither a process (int, *os.Process, *nsx.Process) nor a machine (*nstest.Host, *nstest.Env)", actual)
}

// ended reports whether there is nothing to look at any more, now and later.
func ended(actual any) bool {
	s, err := subjectOf(actual)
	return err == nil && s.pid != 0 && errors.Is(unix.Kill(s.pid, 0), unix.ESRCH)
}

// read reads a file of /proc/self as the subject sees it.
func (s subject) read(file string) (string, error) {
	switch {
	case s.pid != 0:
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.pid, file))
		return string(text), err
	case s.host != nil:
		return s.readPath("/proc/self/" + file)
	}
	return "", fmt.Errorf("look at %s of %s: it is no process", file, s.name)
}

// readPath reads a file of a machine.
func (s subject) readPath(path string) (string, error) {
	if s.host == nil {
		return "", fmt.Errorf("read %s: %s is no machine (*nstest.Host, *nstest.Env)", path, s.name)
	}
	if _, err := s.host.Command("test", "-e", path).Output(); err != nil {
		return "", fmt.Errorf("read %s of %s: %w", path, s.name, fs.ErrNotExist)
	}
	out, err := s.host.Command("cat", path).Output()
	return string(out), err
}

// inode is the subject's namespace of one kind.
func (s subject) inode(kind nsx.Kinds) (uint64, error) {
	switch {
	case s.pid != 0:
		return nsx.Inode(s.pid, kind)
	case s.file != nil:
		return nsx.InodeOf(s.file)
	}
	var n uint64
	out, err := s.host.Command("readlink", "/proc/self/ns/"+kind.String()).Output()
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscanf(string(out), kind.String()+":[%d]", &n)
	return n, err
}
