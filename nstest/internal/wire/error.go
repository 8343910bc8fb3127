package wire

import (
	"context"
	"errors"
	"strings"
	"syscall"
)

// Kinds of an Error that stand for an error of this process. Every other Kind is the handlers' own.
const (
	KindCanceled = "canceled" // context.Canceled
	KindDeadline = "deadline" // context.DeadlineExceeded

	KindNotPrivileged = "not privileged" // nstest.ErrNotPrivileged
)

// Error is an error as it crosses the connection. Every field may be empty.
type Error struct {
	Op      string `json:",omitempty"` // what was asked for
	Host    string `json:",omitempty"` // where
	Step    string `json:",omitempty"` // how far it came
	Errno   uint32 `json:",omitempty"` // a syscall.Errno, which errors.Is and errors.As find; 0 = none
	Message string `json:",omitempty"` // the cause in words, the errno's included; "" = the errno's or Kind's alone
	Remedy  string `json:",omitempty"` // what the user can do; not part of Error()
	Kind    string `json:",omitempty"`
}

// Error returns "op host: step: message", without what is empty.
func (e *Error) Error() string {
	message := e.Message
	switch {
	case message != "":
	case e.Errno != 0:
		message = syscall.Errno(e.Errno).Error()
	case e.Kind != "":
		message = e.Kind
	default:
		message = "unknown error"
	}
	var parts []string
	for _, p := range []string{strings.TrimSpace(e.Op + " " + e.Host), e.Step, message} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the syscall.Errno, or nil.
func (e *Error) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return syscall.Errno(e.Errno)
}

// Is makes KindCanceled context.Canceled, and KindDeadline context.DeadlineExceeded.
func (e *Error) Is(target error) bool {
	switch e.Kind {
	case KindCanceled:
		return target == context.Canceled
	case KindDeadline:
		return target == context.DeadlineExceeded
	}
	return false
}

// asError turns a handler's error into what crosses. An *Error crosses as it is; one that is wrapped keeps its Errno, Kind
// and Remedy, and the rest is in the message.
func asError(err error) *Error {
	if e, ok := err.(*Error); ok {
		return e
	}
	e := &Error{Message: err.Error()}
	var wrapped *Error
	if errors.As(err, &wrapped) {
		e.Kind, e.Remedy = wrapped.Kind, wrapped.Remedy
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		e.Errno = uint32(errno)
	}
	if e.Kind == "" {
		switch {
		case errors.Is(err, context.Canceled):
			e.Kind = KindCanceled
		case errors.Is(err, context.DeadlineExceeded):
			e.Kind = KindDeadline
		}
	}
	return e
}

func isCancellation(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
