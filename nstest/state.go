package nstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// A State is what an environment was like at a moment: Time; Hosts, the environment's own first, the others by name; Faults,
// those in force; Cgroup, if it has a control group of its own; and Errors, what could not be seen, and why. Its method Summary
// writes the dozen lines of it that matter most. As JSON it is what a bundle's state.json is.
type State = record.State

// A HostState is what a host was like: Name; its Processes, with what each waits in and has open; Ended, those that have ended
// badly; its Sockets, with what nobody has read, acknowledged or accepted; its Interfaces with their counters, Routes and
// Neighbours; Counters, the rules of nftables that count; Mounts, with the room that is left; Kernel, the kernel's counters of
// what went wrong; and Errors, what could not be seen, and why.
type HostState = record.HostState

// State finds out what the environment is like now. It works from outside and from inside, and while things are broken: nothing
// that runs in the environment is asked for anything. A host that cannot be seen whole within five seconds is told as far as it
// was seen, with an entry in its Errors. Of each host 1,000 processes are looked at, of each process 256 open files, and 2,000
// sockets; what was left out is in Errors as well.
//
// Names, arguments and paths are as those inside have chosen them, and may have any characters in them. Summary writes them so
// that a terminal can show them.
func (e *Env) State(ctx context.Context) (*State, error) {
	s, err := e.state(ctx)
	return s, wrap("state", e.name, "", err)
}

func (e *Env) state(ctx context.Context) (*State, error) {
	file, err := newStateFile()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := e.writeState(ctx, file); err != nil {
		return nil, err
	}
	s := &State{}
	if err := json.NewDecoder(io.NewSectionReader(file, 0, 1<<40)).Decode(s); err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	return s, nil
}

// writeState has the keeper write the state into a file that is open for appending.
func (e *Env) writeState(ctx context.Context, file *os.File) error {
	files, err := e.callFiles(ctx, wire.MethodState, nil, nil, file)
	return errors.Join(err, closeAll(files))
}

// newStateFile is a file in memory, open for appending.
func newStateFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("nstest-state", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create file for the state: %w", err)
	}
	file := os.NewFile(uintptr(fd), "nstest-state")
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_APPEND); err != nil {
		return nil, errors.Join(fmt.Errorf("create file for the state: %w", err), file.Close())
	}
	return file, nil
}

// describe is a summary of the environment for a report on something that takes long; "" where it cannot be had in time.
func (e *Env) describe() string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	s, err := e.state(ctx)
	if err != nil {
		return ""
	}
	var b strings.Builder
	_ = s.Summary(&b, 160) // a strings.Builder takes everything
	return b.String()
}
