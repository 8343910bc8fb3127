package nstest

import (
	"fmt"
	"syscall"
	"time"
)

// A ProcessState is how a process ended.
type ProcessState struct {
	pid    int
	status syscall.WaitStatus
	user   time.Duration
	system time.Duration
	maxRSS int64 // KiB
	lost   bool  // killed with its environment
}

// Pid is the id that the process had, in the host's PID namespace.
func (s *ProcessState) Pid() int { return s.pid }

// ExitCode is the exit status, or -1 if a signal ended the process.
func (s *ProcessState) ExitCode() int {
	if s == nil {
		return -1
	}
	return s.status.ExitStatus()
}

// Signal is the signal that ended the process, or -1 if none did.
func (s *ProcessState) Signal() syscall.Signal { return s.status.Signal() }

// Exited reports whether the process ended by itself, not by a signal.
func (s *ProcessState) Exited() bool { return s.status.Exited() }

// Success reports whether the process exited with status 0.
func (s *ProcessState) Success() bool { return s.status.Exited() && s.status.ExitStatus() == 0 }

// Sys is the status as wait(2) tells it.
func (s *ProcessState) Sys() syscall.WaitStatus { return s.status }

// UserTime is the user CPU time of the process and its reaped children.
func (s *ProcessState) UserTime() time.Duration { return s.user }

// SystemTime is the system CPU time of the process and its reaped children.
func (s *ProcessState) SystemTime() time.Duration { return s.system }

// MaxRSS is the largest resident set of the process or one of its reaped children, in bytes.
func (s *ProcessState) MaxRSS() int64 { return s.maxRSS << 10 }

// SysUsage is the process's resource usage as a *syscall.Rusage, of which Utime, Stime and Maxrss are filled in.
func (s *ProcessState) SysUsage() any {
	return &syscall.Rusage{Utime: syscall.NsecToTimeval(s.user.Nanoseconds()), Stime: syscall.NsecToTimeval(s.system.Nanoseconds()), Maxrss: s.maxRSS}
}

// String is "exit status 1", "signal: killed" or the like.
func (s *ProcessState) String() string {
	if s == nil {
		return "<nil>"
	}
	if s.status.Exited() {
		return fmt.Sprintf("exit status %d", s.status.ExitStatus())
	}
	text := fmt.Sprintf("signal: %v", s.status.Signal())
	if s.status.CoreDump() {
		text += " (core dumped)"
	}
	return text
}
