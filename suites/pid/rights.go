package pid

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// A verdict is what the kernel says of a call that a probe has tried: an errno, or works.
type verdict syscall.Errno

const works verdict = 0

func (v verdict) String() string {
	if v == works {
		return "works"
	}
	return syscall.Errno(v).Error()
}

// on is the verdict on a call that returned err.
func on(err error) verdict {
	var errno syscall.Errno
	if err != nil && !errors.As(err, &errno) {
		return verdict(unix.EPROTO) // not the kernel's words: no spec expects it
	}
	return verdict(errno)
}
