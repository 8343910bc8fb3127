package hygiene

import (
	"errors"

	"golang.org/x/sys/unix"
)

// done is the outcome of a system call that has not failed.
const done = "done"

// outcome is the name of a system call's error, for a probe that goes on.
func outcome(err error) string {
	var errno unix.Errno
	switch {
	case err == nil:
		return done
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}
