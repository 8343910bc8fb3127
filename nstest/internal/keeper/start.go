// Package keeper makes environments.
//
// A program that opens environments has one keeper: a child, the same binary again, in a PID and mount namespace of
// its own (and, started by an ordinary user, a user namespace), as PID 1 there. Every process of every environment
// descends from it, so that the kernel ends them all when it ends; and it ends when the program does, however that
// does. It alone touches switches, and has the next environment ready (spare). What it is asked for comes over connections
// that environments may hold too, so it believes nothing that it is told about kernel objects: they come as file
// descriptors.
package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/door"
	"github.com/hermetic-go/nstest/nstest/internal/idmap"
	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/probe"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

const (
	argv0     = "nstest-keeper"
	controlFD = 3
	doorFD    = 4 // door.Door
	pidsFD    = 5
	ready     = 'k' // the byte that tells a keeper that its id maps are written

	// timerSlack is how late a keeper's timers may be. While a keeper is at work Go's runtime looks every 20 µs whether one
	// of its threads hangs in a system call, and sleeps between: without the slack that takes a quarter of the processor
	// time that an environment costs.
	timerSlack = time.Millisecond
)

// A Keeper is a running keeper, seen from the program that started it.
type Keeper struct {
	*wire.Client
	proc   *ns.Process
	reaped chan struct{} // closed when the process has ended and was waited for
	stderr tail
	OneID  error // why environments have only one id, or nil
}

// Start starts a keeper. ctx bounds the start only. The error is wire.ErrClosed if the keeper is killed meanwhile.
func Start(ctx context.Context) (k *Keeper, err error) {
	privileged, err := idmap.Privileged()
	if err != nil {
		return nil, err
	}
	kinds := ns.PID | ns.Mount
	if !privileged {
		kinds |= ns.User
	}
	ours, theirs, err := wire.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	defer null.Close()
	entrance, err := door.New()
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	defer entrance.Close()
	k = &Keeper{reaped: make(chan struct{}), stderr: tail{ended: make(chan struct{})}}
	// A pipe, not our own standard error: somebody who waits for the end of that must not wait for the keeper.
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	go k.stderr.read(pr)
	defer pw.Close()

	k.proc, err = ns.Start(ns.Spec{
		Path: "/proc/self/exe", Args: []string{argv0}, Env: environ(),
		Files: []*os.File{null, null, pw, theirs, entrance.Socket, entrance.PIDs}, Kinds: kinds, DieWithUs: true, Session: true, TimerSlack: timerSlack,
	})
	if err != nil {
		return nil, errors.Join(explained(err, "clone "+kinds.String()), ours.Close())
	}
	started := k // a return statement with an error sets k to nil
	go func() {
		_, _ = started.proc.Wait()
		close(started.reaped)
	}()
	defer func() {
		if err != nil {
			_ = ours.Close() // NewClient may have taken it over
			err = errors.Join(err, started.end())
		}
	}()
	if !privileged {
		if _, k.OneID, err = idmap.WriteUnprivileged(k.proc.PID); err != nil {
			if hasEnded(err) || k.proc.Exiting() {
				return nil, fmt.Errorf("start keeper: %w", wire.ErrClosed)
			}
			return nil, explained(err, "write uid_map")
		}
	}
	if _, err = ours.Write([]byte{ready}); err != nil {
		if hasEnded(err) {
			err = wire.ErrClosed
		}
		return nil, fmt.Errorf("start keeper: %w", err)
	}
	k.Client, err = wire.NewClient(ours)
	return k, err
}

// hasEnded tells from what came of a step of starting a keeper that somebody has killed it meanwhile: its directory in
// /proc or the other end of its connection has gone.
func hasEnded(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET)
}

func explained(err error, op string) error {
	cause, remedy := probe.Explain(err, op)
	e := &wire.Error{Op: "start keeper", Step: op, Message: cause, Remedy: remedy}
	var errno unix.Errno
	if errors.As(err, &errno) {
		e.Errno = uint32(errno)
	}
	if e.Message == "" {
		e.Message = err.Error()
	}
	return e
}

// environ is what a keeper needs of our environment. The race detector would sleep a second when it exits.
func environ() []string {
	env := []string{"GORACE=atexit_sleep_ms=0"}
	for _, v := range os.Environ() {
		for _, name := range []string{"PATH=", "SUDO_UID=", "SUDO_GID=", "GOTRACEBACK=", "GODEBUG=", "NSTEST_"} {
			if strings.HasPrefix(v, name) {
				env = append(env, v)
			}
		}
	}
	return env
}

// Stop ends the keeper, and every environment with it. Nothing is left of them when it returns.
func (k *Keeper) Stop() error {
	return errors.Join(k.Close(), k.end())
}

// end kills the process, and lets go of it when it has ended.
func (k *Keeper) end() error {
	err := k.proc.Kill()
	if err == nil {
		<-k.reaped
	}
	return errors.Join(err, k.proc.PIDFD.Close())
}

// Complaint is the last that the keeper wrote to its standard error. It waits for the keeper's end.
func (k *Keeper) Complaint() string {
	<-k.reaped
	<-k.stderr.ended
	return k.stderr.String()
}

// PID is the keeper's process id.
func (k *Keeper) PID() int { return k.proc.PID }

// tail keeps the end of what it reads.
type tail struct {
	ended chan struct{} // closed at the end of what there is to read
	mu    sync.Mutex
	buf   []byte
}

func (t *tail) read(r io.ReadCloser) {
	defer close(t.ended)
	defer r.Close()
	chunk := make([]byte, 4096)
	for {
		n, err := r.Read(chunk)
		t.mu.Lock()
		t.buf = append(t.buf, chunk[:n]...)
		if over := len(t.buf) - 64<<10; over > 0 {
			t.buf = append([]byte(nil), t.buf[over:]...)
		}
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}
