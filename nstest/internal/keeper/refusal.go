package keeper

import (
	"errors"
	"fmt"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

// A refusal is something that was asked for and cannot be. Its words say all; the errno is for errors.Is.
type refusal struct {
	message string
	errno   unix.Errno
}

func refuse(errno unix.Errno, format string, args ...any) error {
	return &refusal{fmt.Sprintf(format, args...), errno}
}

func (r *refusal) Error() string { return r.message }

func (r *refusal) Unwrap() error { return r.errno }

// whyGone is err, or, where that is that an init has ended, why it may have.
func (e *environment) whyGone(err error) error {
	if !errors.Is(err, pid1.ErrGone) {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.closedError(); err != nil {
		return err
	}
	return refuse(unix.ESRCH, "the host's init has ended: somebody has killed it, or removes the host. Nothing can be started there any more")
}
