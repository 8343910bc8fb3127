package pid1

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Exit is how a process ended.
type Exit struct {
	At         time.Time // when that was heard of, which is before anybody knows
	Status     unix.WaitStatus
	UserTime   time.Duration
	SystemTime time.Duration
	MaxRSS     int64 // KiB
	Lost       bool  // the init ended first: the kernel killed the process with SIGKILL
}

// A Child is a process that an init started.
type Child struct {
	PID   int      // in the init's PID namespace
	PIDFD *os.File // the owner of the child closes it
	agent *Agent
	done  chan struct{}
	exit  Exit
}

// Done is closed when the process has ended and was reaped.
func (c *Child) Done() <-chan struct{} {
	c.agent.Listen()
	return c.done
}

// Exit is how it ended, once Done is closed.
func (c *Child) Exit() Exit { return c.exit }
