package nsx

import (
	"errors"
	"io/fs"
	"syscall"
)

// An Error is a process that could not be brought into its namespaces. It unwraps to the errno.
type Error struct {
	How   Way
	Kinds Kinds
	Err   error // which step failed, and why: "unshare uts namespace: operation not permitted"
}

func (e *Error) Error() string {
	text := "nsx: " + e.Err.Error()
	if errors.Is(e.Err, syscall.EPERM) && !e.Kinds.Has(User) {
		text += " (it needs CAP_SYS_ADMIN: run it in a spec of nstest.RunSpecs, or add a user namespace with Spec.AsRoot)"
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// A ProbeError is the error that a probe returned. It unwraps to the errno, if that had one.
type ProbeError struct {
	Probe string
	Text  string
	Errno syscall.Errno
}

func (e *ProbeError) Error() string { return "probe " + e.Probe + ": " + e.Text }

func (e *ProbeError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// causeOf takes off the path, which is in the text already.
func causeOf(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
