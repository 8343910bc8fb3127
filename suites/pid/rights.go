package pid

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// dropCapability takes one from the calling thread.
func dropCapability(capability int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return err
	}
	set, bit := &sets[capability/32], uint32(1)<<(capability%32)
	set.Effective &^= bit
	set.Permitted &^= bit
	return unix.Capset(&header, &sets[0])
}

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
