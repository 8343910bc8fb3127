package rootfs

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Memory is the root directory, as a path, of a new file system in memory that so many bytes fit in. It is mounted nowhere: the kernel
// frees it when nobody has it open any more.
func Memory(size int64) (*os.File, error) {
	return detached("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC, "mode", "0700", "size", strconv.FormatInt(size, 10))
}
