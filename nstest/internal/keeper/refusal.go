package keeper

import (
	"fmt"

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
