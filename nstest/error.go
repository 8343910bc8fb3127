package nstest

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrClosed is returned for what is asked of an environment that is closed, or whose keeper has ended.
	ErrClosed = errors.New("the environment is closed")
	// ErrNotPrivileged is returned by Do where the program has no rights over the host's namespaces.
	ErrNotPrivileged = errors.New("no privilege in this user namespace")
)

// An Error is a failed operation on an environment or host. It unwraps to the errno or other cause.
type Error struct {
	Op     string // "open environment", "add host", ...
	Env    string // the environment's name
	Host   string // the host's name, if the operation is on one
	Step   string // how far it came
	Err    error  // the cause
	Remedy string // what to do about it; "" if nothing is known
}

// Error says what failed, where, why, and what to do.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("nstest: " + e.Op)
	if e.Host != "" {
		b.WriteString(" " + e.Host)
	}
	if e.Env != "" && e.Env != "env" {
		b.WriteString(" (environment " + e.Env + ")")
	}
	if e.Step != "" {
		b.WriteString(": " + e.Step)
	}
	b.WriteString(": " + e.Err.Error())
	if e.Remedy != "" {
		b.WriteString("\nWhat to do:\n  " + strings.ReplaceAll(strings.TrimSpace(e.Remedy), "\n", "\n  "))
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// keeperDied is an ErrClosed of a call during which the keeper ended.
type keeperDied struct{ words string }

func (e *keeperDied) Error() string {
	if e.words == "" {
		return "the keeper, which makes the environments, has died"
	}
	return "the keeper, which makes the environments, has died: " + e.words
}

func (e *keeperDied) Is(target error) bool { return target == ErrClosed }

// wrap is err as users see it.
func wrap(op, env, host string, err error) error {
	if err == nil {
		return nil
	}
	out := &Error{Op: op, Env: env, Host: host, Err: err}
	var w *wire.Error
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
	case errors.As(err, &w):
		out.Step, out.Remedy = w.Step, w.Remedy
		out.Err = cause{w}
	case errors.Is(err, wire.ErrClosed):
		out.Err = ErrClosed
	}
	return out
}

// cause is the words of an error that crossed the connection, and its errno.
type cause struct{ crossed *wire.Error }

func (c cause) Error() string {
	if c.crossed.Message != "" {
		return c.crossed.Message
	}
	return syscall.Errno(c.crossed.Errno).Error()
}

func (c cause) Unwrap() error { return c.crossed }

func (c cause) Is(target error) bool {
	return target == ErrClosed && c.crossed.Errno == uint32(syscall.ESHUTDOWN) ||
		target == ErrNotPrivileged && c.crossed.Kind == notPrivileged
}
