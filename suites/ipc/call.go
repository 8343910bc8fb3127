package ipc

import "golang.org/x/sys/unix"

// result is that of a system call for which package unix has no function.
func result(r, _ uintptr, errno unix.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}
