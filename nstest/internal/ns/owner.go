package ns

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// OwnedBy reports whether namespace f belongs to the user namespace owner itself (ioctl_ns(2), Linux 4.9).
func OwnedBy(f, owner *os.File) (bool, error) {
	fd, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		return false, fmt.Errorf("find owner of namespace: %w", err)
	}
	defer unix.Close(fd)
	var a, b unix.Stat_t
	if err := unix.Fstat(fd, &a); err != nil {
		return false, fmt.Errorf("find owner of namespace: %w", err)
	}
	if err := unix.Fstat(int(owner.Fd()), &b); err != nil {
		return false, fmt.Errorf("find owner of namespace: %w", err)
	}
	return a.Ino == b.Ino && a.Dev == b.Dev, nil
}
