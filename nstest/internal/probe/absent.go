package probe

import (
	"errors"
	"syscall"
)

// Absent says that a feature is not to be had here, and why. It is errors.ErrUnsupported, and whatever Cause is.
type Absent struct {
	Feature string
	Cause   error  // with the errno where there is one
	Remedy  string // commands or settings, one a line; "" when there is none
}

func (a *Absent) Error() string { return a.Feature + " is not available: " + a.Cause.Error() }

// Unwrap makes errors.Is find errors.ErrUnsupported and the cause.
func (a *Absent) Unwrap() []error { return []error{errors.ErrUnsupported, a.Cause} }

// errRestricted is part of a cause that is no errno and is nevertheless a matter of rights or limits.
var errRestricted = errors.New("restricted")

// restricted is a cause with errRestricted in it, whose text is its own.
type restricted struct{ text string }

func (r restricted) Error() string        { return r.text }
func (r restricted) Is(target error) bool { return target == errRestricted }

// status tells what is not there at all from what may not be used.
func (a *Absent) status() Status {
	for _, target := range []error{errRestricted, syscall.EPERM, syscall.EACCES, syscall.ENOSPC, syscall.EUSERS, syscall.EDQUOT} {
		if errors.Is(a.Cause, target) {
			return Restricted
		}
	}
	return Missing
}

// refusals are the errnos by which a kernel says no for good. Any other (EINTR, ENOMEM, EMFILE, ...) may be different the
// next time, so nothing is concluded from it.
var refusals = []syscall.Errno{
	syscall.EPERM, syscall.EACCES, syscall.EINVAL, syscall.ENOSYS, syscall.ENODEV, syscall.ENXIO, syscall.ENOENT,
	syscall.ENOSPC, syscall.EUSERS, syscall.EDQUOT, syscall.EOPNOTSUPP, syscall.EPROTONOSUPPORT, syscall.EAFNOSUPPORT,
	syscall.ENOPROTOOPT, syscall.ENOPKG, syscall.EROFS,
}

// judge makes an *Absent of an error by which the kernel refused op, and leaves any other error as it is.
func (m *machine) judge(feature, op string, err error) error {
	var absent *Absent
	if err == nil || errors.As(err, &absent) {
		return err
	}
	for _, errno := range refusals {
		if errors.Is(err, errno) {
			cause, remedy := m.explain(err, op)
			return &Absent{Feature: feature, Cause: &explained{cause, err}, Remedy: remedy}
		}
	}
	return err
}

// explained is an error with the reason for it.
type explained struct {
	cause string
	err   error
}

func (e *explained) Error() string { return e.err.Error() + ": " + e.cause }
func (e *explained) Unwrap() error { return e.err }
