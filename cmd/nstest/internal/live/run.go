package live

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// hasEnded reports whether the process of a pidfd has ended.
func hasEnded(pidfd *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return err != nil || n > 0
	}
}
